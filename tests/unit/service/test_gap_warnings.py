"""A trade held while there were no candles is said to have been."""

from __future__ import annotations

import numpy as np
import pytest

from src.domain.market import DAY_MS, DataQuality, Gap
from src.domain.trading import FILL_DTYPE, TRADE_DTYPE, Simulation
from src.service.gap_warnings import gap_warnings

HOUR = 3_600_000


def simulation(*held: tuple[int, int]) -> Simulation:
    """A run with trades from hour to hour."""
    trades = np.zeros(len(held), dtype=TRADE_DTYPE)
    for row, (entry, leave) in enumerate(held):
        trades[row]["entry_time_ms"], trades[row]["exit_time_ms"] = entry * HOUR, leave * HOUR
    flat = np.ones(2)
    return Simulation(equity=flat, cash=flat, position=flat, fills=np.zeros(0, dtype=FILL_DTYPE), trades=trades)


def quality(*gaps: tuple[int, int, int]) -> DataQuality:
    return DataQuality(
        expected_bars=0, present_bars=0,
        gaps=tuple(Gap(after_ms=after * HOUR, next_ms=next_ * HOUR, missing_bars=n) for after, next_, n in gaps),
    )  # fmt: skip


def test_gap_held_through_is_named() -> None:
    assert gap_warnings(quality((10, 22, 11)), simulation((3, 40))) == (
        "A trade was held through the gap of 11 bars between 1970-01-01T10:00Z and 1970-01-01T22:00Z: what stops "
        "and signals would have done in it is not known.",
    )


@pytest.mark.parametrize("held", [(10, 22), (10, 23), (9, 22)])
def test_trade_spanning_both_edges_is_held_through(held: tuple[int, int]) -> None:
    assert len(gap_warnings(quality((10, 22, 11)), simulation(held))) == 1


@pytest.mark.parametrize("held", [(0, 10), (22, 30), (3, 9)])
def test_trade_on_one_side_of_gap_gives_no_warning(held: tuple[int, int]) -> None:
    assert gap_warnings(quality((10, 22, 11)), simulation(held)) == ()


def test_short_gaps_are_ignored_unless_day_is_missing() -> None:
    assert gap_warnings(quality((10, 20, 9)), simulation((0, 99))) == ()
    day = DAY_MS // HOUR
    assert gap_warnings(quality((0, day, 1)), simulation((0, 99))) == ()
    assert len(gap_warnings(quality((0, 2 * day, 1)), simulation((0, 99)))) == 1


def test_longest_of_many_gaps_are_named_and_the_others_counted() -> None:
    gaps = quality(*((100 * n, 100 * n + 20 + n, 19 + n) for n in range(6)))
    *named, others = gap_warnings(gaps, simulation((0, 999)))
    assert [sentence.split(" bars")[0][-2:] for sentence in named] == ["24", "23", "22"]
    assert others == "3 more long gaps were held through likewise, of 21 bars or fewer."


@pytest.mark.parametrize(("held_to", "others"), [(222, []), (322, []), (323, ["1 more long gap was held through"])])
def test_only_gaps_that_were_held_through_are_counted(held_to: int, others: list[str]) -> None:
    gaps = quality(*((100 * n, 100 * n + 20 + n, 19 + n) for n in range(6)))
    sentences = gap_warnings(gaps, simulation((0, held_to)))
    assert [sentence.split(" likewise")[0] for sentence in sentences[3:]] == others


def test_trade_that_is_still_held_counts_though_a_later_one_is_closed() -> None:
    assert len(gap_warnings(quality((10, 22, 11)), simulation((3, 40), (5, 6)))) == 1


def test_run_without_trades_gives_no_warning() -> None:
    assert gap_warnings(quality((10, 22, 11)), simulation()) == ()
