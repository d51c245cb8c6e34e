"""Fetch more klines than fit into one page, and fetch missing or invalid ones a second time."""

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
from src.domain.intervals import Interval

PAGE_ROWS: Final = 1000
"""Most rows in one page of the exchange."""
_MAX_CONCURRENT_PAGES: Final = 8
_MAX_CONTRADICTIONS: Final = 3
_CONTRADICTION: Final = "The exchange contradicts itself: it has bars that it left out of a page."


class FetchPage(Protocol):
    """Fetch one page: klines that open from `start_ms` to `end_ms`, both included.

    With `start_ms` it returns the oldest `limit` of them, without it the newest.
    """

    def __call__(self, *, start_ms: int | None, end_ms: int, limit: int) -> Coroutine[Any, Any, Klines]: ...


async def collect_oldest(ask: FetchPage, *, interval: Interval, start_ms: int, end_ms: int, limit: int) -> Klines:
    """Return at least the `limit` oldest klines of a range, or all if it has fewer; the caller cuts off the rest."""
    pages: list[Klines] = []
    found, cursor = 0, start_ms
    while found < limit and cursor <= end_ms:
        page = await _fetch_first_page(
            ask, interval, start_ms=cursor, end_ms=end_ms, limit=min(limit - found, PAGE_ROWS)
        )
        if not len(page):
            break
        pages.append(page)
        found += _count_bars(page)
        cursor = int(page.open_time_ms.max()) + 1
        while found < limit and cursor <= end_ms:
            windows = _windows_after(cursor, end_ms, limit - found, interval)
            wave = await _fetch_windows(ask, windows)
            if not len(wave):  # a long gap, or the end: a request without a window shows which
                break
            pages.append(wave)
            found += _count_bars(wave)
            # Not from the window's end, because a page may lack its last rows.
            cursor = int(wave.open_time_ms.max()) + 1
    klines = Klines.joined(pages)
    return await _refetch_gaps(ask, klines, interval)


async def collect_newest(ask: FetchPage, *, interval: Interval, end_ms: int, limit: int) -> Klines:
    """Return at least the `limit` newest klines up to `end_ms`, or all if there are fewer; the caller cuts the rest."""
    pages: list[Klines] = []
    found, cursor = 0, end_ms
    while found < limit and cursor >= 0:
        page = await _fetch_last_page(ask, interval, end_ms=cursor, limit=min(limit - found, PAGE_ROWS))
        if not len(page):
            break
        pages.append(page)
        found += _count_bars(page)
        cursor = int(page.open_time_ms.min()) - 1
        while found < limit and cursor >= 0:
            windows = _windows_before(cursor, limit - found, interval)
            wave = await _fetch_windows(ask, windows)
            if not len(wave):
                break
            pages.append(wave)
            found += _count_bars(wave)
            cursor = int(wave.open_time_ms.min()) - 1
    klines = Klines.joined(reversed(pages))
    return await _refetch_gaps(ask, klines, interval)


async def _fetch_first_page(ask: FetchPage, interval: Interval, *, start_ms: int, end_ms: int, limit: int) -> Klines:
    """Return the oldest klines of a range; if they begin late, confirm it with the opposite request.

    A page that lacks its first rows looks like a symbol that was listed later, and an empty page looks like the end.
    """
    for _ in range(_MAX_CONTRADICTIONS):
        page = await ask(start_ms=start_ms, end_ms=end_ms, limit=limit)
        before_ms = int(page.open_time_ms.min()) - 1 if len(page) else end_ms
        if bar_number(before_ms, interval) == bar_number(start_ms - 1, interval):
            return page
        newest_before = await ask(start_ms=None, end_ms=before_ms, limit=1)
        if not len(newest_before) or newest_before.open_time_ms[0] < start_ms:
            return page
    raise ExchangeRefused(_CONTRADICTION)


async def _fetch_last_page(ask: FetchPage, interval: Interval, *, end_ms: int, limit: int) -> Klines:
    """Return the newest klines up to `end_ms`; if they end early, confirm it with the opposite request."""
    for _ in range(_MAX_CONTRADICTIONS):
        page = await ask(start_ms=None, end_ms=end_ms, limit=limit)
        after_ms = int(page.open_time_ms.max()) + 1 if len(page) else 0
        if bar_number(end_ms, interval) == bar_number(after_ms - 1, interval):
            return page
        if not len(await ask(start_ms=after_ms, end_ms=end_ms, limit=1)):
            return page
    raise ExchangeRefused(_CONTRADICTION)


