"""The input of strategies (features, predictions) and their output (signals)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from src.domain.arrays import freeze, pickled

ParameterValue = str | int | float | bool | tuple[str, ...] | Mapping[str, float] | None


class Action(IntEnum):
    """A signal at one bar; its sign is the side of the order that it gives."""

    CLOSE_LONG = -2
    """Sell what is long, and enter nothing."""
    SELL = -1
    """Close a long, and enter a short if the direction allows one."""
    HOLD = 0
    BUY = 1
    """Close a short, and enter a long if the direction allows one."""
    CLOSE_SHORT = 2
    """Buy back what is short, and enter nothing."""

    @property
    def word(self) -> str:
        """The name that clients read: `buy`, `sell` or `hold`."""
        return ("sell", "hold", "buy")[(self > 0) - (self < 0) + 1]


class OutputKind(StrEnum):
    """The meaning of a model's predictions."""

    PROBABILITY = "probability"
    """P(class 1), 0…1: long while it is at least the threshold."""
    BINARY_LABEL = "binary_label"
    """1 long, 0 flat."""
    SIGNED_LABEL = "signed_label"
    """−1 sell, 0 keep, 1 buy."""
    VALUE = "value"
    """A regression's number: long while it is at least the threshold."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """The input of a model: `values` [n, k] float64, a column for each name; NaN if a bar has too few bars before it.

    Row t reads bars ≤ t only.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", freeze(self.values, np.float64))
        if self.values.ndim != 2 or self.values.shape[1] != len(self.names):
            raise ValueError(f"values has shape {self.values.shape}, expected (n, {len(self.names)})")

    def head(self, length: int) -> Features:
        """Return the features of the first bars."""
        return Features(names=self.names, values=self.values[:length])

    def take(self, bars: NDArray[np.int64]) -> Features:
        """Return the features of these bars, in this order."""
        return Features(names=self.names, values=self.values[bars])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """A model's predictions: `values` [n] float64, NaN for bars that were not predicted.

    `feature_columns` are the columns that the model was given, in their order. `among_others` [n] are the same rows,
    predicted again in four complementary parts, each shuffled; None if that was not asked for, or failed, and
    `audit_failure` then says why, as a sentence.
    """

    values: NDArray[np.float64]
    kind: OutputKind
    feature_columns: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()
    among_others: NDArray[np.float64] | None = None
    audit_failure: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", freeze(self.values, np.float64))
        if self.among_others is not None:
            object.__setattr__(self, "among_others", freeze(self.among_others, np.float64))

    def __reduce__(self) -> tuple[object, ...]:
        return pickled(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyDescription:
    """A strategy's name and its parameters (public names in camelCase, plain values)."""

    name: str
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))

    def __reduce__(self) -> tuple[object, ...]:
        """Return what pickle writes: a mapping proxy has no pickle of its own."""
        return _describe, (self.name, dict(self.parameters))


def _describe(name: str, parameters: Mapping[str, ParameterValue]) -> StrategyDescription:
    return StrategyDescription(name=name, parameters=parameters)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Signals:
    """A strategy's signal at each bar t, decided at its close from bars ≤ t.

    `action` [n] int8 holds `Action` values. `probability` [n] float64 is the model's P(class 1), if it predicts one.
    """

    action: NDArray[np.int8]
    strategy: StrategyDescription
    probability: NDArray[np.float64] | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "action", freeze(self.action, np.int8))
        if self.action.ndim != 1:
            raise ValueError(f"action has shape {self.action.shape}, expected (n,)")
        if self.action.size and not min(Action) <= self.action.min() <= self.action.max() <= max(Action):
            raise ValueError("action holds a value other than -2, -1, 0, 1, 2")
        if self.probability is not None:
            object.__setattr__(self, "probability", freeze(self.probability, np.float64))
            if self.probability.shape != self.action.shape:
                raise ValueError("probability and action differ in length")

    def __len__(self) -> int:
        return len(self.action)
