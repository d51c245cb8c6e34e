"""Downloads that several requests wait for: whoever needs what is already under way joins it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from src.bar_cache.bar_series import BarSeries
from src.bar_cache.planner import PAGES_ONLY_UP_TO
from src.binance.paging import PAGE_ROWS

_SMALL_BARS: Final = PAGES_ONLY_UP_TO * PAGE_ROWS
_MUCH_LARGER: Final = 4


@dataclass(slots=True, kw_only=True, eq=False)
class _Download:
    series: BarSeries
    start: int
    stop: int
    task: asyncio.Task[None]
    waiting: int = 0


class SharedDownloads:
    """The downloads of one process. They go on while anybody waits for them, whoever began them."""

    def __init__(self) -> None:
        self._downloads: list[_Download] = []

    async def join(
        self, series: BarSeries, start: int, stop: int, begin: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """Wait for a download of the candles `start` ≤ number < `stop`: one under way, or a new one by `begin`."""
        download = self._under_way(series, start, stop)
        if download is None:
            download = _Download(series=series, start=start, stop=stop, task=asyncio.create_task(begin()))
            self._downloads.append(download)
            download.task.add_done_callback(self._landed)
        download.waiting += 1
        try:
            await asyncio.shield(download.task)
        finally:
            download.waiting -= 1
            if not download.waiting and not download.task.done():
                download.task.cancel()

    async def close(self) -> None:
        """Give up all downloads, and wait until they have let go of their locks."""
        tasks = [download.task for download in self._downloads]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _under_way(self, series: BarSeries, start: int, stop: int) -> _Download | None:
        return next(
            (
                download
                for download in self._downloads
                # One that nobody waits for any more is being given up.
                if download.waiting and download.series == series and download.start <= start and stop <= download.stop
                if not _keeps_waiting(download.stop - download.start, stop - start)
            ),
            None,
        )

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._downloads = [download for download in self._downloads if download.task is not task]
        if not task.cancelled():
            task.exception()  # it is theirs who wait; where nobody does, it has been logged


def _keeps_waiting(download_bars: int, wanted_bars: int) -> bool:
    """Tell whether a few pages would wait for a whole download, where they are quicker asked for by themselves."""
    return wanted_bars <= _SMALL_BARS < download_bars and download_bars > _MUCH_LARGER * wanted_bars
