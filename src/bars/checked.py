"""Candles together with the traces of the rows that were wrong, so that any part of them can be reported on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.bars.grid import bar_numbers, close_times_ms, open_time_ms
from src.bars.klines import Klines, clean
from src.bars.quality import assess
from src.domain.market import PRICE_COLUMNS, Bars, DataQuality, Interval, RejectedRow

NUMBER_COLUMNS: Final = (*PRICE_COLUMNS, "volume")
TRACES: Final = ("duplicate_times_ms", "disordered_times_ms", "irregular_times_ms")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CheckedCandles:
    """Candles that can be believed, and when rows came that could not be taken as they were.

    `duplicate_times_ms` has an entry for each row too many, `disordered_times_ms` one for each row that came after a
    later one, `irregular_times_ms` one for each candle that closed at another time than its interval says. All are
    ascending.
    """

    bars: Bars
    rejected: tuple[RejectedRow, ...] = ()
    duplicate_times_ms: tuple[int, ...] = ()
    disordered_times_ms: tuple[int, ...] = ()
    irregular_times_ms: tuple[int, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (len(self.bars) or self.rejected)

    def row_times_ms(self) -> NDArray[np.int64]:
        """Return the times [n] of all candles that came, those left out included."""
        if not self.rejected:
            return self.bars.open_time_ms
        return np.union1d(self.bars.open_time_ms, np.array([row.open_time_ms for row in self.rejected], dtype=np.int64))

    def between(self, start_ms: int, stop_ms: int) -> CheckedCandles:
        """Return what opens at `start_ms` ≤ time < `stop_ms`."""
        times_ms = self.row_times_ms()
        if len(times_ms) and start_ms <= times_ms[0] and times_ms[-1] < stop_ms:
            return self
        first, last = np.searchsorted(self.bars.open_time_ms, [start_ms, stop_ms])
        return CheckedCandles(
            bars=self.bars.slice(int(first), int(last)),
            rejected=tuple(row for row in self.rejected if start_ms <= row.open_time_ms < stop_ms),
            **{name: _between(getattr(self, name), start_ms, stop_ms) for name in TRACES},
        )

    def slots_between(self, start: int, stop: int) -> CheckedCandles:
        """Return what lies at the candle numbers `start` ≤ number < `stop`."""
        interval = self.bars.interval
        return self.between(open_time_ms(start, interval), open_time_ms(stop, interval))

    def slots(self) -> NDArray[np.int64]:
        """Return the candle numbers [n] of all candles that came, those left out included."""
        return bar_numbers(self.row_times_ms(), self.bars.interval)

    def quality(self) -> DataQuality:
        """Report on exactly these candles."""
        return assess(
            self.bars,
            duplicate_rows=len(self.duplicate_times_ms),
            disordered_rows=len(self.disordered_times_ms),
            rejected_rows=self.rejected,
            irregular_close_times=len(self.irregular_times_ms),
        )

    @staticmethod
    def joined(parts: Sequence[CheckedCandles]) -> CheckedCandles:
        """Return the candles of all parts, which follow one another; at least one part."""
        if len(parts) == 1:
            return parts[0]
        columns = {
            name: np.concatenate([getattr(part.bars, name) for part in parts])
            for name in ("open_time_ms", *NUMBER_COLUMNS)
        }
        first = parts[0].bars
        return CheckedCandles(
            bars=Bars(symbol=first.symbol, interval=first.interval, **columns),
            rejected=tuple(row for part in parts for row in part.rejected),
            **{name: tuple(time for part in parts for time in getattr(part, name)) for name in TRACES},
        )


def no_candles(symbol: str, interval: Interval) -> CheckedCandles:
    """Return a series without a single candle."""
    times, numbers = np.empty(0, np.int64), np.empty(0, np.float64)
    return CheckedCandles(
        bars=Bars(
            symbol=symbol, interval=interval, open_time_ms=times,
            open=numbers, high=numbers, low=numbers, close=numbers, volume=numbers,
        )
    )  # fmt: skip


def check(klines: Klines, *, symbol: str, interval: Interval, now_ms: int) -> CheckedCandles:
    """Keep the closed candles that can be believed, and remember when the other rows were due."""
    klines = klines.closed(now_ms)
    bars, quality = clean(klines, symbol=symbol, interval=interval, now_ms=now_ms)
    duplicates = _duplicate_times_ms(klines) if quality.duplicate_rows else ()
    backwards = np.flatnonzero(np.diff(klines.open_time_ms) < 0) + 1
    return CheckedCandles(
        bars=bars,
        rejected=quality.rejected_rows,
        duplicate_times_ms=duplicates,
        disordered_times_ms=tuple(sorted(klines.open_time_ms[backwards].tolist())),
        irregular_times_ms=_irregular_times_ms(klines, bars) if quality.irregular_close_times else (),
    )


def _between(times_ms: tuple[int, ...], start_ms: int, stop_ms: int) -> tuple[int, ...]:
    return tuple(time for time in times_ms if start_ms <= time < stop_ms)


def _irregular_times_ms(klines: Klines, bars: Bars) -> tuple[int, ...]:
    """Return the open times of the kept candles whose row closes at another time than the interval says."""
    is_irregular = klines.close_time_ms != close_times_ms(klines.open_time_ms, bars.interval)
    return tuple(np.intersect1d(klines.open_time_ms[is_irregular], bars.open_time_ms).tolist())


def _duplicate_times_ms(klines: Klines) -> tuple[int, ...]:
    """Return the time of each row that repeats the first one of its time."""
    ordered = klines.pick(np.argsort(klines.open_time_ms, kind="stable"))
    first_row = np.searchsorted(ordered.open_time_ms, ordered.open_time_ms)
    repeats = first_row != np.arange(len(ordered))
    for name in NUMBER_COLUMNS:
        column = getattr(ordered, name)
        repeats &= column == column[first_row]
    return tuple(ordered.open_time_ms[repeats].tolist())
