"""Find the drawdowns of equity: the curve, and each period below a peak.

A drawdown begins and ends as in `metrics.drawdowns`: the starting cash is the first peak, and equity that is lower by
rounding only is at the peak.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from src.domain.tearsheet import DrawdownPeriod
from src.metrics.returns import ROUNDING

Floats = NDArray[np.float64]


@njit(cache=True, nogil=True)
def drawdown_curve(equity: Floats, initial_cash: float) -> Floats:
    """Return −(running peak − equity) ÷ running peak × 100 at each bar [n], in per cent ≤ 0."""
    curve = np.zeros(equity.size)
    peak = initial_cash
    for t in range(equity.size):
        peak = max(peak, equity[t])
        if equity[t] < peak * (1.0 - ROUNDING):
            curve[t] = -(peak - equity[t]) / peak * 100.0
    return curve


def find_drawdowns(
    time_ms: NDArray[np.int64], equity: Floats, initial_cash: float, *, first: int
) -> tuple[DrawdownPeriod, ...]:
    """Return the deepest drawdowns, at most `first` ≥ 0, the deepest first; of equal depths the earlier one."""
    curve = drawdown_curve(equity, initial_cash)
    is_below = np.concatenate(([False], curve < 0.0, [False]))
    edges = np.flatnonzero(is_below[1:] != is_below[:-1])
    starts, ends = edges[0::2], edges[1::2]
    if not len(starts):
        return ()
    # Bars between two drawdowns are 0, so the lowest bar up to the next start belongs to this drawdown.
    lowest = np.minimum.reduceat(curve, starts)
    chosen = np.argsort(lowest, kind="stable")[:first]
    periods = ((int(starts[place]), int(ends[place])) for place in chosen)
    return tuple(_describe(time_ms, curve, start, end) for start, end in periods)


def _describe(time_ms: NDArray[np.int64], curve: Floats, start: int, end: int) -> DrawdownPeriod:
    """Describe the drawdown of the bars start ≤ t < end."""
    bottom = start + int(np.argmin(curve[start:end]))
    return DrawdownPeriod(
        start_ms=int(time_ms[start]),
        bottom_ms=int(time_ms[bottom]),
        end_ms=int(time_ms[end]) if end < len(curve) else None,
        depth=-float(curve[bottom]),
        bars=end - start,
    )
