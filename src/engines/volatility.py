"""Compute the trailing volatility, by which a volatility target is divided.

It is the standard deviation (ddof 1) of the log returns from close to close of the bars that opened in the 30 days up
to the bar's own open, times the square root of the bars of a year without pauses (365 days ÷ the interval). The number
of bars per year that metrics count from all bars of a run would look ahead.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from src.domain.arrays import freeze
from src.domain.bars import Bars
from src.domain.intervals import DAY_MS

Floats = NDArray[np.float64]

WINDOW_MS: Final = 30 * DAY_MS
MIN_RETURNS: Final = 2


class Spread(NamedTuple):
    """Numbers seen: how many, their mean, and the sum of squared distances from it."""

    seen: float
    mean: float
    squares: float


def measure_volatility(bars: Bars) -> Floats:
    """Return the volatility per year [n] at each bar, a fraction; it reads the bars up to its own.

    NaN if the bars do not reach back 30 days before the bar's open, or if fewer than 2 returns lie in these days.
    """
    found = np.full(len(bars), math.nan)
    if len(bars):
        returns = np.log(bars.close / np.concatenate((bars.close[:1], bars.close[:-1])))
        _deviations(np.ascontiguousarray(bars.open_time_ms), returns, WINDOW_MS, MIN_RETURNS, found)
    return freeze(found * math.sqrt(bars.interval.bars_per_year), np.float64)


@njit(cache=True, nogil=True)
def _merge(one: Spread, other: Spread) -> Spread:
    """Return the spread of both (Chan, Golub and LeVeque 1979)."""
    if one.seen == 0.0:
        return other
    if other.seen == 0.0:
        return one
    seen, apart = one.seen + other.seen, other.mean - one.mean
    squares = one.squares + other.squares + apart * apart * one.seen * other.seen / seen
    return Spread(seen, one.mean + apart * other.seen / seen, squares)


@njit(cache=True, nogil=True)
def _deviations(times: NDArray[np.int64], returns: Floats, window: int, least: int, found: Floats) -> None:
    """Write the deviation of the returns of each bar's window into `found`.

    The window is a queue of two parts. The older part stores the spread from each of its bars to its end; the newer
    part, one spread of all its bars. Nothing is subtracted, so a jump leaves no residue in the calm windows after it.
    """
    older = np.zeros((times.size, 3))
    oldest, middle, newer = 1, 1, Spread(0.0, 0.0, 0.0)
    for bar in range(1, times.size):
        newer = _merge(newer, Spread(1.0, returns[bar], 0.0))
        while times[oldest] <= times[bar] - window:
            oldest += 1
        if oldest >= middle:
            newer = Spread(0.0, 0.0, 0.0)
            for place in range(bar, oldest - 1, -1):
                newer = _merge(Spread(1.0, returns[place], 0.0), newer)
                older[place, 0], older[place, 1], older[place, 2] = newer
            middle, newer = bar + 1, Spread(0.0, 0.0, 0.0)
        whole = _merge(Spread(older[oldest, 0], older[oldest, 1], older[oldest, 2]), newer)
        if times[0] <= times[bar] - window and whole.seen >= least:
            found[bar] = math.sqrt(whole.squares / (whole.seen - 1.0))
