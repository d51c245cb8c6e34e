"""Compare the event-driven engine with other engines as installed: vectorbt, backtesting.py, backtrader.

If both describe the same thing, fills and equity agree to 1e-9. Each comparison says what the other engine does
differently, and how the test avoids that.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from src.domain.bars import Bars
from src.domain.order_rules import Exits, Sizing
from src.domain.signals import Action, Signals, StrategyDescription
from src.domain.simulation import FillReason, Side, Simulation
from src.domain.strategy import StrategyInputs
from src.domain.trading import Direction, FillTiming, TradingRules
from src.engines.event_driven import EventDrivenEngine
from src.strategies.crossover import Crossover, CrossoverParams
from tests.market import random_bars, read_klines
from tests.simulations import random_signals
from tests.thoroughness import examples

with warnings.catch_warnings():
    # Their imports warn about their own future; ours are errors.
    warnings.simplefilter("ignore")
    import backtesting
    import backtrader
    import vectorbt as vbt

FILES = [("BTCUSDT-1d.csv.gz", "1d"), ("BTCUSDT-1h.csv.gz", "1h"), ("BTCUSDT-1m-2021-04_2021-06.csv.gz", "1m")]
FREQUENCIES = {"1d": "1D", "1h": "1h", "1m": "1min"}
SIZINGS = {
    "all cash": (Sizing(), {}),
    "fixed": (Sizing(fixed_units=0.05), {"size": 0.05}),
    "fixed, too large": (Sizing(fixed_units=900.0), {"size": 900.0}),
    "percent": (Sizing(equity_fraction=0.3), {"size": 0.3, "size_type": "percent"}),
}
COSTS = {"free": (0.0, 0.0), "costs": (0.001, 0.0005)}
VBT_DIRECTIONS = {Direction.LONG: "longonly", Direction.SHORT: "shortonly", Direction.BOTH: "both"}


def vectorbt_portfolio(bars: Bars, action: Any, rules: TradingRules, **options: Any) -> Any:
    """Simulate as vectorbt documents it; NEXT_OPEN is signals shifted by one bar and `price=open`."""
    entries, exits = pd.Series(action == 1), pd.Series(action == -1)
    if rules.direction is Direction.SHORT:
        entries, exits = exits, entries
    price = bars.close
    if rules.fill is FillTiming.NEXT_OPEN:
        entries, exits = entries.shift(1, fill_value=False), exits.shift(1, fill_value=False)
        price = bars.open
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return vbt.Portfolio.from_signals(
            pd.Series(bars.close),
            entries,
            exits,
            price=pd.Series(price),
            init_cash=rules.initial_cash,
            fees=rules.fee_rate,
            slippage=options.pop("slippage", rules.slippage_rate),
            direction=VBT_DIRECTIONS[rules.direction],
            # Without it, vectorbt spends the proceeds of a short; the margin rule of ours forbids that.
            lock_cash=rules.direction is not Direction.LONG,
            freq=FREQUENCIES[bars.interval.name],
            **options,
        )


def assert_same_equity(simulation: Simulation, portfolio: Any) -> None:
    np.testing.assert_allclose(simulation.equity, portfolio.value().to_numpy(), rtol=1e-9, atol=1e-9)


def assert_same_fills(simulation: Simulation, portfolio: Any) -> None:
    orders, fills = portfolio.orders.values, simulation.fills
    np.testing.assert_array_equal(fills["bar"], orders["idx"])
    np.testing.assert_array_equal(fills["side"], np.where(orders["side"] == 0, Side.BUY, Side.SELL))
    for ours, theirs in (("quantity", "size"), ("price", "price"), ("fee", "fees")):
        np.testing.assert_allclose(fills[ours], orders[theirs], rtol=1e-9, atol=1e-12)


@pytest.fixture(scope="module", params=FILES, ids=lambda item: item[1])
def real(request: pytest.FixtureRequest, shared_data: Path) -> Bars:
    name, interval = request.param
    return read_klines(shared_data / name, interval=interval, rows=130_000)


@pytest.fixture(scope="module")
def crossings(real: Bars) -> Signals:
    return Crossover(CrossoverParams()).signals(StrategyInputs(bars=real))


@pytest.mark.shared_data
@pytest.mark.parametrize("costs", COSTS, ids=str)
@pytest.mark.parametrize("fill", FillTiming)
@pytest.mark.parametrize("sizing", SIZINGS, ids=str)
def test_event_engine_agrees_with_vectorbt_on_real_bars(
    real: Bars, crossings: Signals, sizing: str, fill: FillTiming, costs: str
) -> None:
    chosen, size = SIZINGS[sizing]
    fee_rate, slippage_rate = COSTS[costs]
    rules = TradingRules(fill=fill, fee_rate=fee_rate, slippage_rate=slippage_rate, sizing=chosen)
    simulation = EventDrivenEngine().run(real, crossings, rules)
    portfolio = vectorbt_portfolio(real, crossings.action, rules, **size)
    assert len(simulation.fills) > 50
    assert_same_fills(simulation, portfolio)
    assert_same_equity(simulation, portfolio)
    if sizing == "fixed, too large":
        assert simulation.reduced_entries > 0


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.sampled_from(list(SIZINGS)), st.sampled_from(list(COSTS)))
@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.parametrize("fill", FillTiming)
def test_event_engine_agrees_with_vectorbt_on_gapped_bars(
    fill: FillTiming, seed: int, n: int, sizing: str, costs: str
) -> None:
    bars, signals = random_bars(n, seed=seed, volatility=0.05), random_signals(n, seed)
    chosen, size = SIZINGS[sizing]
    fee_rate, slippage_rate = COSTS[costs]
    rules = TradingRules(fill=fill, fee_rate=fee_rate, slippage_rate=slippage_rate, sizing=chosen)
    simulation = EventDrivenEngine().run(bars, signals, rules)
    portfolio = vectorbt_portfolio(bars, signals.action, rules, **size)
    assert_same_fills(simulation, portfolio)
    assert_same_equity(simulation, portfolio)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["all cash", "fixed", "fixed, too large", "percent"]))
@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.parametrize("direction", [Direction.SHORT, Direction.BOTH])
@pytest.mark.parametrize("fill", FillTiming)
def test_vectorbt_on_shorts(fill: FillTiming, direction: Direction, seed: int, sizing: str) -> None:
    """With `lock_cash`, vectorbt's margin equals ours; it has no liquidation, and no reversal by percentage.

    It reverses in one order and we write two fills, so only the equity can be compared then.
    """
    assume(direction is Direction.SHORT or sizing in ("all cash", "fixed"))
    bars, signals = random_bars(40, seed=seed), random_signals(40, seed)
    chosen, size = SIZINGS[sizing]
    rules = TradingRules(fill=fill, fee_rate=0.001, slippage_rate=0.0005, sizing=chosen, direction=direction)
    simulation = EventDrivenEngine().run(bars, signals, rules)
    assume(not simulation.is_liquidated)
    portfolio = vectorbt_portfolio(bars, signals.action, rules, **size)
    assert_same_equity(simulation, portfolio)
    if direction is Direction.SHORT:
        assert_same_fills(simulation, portfolio)


def shifted(is_marked: Any, fill: FillTiming) -> Any:
    marks = pd.Series(is_marked)
    return marks.shift(1, fill_value=False) if fill is FillTiming.NEXT_OPEN else marks


@given(st.integers(0, 2**32 - 1), st.sampled_from(["all cash", "fixed"]))
@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.parametrize("fill", FillTiming)
def test_vectorbt_on_signals_that_only_close(fill: FillTiming, seed: int, sizing: str) -> None:
    """vectorbt takes entries and exits of both sides apart; it reverses in one order, and we write two fills."""
    bars, signals = random_bars(40, seed=seed), random_signals(40, seed, share=0.5, closing=0.5)
    chosen, size = SIZINGS[sizing]
    rules = TradingRules(fill=fill, fee_rate=0.001, slippage_rate=0.0005, sizing=chosen, direction=Direction.BOTH)
    simulation = EventDrivenEngine().run(bars, signals, rules)
    assume(not simulation.is_liquidated)
    action = signals.action
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        portfolio = vbt.Portfolio.from_signals(
            pd.Series(bars.close),
            entries=shifted(action == Action.BUY, fill),
            exits=shifted(action == Action.CLOSE_LONG, fill),
            short_entries=shifted(action == Action.SELL, fill),
            short_exits=shifted(action == Action.CLOSE_SHORT, fill),
            price=pd.Series(bars.open if fill is FillTiming.NEXT_OPEN else bars.close),
            init_cash=rules.initial_cash,
            fees=rules.fee_rate,
            slippage=rules.slippage_rate,
            upon_opposite_entry="reverse",
            lock_cash=True,
            freq="1D",
            **size,
        )
    assert_same_equity(simulation, portfolio)


STOPS = {
    "stop loss": (Exits(stop_loss_rate=0.03), {"sl_stop": 0.03}),
    "trailing stop": (Exits(trailing_stop_rate=0.03), {"sl_stop": 0.03, "sl_trail": True}),
    "target": (Exits(take_profit_rate=0.04), {"tp_stop": 0.04}),
    "stop loss and target": (Exits(stop_loss_rate=0.03, take_profit_rate=0.04), {"sl_stop": 0.03, "tp_stop": 0.04}),
}


@given(st.integers(0, 2**32 - 1), st.sampled_from(list(STOPS)), st.sampled_from([Direction.LONG, Direction.SHORT]))
@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_vectorbt_on_stops(seed: int, kind: str, direction: Direction) -> None:
    """With levels from the fill price, filled as stop orders, vectorbt's stops equal ours except in three points.

    1. It tests stops from the bar after the entry, so the entry is made at a close.
    2. It ignores the strategy in the bar of a stop, so there is one entry only.
    3. It tests a stop before an open beyond the target.
    """
    bars = random_bars(30, seed=seed, volatility=0.02)
    action = np.zeros(30, dtype=np.int8)
    action[seed % 10] = direction_sign = 1 if direction is Direction.LONG else -1
    exits, options = STOPS[kind]
    # Its targets slip as its stops do; with a target there is none to compare.
    slippage_rate = 0.0 if exits.take_profit_rate else 0.002
    rules = TradingRules(
        fill=FillTiming.SAME_CLOSE, fee_rate=0.001, slippage_rate=slippage_rate, direction=direction, exits=exits
    )
    signals = Signals(action=action, strategy=StrategyDescription(name="one entry"))
    simulation = EventDrivenEngine().run(bars, signals, rules)
    if len(simulation.fills) == 2 and exits.stop_loss_rate and exits.take_profit_rate:
        end = simulation.fills["bar"][1]
        level = simulation.fills["price"][0] * (1 - direction_sign * exits.stop_loss_rate)
        has_reached_stop = bars.low[end] <= level if direction_sign > 0 else bars.high[end] >= level
        is_gap = simulation.fills["price"][1] == bars.open[end]
        assume(not (has_reached_stop and is_gap and simulation.fills["reason"][1] == FillReason.TAKE_PROFIT))
    portfolio = vectorbt_portfolio(
        bars,
        action,
        rules,
        open=pd.Series(bars.open),
        high=pd.Series(bars.high),
        low=pd.Series(bars.low),
        stop_entry_price="fillprice",
        stop_exit_price="stopmarket",
        **options,
    )
    assert_same_fills(simulation, portfolio)
    assert_same_equity(simulation, portfolio)


def frame_of(bars: Bars) -> pd.DataFrame:
    index = pd.to_datetime(bars.open_time_ms, unit="ms")
    names = ("open", "high", "low", "close", "volume")
    return pd.DataFrame({name.capitalize(): getattr(bars, name) for name in names}, index=index)


@pytest.fixture(scope="module")
def daily(shared_data: Path) -> Bars:
    return read_klines(shared_data / "BTCUSDT-1d.csv.gz", interval="1d")


@pytest.fixture(scope="module", params=["real", "random"])
def series(request: pytest.FixtureRequest) -> Bars:
    if request.param == "random":
        return random_bars(1500, seed=3)
    bars: Bars = request.getfixturevalue("daily")
    return bars


CHOICE = CrossoverParams(fast=10, slow=30)


def test_event_engine_agrees_with_backtesting_py(series: Bars) -> None:
    """backtesting.py trades whole units, so both trade three of them.

    Its `spread` affects entries only, so there is no slippage; its last trade stays open, as ours does.
    """

    class MeansCross(backtesting.Strategy):  # type: ignore[misc, name-defined]
        def init(self) -> None:
            close = pd.Series(self.data.Close)
            self.fast = self.I(lambda: close.rolling(CHOICE.fast).mean())
            self.slow = self.I(lambda: close.rolling(CHOICE.slow).mean())

        def next(self) -> None:
            if self.fast[-2] <= self.slow[-2] and self.fast[-1] > self.slow[-1] and not self.position:
                self.buy(size=3)
            elif self.fast[-2] >= self.slow[-2] and self.fast[-1] < self.slow[-1] and self.position:
                self.position.close()

    rules = TradingRules(
        fill=FillTiming.NEXT_OPEN,
        initial_cash=1e7,
        fee_rate=0.001,
        slippage_rate=0.0,
        sizing=Sizing(fixed_units=3.0),
    )
    simulation = EventDrivenEngine().run(series, Crossover(CHOICE).signals(StrategyInputs(bars=series)), rules)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stats = backtesting.Backtest(
            frame_of(series), MeansCross, cash=rules.initial_cash, commission=rules.fee_rate, finalize_trades=False
        ).run()
    closed, theirs = simulation.trades[~simulation.trades["is_open"]], stats["_trades"]
    assert len(closed) == len(theirs) > 15
    np.testing.assert_array_equal(closed["entry_bar"], theirs["EntryBar"])
    np.testing.assert_array_equal(closed["exit_bar"], theirs["ExitBar"])
    np.testing.assert_allclose(closed["entry_price"], theirs["EntryPrice"], rtol=1e-9)
    np.testing.assert_allclose(closed["exit_price"], theirs["ExitPrice"], rtol=1e-9)
    np.testing.assert_allclose(simulation.equity, stats["_equity_curve"]["Equity"], rtol=1e-9)


def test_event_engine_agrees_with_backtrader(series: Bars) -> None:
    """backtrader rejects an all-cash order whose open gaps up, so both trade a fixed size that always fits.

    Its slippage stays inside the bar unless `slip_out`; with it, prices are ours.
    """
    values: list[float] = []

    class MeansCross(backtrader.Strategy):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            fast = backtrader.ind.SMA(self.data.close, period=CHOICE.fast)
            slow = backtrader.ind.SMA(self.data.close, period=CHOICE.slow)
            self.cross = backtrader.ind.CrossOver(fast, slow)

        def prenext(self) -> None:
            values.append(self.broker.getvalue())

        def next(self) -> None:
            values.append(self.broker.getvalue())
            if self.cross[0] > 0 and not self.position:
                self.buy(size=0.25)
            elif self.cross[0] < 0 and self.position:
                self.close()

    rules = TradingRules(
        fill=FillTiming.NEXT_OPEN,
        initial_cash=1e6,
        fee_rate=0.001,
        slippage_rate=0.002,
        sizing=Sizing(fixed_units=0.25),
    )
    cerebro = backtrader.Cerebro(stdstats=False)
    cerebro.broker.setcash(rules.initial_cash)
    cerebro.broker.setcommission(commission=rules.fee_rate)
    cerebro.broker.set_slippage_perc(rules.slippage_rate, slip_open=True, slip_match=True, slip_out=True)
    cerebro.adddata(backtrader.feeds.PandasData(dataname=frame_of(series)))
    cerebro.addstrategy(MeansCross)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cerebro.run()
    simulation = EventDrivenEngine().run(series, Crossover(CHOICE).signals(StrategyInputs(bars=series)), rules)
    assert len(simulation.trades) > 15
    np.testing.assert_allclose(simulation.equity, values, rtol=1e-9)


def test_backtrader_on_signals_that_only_close(series: Bars) -> None:
    """backtrader reverses in one order of twice the size; without cash limits the equity is the same."""
    action = random_signals(len(series), 7, share=0.4, closing=0.5).action
    values: list[float] = []

    class FollowSignals(backtrader.Strategy):  # type: ignore[misc, name-defined]
        def next(self) -> None:
            values.append(self.broker.getvalue())
            signal = action[len(self) - 1]
            if abs(signal) == 1:
                self.order_target_size(target=0.25 * int(signal))
            elif signal * self.position.size < 0:
                self.close()

    rules = TradingRules(
        fill=FillTiming.NEXT_OPEN,
        initial_cash=1e6,
        fee_rate=0.001,
        slippage_rate=0.002,
        sizing=Sizing(fixed_units=0.25),
        direction=Direction.BOTH,
    )
    cerebro = backtrader.Cerebro(stdstats=False)
    cerebro.broker.setcash(rules.initial_cash)
    cerebro.broker.setcommission(commission=rules.fee_rate)
    cerebro.broker.set_slippage_perc(rules.slippage_rate, slip_open=True, slip_match=True, slip_out=True)
    cerebro.adddata(backtrader.feeds.PandasData(dataname=frame_of(series)))
    cerebro.addstrategy(FollowSignals)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cerebro.run()
    simulation = EventDrivenEngine().run(
        series, Signals(action=action, strategy=StrategyDescription(name="random")), rules
    )
    trades = simulation.trades
    assert {1, -1} == set(trades["direction"].tolist())
    is_flat = simulation.position == 0
    assert 0.1 < is_flat.mean() < 0.9
    np.testing.assert_allclose(simulation.equity, values, rtol=1e-9)
