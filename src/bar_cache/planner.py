"""Which way each missing stretch of candles is fetched: page by page, or as a file of the bulk archive.

Pure: a few numbers in, a list of pieces out.
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
from src.domain.market import DAY_MS, Interval

PAGES_ONLY_UP_TO: Final = 20
"""So many pages are asked for without a thought of the archive: a few round trips, a hundredth of a minute's weight."""
FILE_WORTH_PAGES: Final = 5
"""A file of the archive is worth its two requests and its size where it saves more pages than this."""
PAGES_A_PIECE: Final = 16
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
        months = _files(missing, "M", now_ms - _MONTH_PUBLISHED_MS, interval, tried)
        rest = without(missing, [(file.start, file.stop) for file in months])
        days = _files(rest, "D", now_ms - _DAY_PUBLISHED_MS, interval, tried)
        files = [*months, *days]
    rest = without(missing, union((file.start, file.stop) for file in files))
    pieces: list[ArchiveFile | Pages] = [*files, *_page_pieces(rest)]
    return sorted(pieces, key=lambda piece: piece.start)


def _files(
    missing: SlotRanges, unit: str, published_ms: int, interval: Interval, tried: Collection[str]
) -> list[ArchiveFile]:
    """Return the files of months or days that are published, and save enough pages of what is missing."""
    published = bar_number(published_ms, interval)
    periods = {
        name: range_ for start, stop in missing for name, range_ in periods_between(start, stop, interval, unit).items()
    }
    return [
        ArchiveFile(period=name, start=start, stop=stop)
        for name, (start, stop) in sorted(periods.items())
        if stop <= published and name not in tried and _pages(within(missing, start, stop)) > FILE_WORTH_PAGES
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
