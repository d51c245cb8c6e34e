"""Reduce rows to points: each point stands for as many consecutive bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from src.domain.tearsheet import RANGED_COLUMNS

Values = NDArray[Any]


def count_bars_per_point(bars: int, points: int | None) -> int:
    """Return the bars of each point: the least that give at most `points` ≥ 1 points; one if `points` is None."""
    return 1 if points is None else max(1, -(-bars // points))


def _first(values: Values, starts: NDArray[np.int64]) -> Values:
    found: Values = values[starts]
    return found


def _last(values: Values, starts: NDArray[np.int64]) -> Values:
    found: Values = values[np.append(starts[1:], len(values)) - 1]
    return found


def _combined(combine: np.ufunc) -> Callable[[Values, NDArray[np.int64]], Values]:
    def reduce(values: Values, starts: NDArray[np.int64]) -> Values:
        found: Values = combine.reduceat(values, starts)
        return found

    return reduce


# NaN (no probability) counts only if a point has nothing else.
_lowest, _highest, _sum = map(_combined, (np.fmin, np.fmax, np.add))


_RULES: Final[Mapping[str, Callable[[Values, NDArray[np.int64]], Values]]] = {
    "date": _first,
    "open": _first,
    "high": _highest,
    "low": _lowest,
    "close": _last,
    "volume": _sum,
    "equity": _last,
    "cash": _last,
    "position": _last,
    "open_positions": _highest,
    "drawdown": _lowest,
    "buy_and_hold": _last,
    "rebased": _last,
    "probability": _last,
}
"""How the bars of a point become one value. Signals are left out: fills show their outcome."""


def reduce_columns(columns: Mapping[str, Values | None], bars_per_point: int) -> dict[str, Values | None]:
    """Return one row for each `bars_per_point` bars, the last row for those that are left; None stays None.

    Parameters
    ----------
    columns
        Each [n], n ≥ 1, by a name of `_RULES` or `signal`, which becomes None.
    """
    reduced: dict[str, Values | None] = {}
    for name, values in columns.items():
        reduced[name] = _reduce(values, _RULES.get(name), bars_per_point)
        if name in RANGED_COLUMNS:
            reduced[f"{name}_low"] = _reduce(values, _lowest, bars_per_point)
            reduced[f"{name}_high"] = _reduce(values, _highest, bars_per_point)
    return reduced


def _reduce(
    values: Values | None, rule: Callable[[Values, NDArray[np.int64]], Values] | None, bars_per_point: int
) -> Values | None:
    if values is None or rule is None:
        return None
    return rule(values, np.arange(0, len(values), bars_per_point))
