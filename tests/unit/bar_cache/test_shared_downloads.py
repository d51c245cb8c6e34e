"""Requests wait for a download of another request if it fetches their bars."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from src.bar_cache.bar_series import BarSeries
from src.bar_cache.bar_store import BarStore
from src.bar_cache.shared_downloads import DownloadRange, serves
from src.concurrency.single_flight import SingleFlight
from src.domain.intervals import INTERVALS


class Download:
    """A download that ends when it is told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = asyncio.Event()

    async def __call__(self) -> None:
        self.begun += 1
        await self.go.wait()


Downloads = SingleFlight[DownloadRange, None]


@pytest.fixture
def series(tmp_path: Path) -> BarSeries:
    return BarStore(tmp_path, max_bytes=1).series("BTCUSDT", INTERVALS["1m"])


async def begin(downloads: Downloads, key: DownloadRange, work: Download) -> asyncio.Task[None]:
    task = asyncio.create_task(downloads.run(key, work))
    await asyncio.sleep(0.01)
    return task


async def test_request_inside_a_download_joins_it(series: BarSeries) -> None:
    downloads, download, other = Downloads(serves), Download(), Download()
    borders = ((0, 100), (0, 100), (20, 30))
    waiting = [await begin(downloads, DownloadRange(series, *border), download) for border in borders]
    more = await begin(downloads, DownloadRange(series, 50, 101), other)
    assert (download.begun, other.begun) == (1, 1)
    download.go.set()
    other.go.set()
    await asyncio.gather(*waiting, more)


async def test_few_pages_do_not_join_large_download(series: BarSeries) -> None:
    downloads, long, short, same = Downloads(serves), Download(), Download(), Download()
    waiting = [await begin(downloads, DownloadRange(series, 0, 400_000), long)]
    waiting += [await begin(downloads, DownloadRange(series, 380_000, 400_000), short) for _ in range(3)]
    assert (long.begun, short.begun) == (1, 1)
    waiting.append(await begin(downloads, DownloadRange(series, 300_000, 400_000), same))
    assert same.begun == 0
    for download in (long, short):
        download.go.set()
    await asyncio.gather(*waiting)


def test_download_serves_no_other_series_and_nothing_outside(series: BarSeries, tmp_path: Path) -> None:
    other = BarStore(tmp_path, max_bytes=1).series("ETHUSDT", INTERVALS["1m"])
    running = DownloadRange(series, 10, 20)
    assert serves(running, DownloadRange(series, 10, 20))
    assert not serves(running, DownloadRange(other, 10, 20))
    assert not serves(running, DownloadRange(series, 9, 20))
    assert not serves(running, DownloadRange(series, 10, 21))


def test_request_for_first_bar_needs_download_fetching_it(series: BarSeries) -> None:
    plain, first = DownloadRange(series, 10, 20), DownloadRange(series, 10, 20, needs_first=True)
    last = DownloadRange(series, 10, 20, needs_last=True)
    assert [serves(running, plain) for running in (plain, first, last)] == [True, True, True]
    assert [serves(running, first) for running in (plain, first, last)] == [False, True, False]
    assert [serves(running, last) for running in (plain, first, last)] == [False, False, True]
    # The last bar before another start is another one.
    assert not serves(last, DownloadRange(series, 12, 20, needs_last=True))
