"""Every indicator once more, from its definition, with pandas, plain loops and long doubles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.domain.bars import Bars

Series = NDArray[np.float64]


def frame_of(bars: Bars) -> pd.DataFrame:
    frame = pd.DataFrame({name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")})
    return frame.set_index(pd.to_datetime(bars.open_time_ms, unit="ms", utc=True))


def windows_of(x: Any, n: int) -> NDArray[np.longdouble]:
    return np.lib.stride_tricks.sliding_window_view(np.asarray(x, dtype=np.longdouble), n)


def padded(tail: Any, length: int) -> Series:
    return np.concatenate((np.full(length - len(tail), np.nan), np.asarray(tail, dtype=np.float64)))


def mean(x: Any, n: int) -> Series:
    return padded(windows_of(x, n).mean(axis=1), len(x))


def squares(x: Any, n: int) -> NDArray[np.longdouble]:
    window = windows_of(x, n)
    return ((window - window.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)


def smoothed(x: Any, n: int, weight: float) -> Series:
    """The recursion m + weight (x − m) from the mean of the first n present values, by pandas' ewm."""
    series = pd.Series(np.asarray(x, dtype=np.float64))
    first = int(series.first_valid_index()) if series.notna().any() else 0
    tail = series.iloc[first + n - 1 :].copy()
    tail.iloc[0] = series.iloc[first : first + n].mean()
    return padded(tail.ewm(alpha=weight, adjust=False).mean(), len(x))


def ema(x: Any, n: int) -> Series:
    return smoothed(x, n, 2 / (n + 1))


def true_range(f: pd.DataFrame) -> pd.Series:
    before = f.close.shift()
    parts = pd.concat([f.high - f.low, (f.high - before).abs(), (f.low - before).abs()], axis=1)
    return parts.max(axis=1).where(before.notna())


def atr(f: pd.DataFrame, n: int) -> Series:
    return smoothed(true_range(f), n, 1 / n)


def rsi(f: pd.DataFrame, n: int) -> Series:
    change = f.close.diff()
    rises = smoothed(change.clip(lower=0), n, 1 / n)
    falls = smoothed((-change).clip(lower=0), n, 1 / n)
    return 100 - 100 / (1 + rises / falls)


def directional(f: pd.DataFrame, n: int) -> tuple[Series, Series]:
    """Wilder's +DI and −DI: his sums begin with n − 1 bars, then s = s − s ÷ n + x."""
    up, down = f.high.diff(), -f.low.diff()
    plus = up.where((up > down) & (up > 0), 0.0)
    minus = down.where((down > up) & (down > 0), 0.0)
    columns = [column.to_numpy() for column in (plus, minus, true_range(f))]
    sums = [column[1:n].sum() for column in columns]
    rows = np.full((2, len(f)), np.nan)
    for t in range(n, len(f)):
        sums = [s - s / n + column[t] for s, column in zip(sums, columns, strict=True)]
        rows[:, t] = 100 * sums[0] / sums[2], 100 * sums[1] / sums[2]
    return rows[0], rows[1]


def adx(f: pd.DataFrame, n: int) -> Series:
    plus, minus = directional(f, n)
    return smoothed(100 * np.abs(plus - minus) / (plus + minus), n, 1 / n)


def macd(f: pd.DataFrame, fast: int, slow: int) -> Series:
    return ema(f.close, fast) - ema(f.close, slow)


def band(f: pd.DataFrame, n: int, multiplier: float) -> Series:
    return mean(f.close, n) + multiplier * padded(np.sqrt(squares(f.close, n) / n), len(f))


def stoch_k(f: pd.DataFrame, n: int, smooth: int) -> Series:
    low, high = f.low.rolling(n).min(), f.high.rolling(n).max()
    return (100 * (f.close - low) / (high - low)).rolling(smooth).mean().to_numpy()


def typical(f: pd.DataFrame) -> pd.Series:
    return (f.high + f.low + f.close) / 3


def cci(f: pd.DataFrame, n: int) -> Series:
    window = windows_of(typical(f), n)
    middle = window.mean(axis=1)
    deviation = np.abs(window - middle[:, None]).mean(axis=1)
    return padded((window[:, -1] - middle) / (0.015 * deviation), len(f))


def mfi(f: pd.DataFrame, n: int) -> Series:
    change, flow = typical(f).diff(), typical(f) * f.volume
    rises = flow.where(change > 0, 0.0).iloc[1:].rolling(n).sum()
    falls = flow.where(change < 0, 0.0).iloc[1:].rolling(n).sum()
    return padded(100 - 100 / (1 + rises / falls), len(f))


