"""A plan covers all missing ranges by the cheaper of pages and files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.bar_cache.planner import MAX_PAGES_PER_PART, Pages, plan
from src.bars.grid import bar_number
from src.bars.slot_ranges import union, without
from src.binance.archive import ArchiveFile
from src.domain.intervals import INTERVALS

DAY_MS = 86_400_000
START_MS = 1_577_836_800_000
"""2020-01-01"""
NOW_MS = START_MS + 1_827 * DAY_MS + 5 * 3_600_000
"""2025-01-01, 05:00"""


def missing_days(interval: str, first: int, count: int) -> tuple[tuple[int, int], ...]:
    start = bar_number(START_MS + first * DAY_MS, INTERVALS[interval])
    return ((start, bar_number(START_MS + (first + count) * DAY_MS, INTERVALS[interval])),)


def test_five_years_of_minutes_are_mostly_monthly_files() -> None:
    parts = plan(missing_days("1m", 0, 1827), INTERVALS["1m"], now_ms=NOW_MS)
    files = [part for part in parts if isinstance(part, ArchiveFile)]
    pages = [part for part in parts if isinstance(part, Pages)]
    assert [files[0].period, files[-1].period, len(files)] == ["2020-01", "2024-11", 59]
    # December is over for five hours: its file is not published yet.
    assert sum(-(-(part.stop - part.start) // 1000) for part in pages) == 45


def test_published_month_is_planned_as_file() -> None:
    (part,) = plan(missing_days("1m", 1796, 31), INTERVALS["1m"], now_ms=NOW_MS + 10 * DAY_MS)
    assert isinstance(part, ArchiveFile)
    assert part == ArchiveFile(period="2024-12", start=missing_days("1m", 1796, 31)[0][0], stop=part.start + 44_640)
    assert part.is_month


@pytest.mark.parametrize(("interval", "days"), [("1m", 13), ("1h", 800), ("15m", 200), ("1d", 1800), ("1w", 1800)])
def test_short_ranges_are_planned_as_pages(interval: str, days: int) -> None:
    parts = plan(missing_days(interval, 3, days), INTERVALS[interval], now_ms=NOW_MS)
    assert all(isinstance(part, Pages) for part in parts)


@pytest.mark.parametrize("interval", ["15m", "1h", "1d", "1w", "1M", "3d"])
def test_months_of_few_pages_are_planned_as_pages(interval: str) -> None:
    parts = plan(missing_days(interval, 0, 1800), INTERVALS[interval], now_ms=NOW_MS)
    assert all(isinstance(part, Pages) for part in parts)


def test_seconds_of_incomplete_month_are_daily_files() -> None:
    parts = plan(missing_days("1s", 1796, 31), INTERVALS["1s"], now_ms=NOW_MS - 3 * DAY_MS)
    assert [part.period for part in parts if isinstance(part, ArchiveFile)] == [
        f"2024-12-{day:02d}" for day in range(1, 27)
    ]


def test_tried_or_absent_archive_files_become_pages() -> None:
    missing = missing_days("1m", 0, 60)
    assert [part.period for part in plan(missing, INTERVALS["1m"], now_ms=NOW_MS) if isinstance(part, ArchiveFile)]
    without_archive = plan(missing, INTERVALS["1m"], now_ms=NOW_MS, has_archive=False)
    tried = plan(missing, INTERVALS["1m"], now_ms=NOW_MS, tried={"2020-01", "2020-02"})
    assert without_archive == tried
    assert all(isinstance(part, Pages) for part in tried)


@given(
    st.lists(st.tuples(st.integers(0, 900_000), st.integers(0, 900_000)), max_size=5),
    st.sampled_from(["1m", "5m", "1h", "1s"]),
    st.sets(st.sampled_from(["2020-01", "2020-03", "2021-02", "2020-01-03"])),
)
def test_plan_covers_all_and_pages_only_missing_ranges(
    ranges: list[tuple[int, int]], name: str, tried: set[str]
) -> None:
    interval = INTERVALS[name]
    first = bar_number(START_MS, interval)
    missing = union((first + start, first + stop) for start, stop in ranges)
    parts = plan(missing, interval, now_ms=NOW_MS, tried=tried)
    covered = union((part.start, part.stop) for part in parts)
    assert without(missing, covered) == ()
    pages = [part for part in parts if isinstance(part, Pages)]
    assert without(((part.start, part.stop) for part in pages), missing) == ()
    assert all(part.stop - part.start <= MAX_PAGES_PER_PART * 1000 for part in pages)
    assert [part.start for part in parts] == sorted(part.start for part in parts)
    assert tried.isdisjoint(part.period for part in parts if isinstance(part, ArchiveFile))
