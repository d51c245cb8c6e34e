"""The marks of funding at the open of each bar and inside it, by hand and by a walk through the minutes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.domain.bars import Bars
from src.domain.funding import FUNDING_MS, Funding, FundingKind
from src.domain.funding_rates import FundingRates, build_rates
from src.domain.intervals import INTERVALS
from src.engines.funding_marks import AT_OPEN, INSIDE, count_marks, find_ends, find_missing, marks_of, place_rates
from tests.funding import count_by_minutes
from tests.market import bars_at
from tests.thoroughness import examples

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def marks(interval: str, *hours: float) -> list[tuple[float, float]]:
    """Return the marks of bars that open at these hours since the epoch."""
    found = count_marks(bars_at([round(hour * HOUR_MS) for hour in hours], interval=interval))
    return list(zip(found[:, AT_OPEN].tolist(), found[:, INSIDE].tolist(), strict=True))


def test_hours_have_marks_at_their_opens() -> None:
    assert marks("1h", 6, 7, 8, 9) == [(0, 0), (0, 0), (1, 0), (0, 0)]
    assert marks("8h", 0, 8, 16) == [(1, 0)] * 3


def test_days_have_two_marks_inside() -> None:
    assert marks("1d", 0, 24, 48) == [(1, 2)] * 3
    assert marks("3d", 0, 72) == [(1, 8)] * 2


def test_intervals_that_do_not_divide_eight_hours() -> None:
    assert marks("6h", 0, 6, 12, 18) == [(1, 0), (0, 1), (0, 1), (0, 0)]
    assert marks("12h", 0, 12) == [(1, 1), (0, 1)]
    assert marks("1w", 4 * 24, 11 * 24) == [(1, 20)] * 2


def test_months_are_as_long_as_they_are() -> None:
    first = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp() * 1000)
    opens = [first, first + 31 * DAY_MS, first + (31 + 29) * DAY_MS]
    found = count_marks(bars_at(opens, interval="1M"))
    assert found[:, INSIDE].tolist() == [3 * 31 - 1, 3 * 29 - 1, 3 * 31 - 1]
    assert found[:, AT_OPEN].tolist() == [1, 1, 1]


def test_marks_of_a_gap_are_at_the_open_after_it() -> None:
    assert marks("4h", 4, 8, 32, 36) == [(0, 0), (1, 0), (3, 0), (0, 0)]
    assert marks("1h", 7, 20) == [(0, 0), (2, 0)]


def test_one_millisecond_decides_where_marks_are() -> None:
    late = bars_at([1, 8 * HOUR_MS + 1], interval="8h")
    assert count_marks(late)[:, INSIDE].tolist() == [1, 1]
    early = bars_at([8 * HOUR_MS - 1, 16 * HOUR_MS - 1], interval="8h")
    assert count_marks(early)[:, INSIDE].tolist() == [1, 1]
    assert not count_marks(early)[:, AT_OPEN].any()


def test_bars_that_overlap_share_no_mark() -> None:
    crowded = bars_at([0, 6 * HOUR_MS, 12 * HOUR_MS], interval="1d")
    assert count_marks(crowded).tolist() == [[1, 0], [0, 1], [0, 3]]


def test_times_before_1970_count_alike() -> None:
    assert marks("8h", -16, -8) == [(1, 0)] * 2
    assert marks("1d", -24) == [(1, 2)]


@pytest.mark.parametrize("interval", ["1h", "1d", "1M"])
def test_bars_end_where_the_next_opens(interval: str) -> None:
    opens = [0]
    for _ in range(14):
        opens.append(INTERVALS[interval].next_open_ms(opens[-1]))
    bars = bars_at(opens[:-1], interval=interval)
    assert find_ends(bars, np.arange(len(bars))).tolist() == opens[1:]


@st.composite
def gappy_bars(draw: st.DrawFn) -> Bars:
    step = INTERVALS[draw(st.sampled_from(["3m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w"]))]
    slots = np.cumsum(draw(st.lists(st.integers(1, 12), min_size=1, max_size=30)))
    start = draw(st.integers(-20, 20)) * timedelta(minutes=30) // timedelta(milliseconds=1)
    return bars_at(start + slots * step.milliseconds, interval=step.name)


@given(gappy_bars())
@settings(max_examples=examples(100), deadline=None)
def test_marks_are_those_of_a_walk(bars: Bars) -> None:
    at_open, inside = count_by_minutes(bars)
    found = count_marks(bars)
    np.testing.assert_array_equal(found[:, INSIDE], inside)
    np.testing.assert_array_equal(found[:, AT_OPEN], at_open)


def test_no_marks_without_funding() -> None:
    bars = bars_at([0, DAY_MS])
    assert marks_of(bars, Funding()).shape == (0, 2)
    assert marks_of(bars, Funding(kind=FundingKind.CONSTANT, rate=0.0)).shape == (0, 2)
    assert marks_of(bars, Funding(kind=FundingKind.CONSTANT, rate=-0.01)).tolist() == [[1, 2]] * 2
    assert count_marks(bars_at([])).shape == (0, 2)


def rates_at(*rows: tuple[float, float]) -> FundingRates:
    """Return rates from rows of hours since the epoch and rates."""
    hours, rates = zip(*rows, strict=True)
    return build_rates(np.array([round(hour * HOUR_MS) for hour in hours]), np.array(rates))


def test_rates_are_paid_at_their_own_times() -> None:
    rates = rates_at((0, 0.1), (4, 0.2), (8, 0.3), (12, 0.4), (16, 0.5), (40, 0.6), (48, 0.7))
    bars = bars_at([hour * HOUR_MS for hour in (4, 8, 32)], interval="8h")
    found = place_rates(bars, rates)
    # Before the first bar; at its open; at the second's open, inside it, and after it in a gap; after the last.
    assert found[:, AT_OPEN].tolist() == [0.2, 0.3, 0.5]
    assert found[:, INSIDE].tolist() == [0.0, 0.4, 0.0]


def test_rates_are_used_to_the_bit() -> None:
    rates = rates_at((8, 0.1), (16, 1e-4), (24, -0.3))
    bars = bars_at([hour * HOUR_MS for hour in (8, 16, 24)], interval="8h")
    assert place_rates(bars, rates)[:, AT_OPEN].tolist() == [0.1, 1e-4, -0.3]


@given(gappy_bars(), st.integers(0, 2**32 - 1))
@settings(max_examples=examples(100), deadline=None)
def test_equal_rates_are_a_constant_one(bars: Bars, seed: int) -> None:
    first, end = int(bars.open_time_ms[0]), int(find_ends(bars, np.array([len(bars) - 1]))[0])
    times = np.arange(first // FUNDING_MS - 2, end // FUNDING_MS + 3) * FUNDING_MS
    history = place_rates(bars, build_rates(times, np.ones(len(times))))
    np.testing.assert_array_equal(history, count_marks(bars))
    kept = np.random.default_rng(seed).random(len(times)) < 0.7
    missing, marks = find_missing(bars, build_rates(times[kept], np.ones(np.count_nonzero(kept))))
    inside = (times >= first) & (times < end)
    assert (missing, marks) == (np.count_nonzero(inside & ~kept), np.count_nonzero(inside))


def test_histories_must_have_been_read() -> None:
    bars, funding = bars_at([0, DAY_MS]), Funding(kind=FundingKind.HISTORY, history="mine")
    with pytest.raises(ValueError, match="the rates of 'mine' were not read"):
        marks_of(bars, funding)
    assert marks_of(bars, funding.with_rates(rates_at((24, 0.5)))).tolist() == [[0, 0], [0.5, 0]]
    assert place_rates(bars_at([]), rates_at((24, 0.5))).shape == (0, 2)
