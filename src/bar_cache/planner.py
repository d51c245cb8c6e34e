"""Which way each missing stretch of candles is fetched: page by page, or as a file of the bulk archive.

Pure: a few numbers in, a list of pieces out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from src.bars.grid import bar_number, open_time_ms
from src.bars.slot_ranges import SlotRanges, union, within, without
from src.binance.archive import ArchiveFile
from src.binance.paging import PAGE_ROWS
from src.domain.market import DAY_MS, Interval

PAGES_ONLY_UP_TO: Final = 20
"""So many pages are asked for without a thought of the archive: a few round trips, a hundredth of a minute's weight."""
FILE_WORTH_PAGES: Final = 5
"""A file of the archive is worth its two requests and its size where it saves more pages than this."""
PAGES_A_PIECE: Final = 16
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_PUBLISHED_MS: Final = 2 * DAY_MS
_MONTH_PUBLISHED_MS: Final = 4 * DAY_MS
"""Files appear some hours after their day, and days after their month; asking earlier costs a question in vain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """A stretch to be fetched page by page: the candles with the numbers `start` ≤ number < `stop`."""

    start: int
    stop: int


def plan(
    missing: SlotRanges,
    interval: Interval,
    *,
    now_ms: int,
    has_archive: bool = True,
    tried: Collection[str] = (),
) -> Sequence[ArchiveFile | Pages]:
    """Return pieces that cover everything missing, oldest first; a file may bring more than is missing.

    Parameters
    ----------
    missing
        Candle numbers that are to be fetched, as ranges.
    has_archive
        Whether there is a bulk archive at all.
    tried
        Periods whose files are not to be asked for again.
    """
    files: list[ArchiveFile] = []
    if has_archive and _pages(missing) > PAGES_ONLY_UP_TO:
        months = _worthwhile(_months(missing, interval), missing, now_ms - _MONTH_PUBLISHED_MS, interval, tried)
        rest = without(missing, [(file.start, file.stop) for file in months])
        days = _worthwhile(_days(rest, interval), rest, now_ms - _DAY_PUBLISHED_MS, interval, tried)
        files = [*months, *days]
    rest = without(missing, union((file.start, file.stop) for file in files))
    pieces: list[ArchiveFile | Pages] = [*files, *_page_pieces(rest)]
    return sorted(pieces, key=lambda piece: piece.start)


def _worthwhile(
    files: Sequence[ArchiveFile], missing: SlotRanges, published_ms: int, interval: Interval, tried: Collection[str]
) -> list[ArchiveFile]:
    published = bar_number(published_ms, interval)
    return [
        file
        for file in files
        if file.stop <= published
        and file.period not in tried
        and _pages(within(missing, file.start, file.stop)) > FILE_WORTH_PAGES
    ]


def _pages(missing: SlotRanges) -> int:
    """Return how many pages hold these candles."""
    return sum(-(-(stop - start) // PAGE_ROWS) for start, stop in missing)


def _page_pieces(missing: SlotRanges) -> list[Pages]:
    span = PAGES_A_PIECE * PAGE_ROWS
    return [
        Pages(start=first, stop=min(first + span, stop))
        for start, stop in missing
        for first in range(start, stop, span)
    ]


def _months(missing: SlotRanges, interval: Interval) -> list[ArchiveFile]:
    """Return the month files that touch what is missing; none where a month is a matter of a few pages."""
    if FILE_WORTH_PAGES * PAGE_ROWS * interval.milliseconds >= 31 * DAY_MS:
        return []
    firsts = {
        month
        for start, stop in missing
        for month in _each_month(open_time_ms(start, interval), open_time_ms(stop, interval))
    }
    return [
        _file(first.strftime("%Y-%m"), first, (first + timedelta(days=32)).replace(day=1), interval)
        for first in sorted(firsts)
    ]


def _days(missing: SlotRanges, interval: Interval) -> list[ArchiveFile]:
    """Return the day files that touch what is missing; none where a day is a matter of a few pages."""
    if FILE_WORTH_PAGES * PAGE_ROWS * interval.milliseconds >= DAY_MS:
        return []
    numbers = {
        day
        for start, stop in missing
        for day in range(open_time_ms(start, interval) // DAY_MS, (open_time_ms(stop, interval) - 1) // DAY_MS + 1)
    }
    firsts = [_EPOCH + timedelta(days=day) for day in sorted(numbers)]
    return [_file(first.strftime("%Y-%m-%d"), first, first + timedelta(days=1), interval) for first in firsts]


def _each_month(start_ms: int, stop_ms: int) -> Iterator[datetime]:
    month = (_EPOCH + timedelta(milliseconds=start_ms)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    stop = _EPOCH + timedelta(milliseconds=stop_ms)
    while month < stop:
        yield month
        month = (month + timedelta(days=32)).replace(day=1)


def _file(period: str, first: datetime, after: datetime, interval: Interval) -> ArchiveFile:
    start, stop = (bar_number((moment - _EPOCH) // timedelta(milliseconds=1), interval) for moment in (first, after))
    return ArchiveFile(period=period, start=start, stop=stop)
