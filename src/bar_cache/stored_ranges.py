"""Read ranges of one series from the bar cache, at one moment: from its own files, or made from finer bars."""

from __future__ import annotations

from dataclasses import dataclass

from src.bar_cache.bar_series import BarSeries
from src.bar_cache.bar_store import BarStore
from src.bar_cache.coverage import Coverage
from src.bars.checked import CheckedBars
from src.bars.grid import bar_number, open_time_ms
from src.bars.resampling import finer_intervals, resample
from src.bars.slot_ranges import SlotRanges
from src.domain.intervals import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRange:
    """The bars of a range; `made_from` is the finer interval of their source, if any."""

    checked: CheckedBars
    made_from: Interval | None = None


class RangeReader:
    """One series at one moment; its methods block, and raise SegmentLost if a file was removed after that moment.

    Parameters
    ----------
    now_ms
        Decides how long newer bars count as known.
    fetched
        Bars that were fetched for this request already; see `Coverage.known`.
    """

    def __init__(self, store: BarStore, series: BarSeries, *, now_ms: int, fetched: SlotRanges) -> None:
        self._store = store
        self._series = series
        self._now_ms = now_ms
        self._fetched = fetched
        self.coverage = series.coverage()

    def find_first(self) -> int | None:
        """Return the number of the very first bar, also from a finer series; None if it was not requested."""
        if self.coverage.first is not None:
            return self.coverage.first
        for finer in finer_intervals(self._series.interval):
            first = self._finer_series(finer).coverage().first
            if first is not None:
                return bar_number(open_time_ms(first, finer), self._series.interval)
        return None

    def is_known(self, start: int, stop: int) -> bool:
        """Return whether all bars `start` ≤ number < `stop` are stored, or known not to exist."""
        return not self.coverage.missing(start, stop, now_ms=self._now_ms, asked=self._fetched)

    def find_gap_start(self, stop: int) -> int:
        """Return the first number of the gap before `stop`, as far as it is known; `stop` if there is none."""
        known = self.coverage.known(now_ms=self._now_ms, asked=self._fetched)
        since = next((first for first, last in known if first < stop <= last), stop)
        for _, part in reversed(self.coverage.reading(since, stop)):
            numbers = self._series.read(self.coverage, *part).slots()
            if len(numbers):
                return int(numbers[-1]) + 1
        return since

    def read(self, start: int, stop: int) -> StoredRange | None:
        """Return the bars `start` ≤ number < `stop` if all are known or can be made from finer ones, otherwise None."""
        if self.is_known(start, stop):
            return StoredRange(checked=self._series.read(self.coverage, start, stop))
        for finer in finer_intervals(self._series.interval):
            checked = self._make_from(finer, start, stop)
            if checked is not None:
                return StoredRange(checked=checked, made_from=finer)
        return None

    def _make_from(self, finer: Interval, start: int, stop: int) -> CheckedBars | None:
        """Return the bars of a range made from finer ones; None unless every finer bar in it is stored and valid."""
        interval = self._series.interval
        start_ms, stop_ms = open_time_ms(start, interval), open_time_ms(stop, interval)
        series = self._finer_series(finer)
        coverage = series.coverage()
        borders = bar_number(start_ms, finer), bar_number(stop_ms, finer)
        if not coverage.parts or coverage.missing(*borders, now_ms=self._now_ms):
            return None
        checked = series.read(coverage, *borders)
        # The exchange's own bar also includes trades of finer bars that are missing or rejected here.
        if checked.rejected or len(checked.bars) < borders[1] - _first_within(borders, coverage):
            return None
        return CheckedBars(bars=resample(checked.bars, interval, start_ms=start_ms, stop_ms=stop_ms))

    def _finer_series(self, finer: Interval) -> BarSeries:
        return self._store.series(self._series.symbol, finer)


def _first_within(borders: tuple[int, int], coverage: Coverage) -> int:
    """Return the first number within the borders that can have a bar: no bar is before the very first one."""
    start, stop = borders
    return start if coverage.first is None else min(max(start, coverage.first), stop)
