"""Compare fills that depend on volume with a plain loop, and check what must hold of them under any rules."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from src.domain.simulation import FillReason, Simulation
from src.domain.trading import Direction, FillTiming, TradingRules
from src.domain.volume_rules import VolumeRules
from src.engines.event_driven import EventDrivenEngine
from tests.simulations import COSTS, LEVERAGED, RULES, SIZINGS, VOLUMES, Market, thin_markets
from tests.thoroughness import examples

EXAMPLES = settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])

MARKET_RULES = st.builds(
    TradingRules,
    fill=st.sampled_from(FillTiming),
    fee_rate=COSTS,
    slippage_rate=COSTS,
    sizing=SIZINGS,
    direction=st.sampled_from(Direction),
    volume=VOLUMES,
)


class PlainFill(NamedTuple):
    bar: int
    side: int
    quantity: float
    price: float


class PlainBook:
    """Cash and units by the texts of the documentation: market orders only, one at a time."""

    def __init__(self, rules: TradingRules) -> None:
        self.rules, self.cash, self.units = rules, rules.initial_cash, 0.0
        self.fills: list[PlainFill] = []
        self.is_liquidated = False

    def price_of(self, quantity: float, volume: float, market_price: float, side: int) -> float:
        limit = self.rules.volume.max_share or 1.0
        share = min(quantity / volume, limit) if volume else limit
        return market_price * (1 + side * (self.rules.slippage_rate + self.rules.volume.impact * share**2))

    def wanted_at(self, price: float) -> float:
        sizing, payable = self.rules.sizing, self.cash / (1 + self.rules.fee_rate) / price
        if sizing.fixed_units is not None:
            return min(sizing.fixed_units, payable)
        return (sizing.equity_fraction or 1.0) * payable

    def enter(self, bar: int, market_price: float, volume: float, side: int) -> None:
        most = self.wanted_at(self.price_of(0.0, 1.0, market_price, side))
        if self.rules.volume.max_share is not None:
            most = min(most, self.rules.volume.max_share * volume)
        if most <= 1e-9:
            return

        def left(quantity: float) -> float:
            return self.wanted_at(self.price_of(quantity, volume, market_price, side)) - quantity

        quantity = most if left(most) >= 0 else brentq(left, 0.0, most, xtol=1e-15, rtol=1e-14)
        self.fill(bar, side, quantity, self.price_of(quantity, volume, market_price, side))

    def leave(self, bar: int, market_price: float, volume: float) -> None:
        side, quantity = -int(np.sign(self.units)), abs(self.units)
        price = self.price_of(quantity, volume, market_price, side)
        if side > 0 and quantity * price * (1 + self.rules.fee_rate) >= self.cash * (1 - 1e-12):
            self.is_liquidated = True
        self.fill(bar, side, quantity, price)

    def fill(self, bar: int, side: int, quantity: float, price: float) -> None:
        self.fills.append(PlainFill(bar, side, quantity, price))
        self.cash -= side * quantity * price + quantity * price * self.rules.fee_rate
        self.units += side * quantity

    def obey(self, signal: int, bar: int, price: float, volume: float) -> None:
        allowed = {Direction.LONG: 1, Direction.SHORT: -1}.get(self.rules.direction)
        closes = self.units * signal < 0
        if closes:
            self.leave(bar, price, volume)
        if not self.units and abs(signal) == 1 and allowed in (None, signal) and not self.is_liquidated:
            self.enter(bar, price, volume, signal)


def trade_plainly(market: Market, rules: TradingRules) -> PlainBook:
    bars, signals = market
    book, delay = PlainBook(rules), rules.fill is FillTiming.NEXT_OPEN
    prices = bars.open if delay else bars.close
    for bar, signal in enumerate(signals.action.tolist()):
        if signal and bar + delay < len(bars) and not book.is_liquidated:
            at = bar + delay
            book.obey(signal, at, float(prices[at]), float(bars.volume[at]))
    return book


@given(thin_markets(), MARKET_RULES)
@EXAMPLES
def test_market_orders_equal_a_plain_loop(market: Market, rules: TradingRules) -> None:
    simulation, book = EventDrivenEngine().run(*market, rules), trade_plainly(market, rules)
    assume(not simulation.liquidations and not book.is_liquidated)
    fills = simulation.fills
    assert [(fill.bar, fill.side) for fill in book.fills] == list(
        zip(fills["bar"].tolist(), fills["side"].tolist(), strict=True)
    )
    for name in ("quantity", "price"):
        np.testing.assert_allclose(fills[name], [getattr(fill, name) for fill in book.fills], rtol=1e-8)


def run(market: Market, rules: TradingRules) -> Simulation:
    return EventDrivenEngine().run(*market, rules)


@given(thin_markets(), st.one_of(RULES, LEVERAGED), VOLUMES)
@EXAMPLES
def test_entries_take_no_more_than_their_share(market: Market, rules: TradingRules, volume: VolumeRules) -> None:
    simulation = run(market, dataclasses.replace(rules, volume=volume))
    fills = simulation.fills
    is_entry = fills["side"] == simulation.trades["direction"][fills["trade"]]
    if volume.max_share is not None:
        most = volume.max_share * market[0].volume[fills["bar"]]
        assert (fills["quantity"] <= most * (1 + 1e-12))[is_entry].all()


@given(thin_markets(), st.one_of(RULES, LEVERAGED), VOLUMES)
@EXAMPLES
def test_impact_follows_share_of_each_fill(market: Market, rules: TradingRules, volume: VolumeRules) -> None:
    fills = run(market, dataclasses.replace(rules, volume=volume)).fills
    traded, limit = market[0].volume[fills["bar"]], volume.max_share or 1.0
    share = np.divide(fills["quantity"], traded, out=np.full(len(fills), np.inf), where=traded > 0)
    full = volume.impact * np.minimum(share, limit) ** 2
    pays = fills["impact"] > 0
    np.testing.assert_allclose(fills["impact"][pays], full[pays], rtol=1e-12)
    at_levels = (FillReason.LIMIT, FillReason.TAKE_PROFIT, FillReason.ADD_LIMIT)
    at_market = (FillReason.STOP, FillReason.STOP_LOSS, FillReason.TRAILING_STOP, FillReason.TIME, FillReason.ADD_STOP)
    assert not pays[np.isin(fills["reason"], at_levels)].any()
    if volume.impact > 0:
        assert pays[np.isin(fills["reason"], at_market)].all()


@given(thin_markets(), RULES)
@EXAMPLES
def test_volume_without_limit_or_impact_changes_nothing(market: Market, rules: TradingRules) -> None:
    """Of markets that are so deep that no share is reached."""
    bars, signals = market
    deep = dataclasses.replace(bars, volume=np.full(len(bars), 1e15)), signals
    without = run(deep, dataclasses.replace(rules, volume=VolumeRules()))
    limited = run(deep, dataclasses.replace(rules, volume=VolumeRules(max_share=1.0)))
    for name in ("equity", "cash", "position", "fills", "trades"):
        np.testing.assert_array_equal(getattr(limited, name), getattr(without, name), err_msg=name)


@given(thin_markets(), st.one_of(RULES, LEVERAGED), VOLUMES, st.integers(1, 80))
@EXAMPLES
def test_first_bars_run_alone_give_the_same(
    market: Market, rules: TradingRules, volume: VolumeRules, stop: int
) -> None:
    bars, signals = market
    rules = dataclasses.replace(rules, volume=volume)
    whole = run(market, rules)
    part = run((bars.slice(0, stop), dataclasses.replace(signals, action=signals.action[:stop])), rules)
    for name in ("equity", "cash", "position"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[:stop], err_msg=name)
    np.testing.assert_array_equal(part.fills, whole.fills[whole.fills["bar"] < stop])