async def _fetch_windows(ask: FetchPage, windows: Sequence[tuple[int, int]]) -> Klines:
    return await _gather([ask(start_ms=start, end_ms=end, limit=PAGE_ROWS) for start, end in windows])


async def _gather(questions: Sequence[Coroutine[Any, Any, Klines]]) -> Klines:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(question) for question in questions]
    except ExceptionGroup as failures:
        first = failures.exceptions[0]
        raise first from first.__cause__
    return Klines.joined(task.result() for task in tasks)


def _windows_after(cursor: int, end_ms: int, wanted: int, interval: Interval) -> list[tuple[int, int]]:
    """Divide the time from `cursor` on into windows of one full page each, enough for `wanted` bars."""
    span = page_span_ms(PAGE_ROWS, interval)
    starts = range(cursor, end_ms + 1, span)[: min(-(-wanted // PAGE_ROWS), _MAX_CONCURRENT_PAGES)]
    return [(start, min(start + span - 1, end_ms)) for start in starts]


def _windows_before(cursor: int, wanted: int, interval: Interval) -> list[tuple[int, int]]:
    """Divide the time up to `cursor` into windows of one full page each, oldest first, enough for `wanted` bars."""
    span = page_span_ms(PAGE_ROWS, interval)
    ends = range(cursor, -1, -span)[: min(-(-wanted // PAGE_ROWS), _MAX_CONCURRENT_PAGES)]
    return [(max(end - span + 1, 0), end) for end in reversed(ends)]


async def _refetch_gaps(ask: FetchPage, klines: Klines, interval: Interval) -> Klines:
    """Fetch missing and invalid bars once more, which repairs a faulty page but not a true outage."""
    if not len(klines):
        return klines
    sound = believable(klines, interval)
    numbers = bar_numbers(klines.open_time_ms, interval)
    absent = holes(np.unique(numbers[sound]), int(numbers.min()), int(numbers.max()) + 1)
    first_ms, last_ms = int(klines.open_time_ms.min()), int(klines.open_time_ms.max())
    windows = [
        (max(first_ms, open_time_ms(start, interval)), min(last_ms, open_time_ms(stop, interval) - 1))
        for start, stop in _combine_gaps(absent)
    ]
    again = await _gather([_fetch_window(ask, start, end, interval) for start, end in windows])
    again = again.pick(~np.isin(bar_numbers(again.open_time_ms, interval), numbers[sound]))
    return _replace_invalid(klines, again, sound, interval) if len(again) else klines


def _combine_gaps(absent: SlotRanges) -> list[SlotRange]:
    """Combine neighboring gaps, as many as fit into one page together with the bars between them."""
    windows: list[SlotRange] = []
    for start, stop in absent:
        if windows and stop - windows[-1][0] <= PAGE_ROWS:
            windows[-1] = (windows[-1][0], stop)
        else:
            windows.append((start, stop))
    return windows


async def _fetch_window(ask: FetchPage, start_ms: int, end_ms: int, interval: Interval) -> Klines:
    """Return the klines of a window; a long window needs several pages."""
    pages = []
    while start_ms <= end_ms:
        page = await ask(start_ms=start_ms, end_ms=end_ms, limit=PAGE_ROWS)
        pages.append(page)
        if not len(page) or end_ms - start_ms < page_span_ms(PAGE_ROWS, interval):
            break
        start_ms = int(page.open_time_ms.max()) + 1
    return Klines.joined(pages)


def _replace_invalid(klines: Klines, again: Klines, sound: NDArray[np.bool_], interval: Interval) -> Klines:
    """Replace invalid rows by those of the second request, if these are valid."""
    is_better = believable(Klines.joined([klines.pick(sound), again]), interval)[int(np.count_nonzero(sound)) :]
    numbers, numbers_again = bar_numbers(klines.open_time_ms, interval), bar_numbers(again.open_time_ms, interval)
    kept = klines.pick(sound | ~np.isin(numbers, numbers_again[is_better]))
    found = again.pick(is_better | ~np.isin(numbers_again, numbers))
    together = Klines.joined([kept, found])
    return together.pick(np.argsort(together.open_time_ms, kind="stable"))


def _count_bars(page: Klines) -> int:
    return len(np.unique(page.open_time_ms))
