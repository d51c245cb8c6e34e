"""Long gaps that a trade was held through."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from src.domain.bar_quality import Gap
from src.domain.intervals import DAY_MS
from src.domain.simulation import TRADE_DTYPE
from src.judgement.gap_trades import find_traded_gaps

HOUR = 3_600_000
DAY = DAY_MS // HOUR


def trades(*held: tuple[int, int]) -> NDArray[Any]:
    """Trades from hour to hour."""
    rows = np.zeros(len(held), dtype=TRADE_DTYPE)
    for row, (entry, leave) in enumerate(held):
        rows[row]["entry_time_ms"], rows[row]["exit_time_ms"] = entry * HOUR, leave * HOUR
    return rows


def gap(after: int, next_: int, missing: int) -> Gap:
    return Gap(after_ms=after * HOUR, next_ms=next_ * HOUR, missing_bars=missing)


LONG = gap(10, 22, 11)


@pytest.mark.parametrize("held", [(10, 22), (10, 23), (9, 22), (3, 40)])
def test_trade_spanning_both_edges_is_held_through(held: tuple[int, int]) -> None:
    assert find_traded_gaps((LONG,), trades(held)) == (LONG,)


@pytest.mark.parametrize("held", [(0, 10), (0, 21), (11, 30), (22, 30), (3, 9)])
def test_trade_beside_gap_is_not_held_through(held: tuple[int, int]) -> None:
    assert find_traded_gaps((LONG,), trades(held)) == ()


@pytest.mark.parametrize(
    ("found", "is_long"),
    [
        (gap(10, 20, 9), False),
        (gap(10, 21, 10), True),
        (gap(0, DAY, 1), False),
        (gap(0, DAY + 1, 1), True),
    ],
)
def test_gap_is_long_from_ten_bars_on(found: Gap, is_long: bool) -> None:
    assert find_traded_gaps((found,), trades((0, 99))) == ((found,) if is_long else ())


def test_later_closed_trade_does_not_hide_held_one() -> None:
    assert find_traded_gaps((LONG,), trades((3, 40), (5, 6))) == (LONG,)


def test_only_gaps_held_through_are_returned_in_order() -> None:
    gaps = tuple(gap(100 * n, 100 * n + 20 + n, 19 + n) for n in range(6))
    assert find_traded_gaps(gaps, trades((90, 222), (300, 330))) == (gaps[1], gaps[2], gaps[3])


def test_run_without_trades_has_no_traded_gap() -> None:
    assert find_traded_gaps((LONG,), trades()) == ()
