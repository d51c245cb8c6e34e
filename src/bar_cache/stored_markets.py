"""Find which markets have bars of a window in the bar cache, from file names, and read them without a download."""

from __future__ import annotations

import logging

from src.bar_cache.bar_series import BarSeries, SegmentLost
from src.bar_cache.bar_store import BarStore
from src.bars.grid import bar_number
from src.bars.slot_ranges import within
from src.domain.bars import Bars
from src.domain.errors import StoreUnavailable
from src.domain.intervals import Interval
from src.domain.market import CachedMarket

logger = logging.getLogger(__name__)


def find_markets(store: BarStore, interval: Interval, start_ms: int, end_ms: int) -> list[CachedMarket]:
    """Return the longest stored range of each symbol, sorted by symbol; reads file names only.

    A series whose folder cannot be read is left out, with a warning in the log.
    """
    window = bar_number(start_ms, interval), bar_number(end_ms, interval) + 1
    found = (_find_range(series, window) for series in store.stored_of(interval))
    return sorted((one for one in found if one is not None), key=lambda one: one.symbol)


def read_market(store: BarStore, market: CachedMarket) -> Bars | None:
    """Return the bars of a range; None if they are no longer stored. Raises StoreUnavailable."""
    series = store.series(market.symbol, market.interval)
    coverage = series.coverage()
    if within(coverage.settled, market.start, market.stop) != ((market.start, market.stop),):
        return None
    try:
        bars = series.read(coverage, market.start, market.stop).bars
    except SegmentLost:
        return None  # the next request of these bars removes the file and fetches them again
    return bars if len(bars) else None


def _find_range(series: BarSeries, window: tuple[int, int]) -> CachedMarket | None:
    try:
        coverage = series.coverage()
    except StoreUnavailable as error:
        logger.warning("stored bars not listed: series=%s reason=%s", series, error)
        return None
    ranges = [
        CachedMarket(
            symbol=series.symbol,
            interval=series.interval,
            start=start,
            stop=stop,
            bars=sum(last - first for _, (first, last) in coverage.reading(start, stop)),
        )
        for start, stop in within(coverage.settled, *window)
    ]
    longest = max(ranges, key=lambda one: one.bars, default=None)
    return longest if longest is not None and longest.bars else None
