"""Compute correctly rounded moving averages."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

_SPLITTER = 134_217_729.0
"""2^27 + 1: splits a double into two halves of 26 bits (Dekker 1971)."""

_BLOCK = 64
"""Bars that are summed before they are divided: independent divisions run four at a time."""


@njit(cache=True, nogil=True)
def simple_moving_average(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the mean [n] of the last `window` values, NaN for the first window − 1 and while a NaN is in the window.

    Reads values ≤ t; O(n). The exact error of each addition to the running sum (Knuth's two-sum) is kept beside it, so
    the mean does not drift with the length of the history, and the mean of equal values is that value: otherwise two
    averages of a flat price differ in the last bit and seem to cross.
    """
    n = values.size
    mean = np.empty(n)
    highs, lows = np.empty(_BLOCK), np.empty(_BLOCK)
    high, low = 0.0, 0.0
    present = 0  # values since the last NaN
    for start in range(0, n, _BLOCK):
        size = min(_BLOCK, n - start)
        # Without this, errors of large values that have left the window would cost later errors digits.
        high, low = _add(high, low)
        for k in range(size):
            value = values[start + k]
            if np.isnan(value):
                high, low, present = 0.0, 0.0, 0
                highs[k], lows[k] = np.nan, np.nan
                continue
            present += 1
            leaving = values[start + k - window] if present > window else 0.0
            # Only one addition depends on the previous bar: adding the change to the sum.
            change, error = _add(value, -leaving)
            high, lost = _add(high, change)
            low += error + lost
            highs[k], lows[k] = high if present >= window else np.nan, low
        for k in range(size):
            total, rest = _add(highs[k], lows[k])
            mean[start + k] = _divide(total, rest, float(window))
    return mean


@njit(cache=True, nogil=True, inline="always")
def _add(a: float, b: float) -> tuple[float, float]:
    """Return a + b, and the exact error of that sum (Knuth's two-sum)."""
    total = a + b
    shadow = total - a
    return total, (a - (total - shadow)) + (b - shadow)


@njit(cache=True, nogil=True, inline="always")
def _divide(high: float, low: float, divisor: float) -> float:
    """Divide a double-double by a small whole number, rounded once: quotient, then its exact remainder."""
    quotient = high / divisor
    scaled = _SPLITTER * quotient
    upper = scaled - (scaled - quotient)
    lower = quotient - upper
    # divisor is a bar count far below 2^26, so both partial products are exact.
    product = quotient * divisor
    error = (upper * divisor - product) + lower * divisor
    return quotient + ((high - product) - error + low) / divisor
