"""Bars together with the times of faulty rows, so that the quality of any part of them can be reported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from src.bars.grid import bar_numbers, close_times_ms, open_time_ms
from src.bars.klines import Klines, clean
from src.bars.quality import assess
from src.domain.bar_quality import DataQuality, RejectedRow
from src.domain.bars import PRICE_COLUMNS, Bars
from src.domain.intervals import Interval

NUMBER_COLUMNS: Final = (*PRICE_COLUMNS, "volume")
TRACES: Final = ("duplicate_times_ms", "disordered_times_ms", "irregular_times_ms")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CheckedBars:
    """Valid bars, and the times of rows that were rejected, repeated or out of order.

    `duplicate_times_ms` has an entry for each repeated row, `disordered_times_ms` one for each row that came after a
    later one, `irregular_times_ms` one for each bar that closed at another time than its interval says. All are
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
        """Return the times [n] of all bars, rejected ones included."""
        if not self.rejected:
            return self.bars.open_time_ms
        return np.union1d(self.bars.open_time_ms, np.array([row.open_time_ms for row in self.rejected], dtype=np.int64))

    def between(self, start_ms: int, stop_ms: int) -> CheckedBars:
        """Return the bars and faults that open at `start_ms` ≤ time < `stop_ms`."""
        times_ms = self.row_times_ms()
        if len(times_ms) and start_ms <= times_ms[0] and times_ms[-1] < stop_ms:
            return self
        first, last = np.searchsorted(self.bars.open_time_ms, [start_ms, stop_ms])
        return CheckedBars(
            bars=self.bars.slice(int(first), int(last)),
            rejected=tuple(row for row in self.rejected if start_ms <= row.open_time_ms < stop_ms),
            **{name: _between(getattr(self, name), start_ms, stop_ms) for name in TRACES},
        )

    def slots_between(self, start: int, stop: int) -> CheckedBars:
        """Return the bars and faults with the bar numbers `start` ≤ number < `stop`."""
        interval = self.bars.interval
        return self.between(open_time_ms(start, interval), open_time_ms(stop, interval))

    def slots(self) -> NDArray[np.int64]:
        """Return the numbers [n] of all bars, rejected ones included."""
        return bar_numbers(self.row_times_ms(), self.bars.interval)

    def quality(self) -> DataQuality:
        """Report the quality of these bars."""
        return assess(
            self.bars,
            duplicate_rows=len(self.duplicate_times_ms),
            disordered_rows=len(self.disordered_times_ms),
            rejected_rows=self.rejected,
            irregular_close_times=len(self.irregular_times_ms),
        )

    @staticmethod
    def joined(parts: Iterable[CheckedBars], *, max_bars: int) -> CheckedBars:
        """Return the bars of all parts, which follow one another: at least one part, and at most `max_bars` bars.

        Each part is copied before the next one is taken, so that an iterator need not hold all of them in memory.
        """
        columns: dict[str, NDArray[Any]] = {name: np.empty(max_bars, np.float64) for name in NUMBER_COLUMNS}
        columns["open_time_ms"] = np.empty(max_bars, np.int64)
        rejected: list[RejectedRow] = []
        traces: dict[str, list[int]] = {name: [] for name in TRACES}
        rows = 0
        for part in parts:
            bars = part.bars
            for name, column in columns.items():
                column[rows : rows + len(bars)] = getattr(bars, name)
            rows += len(bars)
            rejected += part.rejected
            for name in TRACES:
                traces[name] += getattr(part, name)
        return CheckedBars(
            bars=Bars(
                symbol=bars.symbol, interval=bars.interval, inside=None,
                **{name: column[:rows] for name, column in columns.items()},
            ),
            rejected=tuple(rejected),
            **{name: tuple(times_ms) for name, times_ms in traces.items()},
        )  # fmt: skip


def no_checked_bars(symbol: str, interval: Interval) -> CheckedBars:
    """Return a series without bars."""
    times, numbers = np.empty(0, np.int64), np.empty(0, np.float64)
    return CheckedBars(
        bars=Bars(
            symbol=symbol, interval=interval, open_time_ms=times,
            open=numbers, high=numbers, low=numbers, close=numbers, volume=numbers,
        )
    )  # fmt: skip


def check(klines: Klines, *, symbol: str, interval: Interval, now_ms: int) -> CheckedBars:
    """Return the valid closed bars, and the times of the faulty rows."""
    klines = klines.closed(now_ms)
    bars, quality = clean(klines, symbol=symbol, interval=interval, now_ms=now_ms)
    duplicates = _duplicate_times_ms(klines) if quality.duplicate_rows else ()
    backwards = np.flatnonzero(np.diff(klines.open_time_ms) < 0) + 1
    return CheckedBars(
        bars=bars,
        rejected=quality.rejected_rows,
        duplicate_times_ms=duplicates,
        disordered_times_ms=tuple(sorted(klines.open_time_ms[backwards].tolist())),
        irregular_times_ms=_irregular_times_ms(klines, bars) if quality.irregular_close_times else (),
    )


def _between(times_ms: tuple[int, ...], start_ms: int, stop_ms: int) -> tuple[int, ...]:
    return tuple(time for time in times_ms if start_ms <= time < stop_ms)


def _irregular_times_ms(klines: Klines, bars: Bars) -> tuple[int, ...]:
    """Return the open times of valid bars whose row closes at another time than the interval says."""
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
