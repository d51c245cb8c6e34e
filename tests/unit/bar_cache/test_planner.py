"""The plan covers what is missing, by the cheaper way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.bar_cache.planner import PAGES_A_PIECE, Pages, plan
from src.bars.grid import bar_number
from src.bars.slot_ranges import union, without
from src.binance.archive import ArchiveFile
from src.domain.market import INTERVALS

DAY_MS = 86_400_000
START_MS = 1_577_836_800_000
"""2020-01-01"""
NOW_MS = START_MS + 1_827 * DAY_MS + 5 * 3_600_000
"""2025-01-01, 05:00"""


def missing_days(interval: str, first: int, count: int) -> tuple[tuple[int, int], ...]:
    start = bar_number(START_MS + first * DAY_MS, INTERVALS[interval])
    return ((start, bar_number(START_MS + (first + count) * DAY_MS, INTERVALS[interval])),)


def test_five_years_of_minutes_cost_tens_of_files_and_a_few_pages() -> None:
    pieces = plan(missing_days("1m", 0, 1827), INTERVALS["1m"], now_ms=NOW_MS)
    files = [piece for piece in pieces if isinstance(piece, ArchiveFile)]
    pages = [piece for piece in pieces if isinstance(piece, Pages)]
    assert [files[0].period, files[-1].period, len(files)] == ["2020-01", "2024-11", 59]
    # December is over for five hours: its file is not published yet.
    assert sum(-(-(piece.stop - piece.start) // 1000) for piece in pages) == 45


def test_a_month_is_a_file_once_it_is_published() -> None:
    (piece,) = plan(missing_days("1m", 1796, 31), INTERVALS["1m"], now_ms=NOW_MS + 10 * DAY_MS)
    assert isinstance(piece, ArchiveFile)
    assert piece == ArchiveFile(period="2024-12", start=missing_days("1m", 1796, 31)[0][0], stop=piece.start + 44_640)
    assert piece.is_month


@pytest.mark.parametrize(("interval", "days"), [("1m", 13), ("1h", 800), ("15m", 200), ("1d", 1800), ("1w", 1800)])
def test_short_ranges_are_pages(interval: str, days: int) -> None:
    pieces = plan(missing_days(interval, 3, days), INTERVALS[interval], now_ms=NOW_MS)
    assert all(isinstance(piece, Pages) for piece in pieces)


@pytest.mark.parametrize("interval", ["15m", "1h", "1d", "1w", "1M", "3d"])
def test_where_a_month_is_a_few_pages_no_range_is_long_enough_for_files(interval: str) -> None:
    pieces = plan(missing_days(interval, 0, 1800), INTERVALS[interval], now_ms=NOW_MS)
    assert all(isinstance(piece, Pages) for piece in pieces)


def test_seconds_come_as_days_where_their_month_is_not_over() -> None:
    pieces = plan(missing_days("1s", 1796, 31), INTERVALS["1s"], now_ms=NOW_MS - 3 * DAY_MS)
    assert [piece.period for piece in pieces if isinstance(piece, ArchiveFile)] == [
        f"2024-12-{day:02d}" for day in range(1, 27)
    ]


def test_what_was_tried_or_cannot_be_had_comes_by_pages() -> None:
    missing = missing_days("1m", 0, 60)
    assert [piece.period for piece in plan(missing, INTERVALS["1m"], now_ms=NOW_MS) if isinstance(piece, ArchiveFile)]
    without_archive = plan(missing, INTERVALS["1m"], now_ms=NOW_MS, has_archive=False)
    tried = plan(missing, INTERVALS["1m"], now_ms=NOW_MS, tried={"2020-01", "2020-02"})
    assert without_archive == tried
    assert all(isinstance(piece, Pages) for piece in tried)


@given(
    st.lists(st.tuples(st.integers(0, 900_000), st.integers(0, 900_000)), max_size=5),
    st.sampled_from(["1m", "5m", "1h", "1s"]),
    st.sets(st.sampled_from(["2020-01", "2020-03", "2021-02", "2020-01-03"])),
)
def test_every_plan_covers_what_is_missing_and_pages_nothing_else(
    ranges: list[tuple[int, int]], name: str, tried: set[str]
) -> None:
    interval = INTERVALS[name]
    first = bar_number(START_MS, interval)
    missing = union((first + start, first + stop) for start, stop in ranges)
    pieces = plan(missing, interval, now_ms=NOW_MS, tried=tried)
    covered = union((piece.start, piece.stop) for piece in pieces)
    assert without(missing, covered) == ()
    pages = [piece for piece in pieces if isinstance(piece, Pages)]
    assert without(((piece.start, piece.stop) for piece in pages), missing) == ()
    assert all(piece.stop - piece.start <= PAGES_A_PIECE * 1000 for piece in pages)
    assert [piece.start for piece in pieces] == sorted(piece.start for piece in pieces)
    assert tried.isdisjoint(piece.period for piece in pieces if isinstance(piece, ArchiveFile))
