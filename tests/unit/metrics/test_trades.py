"""Figures of trades on a table worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from src.domain.simulation import TRADE_DTYPE
from src.metrics.trades import TradeFigures, measure_trades

# Bars held and profit of positions of 10 units entered at 10: returns are profits ÷ 100.
CLOSED = [(1, 10.0), (2, 20.0), (3, -5.0), (1, -10.0), (2, -30.0), (4, 0.0), (8, 40.0)]


def trades_of(closed: list[tuple[int, float]], still_open: int = 0) -> NDArray[np.void]:
    table = np.zeros(len(closed) + still_open, dtype=TRADE_DTYPE)
    table["quantity"], table["entry_price"], table["exit_price"] = 10.0, 10.0, 10.0
    for row, (bars_held, profit) in zip(table, closed, strict=False):
        row["bars_held"], row["profit"], row["return"] = bars_held, profit, profit / 100
    table[len(closed) :]["is_open"] = True
    table[len(closed) :]["profit"] = 1e6
    return table


@pytest.fixture
def found() -> TradeFigures:
    return measure_trades(trades_of(CLOSED, still_open=1))


def test_counts_by_hand(found: TradeFigures) -> None:
    assert (found.closed, found.open, found.winning, found.losing) == (7, 1, 3, 3)
    assert (found.most_wins_in_a_row, found.most_losses_in_a_row) == (2, 3)


def test_averages_by_hand(found: TradeFigures) -> None:
    assert found.win_rate == pytest.approx(3 / 7)
    assert found.profit_factor == pytest.approx(70 / 45)
    assert found.expectancy == pytest.approx(25 / 7)
    assert found.average_win == pytest.approx(0.7 / 3)
    assert found.average_loss == pytest.approx(-0.45 / 3)
    assert (found.best, found.worst) == (0.4, -0.3)
    assert found.average_duration == pytest.approx(3.0)


def test_kelly_by_hand(found: TradeFigures) -> None:
    assert found.kelly == pytest.approx(3 / 7 - 4 / 7 * 0.15 / (0.7 / 3))


def test_quality_number_agrees_with_pandas(found: TradeFigures) -> None:
    profit = pd.Series([profit for _, profit in CLOSED])
    assert found.quality_number == pytest.approx(math.sqrt(7) * profit.mean() / profit.std())


def test_two_trades_have_a_quality_number_and_one_has_none() -> None:
    # Profits 10 and 30: mean 20, sample deviation √200.
    assert measure_trades(trades_of([(1, 10.0), (1, 30.0)])).quality_number == pytest.approx(2.0)
    one = measure_trades(trades_of([(1, 10.0)]))
    assert math.isnan(one.quality_number)
    assert (one.win_rate, one.best, one.worst, one.most_wins_in_a_row) == (1.0, 0.1, 0.1, 1)


def test_rounding_of_the_largest_trade_is_no_deviation() -> None:
    # Beside 20,000 traded in one position, profits that differ by 1e-11 are equal; beside 200 they are not.
    table = trades_of([(1, 10.0), (1, 10.0 + 1e-11)])
    assert measure_trades(table).quality_number > 0
    table["quantity"][0] = 1000.0
    assert math.isnan(measure_trades(table).quality_number)


def test_open_trades_alone_have_no_figures() -> None:
    found = measure_trades(trades_of([], still_open=2))
    assert (found.closed, found.open, found.winning, found.losing) == (0, 2, 0, 0)
    assert (found.most_wins_in_a_row, found.most_losses_in_a_row) == (0, 0)
    assert all(math.isnan(value) for value in (found.win_rate, found.expectancy, found.best, found.worst, found.kelly))


def test_profit_within_rounding_is_zero() -> None:
    # Each position is bought for 100 and sold for 100: 200 × 1e-14 is rounding.
    found = measure_trades(trades_of([(1, 1.9e-12), (1, 2.1e-12), (1, -1.9e-12), (1, -2.1e-12)]))
    assert (found.winning, found.losing) == (1, 1)
