"""Split the rows of a sweep into the strategies and the rules that they share, each built and checked once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from src.domain.errors import InvalidInput, bad_value
from src.domain.named_numbers import NamedNumbers
from src.domain.runs import BacktestRequest
from src.domain.strategy import StrategyParams
from src.domain.sweeps import SweepRequest
from src.domain.trading import TradingRules
from src.sweeps.parameters import Sweepable, ValueKind, find_sweepable, sweepable

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

STRATEGY: Final = "strategy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The part of a request that some rows share; None with the error's text if no such request is valid."""

    strategy: StrategyParams | None
    rules: TradingRules | None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Variants:
    """Distinct parts of rows [k]: row i has `parts[of_row[i]]`."""

    parts: Sequence[Variant]
    of_row: Whole


class RowReader:
    """Reads the values of rows: which columns are the strategy's, and which are trading rules."""

    def __init__(self, request: SweepRequest) -> None:
        self.backtest: Final = request.backtest
        known = sweepable(request.backtest)
        self.items: Final[tuple[Sweepable, ...]] = tuple(
            find_sweepable(known, swept.name, field=f"parameters.{place}.name")
            for place, swept in enumerate(request.parameters)
        )
        is_strategy = [item.path[0] == STRATEGY for item in self.items]
        self.strategy_columns: Final = np.flatnonzero(is_strategy)
        self.rule_columns: Final = np.flatnonzero(np.logical_not(is_strategy))

    def column_of(self, name: str) -> int | None:
        """Return the column of a parameter of the strategy; None if it is not swept."""
        for column in self.strategy_columns.tolist():
            if self.items[column].name == name:
                return int(column)
        return None

    def find_strategies(self, values: Floats) -> Variants:
        """Return the distinct strategies of rows [k, p]."""
        return self._find(values, self.strategy_columns)

    def find_rules(self, values: Floats) -> Variants:
        """Return the distinct trading rules of rows [k, p]."""
        return self._find(values, self.rule_columns)

    def explain(self, row: Floats) -> str:
        """Return why a row [p] is not a valid request; empty if it is valid."""
        return self._build(row, np.arange(len(self.items))).error

    def _find(self, values: Floats, columns: NDArray[np.intp]) -> Variants:
        if not columns.size:
            return Variants(parts=(self._build(np.empty(0), columns),), of_row=np.zeros(len(values), np.int64))
        distinct, of_row = np.unique(values[:, columns], axis=0, return_inverse=True)
        parts = tuple(self._build(row, columns) for row in distinct)
        return Variants(parts=parts, of_row=of_row.reshape(-1).astype(np.int64))

    def _build(self, row: Floats, columns: NDArray[np.intp]) -> Variant:
        """Return the request with the values of some columns."""
        chosen = [self.items[column] for column in columns.tolist()]
        try:
            request = _apply(self.backtest, chosen, row)
        except InvalidInput as error:
            return Variant(strategy=None, rules=None, error=str(error))
        return Variant(strategy=request.strategy, rules=request.rules)


def _apply(backtest: BacktestRequest, items: Sequence[Sweepable], row: Floats) -> BacktestRequest:
    """Return the backtest with these values: the same as `parameters.apply_values`, without looking the items up again.

    Raises InvalidInput if the backtest does not allow a value, or the values together.
    """
    changes: dict[str, Any] = {}
    for item, value in zip(items, row.tolist(), strict=True):
        place = changes
        for part in item.path[:-1]:
            place = place.setdefault(part, {})
        place[item.path[-1]] = _read(item, value)
    changed: BacktestRequest = _replace(backtest, changes)
    return changed


def _replace(value: Any, changes: Mapping[str, Any]) -> Any:
    """Return a dataclass, or named numbers, with nested changes, all of one object at once."""
    if not changes:
        return value
    if isinstance(value, Mapping):
        return NamedNumbers({**value, **changes})
    replaced = {
        name: _replace(getattr(value, name), change) if isinstance(change, dict) else change
        for name, change in changes.items()
    }
    return dataclasses.replace(value, **replaced)


def _read(item: Sweepable, value: float) -> object:
    """Return a value as the request holds it; raises InvalidInput if the parameter does not allow it."""
    if item.kind is not ValueKind.CHOICE:
        item.number(value, field=item.field)
        return item.plain(value)
    if value not in range(len(item.choices)):
        raise bad_value(item.field, got=value, allowed=f"a place in the list, 0 to {len(item.choices) - 1}")
    return item.choices[int(value)]
