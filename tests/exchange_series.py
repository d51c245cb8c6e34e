"""Candles as the loopback exchange serves them: from `Bars`, or from files of real klines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.intervals import Interval
from tests.exchange_faults import Row

_COLUMNS = ("open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "trades",
            "taker_base", "taker_quote", "ignore")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """Ascending candles with their closing times; unlike `Bars` nothing is checked, so that a test can play a fault."""

    symbol: str
    interval: Interval
    open_time_ms: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    close_time_ms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.open_time_ms)

    @staticmethod
    def of(bars: Bars) -> Series:
        """Serve these candles, each closing where the next of its interval would open."""
        return Series(
            symbol=bars.symbol, interval=bars.interval, open_time_ms=bars.open_time_ms, open=bars.open, high=bars.high,
            low=bars.low, close=bars.close, volume=bars.volume,
            close_time_ms=closing_times(bars.open_time_ms, bars.interval),
        )  # fmt: skip

    def bars(self) -> Bars:
        """The same candles as the service should give them back."""
        return Bars(
            symbol=self.symbol, interval=self.interval, open_time_ms=self.open_time_ms, open=self.open, high=self.high,
            low=self.low, close=self.close, volume=self.volume,
        )  # fmt: skip

    def rows(self, start: int, stop: int) -> list[Row]:
        """The exchange's twelve-element arrays of the candles `start` ≤ index < `stop`."""
        return [
            [
                int(self.open_time_ms[i]), _text(self.open[i]), _text(self.high[i]), _text(self.low[i]),
                _text(self.close[i]), _text(self.volume[i]), int(self.close_time_ms[i]), "0", 1, "0", "0", "0",
            ]
            for i in range(start, stop)
        ]  # fmt: skip


def closing_times(open_time_ms: NDArray[np.int64], interval: Interval) -> NDArray[np.int64]:
    """The last millisecond of each candle, by pandas' own calendar."""
    opens = pd.to_datetime(open_time_ms, unit="ms")
    if interval.is_calendar_month:
        ends = opens + pd.offsets.MonthBegin(1)
    else:
        ends = opens + pd.Timedelta(interval.milliseconds, "ms")
    return ends.as_unit("ms").astype("int64").to_numpy() - 1


def read_series(file: Path, *, symbol: str, interval: Interval) -> Series:
    """Read a file of real klines: CSV or CSV.gz with or without a header, or Parquet; milli- or microseconds."""
    if file.suffix == ".parquet":
        frame = pd.read_parquet(file)
    else:
        with_header = pd.read_csv(file, nrows=0).columns[0] == "open_time"
        frame = pd.read_csv(file) if with_header else pd.read_csv(file, header=None, names=list(_COLUMNS))
    open_time_ms = _milliseconds(frame["open_time"])
    has_close = "close_time" in frame
    prices = {name: frame[name].to_numpy(np.float64) for name in ("open", "high", "low", "close", "volume")}
    return Series(
        symbol=symbol,
        interval=interval,
        open_time_ms=open_time_ms,
        close_time_ms=_milliseconds(frame["close_time"]) if has_close else closing_times(open_time_ms, interval),
        **prices,
    )


def _milliseconds(column: pd.Series[int]) -> NDArray[np.int64]:
    times = column.to_numpy(np.int64)
    return np.where(times > 10**14, times // 1000, times)


def _text(value: np.float64) -> str:
    """Write a number as the exchange does, without an exponent, and so that it reads back to the last bit."""
    text = repr(float(value))
    return np.format_float_positional(value) if "e" in text else text
