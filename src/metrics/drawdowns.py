"""Measure the drawdowns of equity: their depth and duration below the peak."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from src.metrics.returns import ROUNDING


class Drawdowns(NamedTuple):
    """Depths are fractions ≥ 0 of the peak; `longest` counts bars; `mean_depth` is over drawdowns, NaN without one."""

    deepest: float
    mean_depth: float
    longest: int
    ulcer_index: float


@njit(cache=True, nogil=True)
def measure_drawdowns(equity: NDArray[np.float64], initial_cash: float) -> Drawdowns:
    """Return the drawdowns of equity [n] in one pass.

    A drawdown begins at the first bar below a peak and ends before the bar that reaches the peak again; an unfinished
    one counts, the last bar included (vectorbt's `Drawdowns`). The starting cash is the first peak; equity that is
    lower by rounding only is at the peak. The ulcer index is √(mean of squared depth per bar) (Martin & McCann 1989).
    """
    peak, trough = initial_cash, initial_cash
    deepest, depths, squares = 0.0, 0.0, 0.0
    count, longest, since = 0, 0, 0
    for t in range(equity.size):
        value = equity[t]
        if value >= peak * (1.0 - ROUNDING):
            if since > 0:
                depths += (peak - trough) / peak
                count += 1
                longest = max(longest, since)
                since = 0
            peak = max(peak, value)
            trough = peak
        else:
            since += 1
            trough = min(trough, value)
            depth = (peak - value) / peak
            deepest = max(deepest, depth)
            squares += depth * depth
    if since > 0:
        depths += (peak - trough) / peak
        count += 1
        longest = max(longest, since)
    mean_depth = depths / count if count > 0 else np.nan
    return Drawdowns(deepest, mean_depth, longest, np.sqrt(squares / equity.size))
