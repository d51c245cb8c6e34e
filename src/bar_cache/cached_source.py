"""Fetch each bar of the exchange once: a source that puts the bar cache before another source."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from src.bar_cache.bar_series import BarSeries, SegmentLost
from src.bar_cache.bar_store import BarStore
from src.bar_cache.downloader import Downloader
from src.bar_cache.progress import ProgressBoard
from src.bar_cache.remote import RemoteSource
from src.bar_cache.shared_downloads import DownloadRange, serves
from src.bar_cache.stored_markets import find_markets, read_market
from src.bar_cache.stored_view import Fetched, MissingBars, find_bars
from src.bars.slot_ranges import SlotRanges
from src.binance.archive import BinanceArchive
from src.concurrency.single_flight import SingleFlight
from src.concurrency.threads import in_thread
from src.domain.bars import Bars
from src.domain.errors import StoreUnavailable
from src.domain.intervals import Interval
from src.domain.market import CachedMarket, Listing, MarketRequest, MarketSeries
from src.domain.symbols import normalize_symbol
from src.ports.clock import Clock

logger = logging.getLogger(__name__)

_ROUNDS: Final = 40
"""A search that doubles its stride covers all possible times in fewer rounds."""


class CachedSource:
    """The `BarSource` that requests only missing bars from another source.

    Closed bars and gaps are stored. Bars that were fetched within a minute of their close are fetched once more later.
    If all bars of a request are stored, no call is made.

    Parameters
    ----------
    remote
        The other source.
    store
        Where bars are stored; other processes may use the same folder.
    archive
        A faster way to fetch long ranges; None if there is none.
    clock
        Decides which bars are closed, unless it is ahead of the clock of `remote`.
    """

    def __init__(
        self, remote: RemoteSource, *, store: BarStore, clock: Clock, archive: BinanceArchive | None = None
    ) -> None:
        self._remote = remote
        self._store = store
        self._archive = archive
        self._clock = clock
        self._downloads: SingleFlight[DownloadRange, None] = SingleFlight(serves)
        self._requests: Counter[BarSeries] = Counter()
        self.progress: Final = ProgressBoard()
        self._downloader = Downloader(remote, archive=archive, clock=clock, board=self.progress)

    async def fetch(self, market: MarketRequest) -> MarketSeries:
        """Return the requested closed bars, oldest first; at least one.

        If the bar cache cannot be used, all bars are fetched from `remote`, and a warning is logged.

        Raises
        ------
        SymbolNotFound, InvalidInput, ExchangeRefused, ExchangeUnavailable, ExchangeTimeout
        """
        series = self._store.series(normalize_symbol(market.symbol), market.interval)
        try:
            found = await self._from_store(series, market)
        except StoreUnavailable as error:
            logger.warning("bars fetched without bar cache: series=%s reason=%s", series, error)
            found = None
        if found is None:
            # If there are no bars, `remote` raises the error that says why.
            return await self._remote.fetch(market)
        return replace(found, warnings=found.warnings + self._remote.skew.warnings())

    async def listings(self) -> Sequence[Listing]:
        """Return the symbols of `remote`, sorted by name."""
        return await self._remote.listings()

    async def cached_markets(self, interval: Interval, start_ms: int, end_ms: int) -> Sequence[CachedMarket]:
        """Return the longest stored range of each symbol in a window, sorted by symbol."""
        return await asyncio.to_thread(find_markets, self._store, interval, start_ms, end_ms)

    async def cached_bars(self, market: CachedMarket) -> Bars | None:
        """Return these bars; None if they are no longer stored. Raises StoreUnavailable."""
        return await asyncio.to_thread(read_market, self._store, market)

    async def close(self) -> None:
        """Cancel downloads, and close the connections."""
        await self._downloads.close()
        if self._archive is not None:
            await self._archive.close()
        await self._remote.close()

    async def _from_store(self, series: BarSeries, market: MarketRequest) -> MarketSeries | None:
        """Fetch what is missing, then return the bars from the bar cache; None if there are none."""
        our_ms = self._clock.now_ms()
        fetched = Fetched()
        self._requests[series] += 1
        try:
            for _ in range(_ROUNDS):
                # The first response may have shown that our clock is ahead.
                now_ms = self._remote.skew.now_ms(our_ms)
                origin = self._remote.origin
                try:
                    found = await asyncio.to_thread(
                        find_bars, self._store, series, market, now_ms=now_ms, origin=origin, fetched=fetched
                    )
                except SegmentLost as lost:
                    await in_thread(lost.series.drop_lost, lost)
                    continue
                if not isinstance(found, MissingBars):
                    return found
                await self._fill(series, found, fetched.bars)
                fetched = fetched.with_range(found)
        finally:
            self._requests[series] -= 1
            if fetched.bars:
                await asyncio.to_thread(self._store.evict, keep=+self._requests)
        raise StoreUnavailable("The bar cache loses bars faster than they come.")

    async def _fill(self, series: BarSeries, missing: MissingBars, asked: SlotRanges) -> None:
        wanted = DownloadRange(series, missing.start, missing.stop, missing.needs_first, missing.needs_last)
        await self._downloads.run(wanted, lambda: self._downloader.fill(wanted, asked=asked))
