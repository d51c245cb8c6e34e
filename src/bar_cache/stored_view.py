"""Find the bars of one request in the bar cache, or the range that is still missing."""

from __future__ import annotations

from dataclasses import dataclass

from src.bar_cache.bar_series import BarSeries
from src.bar_cache.bar_store import BarStore
from src.bar_cache.coverage import Coverage
from src.bar_cache.planner import PAGES_ONLY_UP_TO
from src.bars.checked import CheckedBars
from src.bars.grid import bar_number, open_time_ms
from src.bars.quality import assess
from src.bars.quality_warnings import describe_quality
from src.bars.ranges import check_whole_range, describe_range
from src.bars.resampling import finer_intervals, resample
from src.bars.slot_ranges import SlotRanges
from src.binance.paging import PAGE_ROWS
from src.domain.errors import InvalidInput
from src.domain.instants import iso_time
from src.domain.intervals import Interval
from src.domain.market import MarketRequest, MarketSeries, origin_of_made


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingBars:
    """The range of bars to fetch before the request can be served: `start` ≤ number < `stop`.

    If `needs_first`, the time of the very first bar must be fetched too; if `needs_last`, that of the last bar before
    `start`.
    """

    start: int
    stop: int
    needs_first: bool
    needs_last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredRange:
    """The bars of a range that the request covers; `made_from` is the finer interval of their source, if any."""

    checked: CheckedBars
    made_from: Interval | None = None


