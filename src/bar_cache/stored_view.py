"""Find the bars of one request in the bar cache, or the range that is still missing.

A request asks for a number of bars. Bars may be missing, so it is not known in advance which range holds that many.
A search reads a range, then longer ones until one has enough bars. It returns the bars, a range to fetch first
(`MissingBars`; the caller fetches it and searches again, see `Fetched`), or None if there are no bars.
"""

from __future__ import annotations

from dataclasses import dataclass

from src.bar_cache.bar_series import BarSeries
from src.bar_cache.bar_store import BarStore
from src.bar_cache.planner import PAGES_ONLY_UP_TO
from src.bar_cache.stored_ranges import RangeReader, StoredRange
from src.bars.checked import CheckedBars
from src.bars.grid import bar_number, open_time_ms
from src.bars.quality import assess
from src.bars.quality_warnings import describe_quality
from src.bars.ranges import check_whole_range, describe_range
from src.bars.slot_ranges import SlotRanges, union
from src.binance.paging import PAGE_ROWS
from src.domain.errors import InvalidInput
from src.domain.instants import iso_time
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
class Fetched:
    """The bars and times that one request has already fetched.

    If the newest of `bars` are not stored, the exchange does not have them yet. Older bars that are not stored were
    evicted since, and are fetched again. `has_first` and `has_last` say whether the time of the very first bar, and
    that of the last bar before a gap, were requested. If such a time is then not stored, there is no such bar.
    """

    bars: SlotRanges = ()
    has_first: bool = False
    has_last: bool = False

    def with_range(self, missing: MissingBars) -> Fetched:
        """Return a copy that includes a range that was fetched since."""
        return Fetched(
            bars=union(self.bars, [(missing.start, missing.stop)]),
            has_first=self.has_first or missing.needs_first,
            has_last=self.has_last or missing.needs_last,
        )


def find_bars(
    store: BarStore, series: BarSeries, market: MarketRequest, *, now_ms: int, origin: str, fetched: Fetched
) -> MarketSeries | MissingBars | None:
    """Return the bars, the range to fetch first, or None if there are no bars. Blocks, and is meant for threads.

    Parameters
    ----------
    now_ms
        Decides which bars are closed.
    origin
        Name of the source of the bars, for the response.

    Raises
    ------
    SegmentLost, StoreUnavailable
    """
    search = _Search(store, series, market, now_ms=now_ms, fetched=fetched)
    found = search.run()
    return search.build_series(found, origin) if isinstance(found, StoredRange) else found


