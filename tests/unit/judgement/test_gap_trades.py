"""Long gaps in the bars that a trade was held through are found, the longest first."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from src.domain.market import DAY_MS, DataQuality, Gap
from src.domain.trading import TRADE_DTYPE
from src.judgement.gap_trades import find_traded_gaps

HOUR = 3_600_000


def trades(*held: tuple[int, int]) -> NDArray[np.void]:
    """Return trades from hour to hour."""
    found = np.zeros(len(held), dtype=TRADE_DTYPE)
    for row, (entry, leave) in enumerate(held):
        found[row]["entry_time_ms"], found[row]["exit_time_ms"] = entry * HOUR, leave * HOUR
    return found


def quality(*gaps: tuple[int, int, int]) -> DataQuality:
    return DataQuality(
        expected_bars=0, present_bars=0,
        gaps=tuple(Gap(after_ms=after * HOUR, next_ms=next_ * HOUR, missing_bars=n) for after, next_, n in gaps),
    )  # fmt: skip


@pytest.mark.parametrize("held", [(10, 22), (10, 23), (9, 22), (3, 40)])
def test_trade_spanning_both_edges_is_held_through(held: tuple[int, int]) -> None:
    expected = Gap(after_ms=10 * HOUR, next_ms=22 * HOUR, missing_bars=11)
    assert find_traded_gaps(quality((10, 22, 11)), trades(held)) == (expected,)


@pytest.mark.parametrize("held", [(0, 10), (22, 30), (3, 9)])
def test_trade_beside_gap_is_left_out(held: tuple[int, int]) -> None:
    assert find_traded_gaps(quality((10, 22, 11)), trades(held)) == ()


def test_short_gaps_are_ignored_unless_day_is_missing() -> None:
    assert find_traded_gaps(quality((10, 20, 9)), trades((0, 99))) == ()
    assert len(find_traded_gaps(quality((10, 21, 10)), trades((0, 99)))) == 1
    day = DAY_MS // HOUR
    assert find_traded_gaps(quality((0, day, 1)), trades((0, 99))) == ()
    assert len(find_traded_gaps(quality((0, 2 * day, 1)), trades((0, 99)))) == 1


def test_longest_gaps_come_first() -> None:
    gaps = quality(*((100 * n, 100 * n + 20 + n, 19 + n) for n in range(6)))
    assert [gap.missing_bars for gap in find_traded_gaps(gaps, trades((0, 999)))] == [24, 23, 22, 21, 20, 19]


@pytest.mark.parametrize(("held_to", "count"), [(222, 3), (322, 3), (323, 4)])
def test_only_gaps_that_were_held_through_are_counted(held_to: int, count: int) -> None:
    gaps = quality(*((100 * n, 100 * n + 20 + n, 19 + n) for n in range(6)))
    assert len(find_traded_gaps(gaps, trades((0, held_to)))) == count


def test_later_closed_trade_does_not_hide_held_one() -> None:
    assert len(find_traded_gaps(quality((10, 22, 11)), trades((3, 40), (5, 6)))) == 1


def test_run_without_trades_holds_through_nothing() -> None:
    assert find_traded_gaps(quality((10, 22, 11)), trades()) == ()
