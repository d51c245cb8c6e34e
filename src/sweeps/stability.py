"""Compare the best row of a grid with its neighbors: if parameters matter little, neighbors do about as well."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from src.domain.sweep_outcomes import ParameterStability
from src.domain.sweeps import Goal, SearchKind, SweepRequest
from src.sweeps.parameters import ValueKind
from src.sweeps.ranking import column_of
from src.sweeps.space import SearchSpace, build_space

Floats = NDArray[np.float64]


def parameter_stability(
    values: Floats, figures: Floats, best: int | None, request: SweepRequest
) -> ParameterStability | None:
    """Return how the neighbors of the row `best` do, of all rows' values [k, p] and figures [k, m].

    A neighbor is one grid step away in one or more numbers, and has the same members of closed lists. None if the
    search is not a GRID, or there is no best row with an objective.
    """
    if best is None or request.search.kind is not SearchKind.GRID:
        return None
    scores = column_of(figures, request.objective.metric)
    if np.isnan(scores[best]):
        return None
    is_near = _find_near(build_space(request), values, best)
    is_near[best] = False
    own = scores[is_near & ~np.isnan(scores)]
    worst = np.min if request.objective.goal is Goal.MAXIMIZE else np.max
    return ParameterStability(
        neighbors=own.size,
        best=float(scores[best]),
        neighbors_mean=float(own.mean()) if own.size else None,
        neighbors_worst=float(worst(own)) if own.size else None,
    )


def _find_near(space: SearchSpace, values: Floats, best: int) -> NDArray[np.bool_]:
    """Return whether each row is at most one step from the row `best` in each parameter."""
    is_near = np.ones(len(values), np.bool_)
    for place, column in enumerate(space.columns):
        steps = np.searchsorted(np.sort(column.listed), values[:, place])
        reach = 0 if column.item.kind is ValueKind.CHOICE else 1
        is_near &= np.abs(steps - steps[best]) <= reach
    return is_near
