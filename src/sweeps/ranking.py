"""Rank the rows of a sweep by its objective."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.sweeps import ROW_METRICS, Comparison, Goal, SweepRequest

Floats = NDArray[np.float64]

_COMPARE: Final = {
    Comparison.LESS: np.less,
    Comparison.AT_MOST: np.less_equal,
    Comparison.GREATER: np.greater,
    Comparison.AT_LEAST: np.greater_equal,
    Comparison.EQUAL: np.equal,
    Comparison.NOT_EQUAL: np.not_equal,
}


def column_of(figures: Floats, metric: str) -> Floats:
    """Return the values [k] of a metric of `ROW_METRICS` from the figures [k, m] of rows."""
    column: Floats = figures[:, ROW_METRICS.index(metric)]
    return column


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standing:
    """How rows [k] rank in a sweep: `places` int64 count from 0, the best; `can_be_best` marks rows that can be it.

    Rows that cannot be the best come after all that can, also ordered by the objective; rows without one come last.
    """

    places: NDArray[np.int64]
    can_be_best: NDArray[np.bool_]


def find_standing(figures: Floats, request: SweepRequest) -> Standing:
    """Return how the rows [k, m] rank."""
    ranked = rank_rows(figures, request)
    can_be_best = np.zeros(len(figures), np.bool_)
    can_be_best[ranked] = True
    signed = _sign(column_of(figures, request.objective.metric), request)
    others = np.flatnonzero(~can_be_best)
    order = np.concatenate((ranked, others[np.argsort(signed[others], kind="stable")]))
    places = np.empty(len(figures), np.int64)
    places[order] = np.arange(len(figures))
    return Standing(places=places, can_be_best=can_be_best)


def rank_rows(figures: Floats, request: SweepRequest) -> NDArray[np.int64]:
    """Return the numbers of the rows [k, m] that can be the best, best first; ties by the lower number.

    A row cannot be the best if its objective does not exist (NaN), if it has fewer closed trades than the objective
    asks for, or if it violates a metric's constraint. A row without that metric violates it.
    """
    objective = request.objective
    scores = column_of(figures, objective.metric)
    qualifies = ~np.isnan(scores) & (column_of(figures, "total_trades") >= objective.min_trades)
    for constraint in request.metric_constraints:
        own = column_of(figures, constraint.metric)
        qualifies &= ~np.isnan(own) & _COMPARE[constraint.comparison](own, constraint.value)
    rows = np.flatnonzero(qualifies)
    return rows[np.argsort(_sign(scores[rows], request), kind="stable")]


def _sign(scores: Floats, request: SweepRequest) -> Floats:
    """Return scores of which the lowest is best; NaN sorts last."""
    return scores if request.objective.goal is Goal.MINIMIZE else -scores
