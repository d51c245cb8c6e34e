"""Show a metric over two parameters of a sweep, reduced over all the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from src.domain.errors import InvalidInput, bad_value
from src.domain.sweeps import Reduce, SearchKind, check_metric
from src.sweeps.ranking import Standing, column_of

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

MAX_BINS: Final = 50
"""Bins of an axis whose values were drawn: each value may occur only once."""
MAX_CELLS: Final = 250_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeatMap:
    """A metric over the values of two parameters.

    `x` [i] and `y` [j] are the distinct values in rising order (for a closed list, the indices in it), or the middles
    of equal bins. `cells` [j, i] is NaN if no row of the cell has the metric. `counts` are the rows that have it, and
    `best_rows` the one of them that ranks best in the sweep, −1 if there is none. `can_be_best` says whether that row
    can be the best of the sweep.
    """

    x: Floats
    y: Floats
    cells: Floats
    counts: Numbers
    best_rows: Numbers
    can_be_best: NDArray[np.bool_]


class _Cells(NamedTuple):
    """The fields of `HeatMap` for each cell, all cells in one row."""

    values: Floats
    counts: Numbers
    best_rows: Numbers
    can_be_best: NDArray[np.bool_]


def heat_map(
    values: Floats,
    figures: Floats,
    x: str,
    y: str,
    metric: str,
    reduce: Reduce,
    names: Sequence[str],
    *,
    standing: Standing,
    search: SearchKind = SearchKind.GRID,
) -> HeatMap:
    """Return a metric of the rows over the parameters `x` and `y`.

    Parameters
    ----------
    values, figures
        Of all rows, [k, p] and [k, m]; `names` are those of the p parameters.
    standing
        How all rows rank in the sweep: BEST is the metric of the cell's row that ranks best by the objective.
    search
        Axes of RANDOM and TPE are binned if they have over 50 distinct values.

    Raises InvalidInput on `x`, `y` or `metric` if the name is unknown, x and y are equal, or there are too many cells.
    """
    check_metric(metric, field="metric")
    for field, name, others in (("x", x, names), ("y", y, [name for name in names if name != x])):
        if name not in others:
            raise bad_value(field, got=name, allowed=tuple(others) or "none, with one swept parameter")
    is_binned = search in (SearchKind.RANDOM, SearchKind.TPE)
    x_axis, x_places = _cut_axis(values[:, names.index(x)], is_binned=is_binned)
    y_axis, y_places = _cut_axis(values[:, names.index(y)], is_binned=is_binned)
    if x_axis.size * y_axis.size > MAX_CELLS:
        raise InvalidInput(
            "{field} and {@y} have {count:,} cells. Maximum: {most:,}. Name others, or read the rows.",
            field="x", count=x_axis.size * y_axis.size, most=MAX_CELLS,
        )  # fmt: skip
    cell_of = y_places * x_axis.size + x_places
    found = _fill_cells(column_of(figures, metric), cell_of, x_axis.size * y_axis.size, reduce, standing)
    shape = (y_axis.size, x_axis.size)
    return HeatMap(
        x=x_axis,
        y=y_axis,
        cells=found.values.reshape(shape),
        counts=found.counts.reshape(shape),
        best_rows=found.best_rows.reshape(shape),
        can_be_best=found.can_be_best.reshape(shape),
    )


def _fill_cells(own: Floats, cell_of: Numbers, count: int, reduce: Reduce, standing: Standing) -> _Cells:
    """Reduce the metric `own` of each row over the rows of each cell; `cell_of` is the cell of each row."""
    known = np.flatnonzero(~np.isnan(own))
    cell_of = cell_of[known]
    counts = np.bincount(cell_of, minlength=count)
    values, best_rows = np.full(count, np.nan), np.full(count, -1)
    can_be_best = np.zeros(count, np.bool_)
    filled = np.flatnonzero(counts)
    firsts = (np.cumsum(counts) - counts)[filled]
    best = known[np.lexsort((standing.places[known], cell_of))][firsts]
    best_rows[filled], can_be_best[filled] = best, standing.can_be_best[best]
    if reduce is Reduce.BEST:
        values[filled] = own[best]
    else:
        values[filled] = _average(own[known][np.lexsort((own[known], cell_of))], firsts, counts[filled], reduce)
    return _Cells(values, counts, best_rows, can_be_best)


def _average(sorted_values: Floats, firsts: Numbers, counts: Numbers, reduce: Reduce) -> Floats:
    """Return the mean or the median of each run of values that begins at `firsts`; each run is sorted."""
    if reduce is Reduce.MEAN:
        return np.add.reduceat(sorted_values, firsts) / counts if firsts.size else np.empty(0)
    lower, upper = firsts + (counts - 1) // 2, firsts + counts // 2
    median: Floats = (sorted_values[lower] + sorted_values[upper]) / 2
    return median


def _cut_axis(column: Floats, *, is_binned: bool) -> tuple[Floats, Numbers]:
    """Return the values of an axis, and each row's index on it."""
    distinct, places = np.unique(column, return_inverse=True)
    if not is_binned or distinct.size <= MAX_BINS:
        return distinct, places
    edges = np.linspace(distinct[0], distinct[-1], MAX_BINS + 1)
    return (edges[:-1] + edges[1:]) / 2, np.searchsorted(edges[1:-1], column, side="right")
