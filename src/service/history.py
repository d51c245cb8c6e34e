"""Fetch the bars of a run, and those before them that its strategy reads to warm up."""

from __future__ import annotations

from dataclasses import replace

from src.domain.bars import Bars
from src.domain.errors import InvalidInput
from src.domain.market import LimitOrigin, MarketRequest, MarketSeries
from src.ports.market import BarSource


async def fetch_with_history(source: BarSource, market: MarketRequest, warm_up_bars: int) -> MarketSeries:
    """Return the requested bars, with up to `warm_up_bars` valid bars before them as their history.

    The history is a separate request: it does not change the range, the report or the warnings, and does not count
    toward the limit. It is shorter if the source has no earlier bars. Raises what `source.fetch` raises.
    """
    series = await source.fetch(market)
    history = await _fetch_before(source, market, int(series.bars.open_time_ms[0]), warm_up_bars)
    return series if history is None else replace(series, history=history)


async def _fetch_before(source: BarSource, market: MarketRequest, first_ms: int, bars: int) -> Bars | None:
    """Return the last valid bars that open before a time, at most `bars`; None if there are none."""
    limit = bars
    while limit:
        before = replace(market, start_ms=None, end_ms=first_ms - 1, limit=limit, limit_origin=LimitOrigin.CLIENT)
        try:
            found = await source.fetch(before)
        except InvalidInput:
            # Only the end differs from the request of the range, so only the bars can be missing.
            return None
        count = len(found.bars)
        # Invalid rows count in a limit.
        if count >= bars or count + len(found.quality.rejected_rows) < limit:
            return found.bars.slice(max(0, count - bars), count)
        limit *= 2
    return None
