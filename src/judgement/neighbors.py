"""Run a strategy again with nearby parameters: an edge that only one combination has is an accident."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final, NamedTuple

from src.domain.errors import InvalidInput
from src.domain.later_checks import NeighborRow, Neighbors, NeighborValue
from src.domain.parameters import parameters_of
from src.domain.strategy import StrategyParams

FACTORS: Final = (0.8, 0.9, 1.0, 1.1, 1.2)
MAX_GRID_PARAMETERS: Final = 2
"""The most parameters that are combined with each other: 5² = 25 runs. With more, one is changed at a time."""


class _Number(NamedTuple):
    """A number of a strategy: its public name, the names of the fields that lead to it, whether it must be whole."""

    name: str
    path: tuple[str, ...]
    value: float
    is_whole: bool


class RunFigures(NamedTuple):
    """The figures of one run: total return in per cent, Sharpe ratio of a year or None without variance."""

    total_return: float
    sharpe_ratio: float | None


def measure_neighbors(params: StrategyParams, evaluate: Callable[[StrategyParams], RunFigures]) -> Neighbors | None:
    """Return the runs with parameters near `params`, and the rank of `params` among them.

    `evaluate` runs the strategy with the given parameters; what it raises is not caught. None for a strategy that reads
    a model, or that has no numeric parameter.
    """
    neighbors = find_neighbors(params)
    if not neighbors:
        return None
    numbers = list(_find_numbers(params))
    chosen = tuple(number.value for number in numbers)
    found = {values: evaluate(neighbor) for values, neighbor in neighbors.items()}
    ratios = [figures.sharpe_ratio for figures in found.values() if figures.sharpe_ratio is not None]
    own = found[chosen].sharpe_ratio
    return Neighbors(
        rows=tuple(
            NeighborRow(
                values=tuple(
                    NeighborValue(name=number.name, value=float(value))
                    for number, value in zip(numbers, values, strict=True)
                ),
                is_chosen=values == chosen,
                total_return=figures.total_return,
                sharpe_ratio=figures.sharpe_ratio,
            )
            for values, figures in found.items()
        ),
        median_sharpe=statistics.median(ratios) if ratios else None,
        share_positive=sum(figures.total_return > 0 for figures in found.values()) / len(found),
        # Without a Sharpe ratio it is behind all that have one.
        rank=1 + sum(own is None or ratio > own for ratio in ratios),
    )


def find_neighbors(params: StrategyParams) -> Mapping[tuple[float, ...], StrategyParams]:
    """Return `params` and those near them, by their numbers; none for a strategy that `measure_neighbors` skips."""
    numbers = [] if params.model is not None else list(_find_numbers(params))
    if not numbers:
        return {}
    chosen = tuple(number.value for number in numbers)
    found = {}
    for values in sorted({chosen, *_nearby(numbers, chosen)}):
        neighbor = params if values == chosen else _with_values(params, numbers, values)
        if neighbor is not None:
            found[values] = neighbor
    return found


def _find_numbers(params: StrategyParams) -> Iterator[_Number]:
    """Yield the parameters that are numbers and have a value, and the numbers that the client named.

    A named number that is whole stays whole, because it may be a length.
    """
    for item in parameters_of(type(params)):
        value = item.of(params)
        if isinstance(value, Mapping):
            for name, number in value.items():
                yield _Number(name, (*item.path, name), number, float(number).is_integer())
        elif item.kind in (int, float) and value is not None:
            yield _Number(item.parameter.field, item.path, value, item.kind is int)


def _nearby(numbers: Sequence[_Number], chosen: tuple[float, ...]) -> Iterator[tuple[float, ...]]:
    """Yield the combinations of values near the chosen ones; some may be equal."""
    choices = [[_scaled(number, factor) for factor in FACTORS] for number in numbers]
    if len(numbers) <= MAX_GRID_PARAMETERS:
        yield from product(*choices)
        return
    for place, values in enumerate(choices):
        for value in values:
            yield (*chosen[:place], value, *chosen[place + 1 :])


def _scaled(number: _Number, factor: float) -> float:
    """Return the value times the factor; whole numbers are rounded, halves up."""
    if not number.is_whole:
        return number.value * factor
    # In whole tenths, because 1.1 × 5 as float64 is over 5.5.
    return (number.value * round(10 * factor) + 5) // 10


def _with_values(
    params: StrategyParams, numbers: Sequence[_Number], values: tuple[float, ...]
) -> StrategyParams | None:
    """Return the parameters with other values; None if they are not allowed."""
    changes: dict[str, Any] = {}
    for number, value in zip(numbers, values, strict=True):
        inner = changes
        for name in number.path[:-1]:
            inner = inner.setdefault(name, {})
        inner[number.path[-1]] = value
    try:
        neighbor: StrategyParams = _replaced(params, changes)
    except InvalidInput:
        return None
    return neighbor


def _replaced(root: Any, changes: dict[str, Any]) -> Any:
    """Return a dataclass or a mapping with these items changed; a dict in `changes` changes a nested one."""
    if isinstance(root, Mapping):
        return {**root, **changes}
    return dataclasses.replace(
        root,
        **{
            name: _replaced(getattr(root, name), value) if isinstance(value, dict) else value
            for name, value in changes.items()
        },
    )