class StoredView:
    """One request's view of one series at one moment. Methods block, and are meant for threads.

    Parameters
    ----------
    now_ms
        Decides which bars are closed.
    origin
        Name of the source of the bars, for the response.
    """

    def __init__(self, store: BarStore, series: BarSeries, market: MarketRequest, *, now_ms: int, origin: str) -> None:
        self._store = store
        self._series = series
        self._interval = market.interval
        self._market = market
        self._now_ms = now_ms
        self._origin = origin

    def find(
        self, asked: SlotRanges, *, is_first_asked: bool, is_last_asked: bool
    ) -> MarketSeries | MissingBars | None:
        """Return the bars, the range to fetch before, or None if there are no bars.

        Parameters
        ----------
        asked
            Bars that were fetched for this request already: if the newest are not stored, the exchange does not have
            them yet. (Older ones that are not stored were evicted since, and are fetched again.)
        is_first_asked
            Whether the time of the very first bar was requested already.
        is_last_asked
            Whether the time of the last bar before a gap was.

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
        return self._build_series(found, coverage) if isinstance(found, _StoredRange) else found

    def _search_back(
        self, coverage: Coverage, stop: int, asked: SlotRanges, *, is_first_asked: bool, is_last_asked: bool
    ) -> _StoredRange | MissingBars | None:
        """Read longer and longer ranges before `stop` until one has enough bars, or there are no more.

        Raises InvalidInput if the series is known to begin later.
        """
        self._check_start(coverage, stop)
        start, stride, floor = stop - self._market.limit, PAGE_ROWS, 0
        while (start := max(start, floor)) < stop:
            found_range = self._read_range(coverage, start, stop, asked)
            if found_range is None:
                is_long = stop - start > PAGES_ONLY_UP_TO * PAGE_ROWS
                needs_first = is_long and not is_first_asked and self._find_first(coverage) is None
                return MissingBars(start=start, stop=stop, needs_first=needs_first)
            missing = self._count_missing(found_range)
            if missing <= 0 or start == floor:
                return found_range
            first = self._find_first(coverage)
            is_gap = missing == self._market.limit
            gap_start = self._find_gap_start(coverage, start, asked) if is_gap else start
            # The gap may begin earlier than is known, unless the bar before it is known.
            before = coverage.missing(gap_start - 1, gap_start, now_ms=self._now_ms, asked=asked)
            needs_last = is_gap and bool(before) and not is_last_asked
            if (first is None and not is_first_asked) or needs_last:
                return MissingBars(start=gap_start, stop=stop, needs_first=first is None, needs_last=needs_last)
            if first is None or start <= first:
                return found_range
            floor = first
            if gap_start < start:
                start = gap_start - missing
            else:
                start -= max(missing, stride)
                stride *= 2
        return None

    def _check_start(self, coverage: Coverage, stop: int) -> None:
        """Raise InvalidInput if all bars of the request are before the very first one, without asking the exchange.

        Only the series' own first bar counts: shorter bars of the symbol may begin later.
        """
        first, interval = coverage.first, self._interval
        if self._market.end_ms is not None and first is not None and stop <= first:
            raise InvalidInput(
                "The exchange has no closed {name} up to {asked}. The first one is that of {first}.",
                field="endDate",
                name=f"{interval.name} bars of {self._series.symbol}",
                asked=iso_time(self._market.end_ms),
                first=iso_time(open_time_ms(first, interval) + (coverage.offset_ms or 0)),
            )

    def _find_gap_start(self, coverage: Coverage, stop: int, asked: SlotRanges) -> int:
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
    ) -> _StoredRange | MissingBars | None:
        """Read longer and longer ranges from the start until one has enough bars, or reaches `stop`.

        Raises InvalidInput if all bars of a range are requested and the range is too long."""
        start = max(0, self._find_first_number(start_ms, coverage))
        first = self._find_first(coverage)
        if first is not None:
            start = max(start, first)
        if self._market.is_whole_range and stop - start > self._market.limit:
            if first is None and not is_first_asked:
                # The range is short enough if the series begins late in it.
                return MissingBars(start=start, stop=start + 1, needs_first=True)
            check_whole_range(self._market, stop - start, is_exact=False)
        end, stride = start + self._market.limit, PAGE_ROWS
        while start < stop:
            end = min(end, stop)
            found_range = self._read_range(coverage, start, end, asked)
            if found_range is None:
                return MissingBars(start=start, stop=end, needs_first=first is None and not is_first_asked)
            missing = self._count_missing(found_range)
            if missing <= 0 or end == stop:
                return found_range
            end += max(missing, stride)
            stride *= 2
        return None

    def _find_first_number(self, start_ms: int, coverage: Coverage) -> int:
        """Return the number of the first bar that can open at `start_ms` or later."""
        if coverage.offset_ms is None and self._interval.name == "3d":
            return bar_number(start_ms, self._interval)
        return bar_number(start_ms - 1 - (coverage.offset_ms or 0), self._interval) + 1

    def _find_first(self, coverage: Coverage) -> int | None:
        """Return the number of the very first bar, also from a finer series; None if it was not requested."""
        if coverage.first is not None:
            return coverage.first
        for finer in finer_intervals(self._interval):
            first = self._store.series(self._series.symbol, finer).coverage().first
            if first is not None:
                return bar_number(open_time_ms(first, finer), self._interval)
        return None

    def _read_range(self, coverage: Coverage, start: int, stop: int, asked: SlotRanges) -> _StoredRange | None:
        """Return the bars `start` ≤ number < `stop` if all are known or can be made from finer ones, otherwise None."""
        if not coverage.missing(start, stop, now_ms=self._now_ms, asked=asked):
            return _StoredRange(checked=self._cut_to_request(self._series.read(coverage, start, stop)))
        start_ms, stop_ms = open_time_ms(start, self._interval), open_time_ms(stop, self._interval)
        for finer in finer_intervals(self._interval):
            series = self._store.series(self._series.symbol, finer)
            known = series.coverage()
            borders = bar_number(start_ms, finer), bar_number(stop_ms, finer)
            if not known.parts or known.missing(*borders, now_ms=self._now_ms):
                continue
            checked = series.read(known, *borders)
            # The exchange made its own bar also from trades of bars that are missing or rejected here.
            if checked.rejected or len(checked.bars) < borders[1] - _first_within(borders, known):
                continue
            bars = resample(checked.bars, self._interval, start_ms=start_ms, stop_ms=stop_ms)
            return _StoredRange(checked=self._cut_to_request(CheckedBars(bars=bars)), made_from=finer)
        return None

    def _count_missing(self, found_range: _StoredRange) -> int:
        """Return how many bars fewer than `limit` there are."""
        return self._market.limit - len(found_range.checked.row_times_ms())

    def _cut_to_request(self, checked: CheckedBars) -> CheckedBars:
        market = self._market
        stop_ms = self._now_ms if market.end_ms is None else market.end_ms
        return checked.between(market.start_ms or 0, stop_ms + 1)

    def _build_series(self, found_range: _StoredRange, coverage: Coverage) -> MarketSeries | None:
        market, checked = self._market, found_range.checked
        times_ms = checked.row_times_ms()
        if len(times_ms) > market.limit:
            if market.start_ms is None:
                checked = checked.between(int(times_ms[-market.limit]), int(times_ms[-1]) + 1)
            else:
                checked = checked.between(int(times_ms[0]), int(times_ms[market.limit]))
        bars, origin = checked.bars, self._origin
        if not len(bars):
            return None
        quality = checked.quality()
        if found_range.made_from is not None:
            quality = assess(bars)
            origin = origin_of_made(origin, bars.interval, found_range.made_from)
        warnings = describe_quality(quality, bars)
        warnings += describe_range(
            market,
            bars,
            self._now_ms,
            left_out=len(checked.rejected),
            first_open_ms=coverage.first_open_ms(market.interval),
        )
        return MarketSeries(bars=bars, quality=quality, origin=origin, warnings=warnings)


def _first_within(borders: tuple[int, int], coverage: Coverage) -> int:
    """Return the first number within borders that can have a bar: none is before the very first one."""
    start, stop = borders
    return start if coverage.first is None else min(max(start, coverage.first), stop)
