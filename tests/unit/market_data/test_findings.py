"""What is wrong with candles is said in sentences that name when and how much."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from src.domain.market import INTERVALS, Bars, DataQuality, MarketRequest, RejectedRow
from src.market_data.findings import describe_quality, describe_range
from src.market_data.quality import assess

HOUR = 3_600_000
START = 1_652_400_000_000  # 2022-05-13
COMPLETE = DataQuality(expected_bars=3, present_bars=3)


def hours(numbers: list[int], closes: list[float] | None = None) -> Bars:
    price = np.array(closes if closes is not None else [1.0] * len(numbers))
    return Bars(
        symbol="LUNAUSDT", interval=INTERVALS["1h"], open_time_ms=START + np.array(numbers, dtype=np.int64) * HOUR,
        open=price, high=price, low=price, close=price, volume=np.ones(len(numbers)),
    )  # fmt: skip


def quality_of(bars: Bars) -> DataQuality:
    return assess(bars, irregular_close_times=0)


def test_complete_candles_give_no_sentence() -> None:
    bars = hours([0, 1, 2])
    assert describe_quality(quality_of(bars), bars) == ()


def test_a_few_gaps_are_named_each() -> None:
    bars = hours([0, 2, 3, 30])
    assert describe_quality(quality_of(bars), bars) == (
        "LUNAUSDT 1h has 2 gaps: 27 of 31 candles are missing and were not filled. They are: 1 between 2022-05-13 and "
        "2022-05-13T02:00Z; 26 between 2022-05-13T03:00Z and 2022-05-14T06:00Z.",
    )


def test_of_many_gaps_the_longest_are_named_and_all_are_counted() -> None:
    bars = hours([0, 2, 4, 9, 11, 20, 40])
    (sentence,) = describe_quality(quality_of(bars), bars)
    assert "has 6 gaps: 34 of 41 candles" in sentence
    assert "The longest: 4 between" in sentence
    assert "19 between 2022-05-13T20:00Z and 2022-05-14T16:00Z" in sentence
    assert "1 between" not in sentence


def test_another_coin_under_the_same_name_is_suspected() -> None:
    bars = hours([0, 438, 439], [0.00005, 1.0, 9.0])
    _, sentence = describe_quality(quality_of(bars), bars)
    assert sentence.startswith("LUNAUSDT goes from 0.00005 to 1 (20,000.0×) across the gap of 437 1h candles")
    assert "another coin" in sentence


def test_a_fall_across_a_gap_is_a_jump_too_and_a_rise_without_a_gap_is_none() -> None:
    fallen = hours([0, 5], [9.0, 1.0])
    assert "(1/9.0)" in describe_quality(quality_of(fallen), fallen)[1]
    rising = hours([0, 1, 3], [1.0, 100.0, 200.0])
    assert len(describe_quality(quality_of(rising), rising)) == 1


def test_rows_left_out_are_named_or_counted_by_reason() -> None:
    bars = hours([0, 1, 2])
    one = RejectedRow(open_time_ms=START + 5 * HOUR, reason="high is below low")
    (sentence,) = describe_quality(replace(COMPLETE, rejected_rows=(one,)), bars)
    assert sentence == "1 LUNAUSDT 1h candle left out as impossible: 2022-05-13T05:00Z, high is below low."
    other = RejectedRow(open_time_ms=START, reason="a price is not above 0")
    (sentence,) = describe_quality(replace(COMPLETE, rejected_rows=(one,) * 7 + (other,)), bars)
    assert "8 LUNAUSDT 1h candles left out" in sentence
    assert "7 because high is below low; 1 because a price is not above 0" in sentence


def test_repeats_and_disorder_are_counted() -> None:
    sentences = describe_quality(replace(COMPLETE, duplicate_rows=2, disordered_rows=1), hours([0, 1, 2]))
    assert sentences == (
        "2 LUNAUSDT 1h rows came more than once and counted once.",
        "LUNAUSDT 1h rows came out of order in 1 place and were sorted.",
    )


def market(limit: int, start_ms: int | None = None, end_ms: int | None = None) -> MarketRequest:
    return MarketRequest(symbol="LUNAUSDT", interval=INTERVALS["1h"], limit=limit, start_ms=start_ms, end_ms=end_ms)


def test_fewer_candles_than_asked_for_are_no_secret() -> None:
    bars = hours([0, 1, 2])
    (sentence,) = describe_range(market(10), bars, START + 3 * HOUR)
    assert sentence == "10 1h candles of LUNAUSDT were asked for; 3 were found, the first at 2022-05-13."
    assert describe_range(market(3), bars, START + 3 * HOUR) == ()
    assert describe_range(market(10, START, START + 2 * HOUR), bars, START + 3 * HOUR) == ()


def test_a_limit_that_cuts_a_range_short_says_so() -> None:
    bars, now = hours([0, 1, 2]), START + 100 * HOUR
    (sentence,) = describe_range(market(3, START, START + 9 * HOUR), bars, now)
    assert "limit is 3" in sentence
    assert "about 7 before that" in sentence
    assert describe_range(market(3, START, START + 2 * HOUR), bars, now) == ()
    assert describe_range(market(3, START, START + 9 * HOUR), bars, START + 3 * HOUR) == ()
    assert describe_range(market(3, START), bars, now) == ()
    assert len(describe_range(market(5, START, START + 9 * HOUR), bars, now, left_out=2)) == 1


def test_candles_that_begin_later_than_asked_say_so() -> None:
    bars, now = hours([5, 6, 7]), START + 100 * HOUR
    (sentence,) = describe_range(market(3, START), bars, now)
    assert sentence.startswith("LUNAUSDT has no 1h candles from 2022-05-13 until 2022-05-13T05:00Z: about 5 of those")
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
def test_candles_that_end_earlier_than_asked_say_so(asked: MarketRequest) -> None:
    bars, now = hours([0, 1, 2]), START + 100 * HOUR
    (sentence,) = describe_range(asked, bars, now)
    until = "now" if asked.end_ms is None else "2022-05-15T02:00Z"
    assert sentence.startswith(f"LUNAUSDT has no 1h candles after that of 2022-05-13T02:00Z until {until}: trading")
    assert f"about {48 if asked.end_ms else 97} candles" in sentence


def test_the_newest_candle_may_be_late_and_an_end_need_not_be_reached_exactly() -> None:
    bars = hours([0, 1, 2])
    for now in (START + 3 * HOUR, START + 5 * HOUR - 2):
        assert describe_range(market(10, START), bars, now) == ()
    assert len(describe_range(market(10, START), bars, START + 5 * HOUR - 1)) == 1
    assert describe_range(market(10, START, START + 3 * HOUR - 1), bars, START + 99 * HOUR) == ()
    assert len(describe_range(market(10, START, START + 3 * HOUR), bars, START + 99 * HOUR)) == 1


def test_a_series_that_is_over_ends_early_only_where_an_end_was_asked_for() -> None:
    bars, now = hours([0, 1, 2]), START + 100 * HOUR
    assert describe_range(market(3), bars, now, goes_on=False) == ()
    assert describe_range(market(10, START), bars, now, goes_on=False) == ()
    assert len(describe_range(market(10, START, START + 9 * HOUR), bars, now, goes_on=False)) == 1


@pytest.mark.parametrize("offset_ms", [0, 24 * HOUR])
def test_candles_off_the_grid_begin_late_and_end_early_just_so(offset_ms: int) -> None:
    days = INTERVALS["3d"]
    opened = 6375 * days.milliseconds + offset_ms
    bars = replace(hours([0, 1]), interval=days, open_time_ms=opened + np.arange(2) * days.milliseconds)
    ask = replace(market(2, opened, opened + days.milliseconds), interval=days)
    now = opened + 9 * days.milliseconds
    assert describe_range(ask, bars, now) == ()
    (late,) = describe_range(replace(ask, start_ms=opened - days.milliseconds), bars, now)
    assert "about 1 of those" in late
    (early,) = describe_range(replace(ask, limit=9, end_ms=opened + 2 * days.milliseconds), bars, now)
    assert "about 1 candles" in early
