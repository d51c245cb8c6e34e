"""Downloads are shared by those who wait, and outlive the one who began them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from src.bar_cache.bar_series import BarSeries
from src.bar_cache.bar_store import BarStore
from src.bar_cache.shared_downloads import SharedDownloads
from src.domain.market import INTERVALS


class Download:
    """A download that ends when it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = 0
        self.cancelled = False
        self.go = asyncio.Event()
        self._error = error

    async def __call__(self) -> None:
        self.begun += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self._error is not None:
            raise self._error


@pytest.fixture
def series(tmp_path: Path) -> BarSeries:
    return BarStore(tmp_path, max_bytes=1).series("BTCUSDT", INTERVALS["1m"])


async def begin(
    downloads: SharedDownloads, series: BarSeries, start: int, stop: int, work: Download
) -> asyncio.Task[None]:
    task = asyncio.create_task(downloads.join(series, start, stop, work))
    await asyncio.sleep(0.01)
    return task


async def test_what_lies_within_a_download_joins_it(series: BarSeries) -> None:
    downloads, download, other = SharedDownloads(), Download(), Download()
    waiting = [await begin(downloads, series, *borders, download) for borders in ((0, 100), (0, 100), (20, 30))]
    more = await begin(downloads, series, 50, 101, other)
    assert (download.begun, other.begun) == (1, 1)
    download.go.set()
    other.go.set()
    await asyncio.gather(*waiting, more)


async def test_a_few_pages_do_not_wait_for_a_whole_download(series: BarSeries) -> None:
    downloads, long, short, same = SharedDownloads(), Download(), Download(), Download()
    waiting = [await begin(downloads, series, 0, 400_000, long)]
    waiting += [await begin(downloads, series, 380_000, 400_000, short) for _ in range(3)]
    assert (long.begun, short.begun) == (1, 1)
    waiting.append(await begin(downloads, series, 300_000, 400_000, same))
    assert same.begun == 0
    for download in (long, short):
        download.go.set()
    await asyncio.gather(*waiting)


async def test_it_ends_when_the_last_one_goes(series: BarSeries) -> None:
    downloads, download = SharedDownloads(), Download()
    first, second = [await begin(downloads, series, 0, 9, download) for _ in range(2)]
    first.cancel()
    await asyncio.wait([first])
    assert not download.cancelled
    second.cancel()
    await asyncio.wait([second])
    third = Download()
    waiting = await begin(downloads, series, 0, 9, third)
    assert download.cancelled
    assert third.begun == 1
    third.go.set()
    await waiting


async def test_all_who_wait_get_the_error_and_the_next_one_tries_again(series: BarSeries) -> None:
    downloads, failing = SharedDownloads(), Download(ValueError("no"))
    waiting = [await begin(downloads, series, 0, 9, failing) for _ in range(3)]
    failing.go.set()
    assert [str(end) for end in await asyncio.gather(*waiting, return_exceptions=True)] == ["no"] * 3
    good = Download()
    good.go.set()
    await (await begin(downloads, series, 0, 9, good))
    assert good.begun == 1


async def test_closing_gives_up_what_is_under_way(series: BarSeries) -> None:
    downloads, download = SharedDownloads(), Download()
    waiting = await begin(downloads, series, 0, 9, download)
    await downloads.close()
    assert download.cancelled
    with pytest.raises(asyncio.CancelledError):
        await waiting
