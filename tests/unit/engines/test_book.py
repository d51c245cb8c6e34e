"""The book beside its fills: cash and position at each close, on runs worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from src.domain.order_rules import Sizing
from src.domain.signals import Signals, StrategyDescription
from src.domain.simulation import FillReason, Simulation
from src.domain.trading import Direction, FillTiming, TradingRules
from src.engines.book import BOOK_DTYPE, create_book, get_direction
from src.engines.event_driven import EventDrivenEngine
from src.engines.plan import NEVER
from tests.market import bars_of_closes


def run(closes: list[float], action: list[int], **rules: Any) -> Simulation:
    """Run with fills at the signal's close and 1,000 in cash, without costs unless given."""
    given: dict[str, Any] = {"initial_cash": 1000.0, "fee_rate": 0.0, "slippage_rate": 0.0, "direction": Direction.BOTH}
    signals = Signals(action=np.array(action, dtype=np.int8), strategy=StrategyDescription(name="by hand"))
    return EventDrivenEngine().run(
        bars_of_closes(closes), signals, TradingRules(fill=FillTiming.SAME_CLOSE, **(given | rules))
    )


def test_empty_book_has_cash_and_no_order() -> None:
    (book,) = create_book(1000.0)
    assert book["cash"] == 1000.0
    assert book["time_exit_bar"] == book["rungs_until_bar"] == NEVER
    levels = {"stop_level", "target_level", "trail_distance", "rung_in_favor", "rung_against"}
    assert all(math.isnan(book[name]) for name in levels)
    assert book["liquidation_distance"] == math.inf
    others = set(BOOK_DTYPE.names or ()) - levels
    others -= {"cash", "time_exit_bar", "rungs_until_bar", "liquidation_distance"}
    assert {name: float(book[name]) for name in others} == dict.fromkeys(others, 0.0)


def test_direction_is_the_sign_of_the_position() -> None:
    assert [get_direction(position) for position in (2.5, -2.5, 0.0, 1e-9, -1e-9)] == [1, -1, 0, 1, -1]


def test_short_keeps_its_proceeds_in_cash() -> None:
    simulation = run([100, 90, 80], [-1, 0, 1], direction=Direction.SHORT)
    assert simulation.cash.tolist() == [2000.0, 2000.0, 1200.0]
    assert simulation.position.tolist() == [-10.0, -10.0, 0.0]
    assert simulation.equity.tolist() == [1000.0, 1100.0, 1200.0]


def test_fee_of_a_short_is_taken_from_its_proceeds() -> None:
    simulation = run([100, 90, 90], [-1, 1, 0], direction=Direction.SHORT, fee_rate=0.25)
    # 1,000 is the margin of 8 units and the fee of 200: 800 − 200 come in; 8 × 90 and a fee of 180 go out.
    assert simulation.cash.tolist() == [1600.0, 700.0, 700.0]
    assert simulation.fills["fee"].tolist() == [200.0, 180.0]


def test_liquidation_leaves_no_cash_and_no_debt() -> None:
    simulation = run([100, 150, 250, 50], [-1, 0, 0, 0], direction=Direction.SHORT)
    assert simulation.cash.tolist() == [2000.0, 2000.0, 0.0, 0.0]
    assert simulation.position.tolist() == [-10.0, -10.0, 0.0, 0.0]
    assert simulation.equity.tolist() == [1000.0, 500.0, 0.0, 0.0]
    assert simulation.is_liquidated
    # 2,000 in cash buy back 10 units at 200, whatever the market's price.
    assert simulation.fills["price"].tolist() == [100.0, 200.0]
    assert simulation.fills["reason"].tolist() == [FillReason.SIGNAL, FillReason.LIQUIDATION]


def test_fee_of_a_liquidation_is_paid_out_of_the_cash() -> None:
    simulation = run([100, 300], [-1, 0], direction=Direction.SHORT, fee_rate=0.25)
    # 8 units short, 1,600 in cash: 8 × 160 is 1,280, and its fee 320.
    assert simulation.fills["price"].tolist() == [100.0, 160.0]
    assert simulation.fills["fee"].tolist() == [200.0, 320.0]
    assert simulation.cash.tolist() == [1600.0, 0.0]


def test_signal_at_bankruptcy_price_liquidates() -> None:
    simulation = run([100, 200], [-1, 1], direction=Direction.SHORT, sizing=Sizing(fixed_units=10.0))
    assert simulation.is_liquidated
    assert simulation.cash.tolist() == [2000.0, 0.0]


def test_reversal_is_two_fills_and_one_position() -> None:
    simulation = run([100, 120, 60], [1, -1, 1], sizing=Sizing(fixed_units=5.0))
    assert simulation.position.tolist() == [5.0, -5.0, 5.0]
    # 500 left; 600 come in twice; 300 go out twice.
    assert simulation.cash.tolist() == [500.0, 1700.0, 1100.0]
    assert simulation.fills["bar"].tolist() == [0, 1, 1, 2, 2]


def test_entries_reduced_by_cash_are_counted() -> None:
    assert run([100, 100], [1, 0], sizing=Sizing(fixed_units=20.0)).reduced_entries == 1
    assert run([100, 100], [1, 0], sizing=Sizing(fixed_units=10.0)).reduced_entries == 0


@pytest.mark.parametrize(("price", "fills"), [(1e6, 0), (4e5, 1)])
def test_entry_of_dust_is_not_placed(price: float, fills: int) -> None:
    # A millionth buys 1e-12 units, which could not be told from none, or 2.5e-12.
    assert len(run([price, price], [1, 0], initial_cash=1e-6).fills) == fills
