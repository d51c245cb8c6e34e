"""Compute figures of the last n values, each in O(1) a bar.

Each function cuts the series into blocks of n. A window is the end of one block and the beginning of the next: figures
of ends are computed backward when a block is complete, and figures of beginnings grow with each bar. Unlike a running
sum, this subtracts nothing: no error is carried along, a NaN affects only its own windows, and the value at t depends
only on values ≤ t.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Series = NDArray[np.float64]


def rolling_max(values: Series, window: int) -> Series:
    """Return the highest [n] of the last `window` values; NaN if one is missing."""
    highest: Series = _rolling_extreme(values, window, 1.0)
    return highest


def rolling_min(values: Series, window: int) -> Series:
    """Return the lowest [n] of the last `window` values; NaN if one is missing."""
    lowest: Series = _rolling_extreme(values, window, -1.0)
    return lowest


@njit(cache=True, nogil=True)
def _rolling_extreme(values: Series, window: int, sign: float) -> Series:
    """Return the highest [n] if `sign` is 1, the lowest if it is −1 (van Herk 1992)."""
    n = values.size
    result = np.empty(n)
    # The first block has no block before it, so only its last bar has a value.
    ends = np.full(window + 1, np.nan)
    ends[window] = -np.inf
    for start in range(0, n, window):
        if start > 0:
            highest = -np.inf
            for k in range(window - 1, 0, -1):
                highest = _greater(highest, sign * values[start - window + k])
                ends[k] = highest
        highest = -np.inf
        for t in range(start, min(start + window, n)):
            highest = _greater(highest, sign * values[t])
            result[t] = sign * _greater(highest, ends[t - start + 1])
    return result


@njit(cache=True, nogil=True, inline="always")
def _greater(a: float, b: float) -> float:
    """Return the greater one, NaN if either is."""
    return b if b > a or b != b else a  # noqa: PLR0124  NaN differs from itself


@njit(cache=True, nogil=True)
def rolling_sum(values: Series, window: int) -> Series:
    """Return the sum [n] of the last `window` values."""
    n = values.size
    result = np.empty(n)
    ends = np.full(window + 1, np.nan)  # as in `_rolling_extreme`
    ends[window] = 0.0
    for start in range(0, n, window):
        if start > 0:
            total = 0.0
            for k in range(window - 1, 0, -1):
                total += values[start - window + k]
                ends[k] = total
        total = 0.0
        for t in range(start, min(start + window, n)):
            total += values[t]
            result[t] = ends[t - start + 1] + total
    return result


@njit(cache=True, nogil=True)
def rolling_weighted_mean(values: Series, window: int) -> Series:
    """Return the mean [n] of the last `window` values with weights 1…window; of equal values, exactly that value.

    As in `rolling_deviations`, it is the mean of deviations from the first value of the newer block.
    """
    n = values.size
    result = np.empty(n)
    ends = np.full(window + 1, np.nan)  # as in `_rolling_extreme`
    ends[window] = 0.0
    weights = window * (window + 1) / 2.0
    for start in range(0, n, window):
        anchor = values[start]
        if start > 0:
            total, weighted = 0.0, 0.0
            for k in range(window - 1, 0, -1):
                total += values[start - window + k] - anchor
                weighted += total  # the weight of each of these values rises by one
                ends[k] = weighted
        total, weighted = 0.0, 0.0
        for t in range(start, min(start + window, n)):
            k = t - start + 1
            deviation = values[t] - anchor
            total += deviation
            weighted += k * deviation
            # window − k values of the previous block come first, so the weights here begin after theirs.
            result[t] = anchor + (ends[k] + weighted + (window - k) * total) / weights
    return result


@njit(cache=True, nogil=True)
def rolling_deviations(values: Series, window: int) -> tuple[Series, Series]:
    """Return x − mean and Σ(x − mean)² [n] over the last `window` values; both exactly 0 if they are equal.

    Deviations are taken from the first value of the newer block, which is in every window that is read there. So their
    squares are at most `window` times the result, and small moves of a large price lose no digits.
    """
    n = values.size
    last, squared = np.full(n, np.nan), np.full(n, np.nan)
    ends, squared_ends = np.zeros(window + 1), np.zeros(window + 1)
    for start in range(0, n, window):
        stop = min(start + window, n)
        anchor = values[start]
        total, squares = 0.0, 0.0
        for k in range(window - 1, 0, -1) if start > 0 else range(0):
            deviation = values[start - window + k] - anchor
            total += deviation
            squares += deviation * deviation
            ends[k], squared_ends[k] = total, squares
        total, squares = 0.0, 0.0
        for t in range(start, stop):
            k = t - start + 1
            deviation = values[t] - anchor
            total += deviation
            squares += deviation * deviation
            if k == window or start > 0:
                both = total + ends[k] if k < window else total
                mean = both / window
                sum_of_squares = squares + squared_ends[k] if k < window else squares
                last[t] = deviation - mean
                # Rounding may give a negative number; NaN stays NaN.
                squared[t] = max(sum_of_squares - both * mean, 0.0) if both == both else np.nan  # noqa: PLR0124
    return last, squared


# Reassociation lets the compiler add several values at once: 4 times as fast. The order depends on `window` alone.
@njit(cache=True, nogil=True, fastmath={"reassoc"})
def rolling_mean_deviation(values: Series, window: int) -> tuple[Series, Series]:
    """Return x − mean and the mean of |x − mean| [n] over the last `window` values; both 0 if they are equal.

    O(n · window), because each bar's deviations are from a different mean.
    """
    n = values.size
    last, mean_deviation = np.full(n, np.nan), np.full(n, np.nan)
    for t in range(window - 1, n):
        total = 0.0
        for i in range(t - window + 1, t + 1):
            total += values[i] - values[t]
        mean = total / window  # relative to the last value, so that digits of a large price are kept
        spread = 0.0
        for i in range(t - window + 1, t + 1):
            spread += abs((values[i] - values[t]) - mean)
        last[t], mean_deviation[t] = -mean, spread / window
    return last, mean_deviation


def shift(values: Series, bars: int) -> Series:
    """Return the values [n] of `bars` bars earlier; NaN at the first bars."""
    result = np.full(values.size, np.nan)
    result[bars:] = values[: max(0, values.size - bars)]
    return result
