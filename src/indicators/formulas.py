"""Build indicators from windows, recursions and TA-Lib; each takes columns [n] and numbers, and returns [n]."""

# mypy: disable-error-code="no-any-return"
# Functions that numba compiles have no type once they are decorated.

from __future__ import annotations

import numpy as np

from src.domain.arrays import freeze
from src.indicators import talib_functions
from src.indicators.indicator import Series, bars_to_forget
from src.indicators.moving_average import simple_moving_average
from src.indicators.recursions import (
    difference_of_averages,
    exponential_moving_average,
    follow_trend,
    mean_price_of_day,
)
from src.indicators.windows import (
    rolling_deviations,
    rolling_max,
    rolling_mean_deviation,
    rolling_min,
    rolling_sum,
    shift,
)

TWO_AVERAGES = 1.15
"""How much longer an average of an average remembers: (1 − w)^m (1 + m w) ≤ 1e-12 takes 13 % more bars."""


def forget_exponential(length: int, *_: float) -> int:
    return bars_to_forget(2 / (length + 1))


def forget_wilder(length: int, *_: float) -> int:
    return bars_to_forget(1 / length)


def forget_adx(length: int) -> int:
    return int(np.ceil(TWO_AVERAGES * forget_wilder(length)))


def forget_macd_signal(fast: int, slow: int, signal: int) -> int:
    return int(np.ceil(TWO_AVERAGES * forget_exponential(max(fast, slow, signal))))


def forget_keltner(length: int, multiplier: float, atr_length: int) -> int:
    of_mean, of_range = length - 1 + forget_exponential(length), atr_length + forget_wilder(atr_length)
    return max(of_mean, of_range) - lookback_keltner(length, multiplier, atr_length)


def forget_supertrend(length: int, multiplier: float) -> int | None:
    """Return the bars after which both bands have forgotten their start: those of the average range and two reversals.

    No number of bars is certain to contain two reversals: 25 multiplier² bars were enough on 60 random walks and on
    hourly and daily BTCUSDT. Beyond a multiplier of 20, reversals are too rare to wait for.
    """
    return None if multiplier > 20 else forget_wilder(length) + int(np.ceil(25 * multiplier**2))


def lookback_keltner(length: int, _: float, atr_length: int) -> int:
    return max(length - 1, atr_length)


def rsi(x: Series, length: int) -> Series:
    return talib_functions.rsi(x, length, length + forget_wilder(length))


def adx(high: Series, low: Series, close: Series, length: int) -> Series:
    return talib_functions.adx(high, low, close, length, 2 * length - 1 + forget_adx(length))


def plus_di(high: Series, low: Series, close: Series, length: int) -> Series:
    return talib_functions.plus_di(high, low, close, length, length + forget_wilder(length))


def minus_di(high: Series, low: Series, close: Series, length: int) -> Series:
    return talib_functions.minus_di(high, low, close, length, length + forget_wilder(length))


def macd_signal(x: Series, fast: int, slow: int, signal: int) -> Series:
    return exponential_moving_average(_macd(x, fast, slow), signal)


def macd_hist(x: Series, fast: int, slow: int, signal: int) -> Series:
    line = _macd(x, fast, slow)
    return line - exponential_moving_average(line, signal)


def _macd(x: Series, fast: int, slow: int) -> Series:
    # Read-only like the bars, so that numba compiles one version of the averages.
    return freeze(difference_of_averages(x, fast, slow), np.float64)


def stdev(x: Series, length: int) -> Series:
    return np.sqrt(rolling_deviations(x, length)[1] / (length - 1))


def zscore(x: Series, length: int) -> Series:
    last, squares = rolling_deviations(x, length)
    return last / np.sqrt(squares / (length - 1))


def bb_upper(x: Series, length: int, multiplier: float) -> Series:
    return simple_moving_average(x, length) + multiplier * _population_deviation(x, length)


def bb_lower(x: Series, length: int, multiplier: float) -> Series:
    return simple_moving_average(x, length) - multiplier * _population_deviation(x, length)


def bb_width(x: Series, length: int, multiplier: float) -> Series:
    return 2 * multiplier * _population_deviation(x, length) / simple_moving_average(x, length)


def _population_deviation(x: Series, length: int) -> Series:
    return np.sqrt(rolling_deviations(x, length)[1] / length)


def stoch_k(high: Series, low: Series, close: Series, length: int, smooth: int) -> Series:
    lowest = rolling_min(low, length)
    return simple_moving_average(100 * (close - lowest) / (rolling_max(high, length) - lowest), smooth)


def stoch_d(high: Series, low: Series, close: Series, length: int, smooth: int, signal: int) -> Series:
    return simple_moving_average(stoch_k(high, low, close, length, smooth), signal)


def cci(high: Series, low: Series, close: Series, length: int) -> Series:
    last, mean_deviation = rolling_mean_deviation(_typical(high, low, close), length)
    return last / (0.015 * mean_deviation)


def mfi(high: Series, low: Series, close: Series, volume: Series, length: int) -> Series:
    typical = _typical(high, low, close)
    change = np.diff(typical, prepend=np.nan)
    flow = typical * volume
    # change × 0 is NaN if the previous price is missing, so the first bar of a run has no flow.
    rises = rolling_sum(np.where(change > 0, flow, change * 0), length)
    falls = rolling_sum(np.where(change < 0, flow, change * 0), length)
    return 100 * rises / (rises + falls)


def donchian_high(high: Series, length: int) -> Series:
    return shift(rolling_max(high, length), 1)


def donchian_low(low: Series, length: int) -> Series:
    return shift(rolling_min(low, length), 1)


def vwap(high: Series, low: Series, close: Series, volume: Series, time_ms: Series) -> Series:
    return mean_price_of_day(_typical(high, low, close), volume, time_ms)


def rolling_vwap(high: Series, low: Series, close: Series, volume: Series, length: int) -> Series:
    typical = _typical(high, low, close)
    mean = rolling_sum(typical * volume, length) / rolling_sum(volume, length)
    # A mean lies between its values, but rounding may move the mean of equal values off them.
    return np.clip(mean, rolling_min(typical, length), rolling_max(typical, length))


def supertrend(high: Series, low: Series, close: Series, length: int, multiplier: float) -> Series:
    return follow_trend(high, low, close, talib_functions.atr(high, low, close, length), multiplier)


def keltner_upper(high: Series, low: Series, close: Series, length: int, multiplier: float, atr_length: int) -> Series:
    distance = multiplier * talib_functions.atr(high, low, close, atr_length)
    return exponential_moving_average(close, length) + distance


def keltner_lower(high: Series, low: Series, close: Series, length: int, multiplier: float, atr_length: int) -> Series:
    distance = multiplier * talib_functions.atr(high, low, close, atr_length)
    return exponential_moving_average(close, length) - distance


def _typical(high: Series, low: Series, close: Series) -> Series:
    """(high + low + close) ÷ 3; exactly the price if all are equal."""
    return close + ((high - close) + (low - close)) / 3
