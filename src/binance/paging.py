"""More candles than one answer holds: which pages to ask for, and what to ask a second time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from src.bars.grid import bar_number, bar_numbers, open_time_ms, page_span_ms
from src.bars.klines import Klines, believable
from src.bars.slot_ranges import SlotRange, SlotRanges, holes
from src.domain.errors import ExchangeRefused
from src.domain.market import Interval

PAGE_ROWS: Final = 1000
"""Most rows that the exchange puts into one answer."""
_PAGES_AT_ONCE: Final = 8
_CONTRADICTIONS: Final = 3
_CONTRADICTION: Final = "The exchange contradicts itself: it has bars that it left out of a page."


class AskPage(Protocol):
    """One question: candles that open from `start_ms` to `end_ms`, both included.

    With `start_ms` the oldest `limit` of them, without it the newest.
    """

    def __call__(self, *, start_ms: int | None, end_ms: int, limit: int) -> Coroutine[Any, Any, Klines]: ...


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
    return await _together([ask(start_ms=start, end_ms=end, limit=PAGE_ROWS) for start, end in windows])


async def _together(questions: Sequence[Coroutine[Any, Any, Klines]]) -> Klines:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(question) for question in questions]
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
    """Ask once more for what is missing or impossible: what an answer spoilt is found, what an outage took is not."""
    if not len(klines):
        return klines
    sound = believable(klines, interval)
    numbers = bar_numbers(klines.open_time_ms, interval)
    absent = holes(np.unique(numbers[sound]), int(numbers.min()), int(numbers.max()) + 1)
    first_ms, last_ms = int(klines.open_time_ms.min()), int(klines.open_time_ms.max())
    windows = [
        (max(first_ms, open_time_ms(start, interval)), min(last_ms, open_time_ms(stop, interval) - 1))
        for start, stop in _pages_over(absent)
    ]
    again = await _together([_everything(ask, start, end, interval) for start, end in windows])
    again = again.pick(~np.isin(bar_numbers(again.open_time_ms, interval), numbers[sound]))
    return _replaced(klines, again, sound, interval) if len(again) else klines


def _pages_over(absent: SlotRanges) -> list[SlotRange]:
    """Combine neighbouring holes, as many as fit into a page with what lies between them."""
    windows: list[SlotRange] = []
    for start, stop in absent:
        if windows and stop - windows[-1][0] <= PAGE_ROWS:
            windows[-1] = (windows[-1][0], stop)
        else:
            windows.append((start, stop))
    return windows


async def _everything(ask: AskPage, start_ms: int, end_ms: int, interval: Interval) -> Klines:
    """Return the candles of a window, of a long one as long as any come."""
    pages = []
    while start_ms <= end_ms:
        page = await ask(start_ms=start_ms, end_ms=end_ms, limit=PAGE_ROWS)
        pages.append(page)
        if not len(page) or end_ms - start_ms < page_span_ms(PAGE_ROWS, interval):
            break
        start_ms = int(page.open_time_ms.max()) + 1
    return Klines.joined(pages)


def _replaced(klines: Klines, again: Klines, sound: NDArray[np.bool_], interval: Interval) -> Klines:
    """Put what came at the second asking in place of what cannot be believed, where it can be believed itself."""
    is_better = believable(Klines.joined([klines.pick(sound), again]), interval)[int(np.count_nonzero(sound)) :]
    numbers, numbers_again = bar_numbers(klines.open_time_ms, interval), bar_numbers(again.open_time_ms, interval)
    kept = klines.pick(sound | ~np.isin(numbers, numbers_again[is_better]))
    found = again.pick(is_better | ~np.isin(numbers_again, numbers))
    together = Klines.joined([kept, found])
    return together.pick(np.argsort(together.open_time_ms, kind="stable"))


def _candles(page: Klines) -> int:
    return len(np.unique(page.open_time_ms))
