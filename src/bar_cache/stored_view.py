"""What one request sees in the store: its answer, or which candles that still lacks."""

from __future__ import annotations

from dataclasses import dataclass

from src.bar_cache.bar_series import BarSeries
from src.bar_cache.bar_store import BarStore
from src.bar_cache.planner import PAGES_ONLY_UP_TO
from src.bar_cache.segments import SEGMENT_BARS
from src.bar_cache.series_index import SeriesIndex
from src.bars.checked import CheckedCandles
from src.bars.grid import bar_number, closed_slots, open_time_ms
from src.bars.quality import assess
from src.bars.quality_warnings import describe_quality
from src.bars.ranges import check_whole_range, describe_range
from src.bars.resampling import finer_intervals, resample
from src.bars.slot_ranges import SlotRanges, without
from src.binance.paging import PAGE_ROWS
from src.domain.market import Interval, MarketRequest, MarketSeries


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """Candles that must be fetched before there is an answer: `start` ≤ number < `stop`.

    `needs_first` tells that the time of the very first candle must be known as well, `needs_last` that the last candle
    before `start` must be.
    """

    start: int
    stop: int
    needs_first: bool
    needs_last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """The candles of a stretch that lie in the range asked for; `made_from` is the finer interval of which, if any."""

    candles: CheckedCandles
    made_from: Interval | None = None


