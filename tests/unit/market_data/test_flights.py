"""Downloads are shared by those who wait, and outlive the one who began them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from src.domain.market import INTERVALS
from src.market_data.bar_series import BarSeries
from src.market_data.bar_store import BarStore
from src.market_data.flights import Flights


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


async def begin(flights: Flights, series: BarSeries, start: int, stop: int, work: Download) -> asyncio.Task[None]:
    task = asyncio.create_task(flights.join(series, start, stop, work))
    await asyncio.sleep(0.01)
    return task


async def test_what_lies_within_a_download_joins_it(series: BarSeries) -> None:
    flights, download, other = Flights(), Download(), Download()
    waiting = [await begin(flights, series, *borders, download) for borders in ((0, 100), (0, 100), (20, 30))]
    more = await begin(flights, series, 50, 101, other)
    assert (download.begun, other.begun) == (1, 1)
    download.go.set()
    other.go.set()
    await asyncio.gather(*waiting, more)


async def test_a_few_pages_do_not_wait_for_a_whole_download(series: BarSeries) -> None:
    flights, long, short, same = Flights(), Download(), Download(), Download()
    waiting = [await begin(flights, series, 0, 400_000, long)]
    waiting += [await begin(flights, series, 380_000, 400_000, short) for _ in range(3)]
    assert (long.begun, short.begun) == (1, 1)
    waiting.append(await begin(flights, series, 300_000, 400_000, same))
    assert same.begun == 0
    for download in (long, short):
        download.go.set()
    await asyncio.gather(*waiting)


async def test_it_ends_when_the_last_one_goes(series: BarSeries) -> None:
    flights, download = Flights(), Download()
    first, second = [await begin(flights, series, 0, 9, download) for _ in range(2)]
    first.cancel()
    await asyncio.wait([first])
    assert not download.cancelled
    second.cancel()
    await asyncio.wait([second])
    third = Download()
    waiting = await begin(flights, series, 0, 9, third)
    assert download.cancelled
    assert third.begun == 1
    third.go.set()
    await waiting


async def test_all_who_wait_get_the_error_and_the_next_one_tries_again(series: BarSeries) -> None:
    flights, failing = Flights(), Download(ValueError("no"))
    waiting = [await begin(flights, series, 0, 9, failing) for _ in range(3)]
    failing.go.set()
    assert [str(end) for end in await asyncio.gather(*waiting, return_exceptions=True)] == ["no"] * 3
    good = Download()
    good.go.set()
    await (await begin(flights, series, 0, 9, good))
    assert good.begun == 1


async def test_closing_gives_up_what_is_under_way(series: BarSeries) -> None:
    flights, download = Flights(), Download()
    waiting = await begin(flights, series, 0, 9, download)
    await flights.close()
    assert download.cancelled
    with pytest.raises(asyncio.CancelledError):
        await waiting
