"""What is wrong with bars is said in sentences that name when and how much."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from src.bars.quality import assess
from src.bars.quality_warnings import describe_quality
from src.domain.bar_quality import DataQuality, RejectedRow
from src.domain.bars import Bars
from src.domain.intervals import INTERVALS

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


def test_complete_bars_give_no_warning() -> None:
    bars = hours([0, 1, 2])
    assert describe_quality(quality_of(bars), bars) == ()


def test_few_gaps_are_named_each() -> None:
    bars = hours([0, 2, 3, 30])
    assert describe_quality(quality_of(bars), bars) == (
        "LUNAUSDT 1h has 2 gaps: 27 of 31 bars are missing and were not filled. They are: 1 between 2022-05-13 and "
        "2022-05-13T02:00Z; 26 between 2022-05-13T03:00Z and 2022-05-14T06:00Z.",
    )


def test_longest_of_many_gaps_are_named_and_all_counted() -> None:
    bars = hours([0, 2, 4, 9, 11, 20, 40])
    (sentence,) = describe_quality(quality_of(bars), bars)
    assert "has 6 gaps: 34 of 41 bars" in sentence
    assert "The longest: 4 between" in sentence
    assert "19 between 2022-05-13T20:00Z and 2022-05-14T16:00Z" in sentence
    assert "1 between" not in sentence


def test_jump_across_gap_suggests_another_coin() -> None:
    bars = hours([0, 438, 439], [0.00005, 1.0, 9.0])
    _, sentence = describe_quality(quality_of(bars), bars)
    assert sentence.startswith("LUNAUSDT goes from 0.00005 to 1 (20,000.0×) across the gap of 437 1h bars")
    assert "another coin" in sentence


def test_largest_of_many_jumps_are_named_and_the_others_counted() -> None:
    for count, others in (
        (3, []),
        (4, ["LUNAUSDT has 1 more such price jump across gaps, none of them larger."]),
        (6, ["LUNAUSDT has 3 more such price jumps across gaps, none of them larger."]),
    ):
        prices = [float(4**number * 2 ** (number * (number + 1) // 2)) for number in range(count + 1)]
        bars = hours([2 * number for number in range(count + 1)], prices)
        _, *sentences = describe_quality(quality_of(bars), bars)
        assert [f"({2 ** (count + 2 - rank):,.1f}×)" in sentences[rank] for rank in range(3)] == [True] * 3
        assert sentences[3:] == others


def test_only_changes_across_gaps_are_jumps() -> None:
    fallen = hours([0, 5], [9.0, 1.0])
    assert "(1/9.0)" in describe_quality(quality_of(fallen), fallen)[1]
    rising = hours([0, 1, 3], [1.0, 100.0, 200.0])
    assert len(describe_quality(quality_of(rising), rising)) == 1


def test_rejected_rows_are_named_or_counted_by_reason() -> None:
    bars = hours([0, 1, 2])
    one = RejectedRow(open_time_ms=START + 5 * HOUR, reason="high is below low")
    (sentence,) = describe_quality(replace(COMPLETE, rejected_rows=(one,)), bars)
    assert sentence == "1 LUNAUSDT 1h bar left out as impossible: 2022-05-13T05:00Z, high is below low."
    other = RejectedRow(open_time_ms=START, reason="a price is not above 0")
    (sentence,) = describe_quality(replace(COMPLETE, rejected_rows=(one,) * 7 + (other,)), bars)
    assert "8 LUNAUSDT 1h bars left out" in sentence
    assert "7 because high is below low; 1 because a price is not above 0" in sentence


def test_repeats_and_disorder_are_counted() -> None:
    sentences = describe_quality(replace(COMPLETE, duplicate_rows=2, disordered_rows=1), hours([0, 1, 2]))
    assert sentences == (
        "2 LUNAUSDT 1h rows came more than once and counted once.",
        "LUNAUSDT 1h rows came out of order in 1 place and were sorted.",
    )