class StoredView:
    """One request's view of one series at one moment. Methods block, and are meant for threads.

    Parameters
    ----------
    now_ms
        Decides which candle is closed.
    origin
        What the answer says about where its candles come from.
    """

    def __init__(self, store: BarStore, series: BarSeries, market: MarketRequest, *, now_ms: int, origin: str) -> None:
        self._store = store
        self._series = series
        self._interval = market.interval
        self._market = market
        self._now_ms = now_ms
        self._origin = origin

    def look(self, asked: SlotRanges, *, is_first_asked: bool, is_last_asked: bool) -> MarketSeries | Lacking | None:
        """Return the answer, what it lacks, or None where there is not one candle.

        Parameters
        ----------
        asked
            Candles that were fetched for this request already: of the newest, what is not there now is not to be had
            yet. (Older ones that are not there have been dropped since, and are fetched again.)
        is_first_asked
            Whether the very first candle was asked for already.
        is_last_asked
            Whether the last candle before a silence was.

        Raises
        ------
        SegmentLost, StoreUnavailable
        """
        index = self._series.index()
        stop = closed_slots(self._now_ms, self._interval, index.offset_ms)
        if self._market.end_ms is not None:
            stop = min(stop, bar_number(self._market.end_ms, self._interval) + 1)
        asked = index.may_be_absent(asked, now_ms=self._now_ms, interval=self._interval)
        if self._market.start_ms is None:
            found = self._search_back(index, stop, asked, is_first_asked=is_first_asked, is_last_asked=is_last_asked)
        else:
            found = self._search_on(index, self._market.start_ms, stop, asked, is_first_asked=is_first_asked)
        return self._answer(found, index) if isinstance(found, _Stretch) else found

    def _search_back(
        self, index: SeriesIndex, stop: int, asked: SlotRanges, *, is_first_asked: bool, is_last_asked: bool
    ) -> _Stretch | Lacking | None:
        """Look at longer and longer stretches before `stop` until one holds enough candles, or there are no more."""
        start, stride, floor = stop - self._market.limit, PAGE_ROWS, 0
        while (start := max(start, floor)) < stop:
            stretch = self._stretch(index, start, stop, asked)
            if stretch is None:
                is_long = stop - start > PAGES_ONLY_UP_TO * PAGE_ROWS
                needs_first = is_long and not is_first_asked and self._first(index) is None
                return Lacking(start=start, stop=stop, needs_first=needs_first)
            wanting = self._wanting(stretch)
            if wanting <= 0 or start == floor:
                return stretch
            first = self._first(index)
            is_silent = wanting == self._market.limit
            silent_since = self._silent_since(index, start) if is_silent else start
            needs_last = is_silent and silent_since == start and not is_last_asked
            if (first is None and not is_first_asked) or needs_last:
                return Lacking(start=start, stop=stop, needs_first=first is None, needs_last=needs_last)
            if first is None or start <= first:
                return stretch
            floor = first
            if silent_since < start:
                start = silent_since - wanting
            else:
                start -= max(wanting, stride)
                stride *= 2
        return None

    def _silent_since(self, index: SeriesIndex, stop: int) -> int:
        """Return the first number of the candles before `stop` that are all known to be absent; `stop` if none is."""
        since = next((start for start, end in index.known if start < stop <= end), stop)
        for number in sorted(index.segments, reverse=True):
            if number * SEGMENT_BARS < stop and since < (number + 1) * SEGMENT_BARS:
                slots = self._series.read(index, max(since, number * SEGMENT_BARS), stop).slots()
                if len(slots):
                    return int(slots[-1]) + 1
        return since

    def _search_on(
        self, index: SeriesIndex, start_ms: int, stop: int, asked: SlotRanges, *, is_first_asked: bool
    ) -> _Stretch | Lacking | None:
        """Look at longer and longer stretches from the start on until one holds enough candles, or `stop` comes.

        Raises InvalidInput if all candles of a range are wanted that is too long."""
        start = max(0, self._first_slot_from(start_ms, index))
        first = self._first(index)
        if first is not None:
            start = max(start, first)
        if self._market.is_whole_range and stop - start > self._market.limit:
            if first is None and not is_first_asked:
                # The series may begin so late that the range is short enough after all.
                return Lacking(start=start, stop=start + 1, needs_first=True)
            check_whole_range(self._market, stop - start, is_exact=False)
        end, stride = start + self._market.limit, PAGE_ROWS
        while start < stop:
            end = min(end, stop)
            stretch = self._stretch(index, start, end, asked)
            if stretch is None:
                return Lacking(start=start, stop=end, needs_first=first is None and not is_first_asked)
            wanting = self._wanting(stretch)
            if wanting <= 0 or end == stop:
                return stretch
            end += max(wanting, stride)
            stride *= 2
        return None

    def _first_slot_from(self, start_ms: int, index: SeriesIndex) -> int:
        """Return the number of the first candle that can open at `start_ms` or later."""
        if index.offset_ms is None and self._interval.name == "3d":
            return bar_number(start_ms, self._interval)
        return bar_number(start_ms - 1 - (index.offset_ms or 0), self._interval) + 1

    def _first(self, index: SeriesIndex) -> int | None:
        """Return the number of the very first candle, which a finer series tells as well; None where nobody asked."""
        if index.first_open_ms is not None:
            return bar_number(index.first_open_ms, self._interval)
        for finer in finer_intervals(self._interval):
            known = self._store.series(self._series.symbol, finer).index().first_open_ms
            if known is not None:
                return bar_number(known, self._interval)
        return None

    def _stretch(self, index: SeriesIndex, start: int, stop: int, asked: SlotRanges) -> _Stretch | None:
        """Return the candles `start` ≤ number < `stop`, if they are all known, or can be made from finer ones."""
        if not without(index.missing(start, stop, now_ms=self._now_ms), asked):
            return _Stretch(candles=self._in_range(self._series.read(index, start, stop)))
        start_ms, stop_ms = open_time_ms(start, self._interval), open_time_ms(stop, self._interval)
        for finer in finer_intervals(self._interval):
            series = self._store.series(self._series.symbol, finer)
            known = series.index()
            borders = bar_number(start_ms, finer), bar_number(stop_ms, finer)
            if not known.segments or known.missing(*borders, now_ms=self._now_ms):
                continue
            candles = series.read(known, *borders)
            # The exchange made its own candle also from what is absent here, or could not be believed.
            if candles.rejected or len(candles.bars) < borders[1] - _first_within(borders, known, finer):
                continue
            bars = resample(candles.bars, self._interval, start_ms=start_ms, stop_ms=stop_ms)
            return _Stretch(candles=self._in_range(CheckedCandles(bars=bars)), made_from=finer)
        return None

    def _wanting(self, stretch: _Stretch) -> int:
        """Return how many candles fewer than `limit` there are in the range asked for."""
        return self._market.limit - len(stretch.candles.row_times_ms())

    def _in_range(self, candles: CheckedCandles) -> CheckedCandles:
        market = self._market
        stop_ms = self._now_ms if market.end_ms is None else market.end_ms
        return candles.between(market.start_ms or 0, stop_ms + 1)

    def _answer(self, stretch: _Stretch, index: SeriesIndex) -> MarketSeries | None:
        market, candles = self._market, stretch.candles
        times_ms = candles.row_times_ms()
        if len(times_ms) > market.limit:
            if market.start_ms is None:
                candles = candles.between(int(times_ms[-market.limit]), int(times_ms[-1]) + 1)
            else:
                candles = candles.between(int(times_ms[0]), int(times_ms[market.limit]))
        bars, origin = candles.bars, self._origin
        if not len(bars):
            return None
        quality = candles.quality()
        if stretch.made_from is not None:
            quality = assess(bars)
            origin = f"{origin} ({bars.interval.name} candles made from its {stretch.made_from.name} candles)"
        warnings = describe_quality(quality, bars)
        warnings += describe_range(
            market, bars, self._now_ms, left_out=len(candles.rejected), first_open_ms=index.first_open_ms
        )
        return MarketSeries(bars=bars, quality=quality, origin=origin, warnings=warnings)


def _first_within(borders: tuple[int, int], index: SeriesIndex, interval: Interval) -> int:
    """Return the first candle number within borders that can have a candle: nothing is before the very first one."""
    start, stop = borders
    return start if index.first_open_ms is None else min(max(start, bar_number(index.first_open_ms, interval)), stop)
