"""More candles than one answer holds: which pages to ask for, and what to ask a second time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np

from src.domain.errors import ExchangeRefused
from src.domain.market import Interval
from src.market_data.grid import bar_number, page_span_ms
from src.market_data.klines import Klines
from src.market_data.quality import find_gaps

PAGE_ROWS: Final = 1000
"""Most rows that the exchange puts into one answer."""
_PAGES_AT_ONCE: Final = 8
_HOLES_ASKED_AGAIN: Final = 20
_CONTRADICTIONS: Final = 3
_CONTRADICTION: Final = "The exchange contradicts itself: it has candles that it leaves out where they are asked for."


class AskPage(Protocol):
    """One question: candles that open from `start_ms` to `end_ms`, both included.

    With `start_ms` the oldest `limit` of them, without it the newest.
    """

    async def __call__(self, *, start_ms: int | None, end_ms: int, limit: int) -> Klines: ...


async def collect_oldest(ask: AskPage, *, interval: Interval, start_ms: int, end_ms: int, limit: int) -> Klines:
    """Return at least the `limit` oldest candles of a range, where it has so many; the caller cuts off the rest."""
    pages: list[Klines] = []
    found, cursor = 0, start_ms
    while found < limit and cursor <= end_ms:
        page = await _first_page(ask, interval, start_ms=cursor, end_ms=end_ms, limit=min(limit - found, PAGE_ROWS))
        if not len(page):
            break
        pages.append(page)
        found += _candles(page)
        cursor = int(page.open_time_ms.max()) + 1
        while found < limit and cursor <= end_ms:
            windows = _windows_after(cursor, end_ms, limit - found, interval)
            wave = await _ask_together(ask, windows)
            if not len(wave):  # a long hole, or the end: one question without a window finds out
                break
            pages.append(wave)
            found += _candles(wave)
            # Not from the window's end: an answer may have forgotten its last rows.
            cursor = int(wave.open_time_ms.max()) + 1
    klines = Klines.joined(pages)
    return await _with_holes_asked_again(ask, klines, interval)


async def collect_newest(ask: AskPage, *, interval: Interval, end_ms: int, limit: int) -> Klines:
    """Return at least the `limit` newest candles up to `end_ms`, where there are so many; the caller cuts the rest."""
    pages: list[Klines] = []
    found, cursor = 0, end_ms
    while found < limit and cursor >= 0:
        page = await _last_page(ask, interval, end_ms=cursor, limit=min(limit - found, PAGE_ROWS))
        if not len(page):
            break
        pages.append(page)
        found += _candles(page)
        cursor = int(page.open_time_ms.min()) - 1
        while found < limit and cursor >= 0:
            windows = _windows_before(cursor, limit - found, interval)
            wave = await _ask_together(ask, windows)
            if not len(wave):
                break
            pages.append(wave)
            found += _candles(wave)
            cursor = int(wave.open_time_ms.min()) - 1
    klines = Klines.joined(reversed(pages))
    return await _with_holes_asked_again(ask, klines, interval)


async def _first_page(ask: AskPage, interval: Interval, *, start_ms: int, end_ms: int, limit: int) -> Klines:
    """Return the oldest candles of a range; where they begin late, the opposite question confirms it.

    An answer that leaves out what it should begin with looks just like a listing, and an empty one like the end.
    """
    for _ in range(_CONTRADICTIONS):
        page = await ask(start_ms=start_ms, end_ms=end_ms, limit=limit)
        before_ms = int(page.open_time_ms.min()) - 1 if len(page) else end_ms
        if bar_number(before_ms, interval) == bar_number(start_ms - 1, interval):
            return page
        newest_before = await ask(start_ms=None, end_ms=before_ms, limit=1)
        if not len(newest_before) or newest_before.open_time_ms[0] < start_ms:
            return page
    raise ExchangeRefused(_CONTRADICTION)


async def _last_page(ask: AskPage, interval: Interval, *, end_ms: int, limit: int) -> Klines:
    """Return the newest candles up to `end_ms`; where they end early, the opposite question confirms it."""
    for _ in range(_CONTRADICTIONS):
        page = await ask(start_ms=None, end_ms=end_ms, limit=limit)
        after_ms = int(page.open_time_ms.max()) + 1 if len(page) else 0
        if bar_number(end_ms, interval) == bar_number(after_ms - 1, interval):
            return page
        if not len(await ask(start_ms=after_ms, end_ms=end_ms, limit=1)):
            return page
    raise ExchangeRefused(_CONTRADICTION)


async def _ask_together(ask: AskPage, windows: Sequence[tuple[int, int]]) -> Klines:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(start_ms=start, end_ms=end, limit=PAGE_ROWS)) for start, end in windows]
    except ExceptionGroup as failures:
        first = failures.exceptions[0]
        raise first from first.__cause__
    return Klines.joined(task.result() for task in tasks)


def _windows_after(cursor: int, end_ms: int, wanted: int, interval: Interval) -> list[tuple[int, int]]:
    """Cut the time from `cursor` on into windows of one full page each, enough for `wanted` candles."""
    span = page_span_ms(PAGE_ROWS, interval)
    starts = range(cursor, end_ms + 1, span)[: min(-(-wanted // PAGE_ROWS), _PAGES_AT_ONCE)]
    return [(start, min(start + span - 1, end_ms)) for start in starts]


def _windows_before(cursor: int, wanted: int, interval: Interval) -> list[tuple[int, int]]:
    """Cut the time up to `cursor` into windows of one full page each, oldest first, enough for `wanted` candles."""
    span = page_span_ms(PAGE_ROWS, interval)
    ends = range(cursor, -1, -span)[: min(-(-wanted // PAGE_ROWS), _PAGES_AT_ONCE)]
    return [(max(end - span + 1, 0), end) for end in reversed(ends)]


async def _with_holes_asked_again(ask: AskPage, klines: Klines, interval: Interval) -> Klines:
    """Ask once more for the longest holes: what an answer forgot is found, what an outage took is not."""
    gaps = sorted(find_gaps(np.unique(klines.open_time_ms), interval), key=lambda gap: -gap.missing_bars)
    longest = gaps[:_HOLES_ASKED_AGAIN]
    refilled = await _ask_together(ask, [(gap.after_ms + 1, gap.next_ms - 1) for gap in longest])
    if not len(refilled):
        return klines
    together = Klines.joined([klines, refilled])
    return together.pick(np.argsort(together.open_time_ms, kind="stable"))


def _candles(page: Klines) -> int:
    return len(np.unique(page.open_time_ms))
