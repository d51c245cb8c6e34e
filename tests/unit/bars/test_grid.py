"""The grid on which candles open, checked against pandas' calendar and real opening times."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from src.bars.clock import SystemClock
from src.bars.grid import (
    bar_number,
    bar_numbers,
    close_times_ms,
    last_closed_open_ms,
    open_time_ms,
    open_times_ms,
    page_span_ms,
)
from src.domain.intervals import INTERVALS


def ms(text: str) -> int:
    return int(pd.Timestamp(text, tz="UTC").timestamp() * 1000)


@pytest.mark.parametrize("name", INTERVALS)
def test_numbers_and_times_are_inverse(name: str) -> None:
    interval = INTERVALS[name]
    numbers = np.arange(600, 700, dtype=np.int64)
    opens = open_times_ms(numbers, interval)
    assert (bar_numbers(opens, interval) == numbers).all()
    assert (bar_numbers(close_times_ms(opens, interval), interval) == numbers).all()
    assert (close_times_ms(opens, interval)[:-1] + 1 == opens[1:]).all()


def test_weeks_open_on_monday() -> None:
    number = bar_number(ms("2017-08-17 04:00"), INTERVALS["1w"])
    assert open_time_ms(number, INTERVALS["1w"]) == ms("2017-08-14")


def test_months_are_calendar_months() -> None:
    month = INTERVALS["1M"]
    opens = open_times_ms(np.arange(12 * 30, 12 * 60, dtype=np.int64), month)
    assert opens.tolist() == [int(time.timestamp() * 1000) for time in
                              pd.date_range("2000-01-01", "2029-12-01", freq="MS", tz="UTC")]  # fmt: skip


@pytest.mark.parametrize("name", INTERVALS)
def test_page_span_has_at_most_one_page_of_bars(name: str) -> None:
    interval = INTERVALS[name]
    opens = open_times_ms(np.arange(600, 2000, dtype=np.int64), interval)
    span = page_span_ms(100, interval)
    assert max(np.count_nonzero((opens >= first) & (opens < first + span)) for first in opens[:1000:37]) <= 100


@pytest.mark.parametrize("name", INTERVALS)
def test_last_closed_open_time_is_exact(name: str) -> None:
    interval = INTERVALS[name]
    opens = open_times_ms(np.arange(500, 510, dtype=np.int64), interval)
    closes = close_times_ms(opens, interval)
    for now_ms in (int(closes[4]) - 1, int(closes[4]), int(closes[4]) + 1, int(opens[6])):
        closed = opens <= last_closed_open_ms(now_ms, interval)
        assert (closed == (closes <= now_ms)).all()


def test_system_clock_is_utc_milliseconds() -> None:
    assert abs(SystemClock().now_ms() - pd.Timestamp.now("UTC").timestamp() * 1000) < 5000
