"""What one request sees in the store: its answer, or which candles that still lacks."""

from __future__ import annotations

from dataclasses import dataclass

from src.bar_cache.bar_series import BarSeries
from src.bar_cache.bar_store import BarStore
from src.bar_cache.coverage import Coverage
from src.bar_cache.planner import PAGES_ONLY_UP_TO
from src.bars.checked import CheckedCandles
from src.bars.grid import bar_number, open_time_ms
from src.bars.quality import assess
from src.bars.quality_warnings import describe_quality
from src.bars.ranges import check_whole_range, describe_range
from src.bars.resampling import finer_intervals, resample
from src.bars.slot_ranges import SlotRanges
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
        coverage = self._series.coverage()
        stop = coverage.closed(self._now_ms, self._interval)
        if self._market.end_ms is not None:
            stop = min(stop, bar_number(self._market.end_ms, self._interval) + 1)
        if self._market.start_ms is None:
            found = self._search_back(coverage, stop, asked, is_first_asked=is_first_asked, is_last_asked=is_last_asked)
        else:
            found = self._search_on(coverage, self._market.start_ms, stop, asked, is_first_asked=is_first_asked)
        return self._answer(found, coverage) if isinstance(found, _Stretch) else found

    def _search_back(
        self, coverage: Coverage, stop: int, asked: SlotRanges, *, is_first_asked: bool, is_last_asked: bool
    ) -> _Stretch | Lacking | None:
        """Look at longer and longer stretches before `stop` until one holds enough candles, or there are no more."""
        start, stride, floor = stop - self._market.limit, PAGE_ROWS, 0
        while (start := max(start, floor)) < stop:
            stretch = self._stretch(coverage, start, stop, asked)
            if stretch is None:
                is_long = stop - start > PAGES_ONLY_UP_TO * PAGE_ROWS
                needs_first = is_long and not is_first_asked and self._first(coverage) is None
                return Lacking(start=start, stop=stop, needs_first=needs_first)
            wanting = self._wanting(stretch)
            if wanting <= 0 or start == floor:
                return stretch
            first = self._first(coverage)
            is_gap = wanting == self._market.limit
            gap_since = self._gap_since(coverage, start, asked) if is_gap else start
            # A gap goes on beyond what is known of it, unless the bar before it is known.
            before = coverage.missing(gap_since - 1, gap_since, now_ms=self._now_ms, asked=asked)
            needs_last = is_gap and bool(before) and not is_last_asked
            if (first is None and not is_first_asked) or needs_last:
                return Lacking(start=gap_since, stop=stop, needs_first=first is None, needs_last=needs_last)
            if first is None or start <= first:
                return stretch
            floor = first
            if gap_since < start:
                start = gap_since - wanting
            else:
                start -= max(wanting, stride)
                stride *= 2
        return None

    def _gap_since(self, coverage: Coverage, stop: int, asked: SlotRanges) -> int:
        """Return the first number of the gap before `stop`, as far as it is known; `stop` if there is none."""
        known = coverage.known(now_ms=self._now_ms, asked=asked)
        since = next((first for first, last in known if first < stop <= last), stop)
        for _, part in reversed(coverage.reading(since, stop)):
            numbers = self._series.read(coverage, *part).slots()
            if len(numbers):
                return int(numbers[-1]) + 1
        return since

    def _search_on(
        self, coverage: Coverage, start_ms: int, stop: int, asked: SlotRanges, *, is_first_asked: bool
    ) -> _Stretch | Lacking | None:
        """Look at longer and longer stretches from the start on until one holds enough candles, or `stop` comes.

        Raises InvalidInput if all candles of a range are wanted that is too long."""
        start = max(0, self._first_slot_from(start_ms, coverage))
        first = self._first(coverage)
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
            stretch = self._stretch(coverage, start, end, asked)
            if stretch is None:
                return Lacking(start=start, stop=end, needs_first=first is None and not is_first_asked)
            wanting = self._wanting(stretch)
            if wanting <= 0 or end == stop:
                return stretch
            end += max(wanting, stride)
            stride *= 2
        return None

    def _first_slot_from(self, start_ms: int, coverage: Coverage) -> int:
        """Return the number of the first candle that can open at `start_ms` or later."""
        if coverage.offset_ms is None and self._interval.name == "3d":
            return bar_number(start_ms, self._interval)
        return bar_number(start_ms - 1 - (coverage.offset_ms or 0), self._interval) + 1

    def _first(self, coverage: Coverage) -> int | None:
        """Return the number of the very first candle, which a finer series tells as well; None where nobody asked."""
        if coverage.first is not None:
            return coverage.first
        for finer in finer_intervals(self._interval):
            first = self._store.series(self._series.symbol, finer).coverage().first
            if first is not None:
                return bar_number(open_time_ms(first, finer), self._interval)
        return None

    def _stretch(self, coverage: Coverage, start: int, stop: int, asked: SlotRanges) -> _Stretch | None:
        """Return the candles `start` ≤ number < `stop`, if they are all known, or can be made from finer ones."""
        if not coverage.missing(start, stop, now_ms=self._now_ms, asked=asked):
            return _Stretch(candles=self._in_range(self._series.read(coverage, start, stop)))
        start_ms, stop_ms = open_time_ms(start, self._interval), open_time_ms(stop, self._interval)
        for finer in finer_intervals(self._interval):
            series = self._store.series(self._series.symbol, finer)
            known = series.coverage()
            borders = bar_number(start_ms, finer), bar_number(stop_ms, finer)
            if not known.parts or known.missing(*borders, now_ms=self._now_ms):
                continue
            candles = series.read(known, *borders)
            # The exchange made its own candle also from what is absent here, or could not be believed.
            if candles.rejected or len(candles.bars) < borders[1] - _first_within(borders, known):
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

    def _answer(self, stretch: _Stretch, coverage: Coverage) -> MarketSeries | None:
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
            market,
            bars,
            self._now_ms,
            left_out=len(candles.rejected),
            first_open_ms=coverage.first_open_ms(market.interval),
        )
        return MarketSeries(bars=bars, quality=quality, origin=origin, warnings=warnings)


def _first_within(borders: tuple[int, int], coverage: Coverage) -> int:
    """Return the first candle number within borders that can have a candle: nothing is before the very first one."""
    start, stop = borders
    return start if coverage.first is None else min(max(start, coverage.first), stop)
