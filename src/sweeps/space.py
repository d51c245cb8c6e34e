"""Read a sweep's parameters once: their columns, and which combinations of values are allowed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.errors import InvalidInput, bad_value
from src.domain.runs import BacktestRequest, event_driven_only
from src.domain.signals import ParameterValue
from src.domain.sweeps import Comparison, ParameterConstraint, SearchKind, SweepRequest, SweptParameter
from src.domain.trading import EngineName
from src.sweeps.columns import Column, build_column
from src.sweeps.parameters import Sweepable, ValueKind, find_sweepable, sweepable

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_COMPARE: Final = {
    Comparison.LESS: np.less,
    Comparison.AT_MOST: np.less_equal,
    Comparison.GREATER: np.greater,
    Comparison.AT_LEAST: np.greater_equal,
    Comparison.EQUAL: np.equal,
    Comparison.NOT_EQUAL: np.not_equal,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A constraint with the columns' places; `right` is a place or a number."""

    left: int
    comparison: Comparison
    right: int | None
    value: float

    def holds(self, values: Floats) -> Flags:
        """Return whether the relation holds in each row of the values [k, p]."""
        right = self.value if self.right is None else values[:, self.right]
        held: Flags = _COMPARE[self.comparison](values[:, self.left], right)
        return held


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpace:
    """The swept parameters of a request, in its order."""

    backtest: BacktestRequest
    columns: tuple[Column, ...]
    relations: tuple[Relation, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The public names of the parameters, in snake_case."""
        return tuple(column.item.name for column in self.columns)

    def plain_of(self, values: Floats) -> dict[str, ParameterValue]:
        """Return one row [p] as clients write it, by name."""
        return {
            column.item.name: column.item.plain(value)
            for column, value in zip(self.columns, values.tolist(), strict=True)
        }

    def place_of(self, *path: str) -> int | None:
        """Return the place of the parameter at a path of the request; None if it is not swept."""
        places = (place for place, column in enumerate(self.columns) if column.item.path == path)
        return next(places, None)


def build_space(request: SweepRequest) -> SearchSpace:
    """Return the swept parameters of a request.

    Raises InvalidInput if a name, a value, a range or a constraint is not allowed, naming its field.
    """
    known = sweepable(request.backtest)
    columns = tuple(
        _build_column(swept, known, request.search.kind, place) for place, swept in enumerate(request.parameters)
    )
    names = [column.item.name for column in columns]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput("{field} names {name!r} twice.", field="parameters", name=name)
    if request.backtest.engine is EngineName.VECTORIZED:
        _check_engine(columns, known)
    relations = tuple(_read_constraint(given, columns, place) for place, given in enumerate(request.constraints))
    return SearchSpace(backtest=request.backtest, columns=columns, relations=relations)


def _build_column(swept: SweptParameter, known: Mapping[str, Sweepable], kind: SearchKind, place: int) -> Column:
    item = find_sweepable(known, swept.name, field=f"parameters.{place}.name")
    return build_column(swept, item, kind, place=place)


def _check_engine(columns: tuple[Column, ...], known: Mapping[str, Sweepable]) -> None:
    """Raise InvalidInput if the vectorized engine does not know a swept setting."""
    used = {column.item.name for column in columns if column.item.is_event_driven_only and _leaves_default(column)}
    settings = tuple(item.field for item in known.values() if item.name in used)
    if settings:
        raise event_driven_only(settings)


def _leaves_default(column: Column) -> bool:
    default = column.item.default
    return column.values is None or any(_held(column.item, value) != default for value in column.values.tolist())


def _held(item: Sweepable, value: float) -> object:
    return item.choices[int(value)] if item.kind is ValueKind.CHOICE else value


def _read_constraint(given: ParameterConstraint, columns: tuple[Column, ...], place: int) -> Relation:
    field = f"constraints.{place}"
    left = _find_number(given.left, columns, field=f"{field}.left")
    right = None if given.right is None else _find_number(given.right, columns, field=f"{field}.right")
    if given.value is not None and not math.isfinite(given.value):
        raise bad_value(f"{field}.value", got=given.value, allowed="a finite number")
    return Relation(
        left=left,
        comparison=given.comparison,
        right=right,
        value=math.nan if given.value is None else float(given.value),
    )


def _find_number(name: str, columns: tuple[Column, ...], *, field: str) -> int:
    numbers = {column.item.name: column.item for column in columns if column.item.kind is not ValueKind.CHOICE}
    for place, column in enumerate(columns):
        if column.item.name in numbers and name in (column.item.name, column.item.field):
            return place
    raise bad_value(field, got=name, allowed=f"a swept number: {', '.join(numbers) or 'none'}")
