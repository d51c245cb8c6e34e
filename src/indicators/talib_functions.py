"""Call TA-Lib so that missing values and flat prices do not give wrong numbers.

TA-Lib makes everything after a NaN NaN, and returns 0 or 50 for 0 ÷ 0. Its running sums (SMA, WMA, MFI), seeds (EMA:
0.10000000000000003 for a price of 0.1) and one-pass deviations (STDDEV, BBANDS, CCI) are not exact enough: those
indicators are our own, and tests compare them with TA-Lib's on ordinary prices.

TA-Lib releases the GIL. Its settings (unstable period, compatibility) belong to the process; nothing here changes them.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from src.indicators.recursions import remove_rangeless, remove_undirected, remove_unmoved
from src.indicators.talib_library import Series, TalibFunction

_RSI: Final = TalibFunction("RSI", 1)
_ATR: Final = TalibFunction("ATR", 3)
_ADX: Final = TalibFunction("ADX", 3)
_PLUS_DI: Final = TalibFunction("PLUS_DI", 3)
_MINUS_DI: Final = TalibFunction("MINUS_DI", 3)
_OBV: Final = TalibFunction("OBV", 2, has_length=False)
_MOM: Final = TalibFunction("MOM", 1)
_ROC: Final = TalibFunction("ROC", 1)


def rsi(x: Series, length: int, horizon: int) -> Series:
    """Wilder's RSI; missing if x has not moved in the last `horizon` bars (0 ÷ 0)."""
    result = _by_runs(_RSI, (x,), length + 1, length)
    remove_unmoved(result, x, horizon)
    return result


def atr(high: Series, low: Series, close: Series, length: int) -> Series:
    """Wilder's average true range; the first true range needs the close before, so the first value is at `length`."""
    return _by_runs(_ATR, (high, low, close), length + 1, length)


def adx(high: Series, low: Series, close: Series, length: int, horizon: int) -> Series:
    """Wilder's ADX; missing if no bar of the last `horizon` moved in a direction (0 ÷ 0)."""
    result = _by_runs(_ADX, (high, low, close), 2 * length, length)
    remove_undirected(result, high, low, horizon)
    return result


def plus_di(high: Series, low: Series, close: Series, length: int, horizon: int) -> Series:
    """Wilder's +DI; missing if the true range of the last `horizon` bars is 0 (0 ÷ 0)."""
    return _directional(_PLUS_DI, (high, low, close), length, horizon)


def minus_di(high: Series, low: Series, close: Series, length: int, horizon: int) -> Series:
    """Wilder's −DI; missing if the true range of the last `horizon` bars is 0 (0 ÷ 0)."""
    return _directional(_MINUS_DI, (high, low, close), length, horizon)


def obv(close: Series, volume: Series) -> Series:
    """On-balance volume; it starts with the first bar's volume."""
    return _by_runs(_OBV, (close, volume), 1)


def mom(x: Series, length: int) -> Series:
    """x − x[length]."""
    return _by_runs(_MOM, (x,), length + 1, length)


def roc(x: Series, length: int) -> Series:
    """100 (x ÷ x[length] − 1); missing if x[length] is 0."""
    result = _by_runs(_ROC, (x,), length + 1, length)
    result[length:][x[: max(0, x.size - length)] == 0] = np.nan
    return result


def _directional(function: TalibFunction, columns: tuple[Series, Series, Series], length: int, horizon: int) -> Series:
    result = _by_runs(function, columns, length + 1, length)
    high, low, close = columns
    remove_rangeless(result, high, low, close, horizon)
    return result


def _by_runs(function: TalibFunction, columns: tuple[Series, ...], least: int, *options: int) -> Series:
    """Compute each run of at least `least` bars without a missing value on its own.

    A bar that is missing in one column must be missing in all, as `Indicator.compute` makes them.
    """
    first = columns[0]
    if first.size >= least and not np.isnan(np.minimum.reduce(first)):
        return function(columns, *options)
    is_present = ~np.isnan(first)
    result = np.full(is_present.size, np.nan)
    edges = np.flatnonzero(np.diff(is_present, prepend=False, append=False))
    starts, stops = edges[::2], edges[1::2]
    is_long = stops - starts >= least
    for start, stop in zip(starts[is_long].tolist(), stops[is_long].tolist(), strict=True):
        result[start:stop] = function([column[start:stop] for column in columns], *options)
    return result
