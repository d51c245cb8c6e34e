"""Fetch the missing bars of a series step by step, and store each part as soon as it arrives.

One download at a time works on a series, across all processes, in steps: lock, look again at what is missing, fetch a
few parts at once, store them, unlock. So a process that waited finds what the other fetched, and a download that is
killed leaves everything that had arrived.
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
from src.bars.checked import CheckedCandles, check, no_candles
from src.bars.grid import bar_number, bar_numbers, open_time_ms
from src.bars.klines import Klines, MalformedKlines
from src.bars.slot_ranges import SlotRanges, count, holes, union, without
from src.binance.archive import ArchiveFile, ArchiveUnusable, BinanceArchive, build_member_name
from src.binance.archive_rows import read_blocks
from src.binance.paging import PAGE_ROWS
from src.concurrency.threads import in_thread
from src.domain.market import FetchProgress
from src.ports import Clock

logger = logging.getLogger(__name__)

PIECES_AT_ONCE: Final = 4
_MAX_HOLES: Final = 20
"""Gaps in an archive file are requested page by page; a block with more of them is left to the pages as a whole."""


@dataclass(slots=True, kw_only=True)
class _Course:
    """What one download has done so far: `asked` are the bars of the request, `fetched` those of its own pages."""

    series: BarSeries
    start: int
    stop: int
    asked: SlotRanges
    fetched: SlotRanges = ()
    tried: set[str] = field(default_factory=set)
    ways: tuple[str, ...] = ()

    def missing(self, now_ms: int) -> SlotRanges:
        """Return what is still to be fetched; blocks."""
        asked = union(self.asked, self.fetched)
        missing = self.series.coverage().to_fetch(self.start, self.stop, now_ms=now_ms, asked=asked)
        return without(missing, self.fetched)


class Downloader:
    """Fetches what is missing from one exchange.

    Parameters
    ----------
    remote
        Is asked page by page.
    archive
        Is asked for whole months and days; None if there is none.
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
        """Make a range of bars known; those that are not closed yet stay as they are.

        If the range needs it, the time of the very first bar is asked for before, or that of the last bar before the
        range, so that nothing before or between is requested. `asked` are bars that were requested a moment ago: of the
        newest, what does not exist is not requested again.

        Raises SymbolNotFound, InvalidInput, ExchangeError or StoreUnavailable; what was fetched before is kept.
        """
        series = wanted.series
        if wanted.needs_first:
            await self._learn_first(series)
        if wanted.needs_last:
            await self._learn_gap(series, 0, wanted.start)
        course = _Course(series=series, start=wanted.start, stop=wanted.stop, asked=asked)
        missing = await in_thread(course.missing, self._now_ms())
        # All of a long range at the end may be a gap: the symbol may trade no more.
        if missing and missing[-1][1] - missing[-1][0] > PAGES_ONLY_UP_TO * PAGE_ROWS:
            course.asked = union(asked, await self._learn_gap(series, *missing[-1]))
            missing = await in_thread(course.missing, self._now_ms())
        expected = count(missing)
        with self._shown(series, expected) as shown:
            # What is missing is looked up without the lock too: the last look would wait for the step of another.
            while missing and await self._step(course):
                missing = await in_thread(course.missing, self._now_ms())
                progress = self._board.update(shown, done_bars=max(0, expected - count(missing)), ways=course.ways)
                logger.info("%s: %d of %d candles", series, progress.done_bars, progress.expected_bars)

    async def _learn_first(self, series: BarSeries) -> None:
        async with series.locked():
            coverage = await in_thread(series.coverage)
            if coverage.first is None:
                first_ms = await self._remote.first_open_ms(series.symbol, series.interval)
                if first_ms is not None:
                    await in_thread(series.put_first, bar_number(first_ms, series.interval))

    async def _learn_gap(self, series: BarSeries, start: int, stop: int) -> SlotRanges:
        """Ask for the last bar before `stop`; store and return the gap after it, from `start` on."""
        async with series.locked():
            our_ms, end_ms = self._clock.now_ms(), open_time_ms(stop, series.interval) - 1
            last_ms = await self._remote.last_open_ms(series.symbol, series.interval, end_ms=end_ms)
            since = start if last_ms is None else max(start, bar_number(last_ms, series.interval) + 1)
            if since >= stop:
                return ()
            gap, nothing = ((since, stop),), no_candles(series.symbol, series.interval)
            await in_thread(series.put, nothing, gap, asked_ms=self._remote.skew.now_ms(our_ms))
            return gap

    @contextmanager
    def _shown(self, series: BarSeries, expected: int) -> Iterator[int]:
        began_ms = self._clock.now_ms()
        logger.info("%s: %d candles are missing", series, expected)
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

    async def _step(self, course: _Course) -> bool:
        """Fetch a few parts of what is still missing; whether there was any."""
        async with course.series.locked():
            missing = await in_thread(course.missing, self._now_ms())
            pieces = plan(
                missing,
                course.series.interval,
                now_ms=self._now_ms(),
                has_archive=self._archive is not None,
                tried=course.tried,
            )
            # Files before pages: what the files leave missing is requested in fewer, longer parts.
            files = [piece for piece in pieces if isinstance(piece, ArchiveFile)]
            chosen: Sequence[ArchiveFile | Pages] = (files or pieces)[:PIECES_AT_ONCE]
            writing = asyncio.Lock()
            await _all_of([self._piece(piece, course, writing) for piece in chosen])
        return bool(chosen)

    async def _piece(self, piece: ArchiveFile | Pages, course: _Course, writing: asyncio.Lock) -> None:
        if isinstance(piece, Pages) or self._archive is None:
            course.ways = (*course.ways, "REST")
            await self._pages(piece, course.series, writing)
            course.fetched = union(course.fetched, [(piece.start, piece.stop)])
            return
        course.ways = (*course.ways, "archive")
        course.tried.add(piece.period)
        try:
            await self._file(self._archive, piece, course.series, writing)
        except (ArchiveUnusable, MalformedKlines) as error:
            logger.warning("%s: the archive's %s is left out, %s", course.series, piece.period, error)

    async def _pages(self, piece: Pages | ArchiveFile, series: BarSeries, writing: asyncio.Lock) -> None:
        symbol, interval, our_ms = series.symbol, series.interval, self._clock.now_ms()
        first_ms, end_ms = max(0, open_time_ms(piece.start, interval)), open_time_ms(piece.stop - 1, interval)
        if interval.name == "3d":  # these may be counted from another day than the epoch
            end_ms = open_time_ms(piece.stop, interval) - 1
        klines = await self._remote.candles(symbol, interval, start_ms=first_ms, end_ms=end_ms)
        # Only the reply may have shown that our clock is ahead.
        asked_ms = self._remote.skew.now_ms(our_ms)
        candles = await in_thread(check, klines, symbol=symbol, interval=interval, now_ms=asked_ms)
        async with writing:
            await in_thread(series.put, candles, ((piece.start, piece.stop),), asked_ms=asked_ms)

    async def _file(
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
    candles = check(klines, symbol=series.symbol, interval=series.interval, now_ms=asked_ms)
    slots = candles.slots()
    if not len(slots):
        return start
    block_stop = min(stop, int(slots[-1]) + 1)
    # What is known already may have come page by page, to fill a gap of this very file.
    new = without([(start, block_stop)], series.coverage().settled)
    series.put(candles, _without_holes(candles, new), asked_ms=asked_ms)
    return block_stop


def _without_holes(candles: CheckedCandles, ranges: SlotRanges) -> SlotRanges:
    """Return the ranges without the gaps in them, nothing if there are many; rejected rows are gaps too."""
    present = bar_numbers(candles.bars.open_time_ms, candles.bars.interval)
    empty = [
        hole
        for start, stop in ranges
        for hole in holes(present[np.searchsorted(present, start) : np.searchsorted(present, stop)], start, stop)
    ]
    return without(ranges, empty) if len(empty) <= _MAX_HOLES else ()


async def _all_of(work: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run all to their ends, whatever happens to one, so that what arrives is kept; then raise the first error."""
    ends = await asyncio.gather(*work, return_exceptions=True)
    for end in ends:
        if end is not None:
            raise end
