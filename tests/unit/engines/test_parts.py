"""Parts of a run with rules of their own: each equals a run of that part alone, from flat."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from src.domain.signals import Action, Signals
from src.domain.trading import Direction, EntryOrder, EntryType, Exits, FillTiming, TradingRules
from src.engines.event_driven import EventDrivenEngine, Part, PartsRun
from tests.simulations import RULES, Market, markets, random_market

ENGINE = EventDrivenEngine()
EXAMPLES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
BOTH = TradingRules(fill=FillTiming.NEXT_OPEN, direction=Direction.BOTH)


def run_parts(market: Market, *parts: tuple[int, int, TradingRules]) -> PartsRun:
    return ENGINE.run_parts(*market, [Part(first=first, stop=stop, rules=rules) for first, stop, rules in parts])


@st.composite
def cuts(draw: st.DrawFn, length: int) -> list[tuple[int, int, TradingRules]]:
    """Up to four parts of bars, some of them next to each other, each with rules of its own."""
    ends = sorted(draw(st.sets(st.integers(0, length), min_size=2, max_size=5)))
    spans = list(itertools.pairwise(ends))
    kept = draw(st.lists(st.sampled_from(spans), min_size=1, max_size=len(spans), unique=True))
    return [(first, stop, draw(RULES)) for first, stop in sorted(kept)]


@given(st.data(), markets())
@EXAMPLES
def test_each_part_equals_a_run_of_its_own(data: st.DataObject, market: Market) -> None:
    bars, signals = market
    assume(len(bars) >= 2)
    parts = data.draw(cuts(len(bars)))
    run = run_parts(market, *parts)
    found, cash = run.simulation, parts[0][2].initial_cash
    expected_fills = 0
    for first, stop, rules in parts:
        if cash < 1e-6:
            break  # liquidated: no run may begin with so little
        own = Signals(action=run.action[first:stop], strategy=signals.strategy)
        alone = ENGINE.run(bars.slice(first, stop), own, replace(rules, initial_cash=cash))
        for name in ("cash", "position", "equity"):
            np.testing.assert_array_equal(getattr(found, name)[first:stop], getattr(alone, name))
        fills = found.fills[expected_fills : expected_fills + len(alone.fills)].copy()
        fills["bar"] -= first
        np.testing.assert_array_equal(fills, alone.fills)
        assert alone.position[-1] == 0.0
        expected_fills += len(alone.fills)
        cash = float(found.cash[stop - 1])
    assert len(found.fills) == expected_fills
    is_traded = np.zeros(len(bars), np.bool_)
    for first, stop, _ in parts:
        is_traded[first:stop] = True
    assert not found.position[~is_traded].any()
    np.testing.assert_array_equal(found.equity[~is_traded], found.cash[~is_traded])


@given(markets(), RULES)
@EXAMPLES
def test_signals_before_closing_bar_are_traded_unchanged(market: Market, rules: TradingRules) -> None:
    bars, signals = market
    run = run_parts(market, (0, len(bars), rules))
    closing = len(bars) - (1 if rules.fill is FillTiming.SAME_CLOSE else 2)
    if closing < 0:
        assert not run.action.any()
        return
    np.testing.assert_array_equal(run.action[:closing], signals.action[:closing])
    assert run.action[closing] in (Action.HOLD, Action.CLOSE_LONG, Action.CLOSE_SHORT)
    assert not run.action[closing + 1 :].any()


def test_cuts_at_flat_bars_change_nothing() -> None:
    bars, signals = random_market(60, 4)
    action = signals.action.copy()
    action[[18, 19, 38, 39, 58, 59]] = 0
    action[[17, 37, 57]] = Action.CLOSE_LONG
    signals = replace(signals, action=action)
    rules = TradingRules(fill=FillTiming.NEXT_OPEN)
    whole = ENGINE.run(bars, signals, rules)
    run = run_parts((bars, signals), (0, 20, rules), (20, 40, rules), (40, 60, rules))
    assert len(whole.fills) > 4
    np.testing.assert_array_equal(run.simulation.fills, whole.fills)
    np.testing.assert_array_equal(run.simulation.trades, whole.trades)
    np.testing.assert_array_equal(run.simulation.equity, whole.equity)
    np.testing.assert_array_equal(run.action, action)


@pytest.mark.parametrize(
    ("fill", "closing"), [(FillTiming.SAME_CLOSE, 9), (FillTiming.NEXT_OPEN, 8)]
)  # fmt: skip
@pytest.mark.parametrize(("side", "close"), [(1, Action.CLOSE_LONG), (-1, Action.CLOSE_SHORT)])
def test_position_closes_inside_its_part(fill: FillTiming, closing: int, side: int, close: Action) -> None:
    bars, signals = random_market(20, 1)
    action = np.zeros(20, np.int8)
    action[3] = action[closing] = side
    run = run_parts((bars, replace(signals, action=action)), (0, 10, replace(BOTH, fill=fill)), (10, 20, BOTH))
    assert run.action[closing] == close
    [_, exit_] = run.simulation.fills
    assert exit_["bar"] == 9
    price = bars.close[9] if fill is FillTiming.SAME_CLOSE else bars.open[9]
    assert exit_["price"] == pytest.approx(price * (1 - side * BOTH.slippage_rate))
    assert not run.simulation.position[9:].any()


@pytest.mark.parametrize("fill", FillTiming)
def test_waiting_entry_is_not_carried_over(fill: FillTiming) -> None:
    bars, signals = random_market(20, 1)
    # A limit at a tenth of the price never fills; it would wait for a hundred bars.
    waits = EntryOrder(type=EntryType.LIMIT, offset_rate=0.9, life_bars=100)
    action = np.zeros(20, np.int8)
    action[2] = 1
    rules = TradingRules(fill=fill, entry=waits)
    run = run_parts((bars, replace(signals, action=action)), (0, 10, rules), (10, 20, TradingRules(fill=fill)))
    # The next part's entries are at the market: one that still waited would fill at once.
    assert len(run.simulation.fills) == 0
    assert np.flatnonzero(run.action).tolist() == [2, 9 if fill is FillTiming.SAME_CLOSE else 8]


def test_stop_in_closing_bar_leaves_nothing_to_close() -> None:
    bars, signals = random_market(20, 1)
    low = bars.low.copy()
    low[9] = 1.0
    action = np.zeros(20, np.int8)
    action[3] = 1
    rules = TradingRules(fill=FillTiming.SAME_CLOSE, exits=Exits(stop_loss_rate=0.9))
    run = run_parts((replace(bars, low=low), replace(signals, action=action)), (0, 10, rules))
    assert np.flatnonzero(run.action).tolist() == [3]
    assert run.simulation.fills["bar"].tolist() == [3, 9]


def test_part_of_one_bar_cannot_trade_at_next_open() -> None:
    bars, signals = random_market(4, 1)
    action = np.ones(4, np.int8)
    run = run_parts((bars, replace(signals, action=action)), (1, 2, BOTH), (3, 4, BOTH))
    assert len(run.simulation.fills) == 0
    assert run.simulation.equity.tolist() == [BOTH.initial_cash] * 4


@pytest.mark.parametrize("spans", [(), ((0, 5), (4, 9)), ((0, 11),), ((5, 3),), ((-1, 3),)])
def test_parts_out_of_order_are_refused(spans: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ValueError, match="parts must not be empty, overlap or reach beyond the bars"):
        run_parts(random_market(10, 1), *((first, stop, BOTH) for first, stop in spans))


def test_parts_need_one_signal_per_bar() -> None:
    bars, signals = random_market(10, 1)
    with pytest.raises(ValueError, match="10 signals for 9 bars"):
        run_parts((bars.slice(0, 9), signals), (0, 5, BOTH))
