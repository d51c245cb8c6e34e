"""Check the event-driven engine on any bars and under any rules, beyond the contract of all engines."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from src.domain.exit_orders import ExitOrder
from src.domain.ladders import TakeProfit
from src.domain.order_rules import EntryOrder, Sizing
from src.domain.simulation import FillReason, Simulation
from src.domain.trading import Direction, FillTiming, IntrabarPolicy, TradingRules
from src.domain.volume_rules import VolumeRules
from src.engines.event_driven import EventDrivenEngine
from tests.funding import count_by_minutes
from tests.simulations import FUNDED, LEVERAGED, RULES, Market, funded_markets, markets
from tests.thoroughness import examples

EXAMPLES = settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])


def run(market: Market, rules: TradingRules) -> Simulation:
    return EventDrivenEngine().run(*market, rules)


@given(markets(), RULES)
@EXAMPLES
def test_nothing_is_overdrawn(market: Market, rules: TradingRules) -> None:
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
def test_fills_lie_inside_their_bars(market: Market, rules: TradingRules) -> None:
    rules = dataclasses.replace(rules, slippage_rate=0.0, volume=dataclasses.replace(rules.volume, impact=0.0))
    bars, fills = market[0], run(market, rules).fills
    assert (np.diff(fills["bar"]) >= 0).all()
    assert (fills["quantity"] > 0).all()
    np.testing.assert_array_equal(fills["time_ms"], bars.open_time_ms[fills["bar"]])
    inside = fills[fills["reason"] != FillReason.LIQUIDATION]
    assert (inside["price"] <= bars.high[inside["bar"]]).all()
    assert (inside["price"] >= bars.low[inside["bar"]]).all()


@given(markets(), st.one_of(RULES, LEVERAGED))
@EXAMPLES
def test_each_trade_goes_from_flat_to_flat(market: Market, rules: TradingRules) -> None:
    simulation = run(market, rules)
    fills, trades = simulation.fills, simulation.trades
    assert fills["trade"].tolist() == sorted(fills["trade"])
    most = 2 + max(len(rules.exits.take_profits), rules.exits.take_profit_rate is not None) + len(rules.entry.additions)
    for number, trade in enumerate(trades):
        own = fills[fills["trade"] == number]
        held = np.cumsum(own["side"] * own["quantity"])
        assert len(own) <= most
        assert (np.sign(held[:-1]) == trade["direction"]).all()
        assert (held[-1] == 0) == (not trade["is_open"])
        added, taken = (own[own["side"] == side] for side in (trade["direction"], -trade["direction"]))
        np.testing.assert_allclose(trade["quantity"], added["quantity"].sum(), rtol=1e-12)
        np.testing.assert_allclose(
            trade["entry_price"], np.average(added["price"], weights=added["quantity"]), rtol=1e-12
        )
        assert set(added["reason"][1:].tolist()) <= {FillReason.ADD_LIMIT, FillReason.ADD_STOP}
        if not trade["is_open"]:
            assert set(taken["reason"][:-1].tolist()) <= {FillReason.TAKE_PROFIT}
            assert trade["exit_reason"] == taken["reason"][-1]


def one_target(rules: TradingRules, rate: float) -> tuple[TradingRules, TradingRules]:
    """Return the rules with one target for all exits, as a target and as a ladder of one rung."""
    entry = dataclasses.replace(rules.entry, additions=())
    atr = dataclasses.replace(rules.exits.atr, take_profit=None)
    alone, ladder = (
        dataclasses.replace(
            rules, entry=entry, exits=dataclasses.replace(rules.exits, **exits, atr=atr, order=ExitOrder())
        )
        for exits in (
            {"take_profit_rate": rate, "take_profits": ()},
            {"take_profit_rate": None, "take_profits": (TakeProfit(rate=rate),)},
        )
    )
    return alone, ladder


@given(markets(), st.one_of(RULES, LEVERAGED), st.sampled_from([0.002, 0.02, 0.1]))
@EXAMPLES
def test_ladder_of_one_target_is_that_target(market: Market, rules: TradingRules, rate: float) -> None:
    alone, ladder = one_target(rules, rate)
    ours, theirs = run(market, ladder), run(market, alone)
    for name in ("equity", "cash", "position", "fills", "trades"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)
    # Where stop and target both cost the whole margin, both ways through the bar are the same to a ladder.
    assert 0 <= theirs.ambiguous_bars - ours.ambiguous_bars <= theirs.liquidations


@given(markets(), RULES, st.sampled_from([0.002, 0.02, 0.1]))
@EXAMPLES
def test_ladder_of_one_target_is_turned_as_it(market: Market, rules: TradingRules, rate: float) -> None:
    alone, ladder = one_target(dataclasses.replace(rules, intrabar=IntrabarPolicy.NEAREST), rate)
    ours, theirs = (
        EventDrivenEngine().run_settled(*market, either, range(len(market[0]))) for either in (ladder, alone)
    )
    np.testing.assert_array_equal(ours.fills, theirs.fills)
    assert ours.ambiguous_bars == theirs.ambiguous_bars


@given(markets(), st.one_of(RULES, LEVERAGED), st.integers(1, 12))
@EXAMPLES
def test_target_at_any_price_ends_each_position(market: Market, rules: TradingRules, age: int) -> None:
    """A rate of -1 closes at the open of its age, as the time exit does, but without slippage."""
    last = TakeProfit(rate=-1.0, after_bars=age)
    others = tuple(target for target in rules.exits.take_profits if target.after_bars < age)
    atr = dataclasses.replace(rules.exits.atr, take_profit=None)
    exits = dataclasses.replace(
        rules.exits, take_profit_rate=None, take_profits=(*others, last), atr=atr, order=ExitOrder()
    )
    trades = run(market, dataclasses.replace(rules, exits=exits)).trades
    assert (trades["bars_held"] <= age).all()


@given(markets(), st.one_of(RULES, LEVERAGED))
@EXAMPLES
def test_equity_is_never_below_zero(market: Market, rules: TradingRules) -> None:
    simulation = run(market, rules)
    assert simulation.equity.min() >= -1e-9 * rules.initial_cash
    assert simulation.liquidations == np.count_nonzero(simulation.fills["reason"] == FillReason.LIQUIDATION)


@given(markets(), st.one_of(RULES, LEVERAGED))
@EXAMPLES
def test_trades_make_up_the_gain_when_flat(market: Market, rules: TradingRules) -> None:
    rules = dataclasses.replace(rules, exits=dataclasses.replace(rules.exits, at_end=True))
    simulation = run(market, rules)
    assert simulation.position[-1] == 0
    assert not simulation.trades["is_open"].any()
    scale = rules.initial_cash + np.abs(simulation.fills["quantity"] * simulation.fills["price"]).max(initial=0.0)
    gain = simulation.equity[-1] - rules.initial_cash
    np.testing.assert_allclose(simulation.trades["profit"].sum(), gain, rtol=1e-9, atol=1e-9 * scale)


@given(funded_markets(), FUNDED)
@EXAMPLES
def test_funding_never_takes_more_than_there_is(market: Market, rules: TradingRules) -> None:
    simulation = run(market, rules)
    assert simulation.equity.min() >= -1e-9 * rules.initial_cash
    assert (simulation.fills["price"] > 0).all()
    assert simulation.liquidations == np.count_nonzero(simulation.fills["reason"] == FillReason.LIQUIDATION)


@given(funded_markets(), FUNDED)
@EXAMPLES
def test_equity_is_what_trades_and_funding_leave(market: Market, rules: TradingRules) -> None:
    simulation = run(market, rules)
    trades = simulation.trades
    gain = simulation.equity[-1] - rules.initial_cash
    value = np.abs(simulation.fills["quantity"] * simulation.fills["price"]).max(initial=0.0)
    tolerance = {"rtol": 1e-9, "atol": 1e-9 * (rules.initial_cash + value)}
    np.testing.assert_allclose(trades["profit"].sum(), gain, **tolerance)
    moved = (trades["exit_price"] - trades["entry_price"]) * trades["quantity"] * trades["direction"]
    fees = trades["entry_fee"] + trades["exit_fee"]
    np.testing.assert_allclose(trades["profit"], moved - fees - trades["funding"], **tolerance)
    firsts = np.flatnonzero(np.diff(simulation.fills["trade"], prepend=-1))
    assert not simulation.fills["funding"][firsts].any(), "a position pays nothing before its entry"


@given(funded_markets(), FUNDED)
@EXAMPLES
def test_funding_is_that_of_positions_at_marks(market: Market, rules: TradingRules) -> None:
    """Counted minute by minute from what is held at the closes, where no order fills at one."""
    rules = dataclasses.replace(rules, fill=FillTiming.NEXT_OPEN)
    bars, simulation = market[0], run(market, rules)
    assume(not simulation.liquidations)
    held = np.concatenate(([0.0], simulation.position))
    at_open, inside = count_by_minutes(bars)
    due = (rules.funding.rate or 0.0) * (at_open * held[:-1] * bars.open + inside * held[1:] * bars.close)
    paid = simulation.trades["funding"].sum()
    np.testing.assert_allclose(paid, due.sum(), rtol=1e-9, atol=1e-9 * (np.abs(due).sum() + 1e-6))


@given(markets(), RULES, st.integers(-8, 8))
@EXAMPLES
def test_unit_of_money_does_not_matter(market: Market, rules: TradingRules, power: int) -> None:
    """A power of two scales floating-point numbers without rounding, so the results are equal to the last bit."""
    bars, signals = market
    scale = 2.0**power
    scaled_prices: dict[str, Any] = {name: getattr(bars, name) * scale for name in ("open", "high", "low", "close")}
    amount, least = rules.sizing.quote_amount, rules.exchange.min_notional
    # A tick is the decimal number that it is written as, which a power of two changes.
    rules = dataclasses.replace(rules, exchange=dataclasses.replace(rules.exchange, tick_size=None))
    exchange = dataclasses.replace(rules.exchange, min_notional=None if least is None else least * scale)
    sizing = rules.sizing if amount is None else Sizing(quote_amount=amount * scale)
    scaled = run(
        (dataclasses.replace(bars, **scaled_prices), signals),
        dataclasses.replace(rules, initial_cash=rules.initial_cash * scale, sizing=sizing, exchange=exchange),
    )
    plain = run(market, rules)
    # If a position has shrunk to nothing, absolute tolerances of 1e-12 decide what counts as nothing.
    assume(plain.equity.min() > 1e-3)
    np.testing.assert_array_equal(scaled.equity, plain.equity * scale)
    np.testing.assert_array_equal(scaled.position, plain.position)


@given(markets(), st.one_of(RULES, LEVERAGED))
@EXAMPLES
def test_exchange_would_take_every_entry(market: Market, rules: TradingRules) -> None:
    simulation, exchange = run(market, rules), rules.exchange
    fills = simulation.fills
    is_entry = fills["side"] == simulation.trades["direction"][fills["trade"]]
    if exchange.step_size is not None:
        for quantity in fills["quantity"][is_entry].tolist():
            assert Decimal(repr(quantity)) % Decimal(repr(exchange.step_size)) == 0
        # What is left of several fills is a difference of floating-point numbers.
        steps = fills["quantity"][~is_entry] / exchange.step_size
        np.testing.assert_allclose(steps, np.rint(steps), rtol=1e-9)
    if exchange.min_notional is not None:
        entries = fills[is_entry]
        assert (entries["quantity"] * entries["price"] >= exchange.min_notional * (1 - 1e-9)).all()
    measures = rules.exits.atr.is_used or rules.sizing.volatility_target is not None
    measures = measures or rules.volume.max_share is not None
    if exchange.step_size is exchange.min_notional is None and not measures:
        assert simulation.dropped_entries == 0


@given(markets(), RULES, st.sampled_from([0.01, 0.5, 4.0]))
@EXAMPLES
def test_levels_in_bars_lie_on_ticks(market: Market, rules: TradingRules, tick: float) -> None:
    """A fill inside a bar is at a level; one at the open is at a price of the market."""
    exchange = dataclasses.replace(rules.exchange, tick_size=tick)
    volume = dataclasses.replace(rules.volume, impact=0.0)
    rules = dataclasses.replace(rules, slippage_rate=0.0, exchange=exchange, volume=volume)
    bars, fills = market[0], run(market, rules).fills
    orders = (
        FillReason.LIMIT, FillReason.STOP, FillReason.STOP_LOSS, FillReason.TAKE_PROFIT, FillReason.TRAILING_STOP,
        FillReason.BREAK_EVEN, *([FillReason.SIGNAL] if rules.fill is FillTiming.NEXT_OPEN else []),
    )  # fmt: skip
    resting = fills[np.isin(fills["reason"], orders) & (fills["price"] != bars.open[fills["bar"]])]
    for price in resting["price"].tolist():
        assert Decimal(repr(price)) % Decimal(repr(tick)) == 0


@given(markets(), RULES)
@EXAMPLES
def test_stops_and_time_limits_hold(market: Market, rules: TradingRules) -> None:
    simulation = run(market, rules)
    trades = simulation.trades[~simulation.trades["is_open"]]
    if rules.exits.max_bars is not None:
        assert (trades["bars_held"] <= rules.exits.max_bars).all()
    if not rules.exits.on_signal:
        assert not (trades["exit_reason"] == FillReason.SIGNAL).any()
    stopped = trades[trades["exit_reason"] == FillReason.STOP_LOSS]
    if rules.exits.stop_loss_rate is rules.exits.atr.stop_loss is None:
        assert not len(stopped)
    # Of trades with several entries or exits the table has mean prices.
    is_single = np.bincount(simulation.fills["trade"], minlength=len(simulation.trades)) == 2
    trades = simulation.trades[is_single & ~simulation.trades["is_open"]]
    stopped = trades[trades["exit_reason"] == FillReason.STOP_LOSS]
    # A stopped long never sells above its level, and a target is never filled below its own.
    long = stopped[stopped["direction"] > 0]
    assert (long["exit_price"] <= long["entry_price"] * (1 - (rules.exits.stop_loss_rate or 0)) * (1 + 1e-12)).all()
    if rules.exits.take_profits:
        return
    won = trades[(trades["exit_reason"] == FillReason.TAKE_PROFIT) & (trades["direction"] > 0)]
    assert (won["exit_price"] >= won["entry_price"] * (1 + (rules.exits.take_profit_rate or 0)) * (1 - 1e-12)).all()


@given(markets(), LEVERAGED)
@EXAMPLES
def test_distance_to_liquidation_is_that_of_binance_levels(market: Market, rules: TradingRules) -> None:
    """Of positions that one market order opens at an open, from the bars and the table of trades."""
    rules = dataclasses.replace(
        rules, fill=FillTiming.NEXT_OPEN, slippage_rate=0.0, volume=VolumeRules(), entry=EntryOrder()
    )
    bars, simulation = market[0], run(market, rules)
    distances = []
    for number, trade in enumerate(simulation.trades):
        side, paid, first, last = (trade[name] for name in ("direction", "entry_price", "entry_bar", "exit_bar"))
        level = paid * (1 - side / rules.margin.leverage) / (1 - side * rules.margin.maintenance_rate)
        worst = bars.low if side > 0 else bars.high
        seen = [paid, *worst[first : last + bool(trade["is_open"])]]
        if not trade["is_open"]:
            fills = simulation.fills[simulation.fills["trade"] == number]
            seen += [bars.open[last], fills["price"][-1]] if last > first else [fills["price"][-1]]
        distances += [max(side * (price - level), 0.0) / paid for price in seen]
    if simulation.liquidations:
        assert simulation.liquidation_distance == 0.0
    else:
        expected = min(distances, default=None)
        assert (simulation.liquidation_distance is None) == (expected is None)
        if expected is not None:
            np.testing.assert_allclose(simulation.liquidation_distance, expected, rtol=1e-9, atol=1e-12)
