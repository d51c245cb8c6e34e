"""Rank the rows of a sweep by its objective."""

from __future__ import annotations

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


def rank_rows(figures: Floats, request: SweepRequest) -> NDArray[np.int64]:
    """Return the numbers of the rows [k, m] that can be the best, best first; of equal ones the lower number.

    A row cannot be the best if its objective does not exist (NaN), it has fewer closed trades than the objective asks
    for, or it lacks the relation of a metric's constraint, as one does that has no such metric.
    """
    objective = request.objective
    scores = column_of(figures, objective.metric)
    qualifies = ~np.isnan(scores) & (column_of(figures, "total_trades") >= objective.min_trades)
    for constraint in request.metric_constraints:
        own = column_of(figures, constraint.metric)
        qualifies &= ~np.isnan(own) & _COMPARE[constraint.comparison](own, constraint.value)
    rows = np.flatnonzero(qualifies)
    signed = scores[rows] if objective.goal is Goal.MINIMIZE else -scores[rows]
    return rows[np.argsort(signed, kind="stable")]
