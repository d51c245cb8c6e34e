"""Decide which running download serves a request: the key of the bar cache's `SingleFlight`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from src.bar_cache.bar_series import BarSeries
from src.bar_cache.planner import PAGES_ONLY_UP_TO
from src.binance.paging import PAGE_ROWS

_SMALL_BARS: Final = PAGES_ONLY_UP_TO * PAGE_ROWS
_MUCH_LARGER: Final = 4


@dataclass(frozen=True, slots=True)
class DownloadRange:
    """The bars of one series with the numbers `start` ≤ number < `stop`; see `Downloader.fill` for what it needs."""

    series: BarSeries
    start: int
    stop: int
    needs_first: bool = False
    needs_last: bool = False

    def __len__(self) -> int:
        return self.stop - self.start


def serves(running: DownloadRange, wanted: DownloadRange) -> bool:
    """Return whether a running download fetches all that is wanted, in about the time of a separate download.

    A few pages do not wait for a much larger download, because a separate download is faster.
    """
    is_inside = running.series == wanted.series and running.start <= wanted.start and wanted.stop <= running.stop
    learns_first = running.needs_first or not wanted.needs_first
    learns_last = (running.needs_last and running.start == wanted.start) or not wanted.needs_last
    is_much_later = len(wanted) <= _SMALL_BARS < len(running) and len(running) > _MUCH_LARGER * len(wanted)
    return is_inside and learns_first and learns_last and not is_much_later
