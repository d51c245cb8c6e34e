"""What holds for the event-driven engine on any bars and under any rules."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from src.domain.market import Bars
from src.domain.signals import Signals, StrategyDescription
from src.domain.trading import (
    Direction,
    EntryOrder,
    EntryType,
    Exits,
    FillReason,
    FillTiming,
    IntrabarPolicy,
    Simulation,
    Sizing,
    TradingRules,
)
from src.engines.event_driven import EventDrivenEngine
from tests.market import random_bars

EXAMPLES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

SIZINGS = st.one_of(
    st.just(Sizing()),
    st.builds(Sizing, fixed_units=st.sampled_from([0.5, 20.0, 1000.0])),
    st.builds(Sizing, equity_fraction=st.sampled_from([0.1, 0.5, 1.0])),
)
ENTRIES = st.one_of(
    st.just(EntryOrder()),
    st.builds(
        EntryOrder,
        type=st.sampled_from([EntryType.LIMIT, EntryType.STOP]),
        offset_rate=st.sampled_from([0.0, 0.005, 0.03]),
        life_bars=st.integers(1, 6),
    ),
)
RATES = st.one_of(st.none(), st.sampled_from([0.004, 0.02, 0.1, 0.5]))
EXITS = st.builds(
    Exits,
    stop_loss_rate=RATES,
    take_profit_rate=RATES,
    trailing_stop_rate=RATES,
    max_bars=st.one_of(st.none(), st.integers(1, 12)),
)
RULES = st.builds(
    TradingRules,
    fill=st.sampled_from(FillTiming),
    fee_rate=st.sampled_from([0.0, 0.001, 0.02]),
    slippage_rate=st.sampled_from([0.0, 0.001, 0.02]),
    sizing=SIZINGS,
    direction=st.sampled_from(Direction),
    entry=ENTRIES,
    exits=EXITS,
    intrabar=st.sampled_from(IntrabarPolicy),
)


@st.composite
def markets(draw: st.DrawFn) -> tuple[Bars, Signals]:
    """Bars that gap, from calm to ones in which a short is ruined, with a word at some of them."""
    seed = draw(st.integers(0, 2**32 - 1))
    bars = random_bars(draw(st.integers(1, 80)), seed=seed, volatility=draw(st.sampled_from([0.005, 0.03, 0.3])))
    return bars, random_signals(len(bars), seed=seed, share=draw(st.sampled_from([0.1, 0.4, 0.9])))


def random_signals(n: int, *, seed: int, share: float) -> Signals:
    """A word at `share` of the bars, buy or sell alike."""
    random = np.random.default_rng(seed)
    action = random.choice(np.array([-1, 0, 1], dtype=np.int8), n, p=[share / 2, 1 - share, share / 2])
    return Signals(action=action, strategy=StrategyDescription(name="random"))


def run(market: tuple[Bars, Signals], rules: TradingRules) -> Simulation:
    return EventDrivenEngine().run(*market, rules)


@given(markets(), RULES)
@EXAMPLES
def test_equity_is_cash_and_position_at_the_close(market: tuple[Bars, Signals], rules: TradingRules) -> None:
    simulation = run(market, rules)
    np.testing.assert_array_equal(simulation.equity, simulation.cash + simulation.position * market[0].close)


@given(markets(), RULES)
@EXAMPLES
def test_cash_and_position_are_what_the_fills_leave(market: tuple[Bars, Signals], rules: TradingRules) -> None:
    simulation = run(market, rules)
    fills, bars = simulation.fills, np.arange(len(market[0]))
    flows = -fills["side"] * fills["quantity"] * fills["price"] - fills["fee"]
    done = np.searchsorted(fills["bar"], bars, side="right")
    cash = rules.initial_cash + np.concatenate(([0.0], np.cumsum(flows)))[done]
    position = np.concatenate(([0.0], np.cumsum(fills["side"] * fills["quantity"])))[done]
    scale = rules.initial_cash + np.abs(flows).max(initial=0.0)
    np.testing.assert_allclose(simulation.cash, cash, rtol=1e-9, atol=1e-9 * scale)
    np.testing.assert_allclose(simulation.position, position, rtol=1e-9, atol=1e-9 * (1 + np.abs(position).max()))


@given(markets(), RULES)
@EXAMPLES
def test_nothing_is_overdrawn(market: tuple[Bars, Signals], rules: TradingRules) -> None:
    simulation = run(market, rules)
    assert (simulation.cash >= 0).all()
    assert (simulation.equity >= 0).all()
    if rules.direction is Direction.LONG:
        assert not simulation.is_liquidated
    if simulation.is_liquidated:
        ruin = simulation.fills[simulation.fills["reason"] == FillReason.LIQUIDATION]
        assert len(ruin) == 1, "a run ends with its first liquidation"
        assert ruin[0] == simulation.fills[-1]
        assert not simulation.equity[ruin["bar"][0] :].any()


@given(markets(), RULES)
@EXAMPLES
def test_fills_alternate_inside_their_bars(market: tuple[Bars, Signals], rules: TradingRules) -> None:
    rules = dataclasses.replace(rules, slippage_rate=0.0)
    bars, fills = market[0], run(market, rules).fills
    assert (np.diff(fills["bar"]) >= 0).all()
    assert (fills["quantity"] > 0).all()
    np.testing.assert_array_equal(fills["side"][1::2], -fills["side"][0::2][: len(fills) // 2])
    np.testing.assert_array_equal(fills["time_ms"], bars.open_time_ms[fills["bar"]])
    inside = fills[fills["reason"] != FillReason.LIQUIDATION]
    assert (inside["price"] <= bars.high[inside["bar"]]).all()
    assert (inside["price"] >= bars.low[inside["bar"]]).all()


@given(markets(), RULES, st.floats(0, 1))
@EXAMPLES
def test_the_past_does_not_know_the_future(market: tuple[Bars, Signals], rules: TradingRules, share: float) -> None:
    bars, signals = market
    k = math.ceil(share * len(bars))
    full = run(market, rules)
    start = run((bars.slice(0, k), Signals(action=signals.action[:k], strategy=signals.strategy)), rules)
    for name in ("equity", "cash", "position"):
        np.testing.assert_array_equal(getattr(start, name), getattr(full, name)[:k])
    np.testing.assert_array_equal(start.fills, full.fills[full.fills["bar"] < k])
    assert start.ambiguous_bars <= full.ambiguous_bars


@given(markets(), RULES)
@EXAMPLES
def test_dearer_fees_leave_less(market: tuple[Bars, Signals], rules: TradingRules) -> None:
    """Twice the fees on the same fills; the size is so small that neither cash nor ruin changes the fills."""
    cheap = dataclasses.replace(rules, sizing=Sizing(fixed_units=1e-4), initial_cash=1e6, fee_rate=0.003)
    dear = dataclasses.replace(cheap, fee_rate=0.006)
    less, more = run(market, dear), run(market, cheap)
    for name in ("bar", "side", "quantity", "price", "reason"):
        np.testing.assert_array_equal(less.fills[name], more.fills[name])
    assert (less.equity <= more.equity).all()
    assert (less.equity[-1] < more.equity[-1]) == bool(len(more.fills))


@given(markets(), RULES, st.integers(-8, 8))
@EXAMPLES
def test_the_unit_of_money_does_not_matter(market: tuple[Bars, Signals], rules: TradingRules, power: int) -> None:
    """A power of two scales floating-point numbers without rounding, so the results are equal to the last bit."""
    bars, signals = market
    scale = 2.0**power
    scaled_prices: dict[str, Any] = {name: getattr(bars, name) * scale for name in ("open", "high", "low", "close")}
    scaled = run(
        (dataclasses.replace(bars, **scaled_prices), signals),
        dataclasses.replace(rules, initial_cash=rules.initial_cash * scale),
    )
    plain = run(market, rules)
    # Where a position has shrunk to nothing, absolute tolerances of 1e-12 decide what is nothing.
    assume(plain.equity.min() > 1e-3)
    np.testing.assert_array_equal(scaled.equity, plain.equity * scale)
    np.testing.assert_array_equal(scaled.position, plain.position)


@given(markets(), RULES)
@EXAMPLES
def test_stops_and_time_limits_hold(market: tuple[Bars, Signals], rules: TradingRules) -> None:
    simulation = run(market, rules)
    trades = simulation.trades[~simulation.trades["is_open"]]
    if rules.exits.max_bars is not None:
        assert (trades["bars_held"] <= rules.exits.max_bars).all()
    stopped = trades[trades["exit_reason"] == FillReason.STOP_LOSS]
    if rules.exits.stop_loss_rate is None:
        assert not len(stopped)
    # A stopped long never sells above its level, and a target is never filled below its own.
    long = stopped[stopped["direction"] > 0]
    assert (long["exit_price"] <= long["entry_price"] * (1 - (rules.exits.stop_loss_rate or 0)) * (1 + 1e-12)).all()
    won = trades[(trades["exit_reason"] == FillReason.TAKE_PROFIT) & (trades["direction"] > 0)]
    assert (won["exit_price"] >= won["entry_price"] * (1 + (rules.exits.take_profit_rate or 0)) * (1 - 1e-12)).all()