def obv(f: pd.DataFrame) -> Series:
    signed = np.sign(f.close.diff()) * f.volume
    signed.iloc[0] = f.volume.iloc[0]
    return signed.cumsum().to_numpy()


def vwap(f: pd.DataFrame) -> Series:
    days = f.index.floor("D")
    turnover = (typical(f) * f.volume).groupby(days).cumsum()
    return (turnover / f.volume.groupby(days).cumsum()).to_numpy()


def rolling_vwap(f: pd.DataFrame, n: int) -> Series:
    return ((typical(f) * f.volume).rolling(n).sum() / f.volume.rolling(n).sum()).to_numpy()


def supertrend(f: pd.DataFrame, n: int, multiplier: float) -> Series:
    """TradingView's published script of ta.supertrend, retold: direction 1 is a fall."""
    middle, reach = (f.high + f.low).to_numpy() / 2, multiplier * atr(f, n)
    close, line = f.close.to_numpy(), np.full(len(f), np.nan)
    uppers, lowers, direction = middle + reach, middle - reach, 1
    for t in range(n, len(f)):
        if t > n:
            if not (lowers[t] > lowers[t - 1] or close[t - 1] < lowers[t - 1]):
                lowers[t] = lowers[t - 1]
            if not (uppers[t] < uppers[t - 1] or close[t - 1] > uppers[t - 1]):
                uppers[t] = uppers[t - 1]
            is_fall = close[t] <= uppers[t] if direction == 1 else close[t] < lowers[t]
            direction = 1 if is_fall else -1
        line[t] = lowers[t] if direction == -1 else uppers[t]
    return line


def keltner(f: pd.DataFrame, n: int, multiplier: float, atr_length: int) -> Series:
    return ema(f.close, n) + multiplier * atr(f, atr_length)


def wma(f: pd.DataFrame, n: int) -> Series:
    return padded(windows_of(f.close, n) @ np.arange(1, n + 1) / (n * (n + 1) / 2), len(f))


def stdev(f: pd.DataFrame, n: int) -> Series:
    return padded(np.sqrt(squares(f.close, n) / (n - 1)), len(f))


def zscore(f: pd.DataFrame, n: int) -> Series:
    window = windows_of(f.close, n)
    deviation = np.sqrt(squares(f.close, n) / (n - 1))
    return padded((window[:, -1] - window.mean(axis=1)) / np.where(deviation == 0, np.nan, deviation), len(f))


ORACLES: dict[str, Callable[..., Series]] = {
    "sma": lambda f, n: mean(f.close, n),
    "ema": lambda f, n: ema(f.close, n),
    "wma": wma,
    "rsi": rsi,
    "macd": macd,
    "macd_signal": lambda f, fast, slow, n: ema(macd(f, fast, slow), n),
    "macd_hist": lambda f, fast, slow, n: macd(f, fast, slow) - ema(macd(f, fast, slow), n),
    "stoch_k": stoch_k,
    "stoch_d": lambda f, n, smooth, d: pd.Series(stoch_k(f, n, smooth)).rolling(d).mean().to_numpy(),
    "cci": cci,
    "roc": lambda f, n: (100 * f.close.pct_change(n)).to_numpy(),
    "mom": lambda f, n: f.close.diff(n).to_numpy(),
    "adx": adx,
    "plus_di": lambda f, n: directional(f, n)[0],
    "minus_di": lambda f, n: directional(f, n)[1],
    "supertrend": supertrend,
    "atr": atr,
    "stdev": stdev,
    "zscore": zscore,
    "bb_upper": band,
    "bb_lower": lambda f, n, multiplier: band(f, n, -multiplier),
    "bb_width": lambda f, n, m: (band(f, n, m) - band(f, n, -m)) / mean(f.close, n),
    "keltner_upper": keltner,
    "keltner_lower": lambda f, n, multiplier, k: keltner(f, n, -multiplier, k),
    "donchian_high": lambda f, n: f.high.shift().rolling(n).max().to_numpy(),
    "donchian_low": lambda f, n: f.low.shift().rolling(n).min().to_numpy(),
    "highest": lambda f, n: f.high.rolling(n).max().to_numpy(),
    "lowest": lambda f, n: f.low.rolling(n).min().to_numpy(),
    "obv": obv,
    "mfi": mfi,
    "vwap": vwap,
    "rolling_vwap": rolling_vwap,
}
"""By the indicator's name; each takes the frame of bars and all arguments."""
