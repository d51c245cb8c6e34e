"""Check that long ranges come from the bulk archive, and that only proven files are used."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from src.bar_cache.bar_store import BarStore
from src.bar_cache.downloader import Downloader
from src.bar_cache.progress import ProgressBoard
from src.bar_cache.shared_downloads import DownloadRange
from src.bars.grid import bar_number
from src.bars.simulated import simulate_bars
from src.binance.archive import BinanceArchive
from src.binance.source import BinanceSource
from src.domain.bars import Bars
from src.domain.intervals import INTERVALS
from tests import exchange_faults as faults
from tests.archive_files import MICROSECONDS_FROM_MS, checksum_of, rows_of_period, zip_of_rows, zip_of_text
from tests.clocks import FixedClock
from tests.exchange import LoopbackExchange
from tests.exchange_series import Series
from tests.market_store import caching, wish

MINUTE, FIVE = INTERVALS["1m"], INTERVALS["5m"]
FIRST_MS = 1_727_740_800_000  # 2024-10-01
COUNT = 288 * (31 + 30 + 31 + 31)
BARS: Bars = simulate_bars("BTCUSDT", FIVE, FIRST_MS, COUNT + 2000, 7)
FIRST = bar_number(FIRST_MS, FIVE)
NOW_MS = FIRST_MS + (COUNT + 1500) * FIVE.milliseconds
"""2025-02-06: three months in milliseconds, one in microseconds, and five days without a file."""
ALL = wish("BTCUSDT", FIVE, COUNT + 1500, start=FIRST)
NOVEMBER = "/data/spot/monthly/klines/BTCUSDT/5m/BTCUSDT-5m-2024-11.zip"
NOVEMBER_MS = (FIRST_MS + 31 * 86_400_000, FIRST_MS + 61 * 86_400_000)
FIRST_QUESTIONS = 3
"""Calls that find the opening of the first bar, and of the last."""


@pytest.fixture(scope="module")
def exchange() -> Iterator[LoopbackExchange]:
    with LoopbackExchange([BARS], now_ms=NOW_MS, weight_limit=10**6) as playing:
        yield playing


@pytest.fixture(autouse=True)
def _fresh(exchange: LoopbackExchange) -> None:
    exchange.reset()
    exchange.archive.restore()


async def fetch_all(exchange: LoopbackExchange, folder: Path) -> None:
    """Fetch everything twice and check it; the second time makes no call."""
    async with caching(exchange, folder, NOW_MS, with_archive=True) as source:
        found = await source.fetch(ALL)
        calls = len(exchange.asked)
        again = await source.fetch(ALL)
    assert found.bars == again.bars == BARS.slice(0, COUNT + 1500)
    assert found.warnings == ()
    assert len(exchange.asked) == calls
    assert list((folder / ".incoming").iterdir()) == []


async def test_whole_months_use_files_and_the_rest_pages(exchange: LoopbackExchange, tmp_path: Path) -> None:
    assert NOVEMBER_MS[1] < MICROSECONDS_FROM_MS < NOW_MS
    await fetch_all(exchange, tmp_path)
    assert exchange.count_files() == 4
    assert exchange.count() == FIRST_QUESTIONS + 2


async def test_without_an_archive_all_comes_by_pages(exchange: LoopbackExchange, tmp_path: Path) -> None:
    async with caching(exchange, tmp_path, NOW_MS) as source:
        assert (await source.fetch(ALL)).bars == BARS.slice(0, COUNT + 1500)
    assert exchange.count_files() == 0
    assert exchange.count() < 45


async def test_short_ranges_come_by_pages(exchange: LoopbackExchange, tmp_path: Path) -> None:
    async with caching(exchange, tmp_path, NOW_MS, with_archive=True) as source:
        await source.fetch(wish("BTCUSDT", FIVE, 20_000, start=FIRST))
    assert exchange.count_files() == 0


async def test_missing_month_is_fetched_by_pages(exchange: LoopbackExchange, tmp_path: Path) -> None:
    exchange.script(NOVEMBER + ".CHECKSUM", [faults.Fault(status=404)])
    await fetch_all(exchange, tmp_path)
    assert exchange.count() == FIRST_QUESTIONS + 2 + 9


async def test_wrong_checksum_is_fetched_again(exchange: LoopbackExchange, tmp_path: Path) -> None:
    exchange.script(NOVEMBER + ".CHECKSUM", [faults.Fault(status=200, body=checksum_of(NOVEMBER, b"old file"))])
    await fetch_all(exchange, tmp_path)
    assert exchange.count_files() == 5
    assert exchange.count() == FIRST_QUESTIONS + 2


async def test_lasting_wrong_checksum_falls_back_to_pages(exchange: LoopbackExchange, tmp_path: Path) -> None:
    other = zip_of_rows("BTCUSDT-5m-2024-11.csv", [[*row[:1], "1", "1", "1", "1", *row[5:]] for row in november()])
    exchange.script(NOVEMBER, [faults.Fault(status=200, body=other)] * 2)
    await fetch_all(exchange, tmp_path)
    assert exchange.count_files() == 5
    assert exchange.count() == FIRST_QUESTIONS + 2 + 9


@pytest.mark.parametrize(
    "fault",
    [faults.server_error(503), faults.firewall_page(), faults.redirect("/elsewhere"), faults.Fault(keep_share=0.5)],
    ids=["503", "403", "302", "half"],
)
async def test_failing_archive_falls_back_to_pages(
    exchange: LoopbackExchange, tmp_path: Path, fault: faults.Fault
) -> None:
    exchange.script(NOVEMBER, [fault] * 2)
    await fetch_all(exchange, tmp_path)
    assert exchange.count() == FIRST_QUESTIONS + 2 + 9


@pytest.mark.parametrize("text", [b"", b"<html>", b"x" * 5000], ids=["empty", "page", "long"])
async def test_invalid_checksum_falls_back_to_pages(exchange: LoopbackExchange, tmp_path: Path, text: bytes) -> None:
    exchange.script(NOVEMBER + ".CHECKSUM", [faults.Fault(status=200, body=text)] * 2)
    await fetch_all(exchange, tmp_path)
    assert exchange.count() == FIRST_QUESTIONS + 2 + 9


async def test_unusable_folder_falls_back_to_pages(exchange: LoopbackExchange, tmp_path: Path) -> None:
    (tmp_path / ".incoming").write_text("a file where the folder should be")
    async with caching(exchange, tmp_path, NOW_MS, with_archive=True) as source:
        assert (await source.fetch(ALL)).bars == BARS.slice(0, COUNT + 1500)
    assert exchange.count_files() == 0


def november() -> list[faults.Row]:
    return rows_of_period(Series.of(BARS), *NOVEMBER_MS)


def broken_files() -> dict[str, bytes]:
    rows = november()
    name = "BTCUSDT-5m-2024-11.csv"
    later = [[int(row[0]) + 40 * 86_400_000, *row[1:6], int(row[6]) + 40 * 86_400_000, *row[7:]] for row in rows]
    return {
        "not a zip": b"PK\x05\x06 and then nothing",
        "empty": b"",
        "no csv": zip_of_text("readme.txt", "nothing here"),
        "no rows": zip_of_text(name, ""),
        "only a header": zip_of_rows(name, [], has_header=True),
        "words": zip_of_text(name, "these are not,the candles,you are,looking for,at,all,1\n" * 50),
        "few columns": zip_of_rows(name, [row[:5] for row in rows]),
        "text as a price": zip_of_rows(name, [*rows[:100], [*rows[100][:2], "n/a?", *rows[100][3:]], *rows[101:]]),
        "another month": zip_of_rows(name, later),
        "more than a month holds": zip_of_text(name, "0" * 5_000_000),
        "cut zip": zip_of_rows(name, rows)[:-40],
    }


@pytest.mark.parametrize("kind", list(broken_files()))
async def test_invalid_month_file_falls_back_to_pages(exchange: LoopbackExchange, tmp_path: Path, kind: str) -> None:
    exchange.archive.publish(NOVEMBER, broken_files()[kind])
    await fetch_all(exchange, tmp_path)
    assert exchange.count() == FIRST_QUESTIONS + 2 + 9


async def test_gap_in_a_file_is_fetched_by_pages(exchange: LoopbackExchange, tmp_path: Path) -> None:
    rows = november()
    lacking = [*rows[10:500], *rows[503:4000], [*rows[4000][:2], "0.1", *rows[4000][3:]], *rows[4001:-30]]
    exchange.archive.publish(NOVEMBER, zip_of_rows("BTCUSDT-5m-2024-11.csv", lacking, has_header=True))
    await fetch_all(exchange, tmp_path)
    assert exchange.count_files() == 4
    assert exchange.count() == FIRST_QUESTIONS + 2 + 4


async def test_bars_fetched_into_a_gap_survive_the_file(exchange: LoopbackExchange, tmp_path: Path) -> None:
    rows = november()
    lacking = [row for number, row in enumerate(rows) if number % 1000 > 1]
    exchange.archive.publish(NOVEMBER, zip_of_rows("BTCUSDT-5m-2024-11.csv", lacking))
    async with caching(exchange, tmp_path, NOW_MS, with_archive=True) as source:
        begin = FIRST + 31 * 288
        await source.fetch(wish("BTCUSDT", FIVE, 2000, start=begin))
        found = await source.fetch(ALL)
        assert exchange.count_files() == 4
        # Nine holes, of which two were filled before.
        assert exchange.count() < 2 + 2 + 7 + 4
    assert found.bars == BARS.slice(0, COUNT + 1500)


async def test_file_with_many_gaps_falls_back_to_pages(exchange: LoopbackExchange, tmp_path: Path) -> None:
    lacking = [row for number, row in enumerate(november()) if number % 200 != 77]
    exchange.archive.publish(NOVEMBER, zip_of_rows("BTCUSDT-5m-2024-11.csv", lacking))
    await fetch_all(exchange, tmp_path)
    assert exchange.count() == FIRST_QUESTIONS + 2 + 9


async def test_repeated_and_disordered_file_rows_are_reported(exchange: LoopbackExchange, tmp_path: Path) -> None:
    rows = november()
    exchange.archive.publish(
        NOVEMBER, zip_of_rows("BTCUSDT-5m-2024-11.csv", [*rows[:50], *rows[40:60][::-1], *rows[60:]])
    )
    async with caching(exchange, tmp_path, NOW_MS, with_archive=True) as source:
        found, again = await source.fetch(ALL), await source.fetch(ALL)
    assert found == again
    assert found.bars == BARS.slice(0, COUNT + 1500)
    assert found.quality.duplicate_rows == 10
    assert found.quality.disordered_rows == 19


async def test_true_gaps_are_fetched_only_once(tmp_path: Path) -> None:
    kept = np.ones(len(BARS), dtype=bool)
    kept[5000:5020] = kept[20_000:20_001] = kept[:300] = False
    columns = {name: getattr(BARS, name)[kept] for name in ("open_time_ms", "open", "high", "low", "close", "volume")}
    holed = Bars(symbol="BTCUSDT", interval=FIVE, **columns)
    with LoopbackExchange([holed], now_ms=NOW_MS) as exchange:
        async with caching(exchange, tmp_path, NOW_MS, with_archive=True) as source:
            found = await source.fetch(ALL)
            calls = len(exchange.asked)
            assert await source.fetch(ALL) == found
            assert len(exchange.asked) == calls
            assert exchange.count_files() == 4
    assert [gap.missing_bars for gap in found.quality.gaps] == [20, 1]
    assert found.bars.open_time_ms[0] == holed.open_time_ms[0]


async def test_fetching_much_takes_little_memory(tmp_path: Path) -> None:
    minutes, first = simulate_bars("BTCUSDT", MINUTE, FIRST_MS, 1440 * 123, 7), bar_number(FIRST_MS, MINUTE)
    now_ms = FIRST_MS + 140 * 86_400_000
    with LoopbackExchange([minutes], now_ms=now_ms) as exchange:
        for month in ("2024-10", "2024-11", "2024-12", "2025-01"):
            path = f"/data/spot/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-{month}.zip"
            assert exchange.archive.content(path, now_ms=now_ms)
        clock = FixedClock(now_ms)
        remote = BinanceSource(
            base_urls=[exchange.url], timeout_s=10, deadline_s=60, weight_per_minute=6000, clock=clock
        )
        archive = BinanceArchive(base_url=exchange.url, folder=tmp_path / ".incoming", timeout_s=10)
        downloader = Downloader(remote, archive=archive, clock=clock, board=ProgressBoard())
        series = BarStore(tmp_path, max_bytes=10**9).series("BTCUSDT", MINUTE)
        try:
            await downloader.fill(DownloadRange(series, first, first + 10))  # what is made once is not counted
            tracemalloc.start()
            await downloader.fill(DownloadRange(series, first, first + len(minutes)))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            await archive.close()
            await remote.close()
        assert exchange.count_files() == 4
    assert peak < 64 * 2**20
    assert series.read(series.coverage(), first, first + len(minutes)).bars == minutes
