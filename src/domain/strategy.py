"""A strategy's parameters and its inputs, as the rest of the service knows them."""

from __future__ import annotations

import typing
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, fields, replace
from typing import ClassVar, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.errors import bad_pair
from src.domain.intervals import Interval
from src.domain.parameters import check_parameters, own_parameters_of, parameter
from src.domain.signals import OutputKind, ParameterValue, Predictions, StrategyDescription
from src.domain.training import TrainingWindow

MAX_WARM_UP_BARS: Final = 5_000
"""The most bars before the range that a strategy asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyParams:
    """The base class of the parameters of each strategy."""

    ordered_pairs: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Fields of which the first must be less than the second; a sweep leaves out combinations in which it is not."""

    def check_values(self) -> None:
        """Raise InvalidInput if a parameter is outside its bounds, or a pair is not in its order."""
        check_parameters(self)
        for low, high in self.ordered_pairs:
            if getattr(self, low) >= getattr(self, high):
                fields = {item.path[-1]: item.parameter.field for item in own_parameters_of(type(self))}
                raise bad_pair(
                    fields[low], got=getattr(self, low), rule="less than", other=fields[high], value=getattr(self, high)
                )

    @property
    def model(self) -> ModelChoice | None:
        """The model whose predictions the strategy reads; None if it reads none."""
        return None

    @property
    def can_short(self) -> bool:
        """Whether the strategy's signals enter shorts on purpose, so that the direction must allow them."""
        return False

    @property
    def lookback_bars(self) -> int | None:
        """The number of bars that the strategy needs before the first signal; None if that is not known."""
        return None

    def warm_up_bars(self, interval: Interval) -> int:  # noqa: ARG002  (some strategies read whole days)
        """Return how many bars before the range the strategy reads, at most `MAX_WARM_UP_BARS`.

        With this many, signals do not depend on how far back the history goes.
        """
        return 0

    def describe(self, name: str) -> StrategyDescription:
        """Return a description for results: the strategy's name, and the declared parameters with their values.

        Groups are left out: a strategy describes only how it read a model, and the result has the file's hash.
        """
        return StrategyDescription(
            name=name,
            parameters={
                item.parameter.field: typing.cast("ParameterValue", item.write(item.of(self)))
                for item in own_parameters_of(type(self))
            },
        )

    def with_model(self, model: ModelChoice) -> StrategyParams:
        """Return the same parameters with another model; raises TypeError if the strategy reads none."""
        raise TypeError(f"{type(self).__name__} reads no model's predictions ({model.reference})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """A stored model, and how to read it.

    `sha256` is that of the file that was used.
    """

    reference: str | None = parameter(
        name="model_path",
        meaning="The stored model: its file name, or its path as the upload returned it",
        default=None,
        default_meaning="the file that comes with the request",
        # Clients must not see the path on the server.
        write=lambda reference: reference.rsplit("/", 1)[-1],
    )
    feature_columns: tuple[str, ...] | None = parameter(
        name="feature_columns",
        meaning="The feature columns that the model gets, in this order",
        default=None,
        default_meaning="as the model file says",
    )
    output_kind: OutputKind | None = parameter(
        name="output_kind",
        meaning="What the model's numbers mean: probability, binary_label, signed_label or value",
        default=None,
        default_meaning="as the model file says",
    )
    training: TrainingWindow = field(default_factory=TrainingWindow)
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelParams(ModelChoice, StrategyParams):
    """Trade a model's predictions."""

    threshold: float = parameter(
        name="threshold",
        meaning="Long while the model's number is at least this",
        default=0.5,
        unit="the unit of the model's numbers",
        default_meaning="0.5",
    )

    @property
    def model(self) -> ModelParams:
        return self

    def with_model(self, model: ModelChoice) -> ModelParams:
        return replace(self, **{item.name: getattr(model, item.name) for item in fields(ModelChoice)})


class SeriesMemory(Protocol):
    """Keeps series that were computed from the same bars, by what determines them."""

    def recall(self, key: Hashable, compute: Callable[[], NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return the series of this key, computed now if it is not kept."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StrategyInputs:
    """The inputs of a strategy: bars [n], and a model's predictions if its parameters name a model.

    The first `warm_up` of the bars are before the range that was asked for: signals and predictions are those of the
    range, [n - warm_up]. `memory` keeps series of these bars, and of these predictions, for other strategies that read
    the same.
    """

    bars: Bars
    predictions: Predictions | None = None
    warm_up: int = 0
    memory: SeriesMemory | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.warm_up <= len(self.bars):
            raise ValueError(f"warm_up is {self.warm_up}, expected 0 to {len(self.bars)}")

    def recall(self, key: Hashable, compute: Callable[[], NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return the series [n] of the bars that `compute` returns; `key` alone must determine it."""
        return compute() if self.memory is None else self.memory.recall(key, compute)

    def required_predictions(self) -> Predictions:
        """Return the predictions; raises ValueError if there are none, which is a bug."""
        if self.predictions is None:
            raise ValueError("a model's strategy needs its predictions")
        return self.predictions