class _Search:
    """One search for the bars of one request."""

    def __init__(
        self, store: BarStore, series: BarSeries, market: MarketRequest, *, now_ms: int, fetched: Fetched
    ) -> None:
        self._reader = RangeReader(store, series, now_ms=now_ms, fetched=fetched.bars)
        self._coverage = self._reader.coverage
        self._market = market
        self._symbol = series.symbol
        self._now_ms = now_ms
        self._fetched = fetched

    def run(self) -> StoredRange | MissingBars | None:
        market = self._market
        stop = self._coverage.closed(self._now_ms, market.interval)
        if market.end_ms is not None:
            stop = min(stop, bar_number(market.end_ms, market.interval) + 1)
        return self._search_back(stop) if market.start_ms is None else self._search_on(market.start_ms, stop)

    def _search_back(self, stop: int) -> StoredRange | MissingBars | None:
        """Read longer and longer ranges before `stop` until one has enough bars, or there are no more.

        Raises InvalidInput if the series is known to begin later.
        """
        self._check_start(stop)
        start, stride, floor = stop - self._market.limit, PAGE_ROWS, 0
        while (start := max(start, floor)) < stop:
            found = self._read(start, stop)
            if found is None:
                # If the first bar is known, a long range needs no requests for times before it.
                is_long = stop - start > PAGES_ONLY_UP_TO * PAGE_ROWS
                needs_first = is_long and not self._fetched.has_first and self._reader.find_first() is None
                return MissingBars(start=start, stop=stop, needs_first=needs_first)
            lacking = self._count_lacking(found)
            if lacking <= 0 or start == floor:
                return found
            is_empty = lacking == self._market.limit
            gap_start = self._reader.find_gap_start(start) if is_empty else start
            # The gap may begin earlier than is known, unless the bar before it is known.
            needs_last = is_empty and not self._fetched.has_last and not self._reader.is_known(gap_start - 1, gap_start)
            first = self._reader.find_first()
            if needs_last or (first is None and not self._fetched.has_first):
                return MissingBars(start=gap_start, stop=stop, needs_first=first is None, needs_last=needs_last)
            if first is None or start <= first:
                return found
            floor = first
            if gap_start < start:
                start = gap_start - lacking  # nothing in between can have a bar
            else:
                start -= max(lacking, stride)
                stride *= 2
        return None

    def _search_on(self, start_ms: int, stop: int) -> StoredRange | MissingBars | None:
        """Read longer and longer ranges from the start until one has enough bars, or reaches `stop`.

        Raises InvalidInput if all bars of a range are requested and the range is too long.
        """
        market = self._market
        first = self._reader.find_first()
        start = max(0, self._find_first_number(start_ms), first or 0)
        needs_first = first is None and not self._fetched.has_first
        if market.is_whole_range and stop - start > market.limit:
            if needs_first:
                # The range is short enough if the series begins late in it.
                return MissingBars(start=start, stop=start + 1, needs_first=True)
            check_whole_range(market, stop - start, is_exact=False)
        end, stride = start + market.limit, PAGE_ROWS
        while start < stop:
            end = min(end, stop)
            found = self._read(start, end)
            if found is None:
                return MissingBars(start=start, stop=end, needs_first=needs_first)
            lacking = self._count_lacking(found)
            if lacking <= 0 or end == stop:
                return found
            end += max(lacking, stride)
            stride *= 2
        return None

    def _check_start(self, stop: int) -> None:
        """Raise InvalidInput if all bars of the request are before the very first one, without asking the exchange.

        Only the series' own first bar counts: shorter bars of the symbol may begin later.
        """
        market, first = self._market, self._coverage.first
        if market.end_ms is not None and first is not None and stop <= first:
            first_ms = open_time_ms(first, market.interval) + (self._coverage.offset_ms or 0)
            raise InvalidInput(
                "The exchange has no closed {name} up to {asked}. The first one is that of {first}.",
                field="endDate",
                name=f"{market.interval.name} bars of {self._symbol}",
                asked=iso_time(market.end_ms),
                first=iso_time(first_ms),
            )

    def _find_first_number(self, start_ms: int) -> int:
        """Return the number of the first bar that can open at `start_ms` or later."""
        interval, offset_ms = self._market.interval, self._coverage.offset_ms
        if offset_ms is None and interval.name == "3d":
            return bar_number(start_ms, interval)
        return bar_number(start_ms - 1 - (offset_ms or 0), interval) + 1

    def _read(self, start: int, stop: int) -> StoredRange | None:
        """Return the bars of a range between the dates of the request; None if some are not known."""
        found = self._reader.read(start, stop)
        if found is None:
            return None
        stop_ms = self._now_ms if self._market.end_ms is None else self._market.end_ms
        checked = found.checked.between(self._market.start_ms or 0, stop_ms + 1)
        return StoredRange(checked=checked, made_from=found.made_from)

    def _count_lacking(self, found: StoredRange) -> int:
        """Return how many bars are lacking to reach `limit`."""
        return self._market.limit - len(found.checked.row_times_ms())

    def build_series(self, found: StoredRange, origin: str) -> MarketSeries | None:
        """Return the first or last `limit` bars of a range with the report on them; None if all were rejected."""
        market, checked = self._market, self._cut_to_limit(found.checked)
        bars = checked.bars
        if not len(bars):
            return None
        quality = checked.quality()
        if found.made_from is not None:
            quality = assess(bars)
            origin = origin_of_made(origin, bars.interval, found.made_from)
        warnings = describe_quality(quality, bars) + describe_range(
            market,
            bars,
            self._now_ms,
            left_out=len(checked.rejected),
            first_open_ms=self._coverage.first_open_ms(market.interval),
        )
        return MarketSeries(bars=bars, quality=quality, origin=origin, warnings=warnings)

    def _cut_to_limit(self, checked: CheckedBars) -> CheckedBars:
        market, times_ms = self._market, checked.row_times_ms()
        if len(times_ms) <= market.limit:
            return checked
        if market.start_ms is None:
            return checked.between(int(times_ms[-market.limit]), int(times_ms[-1]) + 1)
        return checked.between(int(times_ms[0]), int(times_ms[market.limit]))
