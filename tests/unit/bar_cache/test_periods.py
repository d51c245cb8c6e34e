"""A series is divided into calendar periods, and each bar belongs to one."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.bar_cache.periods import MAX_PERIOD_BARS, period_of, periods_between, split
from src.bars.grid import bar_number, open_time_ms
from src.bars.slot_ranges import count, union, without
from src.domain.intervals import INTERVALS


def moment_ms(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1000  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("name", "first", "stop"),
    [
        ("1s", (2024, 2, 29), (2024, 3, 1)),
        ("1m", (2024, 2, 1), (2024, 3, 1)),
        ("5m", (2024, 2, 1), (2024, 3, 1)),
        ("15m", (2024, 1, 1), (2025, 1, 1)),
        ("1d", (2024, 1, 1), (2025, 1, 1)),
        ("1M", (2024, 1, 1), (2025, 1, 1)),
    ],
)
def test_period_is_the_longest_with_few_enough_bars(name: str, first: tuple[int, ...], stop: tuple[int, ...]) -> None:
    interval = INTERVALS[name]
    found = period_of(bar_number(moment_ms(2024, 2, 29, 17), interval), interval)
    assert found == (bar_number(moment_ms(*first), interval), bar_number(moment_ms(*stop), interval))
    assert found[1] - found[0] <= MAX_PERIOD_BARS


def test_week_belongs_to_year_of_its_open() -> None:
    week = INTERVALS["1w"]
    number = bar_number(moment_ms(2025, 1, 1), week)
    assert open_time_ms(number, week) == moment_ms(2024, 12, 30)
    assert period_of(number, week)[1] == number + 1
    assert period_of(number + 1, week)[0] == number + 1


def test_months_are_named_as_the_archive_names_them() -> None:
    minute = INTERVALS["1m"]
    start, stop = (bar_number(moment_ms(*day), minute) for day in ((2023, 12, 31), (2024, 2, 1)))
    found = periods_between(start, stop, minute, "M")
    assert list(found) == ["2023-12", "2024-01"]
    assert found["2024-01"] == (start + 1440, stop)
    assert list(periods_between(start, start + 1441, minute, "D")) == ["2023-12-31", "2024-01-01"]


@given(
    st.sampled_from(list(INTERVALS)), st.integers(0, 3_000_000), st.integers(0, 400_000),
    st.sets(st.integers(0, 399_999), max_size=5),
)  # fmt: skip
def test_split_covers_range_once_by_periods(name: str, start: int, length: int, present: set[int]) -> None:
    interval = INTERVALS[name]
    start += 20_000 if not interval.is_calendar_month else 0
    length = min(length, 2_000) if interval.milliseconds >= 86_400_000 else length
    start = min(start, 5_000) if interval.milliseconds >= 86_400_000 else start
    numbers = np.array(sorted(start + one for one in present if one < length), dtype=np.int64)
    parts = split(start, start + length, numbers, interval)
    assert union(parts) == (((start, start + length),) if length else ())
    assert count(parts) == length
    for first, stop in parts:
        assert first < stop
        inside = numbers[(numbers >= first) & (numbers < stop)]
        assert not len(inside) or without([(first, stop)], [period_of(int(inside[0]), interval)]) == ()
        assert len(inside) or not any(first <= number < stop for number in numbers)
