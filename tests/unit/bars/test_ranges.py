"""What a request's range and limit leave out is said in sentences, and a range that is too long is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from src.bars.ranges import WholeRange, check_whole_range, describe_range
from src.domain.errors import InvalidInput
from src.domain.intervals import INTERVALS
from src.domain.market import LimitOrigin, MarketRequest
from tests.unit.bars.test_quality_warnings import HOUR, START, hours


def market(limit: int, start_ms: int | None = None, end_ms: int | None = None) -> MarketRequest:
    return MarketRequest(symbol="LUNAUSDT", interval=INTERVALS["1h"], limit=limit, start_ms=start_ms, end_ms=end_ms)


def test_fewer_bars_than_limit_are_warned_of() -> None:
    bars = hours([0, 1, 2])
    (sentence,) = describe_range(market(10), bars, START + 3 * HOUR)
    assert sentence == "10 1h bars of LUNAUSDT were asked for; 3 were found, the first at 2022-05-13."
    assert describe_range(market(3), bars, START + 3 * HOUR) == ()
    assert describe_range(market(10, START, START + 2 * HOUR), bars, START + 3 * HOUR) == ()


def test_limit_cutting_range_of_two_dates_is_warned_of() -> None:
    bars, now = hours([0, 1, 2]), START + 100 * HOUR
    (sentence,) = describe_range(market(3, START, START + 9 * HOUR), bars, now)
    assert sentence == (
        "limit 3 cut the range: 3 bars from 2022-05-13 to 2022-05-13T02:00Z of about 10 up to 2022-05-13T09:00Z. "
        "Ask for a larger limit, or give both dates and no limit."
    )
    assert describe_range(market(3, START, START + 2 * HOUR), bars, now) == ()
    assert describe_range(market(3, START, START + 9 * HOUR), bars, START + 3 * HOUR) == ()
    assert len(describe_range(market(5, START, START + 9 * HOUR), bars, now, left_out=2)) == 1


def test_limit_cutting_open_end_counts_until_now() -> None:
    bars = hours([0, 1, 2])
    (sentence,) = describe_range(market(3, START), bars, START + 100 * HOUR)
    assert "of about 100 up to 2022-05-17T03:00Z." in sentence
    (sentence,) = describe_range(market(5, START), bars, START + 100 * HOUR, left_out=2)
    assert "limit 5 cut the range: 3 bars" in sentence
    assert "of about 102 up to" in sentence
    assert describe_range(market(3, START), bars, START + 3 * HOUR) == ()
    assert describe_range(market(4, START), bars, START + 3 * HOUR) == ()


def test_limit_cutting_open_start_is_warned_of_for_ranges() -> None:
    bars, now = hours([7, 8, 9]), START + 10 * HOUR
    cut = "limit 3 cut the range: 3 bars from 2022-05-13T07:00Z to 2022-05-13T09:00Z"
    up_to = market(3, None, START + 9 * HOUR)
    for asked in (up_to, replace(market(3), limit_origin=LimitOrigin.DEFAULT)):
        (sentence,) = describe_range(asked, bars, now)
        assert sentence.startswith(f"{cut}; earlier bars, if there are any, were left out.")
    (sentence,) = describe_range(up_to, bars, now, first_open_ms=START)
    assert sentence.startswith(f"{cut} of about 10 from 2022-05-13 on.")
    assert describe_range(up_to, bars, now, first_open_ms=START + 7 * HOUR) == ()
    assert describe_range(market(3), bars, now, first_open_ms=START) == ()


def test_fewer_bars_than_the_service_allows_are_no_warning() -> None:
    bars, now = hours([7, 8, 9]), START + 10 * HOUR
    few = market(4, None, START + 9 * HOUR)
    assert describe_range(few, bars, now) != ()
    assert describe_range(replace(few, limit_origin=LimitOrigin.MAXIMUM), bars, now) == ()
    (cut,) = describe_range(replace(few, limit=3, limit_origin=LimitOrigin.MAXIMUM), bars, now)
    assert cut.startswith("limit 3 cut the range")


def test_range_counted_by_source_is_exact() -> None:
    bars, now = hours([0, 1, 2]), START + 100 * HOUR
    whole = WholeRange(bars=5, first_open_ms=START, last_open_ms=START + 20 * HOUR)
    (sentence,) = describe_range(market(3, START), bars, now, goes_on=False, whole=whole)
    assert "3 bars from 2022-05-13 to 2022-05-13T02:00Z of 5 up to 2022-05-13T20:00Z." in sentence
    ended = replace(whole, bars=3, last_open_ms=START + 2 * HOUR)
    assert describe_range(market(3, START), bars, now, goes_on=False, whole=ended) == ()
    older = WholeRange(bars=5, first_open_ms=START - 20 * HOUR, last_open_ms=START + 2 * HOUR)
    (sentence,) = describe_range(market(3, None, START + 2 * HOUR), bars, now, whole=older)
    assert "of 5 from 2022-05-12T04:00Z on." in sentence
    none_before = replace(older, bars=3, first_open_ms=START)
    assert describe_range(market(3, None, START + 2 * HOUR), bars, now, whole=none_before) == ()


def test_whole_range_beyond_maximum_is_rejected() -> None:
    asked = replace(market(1000, START, START + 5000 * HOUR), limit_origin=LimitOrigin.RANGE)
    check_whole_range(asked, 1000)
    check_whole_range(market(1000, START, START + 5000 * HOUR), 1001)
    with pytest.raises(InvalidInput) as caught:
        check_whole_range(asked, 1001, is_exact=False)
    assert caught.value.field == "startDate"
    assert caught.value.message == (
        "The range from startDate to endDate has about 1,001 1h bars. Maximum: 1,000 (MAX_BARS). Ask for a shorter "
        "range or a coarser interval, or give limit."
    )


def test_bars_beginning_late_are_warned_of() -> None:
    bars, now = hours([5, 6, 7]), START + 8 * HOUR
    (sentence,) = describe_range(market(3, START), bars, now)
    assert sentence.startswith("LUNAUSDT has no 1h bars from 2022-05-13 until 2022-05-13T05:00Z: about 5 of those")
    for start in (START + 5 * HOUR, START + 4 * HOUR + 1):
        assert describe_range(market(3, start), bars, now) == ()


@pytest.mark.parametrize(
    "asked",
    [
        market(10, START, START + 50 * HOUR),
        market(10, START),
        market(3),
        market(3, None, START + 50 * HOUR),
    ],
    ids=["between", "from", "newest", "up to"],
)
def test_bars_ending_early_are_warned_of(asked: MarketRequest) -> None:
    bars, now = hours([0, 1, 2]), START + 100 * HOUR
    *_, sentence = describe_range(asked, bars, now)
    until = "now" if asked.end_ms is None else "2022-05-15T02:00Z"
    assert sentence.startswith(f"LUNAUSDT has no 1h bars after that of 2022-05-13T02:00Z until {until}: trading")
    assert f"about {48 if asked.end_ms else 97} bars" in sentence


def test_late_newest_bar_gives_no_warning() -> None:
    bars = hours([0, 1, 2])
    for now in (START + 3 * HOUR, START + 5 * HOUR - 2):
        assert describe_range(market(10, START), bars, now) == ()
    assert len(describe_range(market(10, START), bars, START + 5 * HOUR - 1)) == 1
    assert describe_range(market(10, START, START + 3 * HOUR - 1), bars, START + 99 * HOUR) == ()
    assert len(describe_range(market(10, START, START + 3 * HOUR), bars, START + 99 * HOUR)) == 1


def test_finished_series_warns_only_of_requested_end() -> None:
    bars, now = hours([0, 1, 2]), START + 100 * HOUR
    assert describe_range(market(3), bars, now, goes_on=False) == ()
    assert describe_range(market(10, START), bars, now, goes_on=False) == ()
    assert len(describe_range(market(10, START, START + 9 * HOUR), bars, now, goes_on=False)) == 1


@pytest.mark.parametrize("offset_ms", [0, 24 * HOUR])
def test_bars_off_grid_are_warned_of_equally(offset_ms: int) -> None:
    days = INTERVALS["3d"]
    opened = 6375 * days.milliseconds + offset_ms
    bars = replace(hours([0, 1]), interval=days, open_time_ms=opened + np.arange(2) * days.milliseconds)
    ask = replace(market(2, opened, opened + days.milliseconds), interval=days)
    now = opened + 9 * days.milliseconds
    assert describe_range(ask, bars, now) == ()
    (late,) = describe_range(replace(ask, start_ms=opened - days.milliseconds), bars, now)
    assert "about 1 of those" in late
    (early,) = describe_range(replace(ask, limit=9, end_ms=opened + 2 * days.milliseconds), bars, now)
    assert "about 1 bars" in early
