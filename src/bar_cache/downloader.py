"""Fetch the missing bars of a series step by step, and store each part as soon as it arrives.

One download at a time works on a series, across all processes, in steps: 1. lock; 2. compute the missing ranges again;
3. fetch a few parts at once; 4. store them; 5. unlock. So a process that waited finds the bars that the other fetched,
and a download that is killed leaves all parts that arrived.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from src.bar_cache.bar_series import BarSeries
from src.bar_cache.planner import PAGES_ONLY_UP_TO, Pages, plan
from src.bar_cache.progress import ProgressBoard
from src.bar_cache.remote import RemoteSource
from src.bar_cache.shared_downloads import DownloadRange
from src.bars.checked import CheckedBars, check, no_checked_bars
from src.bars.grid import bar_number, bar_numbers, open_time_ms
from src.bars.klines import Klines, MalformedKlines
from src.bars.slot_ranges import SlotRanges, count, holes, union, without
from src.binance.archive import ArchiveFile, ArchiveUnusable, BinanceArchive, build_member_name
from src.binance.archive_rows import read_blocks
from src.binance.paging import PAGE_ROWS
from src.concurrency.threads import in_thread
from src.domain.market import FetchProgress
from src.ports.clock import Clock

logger = logging.getLogger(__name__)

MAX_CONCURRENT_PARTS: Final = 4
_MAX_GAPS: Final = 20
"""Gaps in an archive file are requested page by page. If a block has more gaps, the whole block is requested."""


@dataclass(slots=True, kw_only=True)
class _DownloadState:
    """State of one download: `asked` are bars that its request fetched earlier, `fetched` those of its own pages."""

    series: BarSeries
    start: int
    stop: int
    asked: SlotRanges
    fetched: SlotRanges = ()
    tried: set[str] = field(default_factory=set)
    ways: tuple[str, ...] = ()

    def missing(self, now_ms: int) -> SlotRanges:
        """Return the ranges that are still to be fetched; blocks."""
        asked = union(self.asked, self.fetched)
        missing = self.series.coverage().to_fetch(self.start, self.stop, now_ms=now_ms, asked=asked)
        return without(missing, self.fetched)


class Downloader:
    """Fetches missing bars from one exchange.

    Parameters
    ----------
    remote
        Source of single pages.
    archive
        Source of whole months and days; None if there is none.
    board
        Where progress is shown.
    """

    def __init__(
        self, remote: RemoteSource, *, archive: BinanceArchive | None, clock: Clock, board: ProgressBoard
    ) -> None:
        self._remote = remote
        self._archive = archive
        self._clock = clock
        self._board = board

    async def fill(self, wanted: DownloadRange, *, asked: SlotRanges = ()) -> None:
        """Fetch and store the missing closed bars of a range.

        If `wanted` needs it, the time of the very first bar, or of the last bar before the range, is requested first,
        so that no page of the gap is requested. `asked` are bars that the same request has already fetched. If the
        newest of them do not exist, they are not requested again.

        Raises SymbolNotFound, InvalidInput, ExchangeError or StoreUnavailable; parts that were stored before stay.
        """
        series = wanted.series
        if wanted.needs_first:
            await self._fetch_first(series)
        if wanted.needs_last:
            await self._fetch_gap(series, 0, wanted.start)
        state = _DownloadState(series=series, start=wanted.start, stop=wanted.stop, asked=asked)
        missing = await in_thread(state.missing, self._now_ms())
        # A long range at the end may be one gap: the symbol may be delisted.
        if missing and missing[-1][1] - missing[-1][0] > PAGES_ONLY_UP_TO * PAGE_ROWS:
            state.asked = union(asked, await self._fetch_gap(series, *missing[-1]))
            missing = await in_thread(state.missing, self._now_ms())
        expected = count(missing)
        with self._show_progress(series, expected) as shown:
            # Computed here without the lock: with it, the last check would wait for the step of another process.
            while missing and await self._step(state):
                missing = await in_thread(state.missing, self._now_ms())
                progress = self._board.update(shown, done_bars=max(0, expected - count(missing)), ways=state.ways)
                logger.info(
                    "bars fetched: series=%s done=%d expected=%d", series, progress.done_bars, progress.expected_bars
                )

    async def _fetch_first(self, series: BarSeries) -> None:
        async with series.locked():
            coverage = await in_thread(series.coverage)
            if coverage.first is None:
                first_ms = await self._remote.first_open_ms(series.symbol, series.interval)
                if first_ms is not None:
                    await in_thread(series.put_first, bar_number(first_ms, series.interval))

    async def _fetch_gap(self, series: BarSeries, start: int, stop: int) -> SlotRanges:
        """Fetch the time of the last bar before `stop`; store and return the gap after it, from `start` on."""
        async with series.locked():
            our_ms, end_ms = self._clock.now_ms(), open_time_ms(stop, series.interval) - 1
            last_ms = await self._remote.last_open_ms(series.symbol, series.interval, end_ms=end_ms)
            since = start if last_ms is None else max(start, bar_number(last_ms, series.interval) + 1)
            if since >= stop:
                return ()
            gap, nothing = ((since, stop),), no_checked_bars(series.symbol, series.interval)
            await in_thread(series.put, nothing, gap, asked_ms=self._remote.skew.now_ms(our_ms))
            return gap

    @contextmanager
    def _show_progress(self, series: BarSeries, expected: int) -> Iterator[int]:
        began_ms = self._clock.now_ms()
        logger.info("download started: series=%s missing_bars=%d", series, expected)
        shown = self._board.open(
            FetchProgress(
                symbol=series.symbol,
                interval=series.interval.name,
                done_bars=0,
                expected_bars=expected,
                ways=(),
                started_ms=began_ms,
            )
        )
        try:
            yield shown
        finally:
            self._board.close(shown)

    def _now_ms(self) -> int:
        return self._remote.skew.now_ms(self._clock.now_ms())

    async def _step(self, state: _DownloadState) -> bool:
        """Fetch a few parts of the missing bars; return whether any were missing."""
        async with state.series.locked():
            missing = await in_thread(state.missing, self._now_ms())
            parts = plan(
                missing,
                state.series.interval,
                now_ms=self._now_ms(),
                has_archive=self._archive is not None,
                tried=state.tried,
            )
            # Fetch files before pages, so that the bars that remain need fewer, longer parts.
            files = [part for part in parts if isinstance(part, ArchiveFile)]
            chosen: Sequence[ArchiveFile | Pages] = (files or parts)[:MAX_CONCURRENT_PARTS]
            writing = asyncio.Lock()
            await _run_all([self._fetch_part(part, state, writing) for part in chosen])
        return bool(chosen)

    async def _fetch_part(self, part: ArchiveFile | Pages, state: _DownloadState, writing: asyncio.Lock) -> None:
        if isinstance(part, Pages) or self._archive is None:
            state.ways = (*state.ways, "REST")
            await self._fetch_pages(part, state.series, writing)
            state.fetched = union(state.fetched, [(part.start, part.stop)])
            return
        state.ways = (*state.ways, "archive")
        state.tried.add(part.period)
        try:
            await self._fetch_file(self._archive, part, state.series, writing)
        except (ArchiveUnusable, MalformedKlines) as error:
            logger.warning("archive file skipped: series=%s period=%s reason=%s", state.series, part.period, error)

    async def _fetch_pages(self, part: Pages | ArchiveFile, series: BarSeries, writing: asyncio.Lock) -> None:
        symbol, interval, our_ms = series.symbol, series.interval, self._clock.now_ms()
        first_ms, end_ms = max(0, open_time_ms(part.start, interval)), open_time_ms(part.stop - 1, interval)
        if interval.name == "3d":  # the exchange may count these from another day than the epoch
            end_ms = open_time_ms(part.stop, interval) - 1
        klines = await self._remote.candles(symbol, interval, start_ms=first_ms, end_ms=end_ms)
        # Computed after the request, because its reply may be the first to show that our clock is ahead.
        asked_ms = self._remote.skew.now_ms(our_ms)
        checked = await in_thread(check, klines, symbol=symbol, interval=interval, now_ms=asked_ms)
        async with writing:
            await in_thread(series.put, checked, ((part.start, part.stop),), asked_ms=asked_ms)

    async def _fetch_file(
        self, archive: BinanceArchive, wanted: ArchiveFile, series: BarSeries, writing: asyncio.Lock
    ) -> None:
        """Store the bars of a file, block by block; its gaps stay missing, so that they are requested again."""
        interval, asked_ms = series.interval, self._now_ms()
        async with archive.download(wanted, series.symbol, interval) as file:
            blocks = read_blocks(
                file,
                member=build_member_name(wanted, series.symbol, interval),
                interval=interval,
                start_ms=open_time_ms(wanted.start, interval),
                stop_ms=open_time_ms(wanted.stop, interval),
                candles=wanted.stop - wanted.start,
            )
            cursor = wanted.start
            with closing(blocks):
                while (klines := await in_thread(next, blocks, None)) is not None:
                    async with writing:
                        cursor = await in_thread(_store_block, klines, series, cursor, wanted.stop, asked_ms)


def _store_block(klines: Klines, series: BarSeries, start: int, stop: int, asked_ms: int) -> int:
    """Store a block of a file that begins at `start` or later; return where the next one begins."""
    checked = check(klines, symbol=series.symbol, interval=series.interval, now_ms=asked_ms)
    slots = checked.slots()
    if not len(slots):
        return start
    block_stop = min(stop, int(slots[-1]) + 1)
    # Known bars may have come from pages that filled a gap of this file.
    new = without([(start, block_stop)], series.coverage().settled)
    series.put(checked, _without_gaps(checked, new), asked_ms=asked_ms)
    return block_stop


def _without_gaps(checked: CheckedBars, ranges: SlotRanges) -> SlotRanges:
    """Return the ranges without their gaps, or () if there are over `_MAX_GAPS`; rejected rows are gaps too."""
    present = bar_numbers(checked.bars.open_time_ms, checked.bars.interval)
    empty = [
        gap
        for start, stop in ranges
        for gap in holes(present[np.searchsorted(present, start) : np.searchsorted(present, stop)], start, stop)
    ]
    return without(ranges, empty) if len(empty) <= _MAX_GAPS else ()


async def _run_all(work: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run all to completion, so that every part that arrives is stored; then raise the first error."""
    ends = await asyncio.gather(*work, return_exceptions=True)
    for end in ends:
        if end is not None:
            raise end
