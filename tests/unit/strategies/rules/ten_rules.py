"""The ten rules of docs/rules.md, each computed again with pandas and numpy from its author's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from src.domain.bars import Bars


class KnownRule(NamedTuple):
    """Rules, their parameters, and the same conditions on a frame of bars."""

    rules: Mapping[str, str]
    conditions: Callable[[pd.DataFrame], Mapping[str, Any]]
    parameters: Mapping[str, float] = {}


def frame_of(bars: Bars) -> pd.DataFrame:
    columns = {name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")}
    return pd.DataFrame(columns, index=pd.to_datetime(bars.open_time_ms, unit="ms", utc=True))


def seeded(values: pd.Series, length: int, weight: float) -> pd.Series:
    """A recursive mean that begins with the plain mean of the first values."""
    result = np.full(len(values), np.nan)
    array = values.to_numpy()
    known = np.flatnonzero(~np.isnan(array))
    if len(known) >= length:
        start = int(known[0]) + length - 1
        result[start] = array[known[0] : start + 1].mean()
        for bar in range(start + 1, len(array)):
            result[bar] = result[bar - 1] + weight * (array[bar] - result[bar - 1])
    return pd.Series(result, index=values.index)


def ema(values: pd.Series, length: int) -> pd.Series:
    return seeded(values, length, 2 / (length + 1))


def rsi(close: pd.Series, length: int) -> pd.Series:
    change = close.diff()
    up, down = (seeded(side.clip(lower=0).where(change.notna()), length, 1 / length) for side in (change, -change))
    return 100 * up / (up + down)


def atr(bars: pd.DataFrame, length: int) -> pd.Series:
    before = bars.close.shift()
    true_range = np.maximum(bars.high, before) - np.minimum(bars.low, before)
    return seeded(true_range.where(before.notna()), length, 1 / length)


def mean(values: pd.Series, length: int) -> pd.Series:
    return values.rolling(length).mean()


def crosses_above(left: pd.Series, right: pd.Series) -> pd.Series:
    return (left.shift() <= right.shift()) & (left > right)


def turtle(bars: pd.DataFrame) -> Mapping[str, Any]:
    return {
        "buy": bars.close > bars.high.shift().rolling(20).max(),
        "sell": bars.close < bars.low.shift().rolling(10).min(),
        "short": bars.close < bars.low.shift().rolling(20).min(),
        "cover": bars.close > bars.high.shift().rolling(10).max(),
    }


def squeeze(bars: pd.DataFrame) -> Mapping[str, Any]:
    middle, deviation = mean(bars.close, 20), bars.close.rolling(20).std(ddof=0)
    width = 4 * deviation / middle
    lowest = width.rolling(100).min()
    return {
        "buy": (bars.close > middle + 2 * deviation) & (width.shift() <= 1.5 * lowest.shift()),
        "sell": bars.close < middle,
    }


def macd_trend(bars: pd.DataFrame) -> Mapping[str, Any]:
    line = ema(bars.close, 12) - ema(bars.close, 26)
    signal = ema(line, 9)
    return {
        "buy": crosses_above(line, signal) & (bars.close > mean(bars.close, 200)),
        "sell": crosses_above(signal, line),
    }


def channel(bars: pd.DataFrame) -> Mapping[str, Any]:
    middle = ema(bars.close, 20)
    return {"buy": bars.close > middle + 2 * atr(bars, 14), "sell": bars.close < middle}


def opening_range(bars: pd.DataFrame) -> Mapping[str, Any]:
    hours = bars.index.hour
    top = bars.high.rolling(4).max().shift(1)
    return {"buy": (hours == 4) & (bars.close > top), "sell": hours == 20}


def weekdays(bars: pd.DataFrame) -> Mapping[str, Any]:
    day = bars.index.day_of_week + 1
    return {"buy": day == 7, "sell": day == 2}


def spike(bars: pd.DataFrame) -> Mapping[str, Any]:
    usual = mean(bars.volume, 20).shift()
    return {"buy": (bars.volume > 2 * usual) & (bars.close > bars.open), "sell": bars.close < mean(bars.close, 10)}


def reversion(bars: pd.DataFrame) -> Mapping[str, Any]:
    score = (bars.close - mean(bars.close, 20)) / bars.close.rolling(20).std()
    return {"buy": score < -1.5, "sell": score > 0, "short": score > 1.5, "cover": score < 0}


TEN_RULES: Mapping[str, KnownRule] = {
    "Connors RSI-2": KnownRule(
        {"buy": "rsi(2) < 10 and close > sma(200)", "sell": "close > sma(5)"},
        lambda bars: {
            "buy": (rsi(bars.close, 2) < 10) & (bars.close > mean(bars.close, 200)),
            "sell": bars.close > mean(bars.close, 5),
        },
    ),
    "Golden cross with a filter": KnownRule(
        {
            "buy": "crosses_above(sma({fast}), sma({slow})) and volume > sma(volume, 20)",
            "sell": "crosses_below(sma({fast}), sma({slow}))",
        },
        lambda bars: {
            "buy": crosses_above(mean(bars.close, 20), mean(bars.close, 50)) & (bars.volume > mean(bars.volume, 20)),
            "sell": crosses_above(mean(bars.close, 50), mean(bars.close, 20)),
        },
        {"fast": 20, "slow": 50},
    ),
    "Bollinger squeeze": KnownRule(
        {
            "buy": "close > bb_upper(20, 2) and bb_width(20, 2)[1] <= 1.5 * lowest(bb_width(20, 2), 100)[1]",
            "sell": "close < sma(20)",
        },
        squeeze,
    ),
    "Donchian turtle": KnownRule(
        {
            "buy": "close > donchian_high(20)",
            "sell": "close < donchian_low(10)",
            "short": "close < donchian_low(20)",
            "cover": "close > donchian_high(10)",
        },
        turtle,
    ),
    "MACD with the trend": KnownRule(
        {
            "buy": "crosses_above(macd(12, 26), macd_signal(12, 26, 9)) and close > sma(200)",
            "sell": "crosses_below(macd(12, 26), macd_signal(12, 26, 9))",
        },
        macd_trend,
    ),
    "ATR channel": KnownRule({"buy": "close > ema(20) + 2 * atr(14)", "sell": "close < ema(20)"}, channel),
    "Opening range": KnownRule(
        {"buy": "hour == 4 and close > highest(high, 4)[1]", "sell": "hour == 20"}, opening_range
    ),
    "Weekday effect": KnownRule({"buy": "weekday == 7", "sell": "weekday == 2"}, weekdays),
    "Volume spike": KnownRule(
        {"buy": "volume > 2 * sma(volume, 20)[1] and close > open", "sell": "close < sma(10)"}, spike
    ),
    "Mean reversion by z-score": KnownRule(
        {"buy": "zscore(20) < -1.5", "sell": "zscore(20) > 0", "short": "zscore(20) > 1.5", "cover": "zscore(20) < 0"},
        reversion,
    ),
}
