"""Stored bars are read back, and removed bars are not known."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from src.bar_cache import bar_series
from src.bar_cache.bar_series import BarSeries, SegmentLost
from src.bar_cache.bar_store import BarStore
from src.bars.checked import CheckedBars, no_checked_bars
from src.bars.grid import bar_number, open_time_ms
from src.bars.simulated import simulate_bars
from src.domain.intervals import INTERVALS
from src.files.unfinished import owner_mark

MINUTE = INTERVALS["1m"]
APRIL = bar_number(1_711_929_600_000, MINUTE)
"""2024-04-01, where one month's file ends and the next one's begins."""
FIRST = APRIL - 100
BARS = simulate_bars("BTCUSDT", MINUTE, open_time_ms(FIRST, MINUTE), 200, 7)
OTHER = simulate_bars("BTCUSDT", MINUTE, open_time_ms(FIRST, MINUTE), 200, 8)
LATER_MS = open_time_ms(FIRST + 10_000, MINUTE)
CLOSE_MS = open_time_ms(FIRST + 200, MINUTE)
"""When the last of these bars closes."""


@pytest.fixture
def store(tmp_path: Path) -> BarStore:
    return BarStore(tmp_path, max_bytes=10**9)


@pytest.fixture
def series(store: BarStore) -> BarSeries:
    return store.series("BTCUSDT", MINUTE)


def put(series: BarSeries, first: int = 0, stop: int = 200, *, asked_ms: int = LATER_MS, other: bool = False) -> None:
    candles = CheckedBars(bars=(OTHER if other else BARS).slice(first, stop))
    series.put(candles, ((FIRST + first, FIRST + stop),), asked_ms=asked_ms)


def put_gap(series: BarSeries, first: int, stop: int, *, asked_ms: int = LATER_MS) -> None:
    series.put(no_checked_bars("BTCUSDT", MINUTE), ((FIRST + first, FIRST + stop),), asked_ms=asked_ms)


def read(series: BarSeries, first: int = 0, stop: int = 200) -> CheckedBars:
    return series.read(series.coverage(), FIRST + first, FIRST + stop)


def missing(series: BarSeries, first: int = 0, stop: int = 200, *, now_ms: int = LATER_MS) -> list[tuple[int, int]]:
    found = series.coverage().missing(FIRST + first, FIRST + stop, now_ms=now_ms)
    return [(start - FIRST, end - FIRST) for start, end in found]


def names(series: BarSeries) -> list[str]:
    """The files by the ends of their ranges."""
    found = [f"{one.start - FIRST}-{one.stop - FIRST}{Path(one.name).suffix}" for one, _ in series.files()]
    return sorted(found)


def test_new_series_has_no_bars_and_no_folder(series: BarSeries) -> None:
    assert missing(series, 0, 10) == [(0, 10)]
    assert read(series).is_empty
    assert not series.folder.exists()


def test_bars_of_two_months_use_two_files(series: BarSeries) -> None:
    put(series)
    assert names(series) == ["0-100.segment", "100-200.segment"]
    assert read(series).bars == BARS
    assert read(series, 90, 130).bars == BARS.slice(90, 130)
    assert missing(series, -5, 205) == [(-5, 0), (200, 205)]


def test_touching_ranges_become_one_file_per_month(series: BarSeries) -> None:
    put(series, 0, 20)
    put(series, 40, 60)
    assert names(series) == ["0-20.segment", "40-60.segment"]
    put_gap(series, 60, 70)
    put(series, 20, 40)
    assert names(series) == ["0-70.segment"]
    assert read(series).bars == BARS.slice(0, 60)
    assert missing(series) == [(70, 200)]


def test_long_gap_is_one_empty_file(series: BarSeries) -> None:
    put_gap(series, -500_000, 50)
    assert names(series) == ["-500000-50.gap"]
    assert missing(series, -500_000, 60) == [(50, 60)]
    assert [status.st_size for _, status in series.files()] == [0]


def test_file_that_repeats_others_replaces_them(series: BarSeries) -> None:
    put_gap(series, -90, -80)
    put_gap(series, -70, -60)
    put_gap(series, -100, 0)
    assert names(series) == ["-100-0.gap"]


def test_part_beside_its_whole_changes_no_bars(series: BarSeries) -> None:
    put(series, 0, 50)
    (part,) = series.folder.iterdir()
    content = part.read_bytes()
    put(series, 50, 90)
    part.write_bytes(content)  # as if the process had been killed before it removed the part
    assert names(series) == ["0-50.segment", "0-90.segment"]
    assert read(series, 0, 90).bars == BARS.slice(0, 90)
    assert missing(series, 0, 90) == []
    put(series, 90, 100)
    assert names(series) == ["0-100.segment"]


def test_bars_of_the_last_minute_are_the_tail(series: BarSeries) -> None:
    put(series, asked_ms=CLOSE_MS + 1_000)
    assert names(series) == ["0-100.segment", "100-199.segment", "199-200.tail"]
    assert read(series).bars == BARS
    assert missing(series, now_ms=CLOSE_MS + 60_999) == []
    assert missing(series, now_ms=CLOSE_MS + 61_000) == [(199, 200)]
    assert missing(series, stop=201, now_ms=CLOSE_MS + 2_000) == [(200, 201)]
    # If later bars are requested anyway, so is the tail before them.
    fetch = series.coverage().to_fetch(FIRST, FIRST + 201, now_ms=CLOSE_MS + 2_000)
    assert fetch == ((FIRST + 199, FIRST + 201),)


def test_tail_of_the_future_does_not_count(series: BarSeries) -> None:
    put(series, asked_ms=CLOSE_MS + 1_000)
    assert missing(series, now_ms=CLOSE_MS - 59_000) == [(199, 200)]


def test_new_tail_replaces_the_old_one(series: BarSeries) -> None:
    put(series, 0, 150, asked_ms=CLOSE_MS - 50 * 60_000 + 1_000)
    put(series, 149, 200, asked_ms=CLOSE_MS + 1_000, other=True)
    assert names(series) == ["0-100.segment", "100-199.segment", "199-200.tail"]
    assert read(series).bars.slice(0, 149) == BARS.slice(0, 149)
    assert read(series).bars.slice(149, 200) == OTHER.slice(149, 200)


@pytest.mark.parametrize("order", [[(0, 70), (80, 100)], [(80, 100), (0, 70)]], ids=["old first", "new first"])
def test_two_tails_of_last_minute_are_both_known(store: BarStore, order: list[tuple[int, int]]) -> None:
    second = INTERVALS["1s"]
    series, bars = store.series("BTCUSDT", second), simulate_bars("BTCUSDT", second, 1_711_929_600_000, 100, 7)
    first, asked_ms = bar_number(1_711_929_600_000, second), 1_711_929_700_000
    for start, stop in order:
        candles = CheckedBars(bars=bars.slice(start, stop))
        series.put(candles, ((first + start, first + stop),), asked_ms=asked_ms)
    coverage = series.coverage()
    assert coverage.settled == ((first, first + 40),)
    assert coverage.known(now_ms=asked_ms) == ((first, first + 70), (first + 80, first + 100))
    assert series.read(coverage, first, first + 70).bars == bars.slice(0, 70)
    assert series.read(coverage, first + 80, first + 100).bars == bars.slice(80, 100)
    series.put(CheckedBars(bars=bars.slice(30, 100)), ((first + 30, first + 100),), asked_ms=asked_ms + 1_000)
    assert sorted(one.range for one, _ in series.files()) == [(first, first + 41), (first + 41, first + 100)]


def test_tail_too_old_to_count_is_removed(series: BarSeries) -> None:
    put(series, 0, 101, asked_ms=CLOSE_MS - 99 * 60_000 + 1_000)
    assert "100-101.tail" in names(series)
    put(series, 150, 200)
    assert names(series) == ["0-100.segment", "150-200.segment"]


def test_bar_that_is_late_is_not_known(series: BarSeries) -> None:
    put(series, 0, 199, asked_ms=CLOSE_MS + 1_000)
    series.put(no_checked_bars("BTCUSDT", MINUTE), ((FIRST + 199, FIRST + 200),), asked_ms=CLOSE_MS + 1_000)
    assert missing(series, now_ms=CLOSE_MS + 2_000) == [(199, 200)]
    asked = ((FIRST + 199, FIRST + 200),)
    coverage = series.coverage()
    assert coverage.missing(FIRST, FIRST + 200, now_ms=CLOSE_MS + 2_000, asked=asked) == ()


@pytest.mark.parametrize("later_ms", [0, 500, -500], ids=["same time", "later", "clock set back"])
def test_late_bar_replaces_earlier_reply(series: BarSeries, later_ms: int) -> None:
    asked = ((FIRST + 190, FIRST + 200),)
    for stop, asked_ms in ((199, CLOSE_MS + 1_000), (200, CLOSE_MS + 1_000 + later_ms)):
        series.put(CheckedBars(bars=BARS.slice(190, stop)), asked, asked_ms=asked_ms)
        coverage = series.coverage()
        assert coverage.missing(FIRST + 190, FIRST + 200, now_ms=CLOSE_MS + 1_000, asked=asked) == ()
        assert series.read(coverage, FIRST + 190, FIRST + 200).bars == BARS.slice(190, stop)


def test_gap_at_the_end_stays_open(series: BarSeries) -> None:
    candles = CheckedBars(bars=BARS.slice(0, 150))
    series.put(candles, ((FIRST, FIRST + 200),), asked_ms=CLOSE_MS + 1_000)
    # The last bar may still have been forming, if the clock is wrong; those before it are final.
    assert names(series) == ["0-100.segment", "100-149.segment", "149-199.tail", "199-200.late"]
    assert missing(series, now_ms=CLOSE_MS + 2_000, stop=199) == []
    assert missing(series, now_ms=CLOSE_MS + 70_000, stop=199) == [(149, 199)]
    coverage = series.coverage()
    fetch = coverage.to_fetch(FIRST + 180, FIRST + 201, now_ms=CLOSE_MS + 70_000)
    assert fetch == ((FIRST + 149, FIRST + 201),)


def test_gap_before_the_end_is_final(series: BarSeries) -> None:
    candles = CheckedBars(bars=BARS.slice(0, 150))
    series.put(candles, ((FIRST, FIRST + 190),), asked_ms=CLOSE_MS + 1_000)
    assert missing(series, stop=190) == []


def test_very_first_bar_is_remembered(series: BarSeries) -> None:
    put_gap(series, -FIRST, -10)
    assert series.coverage().first is None
    series.put_first(FIRST)
    put(series)
    assert series.coverage().first == FIRST
    assert series.coverage().first_open_ms(MINUTE) == open_time_ms(FIRST, MINUTE)
    assert missing(series, -FIRST, 200) == []


def test_bars_opening_after_grid_store_their_offset(store: BarStore) -> None:
    three_days = INTERVALS["3d"]
    series, day_ms = store.series("BTCUSDT", three_days), 86_400_000
    bars = simulate_bars("BTCUSDT", three_days, open_time_ms(5_000, three_days), 10, 7)
    bars = replace(bars, open_time_ms=bars.open_time_ms + day_ms)
    assert series.coverage().offset_ms is None
    series.put(CheckedBars(bars=bars), ((5_000, 5_010),), asked_ms=open_time_ms(5_020, three_days))
    series.put_first(5_000)
    coverage = series.coverage()
    assert coverage.offset_ms == day_ms
    assert coverage.first_open_ms(three_days) == int(bars.open_time_ms[0])
    assert coverage.closed(int(bars.open_time_ms[-1]) + 3 * day_ms - 1, three_days) == 5_010
    assert coverage.closed(int(bars.open_time_ms[-1]) + 3 * day_ms - 2, three_days) == 5_009


def test_reader_with_old_listing_raises_segment_lost(series: BarSeries) -> None:
    put(series, 0, 50)
    old = series.coverage()
    put(series, 50, 100)
    with pytest.raises(SegmentLost) as caught:
        series.read(old, FIRST, FIRST + 50)
    series.drop_lost(caught.value)
    assert read(series, 0, 100).bars == BARS.slice(0, 100)


@pytest.mark.parametrize(("kind", "lost"), [("segment", [(100, 149)]), ("tail", [])])
def test_damaged_file_is_dropped_instead_of_merged(series: BarSeries, kind: str, lost: list[tuple[int, int]]) -> None:
    put(series, 100, 150, asked_ms=CLOSE_MS - 50 * 60_000 + 1_000)
    (file,) = series.folder.glob(f"*.{kind}")
    file.write_bytes(b"BARS")
    put(series, 149, 200)
    assert missing(series, 100) == lost
    assert read(series, 149).bars == BARS.slice(149, 200)


def test_oldest_files_over_limit_are_removed(series: BarSeries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bar_series, "MAX_FILES", 5)
    for first in range(0, 100, 10):
        put(series, first, first + 1)
        for age, file in enumerate(sorted(series.folder.iterdir(), key=lambda one: int(one.name.split("-")[0]))):
            os.utime(file, (age, age))
    assert names(series) == [f"{first}-{first + 1}.segment" for first in range(50, 100, 10)]


def test_month_and_minute_have_different_folders(store: BarStore) -> None:
    folders = {store.series("BTCUSDT", interval).folder.name.lower() for interval in INTERVALS.values()}
    assert len(folders) == len(INTERVALS)


def test_stored_series_are_listed_without_unknown_folders(store: BarStore, series: BarSeries) -> None:
    months = store.series("ETHUSDT", INTERVALS["1M"])
    months.put_first(600)
    put(series)
    strange = store.folder / "NOTES" / "old"
    strange.mkdir(parents=True)
    (strange / "0-1.gap").touch()
    assert list(store.stored()) == [series, months]
    assert store.size_bytes() == sum(file.stat().st_size for file in series.folder.glob("*.segment"))


def test_small_files_count_as_a_block_each(store: BarStore, series: BarSeries) -> None:
    put(series, 0, 1)
    put(series, 10, 11)
    put_gap(series, 20, 21)
    assert store.size_bytes() == 2 * 4096


async def test_files_used_longest_ago_are_evicted_first(tmp_path: Path) -> None:
    store = BarStore(tmp_path, max_bytes=2 * 4096)
    series = store.series("BTCUSDT", MINUTE)
    for age, first in enumerate((20, 0, 10, 30)):
        put(series, first, first + 1)
        (file,) = series.folder.glob(f"{FIRST + first}-*")
        os.utime(file, (age, age))
    put_gap(series, 50, 60)
    os.utime(*series.folder.glob("*.gap"), (0, 0))  # the oldest, but nothing is gained by it
    assert store.evict() == 2
    assert names(series) == ["10-11.segment", "30-31.segment", "50-60.gap"]
    assert store.evict() == 0


def test_leftovers_of_killed_processes_are_removed(store: BarStore, series: BarSeries) -> None:
    put(series, 0, 50)
    (series.folder / ".99999999-1.0a.part").write_bytes(b"half")
    (series.folder / f".{owner_mark()}0b.part").write_bytes(b"of a living process")
    assert store.remove_leftovers() == 1
    assert len(list(series.folder.iterdir())) == 2


async def test_series_being_fetched_is_not_evicted(tmp_path: Path) -> None:
    store = BarStore(tmp_path, max_bytes=0)
    series = store.series("BTCUSDT", MINUTE)
    put(series)
    assert store.evict(keep=[series]) == 0
    async with series.locked():
        assert store.evict() == 0
    assert store.evict() == 2
    assert store.size_bytes() == 0
    assert series.coverage().settled == ()


async def test_waiting_task_gets_lock_before_returning_task(series: BarSeries) -> None:
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


async def test_series_lock_admits_one_task(store: BarStore, series: BarSeries) -> None:
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
def test_symbols_of_any_script_have_own_folders(store: BarStore, symbol: str) -> None:
    series = store.series(symbol, MINUTE)
    series.put_first(600)
    assert list(store.stored()) == [series]
    name = series.folder.parent.name
    assert name.isascii()
    assert len(name) <= 255
    assert name == symbol or name.upper() == name


def test_symbols_differing_in_case_have_different_folders(store: BarStore) -> None:
    names = {store.series(symbol, MINUTE).folder.parent.name.lower() for symbol in ("ÉUSDT", "éUSDT")}
    assert len(names) == 2


def test_unknown_symbol_folders_are_ignored(store: BarStore) -> None:
    for name in ("~", "~1", "~A", "~MFRGG", "~MFRGG=", "~777Q", "a b"):
        folder = store.folder / name / "1m"
        folder.mkdir(parents=True)
        (folder / "0-1.gap").touch()
    assert list(store.stored()) == []
    assert store.size_bytes() == 0
