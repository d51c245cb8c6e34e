"""Compute correctly rounded moving averages."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

_SPLITTER = 134_217_729.0
"""2^27 + 1: splits a double into two halves of 26 bits (Dekker 1971)."""


@njit(cache=True, nogil=True)
def simple_moving_average(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the mean [n] of the last `window` values, NaN for the first window − 1 and while a NaN is in the window.

    Reads values ≤ t; O(n). The running sum is kept in double-double arithmetic (Knuth's two-sum), so the mean does not
    drift with the length of the history, and the mean of equal values is that value: otherwise two averages of a flat
    price differ in the last bit and seem to cross.
    """
    n = values.size
    mean = np.full(n, np.nan)
    high, low = 0.0, 0.0
    present = 0  # values since the last NaN
    for t in range(n):
        if np.isnan(values[t]):
            high, low, present = 0.0, 0.0, 0
            continue
        high, low = _add(high, low, values[t])
        present += 1
        if present > window:
            high, low = _add(high, low, -values[t - window])
        if present >= window:
            mean[t] = _divide(high, low, float(window))
    return mean


@njit(cache=True, nogil=True, inline="always")
def _add(high: float, low: float, value: float) -> tuple[float, float]:
    """Add a double to a double-double (Dekker 1971; Knuth's two-sum, then a renormalization)."""
    total = high + value
    shadow = total - high
    error = (high - (total - shadow)) + (value - shadow)
    error += low
    result = total + error
    return result, error - (result - total)


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
