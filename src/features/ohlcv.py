"""Compute the 14 feature columns from bars."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.signals import Features
from src.features.names import FEATURE_NAMES

__all__ = ["FEATURE_NAMES", "build_features"]


def build_features(bars: Bars) -> Features:
    """Compute the feature table of `bars`: `values` [n, 14] float64, with the columns of `FEATURE_NAMES`.

    Prices and their means are in the quote currency, volumes in the base asset, the rest are fractions. A value is NaN
    if there are too few bars before it (see `FEATURE_WINDOWS`), or if the mean volume is 0; nothing is filled in.

    `SMA_n` is the mean of the last n closes; `Returns` = Close ÷ Close[−1] − 1; `Returns_5` = Close ÷ Close[−5] − 1;
    `Volatility_n` the sample standard deviation (n − 1) of the last n `Returns`; `Volume_SMA_5` the mean of the last 5
    volumes; `Volume_Ratio` = Volume ÷ Volume_SMA_5.

    Row t reads bars ≤ t only, and each window is summed anew: the features of the first k bars equal the first k rows
    of the whole table, bit for bit.
    """
    values = np.full((len(bars), len(FEATURE_NAMES)), np.nan)
    for column, series in enumerate((bars.open, bars.high, bars.low, bars.close, bars.volume)):
        values[:, column] = series
    _fill_features(values)
    return Features(names=FEATURE_NAMES, values=values)


@njit(cache=True, nogil=True)
def _fill_features(values: NDArray[np.float64]) -> None:
    """Fill `values` [n, 14], OHLCV in its first five columns and NaN elsewhere."""
    # Contiguous copies, so that numba compiles this for one memory layout only.
    close, volume = values[:, 3].copy(), values[:, 4].copy()
    bars = len(close)
    returns = np.full(bars, np.nan)
    for t in range(1, bars):
        returns[t] = close[t] / close[t - 1] - 1.0
    for t in range(bars):
        row = values[t]
        if t >= 4:
            row[5] = _mean(close, t, 5)
            row[12] = _mean(volume, t, 5)
            if row[12] > 0.0:
                row[13] = volume[t] / row[12]
        if t >= 9:
            row[6] = _mean(close, t, 10)
        if t >= 19:
            row[7] = _mean(close, t, 20)
        row[8] = returns[t]
        if t >= 5:
            row[9] = close[t] / close[t - 5] - 1.0
            row[10] = _sample_deviation(returns, t, 5)
        if t >= 10:
            row[11] = _sample_deviation(returns, t, 10)


@njit(cache=True, nogil=True)
def _mean(series: NDArray[np.float64], t: int, length: int) -> float:
    total = 0.0
    for i in range(t - length + 1, t + 1):
        total += series[i]
    return total / length


@njit(cache=True, nogil=True)
def _sample_deviation(series: NDArray[np.float64], t: int, length: int) -> float:
    # Two passes, because the one-pass formula loses all digits if returns are nearly equal.
    mean = _mean(series, t, length)
    squares = 0.0
    for i in range(t - length + 1, t + 1):
        squares += (series[i] - mean) ** 2
    return float(np.sqrt(squares / (length - 1)))
