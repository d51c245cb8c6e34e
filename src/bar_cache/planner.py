"""Plan how each missing range of bars is fetched: page by page, or as a file of the bulk archive.

Nothing is fetched here: ranges in, parts out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from src.bar_cache.periods import periods_between
from src.bars.grid import bar_number
from src.bars.slot_ranges import SlotRanges, union, within, without
from src.binance.archive import ArchiveFile
from src.binance.paging import PAGE_ROWS
from src.domain.intervals import DAY_MS, Interval

PAGES_ONLY_UP_TO: Final = 20
"""Up to this many pages, no archive file is requested: they take a few round trips and 1 % of a minute's weight."""
FILE_WORTH_PAGES: Final = 5
"""An archive file is worth its two requests and its size if it saves more pages than this."""
MAX_PAGES_PER_PART: Final = 16
_DAY_PUBLISHED_MS: Final = 2 * DAY_MS
_MONTH_PUBLISHED_MS: Final = 4 * DAY_MS
"""Files appear some hours after their day, and days after their month; an earlier request fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """A range to fetch page by page: the bars with the numbers `start` ≤ number < `stop`."""

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
    """Return parts that cover all missing ranges, oldest first; a file may have more bars than are missing.

    Parameters
    ----------
    missing
        Ranges of bar numbers.
    has_archive
        Whether there is a bulk archive.
    tried
        Periods whose files were requested already, and are not requested again.
    """
    files: list[ArchiveFile] = []
    if has_archive and _count_pages(missing) > PAGES_ONLY_UP_TO:
        months = _choose_files(missing, "M", now_ms - _MONTH_PUBLISHED_MS, interval, tried)
        rest = without(missing, [(file.start, file.stop) for file in months])
        days = _choose_files(rest, "D", now_ms - _DAY_PUBLISHED_MS, interval, tried)
        files = [*months, *days]
    rest = without(missing, union((file.start, file.stop) for file in files))
    parts: list[ArchiveFile | Pages] = [*files, *_split_into_pages(rest)]
    return sorted(parts, key=lambda part: part.start)


def _choose_files(
    missing: SlotRanges, unit: str, published_ms: int, interval: Interval, tried: Collection[str]
) -> list[ArchiveFile]:
    """Return the published files of months or days that save more than `FILE_WORTH_PAGES` pages."""
    published = bar_number(published_ms, interval)
    periods = {
        name: range_ for start, stop in missing for name, range_ in periods_between(start, stop, interval, unit).items()
    }
    return [
        ArchiveFile(period=name, start=start, stop=stop)
        for name, (start, stop) in sorted(periods.items())
        if stop <= published and name not in tried and _count_pages(within(missing, start, stop)) > FILE_WORTH_PAGES
    ]


def _count_pages(missing: SlotRanges) -> int:
    """Return how many pages hold these bars."""
    return sum(-(-(stop - start) // PAGE_ROWS) for start, stop in missing)


def _split_into_pages(missing: SlotRanges) -> list[Pages]:
    span = MAX_PAGES_PER_PART * PAGE_ROWS
    return [
        Pages(start=first, stop=min(first + span, stop))
        for start, stop in missing
        for first in range(start, stop, span)
    ]
