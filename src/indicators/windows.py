"""Compute figures of the last n values, each in O(1) a bar.

All of them cut the series into blocks of n. A window is the end of one block and the beginning of the next: figures of
ends are computed backwards when a block is complete, those of beginnings grow with each bar. So nothing is ever
subtracted again, as a running sum does: no error is carried along, a NaN is in the figures of its own windows only,
and the value at t depends on values ≤ t only.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Series = NDArray[np.float64]


@njit(cache=True, nogil=True)
def rolling_max(values: Series, window: int) -> Series:
    """Return the highest [n] of the last `window` values; NaN if one is missing (van Herk 1992)."""
    n = values.size
    result = np.full(n, np.nan)
    ends = np.empty(window)
    for start in range(0, n, window):
        stop = min(start + window, n)
        high = values[start]
        for t in range(start, stop):
            high = _greater(high, values[t])
            k = t - start + 1
            if k == window:
                result[t] = high
            elif start > 0:
                result[t] = _greater(high, ends[k])
        if stop - start == window:
            high = values[stop - 1]
            for k in range(window - 1, -1, -1):
                high = _greater(high, values[start + k])
                ends[k] = high
    return result


@njit(cache=True, nogil=True, inline="always")
def _greater(a: float, b: float) -> float:
    """Return the greater one, NaN if either is."""
    return b if b > a or b != b else a  # noqa: PLR0124  NaN differs from itself


def rolling_min(values: Series, window: int) -> Series:
    """Return the lowest [n] of the last `window` values; NaN if one is missing."""
    lowest: Series = -rolling_max(-values, window)
    return lowest


@njit(cache=True, nogil=True)
def rolling_sums(values: Series, window: int) -> tuple[Series, Series]:
    """Return two sums [n] over the last `window` values: of the values, and of each times its place 1…window."""
    n = values.size
    plain, weighted = np.full(n, np.nan), np.full(n, np.nan)
    ends, weighted_ends = np.empty(window), np.empty(window)
    for start in range(0, n, window):
        stop = min(start + window, n)
        total, ramp = 0.0, 0.0
        for t in range(start, stop):
            k = t - start + 1
            total += values[t]
            ramp += k * values[t]
            if k == window:
                plain[t], weighted[t] = total, ramp
            elif start > 0:
                # window − k values of the block before come first, so that places here begin after them.
                plain[t] = ends[k] + total
                weighted[t] = weighted_ends[k] + ramp + (window - k) * total
        if stop - start == window:
            total, ramp = 0.0, 0.0
            for k in range(window - 1, -1, -1):
                total += values[start + k]
                ramp += total  # all later places rise by one
                ends[k], weighted_ends[k] = total, ramp
    return plain, weighted


@njit(cache=True, nogil=True)
def rolling_deviations(values: Series, window: int) -> tuple[Series, Series]:
    """Return x − mean and Σ(x − mean)² [n] over the last `window` values; both exactly 0 if they are equal.

    Deviations are taken from the first value of the newer block, which is in every window that is read there. So their
    squares are at most `window` times the result, and no digits are lost for small moves of a large price.
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
                # Rounding may leave less than nothing; NaN stays NaN.
                squared[t] = max(sum_of_squares - both * mean, 0.0) if both == both else np.nan  # noqa: PLR0124
    return last, squared


# Reassociation lets the compiler add several values at once: 4 times as fast. The order depends on `window` alone.
@njit(cache=True, nogil=True, fastmath={"reassoc"})
def rolling_mean_deviation(values: Series, window: int) -> tuple[Series, Series]:
    """Return x − mean and the mean of |x − mean| [n] over the last `window` values; both 0 if they are equal.

    O(n · window): the mean that deviations are taken from is another at each bar.
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
    """Return the values [n] of `bars` bars before; NaN for the first."""
    result = np.full(values.size, np.nan)
    result[bars:] = values[: max(0, values.size - bars)]
    return result
