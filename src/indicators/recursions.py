"""Compute indicators that carry state from bar to bar; each starts again after a missing value."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from src.domain.intervals import DAY_MS

Series = NDArray[np.float64]

_DAY_MS = float(DAY_MS)


@njit(cache=True, nogil=True)
def exponential_moving_average(values: Series, window: int) -> Series:
    """Return the average [n] that moves 2 ÷ (window + 1) of the way to each value; it starts at the first values' mean.

    The average of equal values is that value, bit for bit.
    """
    n = values.size
    result = np.full(n, np.nan)
    weight = 2.0 / (window + 1.0)
    first, total, mean = 0.0, 0.0, 0.0
    present = 0
    for t in range(n):
        value = values[t]
        if np.isnan(value):
            present = 0
            continue
        present += 1
        if present == 1:
            first, total = value, 0.0
        if present <= window:
            total += value - first
            mean = first + total / window
        else:
            mean += weight * (value - mean) if window > 1 else value - mean
        if window == 1:
            mean = value  # the line above may round
        if present >= window:
            result[t] = mean
    return result


@njit(cache=True, nogil=True)
def difference_of_averages(values: Series, fast: int, slow: int) -> Series:
    """Return the exponential average of `fast` minus that of `slow` [n], fast < slow; each as above, to the bit.

    One pass computes both, because each average depends only on its own previous value.
    """
    n = values.size
    result = np.full(n, np.nan)
    fast_weight, slow_weight = 2.0 / (fast + 1.0), 2.0 / (slow + 1.0)
    first, total, fast_mean, slow_mean = 0.0, 0.0, 0.0, 0.0
    present = 0
    for t in range(n):
        value = values[t]
        if np.isnan(value):
            present = 0
            continue
        present += 1
        if present == 1:
            first, total = value, 0.0
        if present <= slow:
            total += value - first
            slow_mean = first + total / slow
        else:
            slow_mean += slow_weight * (value - slow_mean)
        if present <= fast:
            fast_mean = first + total / fast
        else:
            fast_mean += fast_weight * (value - fast_mean)
        if fast == 1:
            fast_mean = value  # the line above may round
        if present >= slow:
            result[t] = fast_mean - slow_mean
    return result


@njit(cache=True, nogil=True)
def mean_price_of_day(price: Series, volume: Series, time_ms: Series) -> Series:
    """Return Σ price × volume ÷ Σ volume [n] since 00:00 UTC of each bar's day; NaN if nothing was traded since."""
    n = price.size
    result = np.full(n, np.nan)
    day, turnover, units, low, high = np.nan, 0.0, 0.0, 0.0, 0.0
    for t in range(n):
        if np.isnan(price[t]):  # so is the volume
            day = np.nan
            continue
        today = np.floor(time_ms[t] / _DAY_MS)
        if today != day:
            day, turnover, units, low, high = today, 0.0, 0.0, price[t], price[t]
        turnover += price[t] * volume[t]
        units += volume[t]
        low, high = min(low, price[t]), max(high, price[t])
        if units > 0.0:
            # Rounding may move the mean of equal prices off them.
            result[t] = min(max(turnover / units, low), high)
    return result


@njit(cache=True, nogil=True)
def follow_trend(high: Series, low: Series, close: Series, true_range: Series, multiplier: float) -> Series:
    """Return the supertrend line [n]: the lower band in a rise, the upper band in a fall.

    A band stays where it is until the middle price moves it on, or until a close has passed it. The first bar counts as
    a fall, as in TradingView's `ta.supertrend`.
    """
    n = close.size
    result = np.full(n, np.nan)
    upper, lower, before = 0.0, 0.0, 0.0
    is_rise, has_begun = False, False
    for t in range(n):
        middle = low[t] + (high[t] - low[t]) / 2.0
        distance = multiplier * true_range[t]
        if np.isnan(distance):  # the range is missing if a price is
            has_begun = False
            continue
        if not has_begun:
            upper, lower = middle + distance, middle - distance
            is_rise, has_begun = False, True
        else:
            if middle + distance < upper or before > upper:
                upper = middle + distance
            if middle - distance > lower or before < lower:
                lower = middle - distance
            is_rise = close[t] >= lower if is_rise else close[t] > upper
        result[t] = lower if is_rise else upper
        before = close[t]
    return result


@njit(cache=True, nogil=True)
def _count_idle(activity: float, idle_bars: int, horizon: int) -> int:
    """Return how many bars have had no activity > 0, up to this one; one that is NaN begins a new history."""
    if activity > 0.0:
        return 0
    return horizon if np.isnan(activity) else idle_bars + 1


@njit(cache=True, nogil=True)
def remove_unmoved(result: Series, x: Series, horizon: int) -> None:
    """Set `result` [n] to NaN if x has not moved in the last `horizon` bars; a missing bar begins a new history."""
    idle_bars, before = horizon, np.nan
    for t in range(result.size):
        idle_bars = _count_idle(abs(x[t] - before), idle_bars, horizon)
        before = x[t]
        if idle_bars >= horizon:
            result[t] = np.nan


@njit(cache=True, nogil=True)
def remove_undirected(result: Series, high: Series, low: Series, horizon: int) -> None:
    """As `remove_unmoved`, if none of those bars has a direction: the high's move up and the low's down are equal, or
    none is > 0."""
    idle_bars, high_before, low_before = horizon, np.nan, np.nan
    for t in range(result.size):
        up, down = high[t] - high_before, low_before - low[t]
        activity = 0.0 if up == down else (up + down if np.isnan(up + down) else max(up, down))
        idle_bars = _count_idle(activity, idle_bars, horizon)
        high_before, low_before = high[t], low[t]
        if idle_bars >= horizon:
            result[t] = np.nan


@njit(cache=True, nogil=True)
def remove_rangeless(result: Series, high: Series, low: Series, close: Series, horizon: int) -> None:
    """As `remove_unmoved`, if the true range of those bars is 0."""
    idle_bars, before = horizon, np.nan
    for t in range(result.size):
        is_missing = np.isnan(before) or np.isnan(high[t]) or np.isnan(low[t])
        activity = np.nan if is_missing else max(high[t], before) - min(low[t], before)
        idle_bars = _count_idle(activity, idle_bars, horizon)
        before = close[t]
        if idle_bars >= horizon:
            result[t] = np.nan
