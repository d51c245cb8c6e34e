"""What is put into the store comes out of it, whoever else uses it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from src.bar_cache.bar_series import BarSeries, SegmentLost
from src.bar_cache.bar_store import BarStore
from src.bar_cache.segments import SEGMENT_BARS
from src.bars.checked import CheckedCandles
from src.bars.grid import open_time_ms
from src.bars.simulated import simulate_bars
from src.domain.market import INTERVALS

MINUTE = INTERVALS["1m"]
FIRST = 420 * SEGMENT_BARS - 100
BARS = simulate_bars("BTCUSDT", MINUTE, open_time_ms(FIRST, MINUTE), 200, 7)
OTHER = simulate_bars("BTCUSDT", MINUTE, open_time_ms(FIRST, MINUTE), 200, 8)
ASKED_MS = open_time_ms(FIRST + 10_000, MINUTE)


@pytest.fixture
def store(tmp_path: Path) -> BarStore:
    return BarStore(tmp_path, max_bytes=10**9)


@pytest.fixture
def series(store: BarStore) -> BarSeries:
    return store.series("BTCUSDT", MINUTE)


def put(series: BarSeries, first: int = 0, stop: int = 200, *, other: bool = False) -> None:
    candles = CheckedCandles(bars=(OTHER if other else BARS).slice(first, stop))
    series.put(candles, [(FIRST + first, FIRST + stop)], asked_ms=ASKED_MS)


def read(series: BarSeries, first: int = 0, stop: int = 200) -> CheckedCandles:
    return series.read(series.index(), FIRST + first, FIRST + stop)


def test_nothing_is_known_of_a_new_series(series: BarSeries) -> None:
    assert series.index().missing(0, 10, now_ms=0) == ((0, 10),)
    assert read(series).is_empty
    assert not series.folder.exists()


def test_candles_come_back_across_the_border_of_files(series: BarSeries) -> None:
    put(series)
    assert read(series).bars == BARS
    assert read(series, 90, 130).bars == BARS.slice(90, 130)
    assert series.index().known == ((FIRST, FIRST + 200),)
    assert len(series.index().segments) == 2


def test_new_candles_take_the_place_of_old_ones_and_leave_the_others(series: BarSeries) -> None:
    put(series)
    put(series, 50, 150, other=True)
    found = read(series).bars
    assert (found.slice(0, 50), found.slice(150, 200)) == (BARS.slice(0, 50), BARS.slice(150, 200))
    assert found.slice(50, 150) == OTHER.slice(50, 150)


def test_files_that_no_index_names_are_removed(series: BarSeries) -> None:
    put(series, 0, 50)
    (series.folder / "00000001-00000000.bars").write_bytes(b"left by a process that was killed")
    (series.folder / ".index.99.new").write_bytes(b"half")  # as earlier builds named them
    (series.folder / ".99-1.0a.part").write_bytes(b"half")
    put(series, 50, 100)
    assert sorted(file.suffix for file in series.folder.iterdir()) == ["", ".bars"]


def test_a_reader_with_an_old_index_is_told_so(series: BarSeries) -> None:
    put(series, 0, 50)
    old = series.index()
    put(series, 50, 100)
    with pytest.raises(SegmentLost) as caught:
        series.read(old, FIRST, FIRST + 50)
    assert not series.names(caught.value.number, caught.value.checksum)
    series.forget_damaged(caught.value.number)
    assert read(series, 0, 100).bars == BARS.slice(0, 100)


def test_a_month_is_no_minute_where_files_know_no_case(store: BarStore) -> None:
    folders = {store.series("BTCUSDT", interval).folder.name.lower() for interval in INTERVALS.values()}
    assert len(folders) == len(INTERVALS)


def test_what_is_stored_is_listed_and_strange_folders_are_not(store: BarStore, series: BarSeries) -> None:
    months = store.series("ETHUSDT", INTERVALS["1M"])
    months.put_first(ASKED_MS)
    put(series)
    strange = store.folder / "NOTES" / "old"
    strange.mkdir(parents=True)
    (strange / "index").write_text("?")
    assert list(store.stored()) == [series, months]
    assert store.size_bytes() == sum(file.stat().st_size for file in series.folder.glob("*.bars"))


async def test_a_series_that_somebody_fetches_is_not_dropped(tmp_path: Path) -> None:
    store = BarStore(tmp_path, max_bytes=0)
    series = store.series("BTCUSDT", MINUTE)
    put(series)
    assert store.evict(keep=[series]) == 0
    async with series.locked():
        assert store.evict() == 0
    assert store.evict() == 2
    assert store.size_bytes() == 0
    assert series.index().known == ()


async def test_who_waits_for_the_lock_gets_it_before_who_comes_back(series: BarSeries) -> None:
    turns: list[str] = []

    async def take(name: str, times: int) -> None:
        for _ in range(times):
            async with series.locked():
                turns.append(name)
                await asyncio.sleep(0.01)

    first = asyncio.create_task(take("long", 10))
    await asyncio.sleep(0.005)
    await take("short", 1)
    assert turns.index("short") <= 2
    await first


async def test_one_at_a_time_holds_a_series(store: BarStore, series: BarSeries) -> None:
    inside = 0

    async def work() -> None:
        nonlocal inside
        async with store.series("BTCUSDT", MINUTE).locked():
            inside += 1
            assert inside == 1
            await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(5)))
    with series.locked_at_once() as is_ours:
        assert is_ours


@pytest.mark.parametrize("symbol", ["币安人生USDT", "ÉUSDT", "éUSDT", "𐐷" * 32, "BTCUSDT"])
def test_symbols_of_any_script_have_a_folder_of_their_own(store: BarStore, symbol: str) -> None:
    series = store.series(symbol, MINUTE)
    series.put_first(ASKED_MS)
    assert list(store.stored()) == [series]
    name = series.folder.parent.name
    assert name.isascii()
    assert len(name) <= 255
    assert name == symbol or name.upper() == name


def test_letters_that_differ_in_case_only_do_not_share_a_folder(store: BarStore) -> None:
    names = {store.series(symbol, MINUTE).folder.parent.name.lower() for symbol in ("ÉUSDT", "éUSDT")}
    assert len(names) == 2


def test_folders_that_are_not_ours_are_passed_over(store: BarStore) -> None:
    for name in ("~", "~1", "~A", "~MFRGG", "~MFRGG=", "~777Q", "a b"):
        folder = store.folder / name / "1m"
        folder.mkdir(parents=True)
        (folder / "index").write_bytes(b"")
    assert list(store.stored()) == []
    assert store.size_bytes() == 0
