"""Check what signals that only close leave as it was: buys and sells as released, and runs in one direction."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src.domain.exchange_rules import ExchangeRules
from src.domain.exit_orders import ExitOrder
from src.domain.signals import Action, Signals
from src.domain.simulation import Simulation
from src.domain.trading import Direction, TradingRules
from src.engines import order_steps as steps
from src.engines.book import BOOK_DTYPE
from src.engines.event_driven import EventDrivenEngine
from src.engines.orders import entry_level
from src.engines.plan import Plan, build_plan
from tests.simulations import RULES, Market, markets
from tests.thoroughness import examples

EXAMPLES = settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
CURVES = ("equity", "cash", "position")
TABLES = ("fills", "trades")


def place_released_orders(book: Any, bar: int, close: float, signal: int, plan: Plan) -> None:
    """Do what `place_orders` did before there were signals that only close."""
    if signal == 0 or signal * book.position > 0.0:
        return
    if book.position != 0.0:
        book.exit_waits = 1
    book.entry_side = 0
    if plan.allowed_side != -signal:
        book.entry_side = signal
        book.entry_kind = plan.entry_kind
        book.entry_level = entry_level(close, signal, plan.entry_kind, plan.entry_offset_rate)
        book.entry_last_bar = bar + plan.entry_life_bars


BOOKS = st.fixed_dictionaries(
    {
        "position": st.sampled_from([-2.5, 0.0, 2.5]),
        "exit_waits": st.integers(0, 1),
        "entry_side": st.integers(-1, 1),
        "entry_level": st.floats(1.0, 1e6),
        "entry_last_bar": st.integers(0, 100),
    }
)


@given(BOOKS, st.sampled_from([Action.SELL, Action.HOLD, Action.BUY]), st.floats(1.0, 1e6), RULES)
@EXAMPLES
def test_released_signals_place_released_orders(
    numbers: dict[str, Any], signal: Action, close: float, rules: TradingRules
) -> None:
    exits = dataclasses.replace(rules.exits, on_signal=True, order=ExitOrder())
    plan = build_plan(dataclasses.replace(rules, exits=exits, exchange=ExchangeRules()))
    untouched = dict.fromkeys(BOOK_DTYPE.names or (), 7)
    ours, released = (SimpleNamespace(**{**untouched, **numbers}) for _ in range(2))
    place_orders, place_exit = (getattr(one, "py_func", one) for one in (steps.place_orders, steps.place_exit))
    with patch.object(steps, "place_exit", place_exit):
        place_orders(ours, 50, close, int(signal), plan)
    place_released_orders(released, 50, close, int(signal), plan)
    assert ours == released


def run(market: Market, rules: TradingRules) -> Simulation:
    return EventDrivenEngine().run(*market, rules)


def assert_equal_bits(ours: Simulation, theirs: Simulation) -> None:
    for name in (*CURVES, *TABLES):
        assert getattr(ours, name).tobytes() == getattr(theirs, name).tobytes(), name


def with_actions(signals: Signals, replaced: dict[Action, Action]) -> Signals:
    action = signals.action.copy()
    for old, new in replaced.items():
        action[signals.action == old] = new
    return dataclasses.replace(signals, action=action)


IN_ONE_DIRECTION = {
    Direction.LONG: {Action.CLOSE_LONG: Action.SELL, Action.CLOSE_SHORT: Action.HOLD},
    Direction.SHORT: {Action.CLOSE_SHORT: Action.BUY, Action.CLOSE_LONG: Action.HOLD},
}


@pytest.mark.parametrize("direction", IN_ONE_DIRECTION)
@given(market=markets(), rules=RULES)
@EXAMPLES
def test_close_in_one_direction_equals_opposite_signal(
    direction: Direction, market: Market, rules: TradingRules
) -> None:
    rules = dataclasses.replace(rules, direction=direction)
    bars, signals = market
    assert_equal_bits(run(market, rules), run((bars, with_actions(signals, IN_ONE_DIRECTION[direction])), rules))


@given(markets(), RULES)
@EXAMPLES
def test_only_buys_and_sells_open_positions(market: Market, rules: TradingRules) -> None:
    """Each entry follows a buy or a sell of its own side that no later closing signal of that direction took back."""
    signals = market[1]
    simulation = run(market, dataclasses.replace(rules, direction=Direction.BOTH))
    is_next = rules.fill.name == "NEXT_OPEN" or rules.entry.type.name != "MARKET"
    for trade in simulation.trades:
        last = int(trade["entry_bar"]) - is_next
        before = signals.action[: last + 1]
        own = int(trade["direction"])
        relevant = before[(np.abs(before) == 1) | (before == -2 * own)]
        assert relevant.size
        assert relevant[-1] == own
