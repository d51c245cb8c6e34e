"""Check what every engine of the registry must do, on any bars and under all rules that it knows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src.domain.bars import Bars
from src.domain.order_rules import EntryType, Sizing
from src.domain.signals import Signals
from src.domain.simulation import Simulation
from src.domain.strategy import StrategyInputs
from src.domain.trading import EngineName, FillTiming, TradingRules
from src.domain.volume_rules import VolumeRules
from src.engines.registry import ENGINES
from src.ports.computing import Engine
from src.strategies.crossover import Crossover, CrossoverParams
from tests.market import bars_of_closes, read_klines
from tests.simulations import (
    FUNDED,
    LEVERAGED,
    RULES,
    SHARED_RULES,
    Market,
    funded_markets,
    markets,
    random_market,
)
from tests.thoroughness import examples

EXAMPLES = settings(max_examples=examples(100), suppress_health_check=[HealthCheck.too_slow])

RULES_OF: Mapping[EngineName, st.SearchStrategy[TradingRules]] = {
    EngineName.VECTORIZED: SHARED_RULES,
    EngineName.EVENT_DRIVEN: RULES,
}
"""The rules that each engine knows."""

CURVES = ("equity", "cash", "position")
TABLES = ("fills", "trades")
Check = Callable[[Engine, Market, TradingRules], None]


def first_bars(market: Market, stop: int) -> Market:
    bars, signals = market
    return bars.slice(0, stop), dataclasses.replace(signals, action=signals.action[:stop])


def content_of(simulation: Simulation) -> list[bytes]:
    return [getattr(simulation, name).tobytes() for name in (*CURVES, *TABLES)]


def assert_same_start(part: Simulation, whole: Simulation, bars: int) -> None:
    """The first bars of two runs are equal to the last bit: curves, and fills."""
    for name in CURVES:
        np.testing.assert_array_equal(getattr(part, name)[:bars], getattr(whole, name)[:bars], err_msg=name)
    started, ended = (simulation.fills[simulation.fills["bar"] < bars] for simulation in (part, whole))
    np.testing.assert_array_equal(started, ended)


def check_equity_is_cash_and_position_at_the_close(engine: Engine, market: Market, rules: TradingRules) -> None:
    simulation = engine.run(*market, rules)
    assert len(simulation.equity) == len(market[0])
    np.testing.assert_array_equal(simulation.equity, simulation.cash + simulation.position * market[0].close)


def check_cash_and_position_are_what_fills_leave(engine: Engine, market: Market, rules: TradingRules) -> None:
    simulation = engine.run(*market, rules)
    fills = simulation.fills
    flows = -fills["side"] * fills["quantity"] * fills["price"] - fills["fee"]
    done = np.searchsorted(fills["bar"], np.arange(len(market[0])), side="right")
    cash = rules.initial_cash + np.concatenate(([0.0], np.cumsum(flows)))[done]
    position = np.concatenate(([0.0], np.cumsum(fills["side"] * fills["quantity"])))[done]
    scale = rules.initial_cash + np.abs(flows).max(initial=0.0)
    np.testing.assert_allclose(simulation.cash, cash, rtol=1e-9, atol=1e-9 * scale)
    np.testing.assert_allclose(simulation.position, position, rtol=1e-9, atol=1e-9 * (1 + np.abs(position).max()))


def check_first_bars_run_alone_give_the_same(engine: Engine, market: Market, rules: TradingRules) -> None:
    whole = engine.run(*market, rules)
    n = len(market[0])
    for stop in sorted({1, 2, n // 3, n // 2, n - 1} & set(range(1, n))):
        part = engine.run(*first_bars(market, stop), rules)
        assert_same_start(part, whole, stop)
        assert part.ambiguous_bars <= whole.ambiguous_bars


def check_later_bars_change_nothing(engine: Engine, market: Market, rules: TradingRules) -> None:
    bars, signals = market
    kept = len(bars) // 2
    factor = np.where(np.arange(len(bars)) < kept, 1.0, 3.0)
    moved = {name: getattr(bars, name) * factor for name in ("open", "high", "low", "close", "volume")}
    action = np.where(factor == 1.0, signals.action, -signals.action)
    other = engine.run(dataclasses.replace(bars, **moved), dataclasses.replace(signals, action=action), rules)
    assert_same_start(other, engine.run(*market, rules), kept)


def check_without_signal_nothing_is_traded(engine: Engine, market: Market, rules: TradingRules) -> None:
    bars, signals = market
    simulation = engine.run(bars, dataclasses.replace(signals, action=np.zeros_like(signals.action)), rules)
    assert len(simulation.fills) == len(simulation.trades) == 0
    assert (simulation.equity == rules.initial_cash).all()


def check_fees_leave_less_in_every_trade(engine: Engine, market: Market, rules: TradingRules) -> None:
    """The size is so small that neither cash nor liquidation changes the fills; nor does a level that follows fees.

    Of additions, the policy compares two ways through a bar by the equity that they leave, and so by the fee.
    """
    entry = dataclasses.replace(rules.entry, additions=())
    exits = dataclasses.replace(rules.exits, break_even_rate=None)
    exchange = dataclasses.replace(rules.exchange, step_size=None, min_notional=None)
    cheap = dataclasses.replace(
        rules, sizing=Sizing(fixed_units=1e-4), entry=entry, exits=exits, exchange=exchange, initial_cash=1e6
    )
    more, less = (engine.run(*market, cheap.with_one_fee(rate)) for rate in (0.003, 0.006))
    for name in ("bar", "side", "quantity", "price", "reason"):
        np.testing.assert_array_equal(less.fills[name], more.fills[name])
    assert (less.trades["profit"] < more.trades["profit"]).all()
    assert (less.equity <= more.equity).all()


def check_slippage_leaves_less_in_every_trade(engine: Engine, market: Market, rules: TradingRules) -> None:
    """Levels of stops and targets follow the entry's price, so with them slippage would change the fills."""
    rules = TradingRules(fill=rules.fill, direction=rules.direction, sizing=Sizing(fixed_units=1e-4), initial_cash=1e6)
    more = engine.run(*market, dataclasses.replace(rules, slippage_rate=0.0))
    less = engine.run(*market, dataclasses.replace(rules, slippage_rate=0.01))
    np.testing.assert_array_equal(less.fills["bar"], more.fills["bar"])
    closed = ~more.trades["is_open"]
    assert (less.trades["profit"] < more.trades["profit"])[closed].all()


def check_same_result_twice(engine: Engine, market: Market, rules: TradingRules) -> None:
    first = content_of(engine.run(*market, rules))
    engine.run(*random_market(20, seed=99), rules)
    assert content_of(engine.run(*market, rules)) == first


def check_one_bar_is_a_run(engine: Engine, market: Market, rules: TradingRules) -> None:
    simulation = engine.run(*first_bars(market, 1), rules)
    assert len(simulation.equity) == 1
    if rules.fill is FillTiming.NEXT_OPEN or rules.entry.type is not EntryType.MARKET:
        assert len(simulation.fills) == 0, "there is no later bar in which an order could be filled"
    assert 0 < simulation.equity[0] <= rules.initial_cash


def check_flat_price_earns_nothing(engine: Engine, market: Market, rules: TradingRules) -> None:
    bars = bars_of_closes(np.full(len(market[0]), 61_234.57))
    for costs in (0.0, 0.001):
        paid = dataclasses.replace(rules.with_one_fee(costs), slippage_rate=costs, volume=VolumeRules())
        equity = engine.run(bars, market[1], paid).equity
        assert (equity <= rules.initial_cash * (1 + 1e-9)).all()
        if costs == 0:
            np.testing.assert_allclose(equity, rules.initial_cash, rtol=1e-9)


def check_inputs_stay_as_they_are(engine: Engine, market: Market, rules: TradingRules) -> None:
    bars, signals = market
    before = [bars.fingerprint(), signals.action.tobytes(), repr(rules)]
    engine.run(bars, signals, rules)
    assert [bars.fingerprint(), signals.action.tobytes(), repr(rules)] == before


CHECKS: tuple[Check, ...] = (
    check_equity_is_cash_and_position_at_the_close,
    check_cash_and_position_are_what_fills_leave,
    check_first_bars_run_alone_give_the_same,
    check_later_bars_change_nothing,
    check_without_signal_nothing_is_traded,
    check_fees_leave_less_in_every_trade,
    check_slippage_leaves_less_in_every_trade,
    check_same_result_twice,
    check_one_bar_is_a_run,
    check_flat_price_earns_nothing,
    check_inputs_stay_as_they_are,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", ENGINES)
def test_engine_keeps_the_contract(name: EngineName, check: Check) -> None:
    @given(markets(), RULES_OF[name])
    @EXAMPLES
    def holds(market: Market, rules: TradingRules) -> None:
        check(ENGINES[name], market, rules)

    holds()


NOT_OF_BORROWED: Mapping[Check, str] = {
    check_one_bar_is_a_run: "the first bar may liquidate",
    check_fees_leave_less_in_every_trade: "the fee decides at which price a margin is used up",
}


@pytest.mark.parametrize("check", [check for check in CHECKS if check not in NOT_OF_BORROWED])
def test_borrowed_positions_keep_the_contract(check: Check) -> None:
    @given(markets(), LEVERAGED)
    @EXAMPLES
    def holds(market: Market, rules: TradingRules) -> None:
        check(ENGINES[EngineName.EVENT_DRIVEN], market, rules)

    holds()


NOT_OF_FUNDED: Mapping[Check, str] = {
    **NOT_OF_BORROWED,
    check_cash_and_position_are_what_fills_leave: "funding changes cash between fills",
    check_flat_price_earns_nothing: "one side gets funding",
    check_slippage_leaves_less_in_every_trade: "another price of the entry is another value that pays funding",
}


@pytest.mark.parametrize("check", [check for check in CHECKS if check not in NOT_OF_FUNDED])
def test_funded_positions_keep_the_contract(check: Check) -> None:
    @given(funded_markets(), FUNDED)
    @EXAMPLES
    def holds(market: Market, rules: TradingRules) -> None:
        check(ENGINES[EngineName.EVENT_DRIVEN], market, rules)

    holds()


@pytest.mark.parametrize("name", ENGINES)
def test_engine_rejects_signals_of_another_length(name: EngineName) -> None:
    (bars, _), (_, signals) = random_market(2, seed=0), random_market(1, seed=0)
    with pytest.raises(ValueError, match="1 signals for 2 bars"):
        ENGINES[name].run(bars, signals, TradingRules(fill=FillTiming.SAME_CLOSE))


def assert_engines_agree(engines: Mapping[EngineName, Engine], market: Market, rules: TradingRules) -> None:
    """All engines make the same fills, trades and curves under rules that all of them know."""
    runs = [engine.run(*market, rules) for engine in engines.values()]
    for ours, theirs in pairwise(runs):
        for name in CURVES:
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-9, atol=1e-9, err_msg=name)
        for name in TABLES:
            mine, other = getattr(ours, name), getattr(theirs, name)
            assert len(mine) == len(other), name
            for column in mine.dtype.names:
                np.testing.assert_allclose(mine[column], other[column], rtol=1e-9, atol=1e-9, err_msg=column)
        assert ours.reduced_entries == theirs.reduced_entries


@given(markets(), SHARED_RULES)
@settings(EXAMPLES, max_examples=examples(400))
def test_engines_agree_on_random_bars(market: Market, rules: TradingRules) -> None:
    assert_engines_agree(ENGINES, market, rules)


@pytest.mark.shared_data
@pytest.mark.parametrize("fill", FillTiming)
@pytest.mark.parametrize(
    "sizing",
    [Sizing(), Sizing(fixed_units=0.05), Sizing(fixed_units=900.0), Sizing(equity_fraction=0.3)],
    ids=["all cash", "fixed", "fixed, too large", "fraction"],
)
@pytest.mark.parametrize(
    ("file", "interval"),
    [("BTCUSDT-1d.csv.gz", "1d"), ("BTCUSDT-1h.csv.gz", "1h"), ("BTCUSDT-1m-2021-04_2021-06.csv.gz", "1m")],
)
def test_engines_agree_on_real_bars(
    file: str, interval: str, sizing: Sizing, fill: FillTiming, shared_data: Path
) -> None:
    bars = read_klines(shared_data / file, interval=interval, rows=130_000)
    signals = Crossover(CrossoverParams()).signals(StrategyInputs(bars=bars))
    assert_engines_agree(ENGINES, (bars, signals), TradingRules(fill=fill, sizing=sizing))


@dataclass
class Planted:
    """An engine with a fault, around one that keeps the contract."""

    fault: Callable[[Bars, Signals, TradingRules], Simulation]

    def run(self, bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
        return self.fault(bars, signals, rules)


HONEST = ENGINES[EngineName.EVENT_DRIVEN]


def shift_signals(bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
    """Fill each order a bar before its signal."""
    return HONEST.run(bars, dataclasses.replace(signals, action=np.append(signals.action[1:], 0)), rules)


def trade_in_rising_series_only(bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
    action = signals.action if bars.close[-1] > bars.open[0] else np.zeros_like(signals.action)
    return HONEST.run(bars, dataclasses.replace(signals, action=action), rules)


def fill_at_the_high(bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
    return HONEST.run(dataclasses.replace(bars, open=bars.high), signals, rules)


def hold_from_the_first_bar(bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
    action = np.append(1, signals.action[1:])
    return HONEST.run(bars, dataclasses.replace(signals, action=action), rules)


def mark_at_the_open(bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
    run = HONEST.run(bars, signals, rules)
    return dataclasses.replace(run, equity=run.cash + run.position * bars.open)


def lose_a_fee(bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
    run = HONEST.run(bars, signals, rules)
    fills = run.fills.copy()
    fills["fee"] = 0
    return dataclasses.replace(run, fills=fills)


def pay_the_fee_out(bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
    run = HONEST.run(bars, signals, rules)
    trades = run.trades.copy()
    trades["profit"] += 2 * (trades["entry_fee"] + trades["exit_fee"])
    return dataclasses.replace(run, trades=trades)


def slip_in_favor(bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
    factor = 1 - 3 * rules.slippage_rate * signals.action
    moved = {name: getattr(bars, name) * factor for name in ("open", "high", "low", "close", "volume")}
    return HONEST.run(dataclasses.replace(bars, **moved), signals, rules)


def add_interest(bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
    run = HONEST.run(bars, signals, rules)
    interest = np.arange(len(bars)) * 1e-3 * (run.position != 0)
    return dataclasses.replace(run, equity=run.equity + interest, cash=run.cash + interest)


def fill_the_last_signal(bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
    return HONEST.run(bars, signals, dataclasses.replace(rules, fill=FillTiming.SAME_CLOSE))


def erase_signals(bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
    run = HONEST.run(bars, signals, rules)
    object.__setattr__(signals, "action", np.zeros_like(signals.action))
    return run


class Remembering:
    """An engine that starts with the cash that its last run left."""

    def __init__(self) -> None:
        self.cash: float | None = None

    def run(self, bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
        run = HONEST.run(bars, signals, dataclasses.replace(rules, initial_cash=self.cash or rules.initial_cash))
        self.cash = float(run.equity[-1])
        return run


def check_planted(check: Check, engine: Engine) -> None:
    for fill in FillTiming:
        for seed in range(6):
            check(engine, random_market(40, seed), TradingRules(fill=fill))


@pytest.mark.parametrize(
    ("check", "engine"),
    [
        (check_equity_is_cash_and_position_at_the_close, Planted(mark_at_the_open)),
        (check_cash_and_position_are_what_fills_leave, Planted(lose_a_fee)),
        (check_first_bars_run_alone_give_the_same, Planted(shift_signals)),
        (check_first_bars_run_alone_give_the_same, Planted(trade_in_rising_series_only)),
        (check_later_bars_change_nothing, Planted(shift_signals)),
        (check_later_bars_change_nothing, Planted(trade_in_rising_series_only)),
        (check_without_signal_nothing_is_traded, Planted(hold_from_the_first_bar)),
        (check_fees_leave_less_in_every_trade, Planted(pay_the_fee_out)),
        (check_slippage_leaves_less_in_every_trade, Planted(slip_in_favor)),
        (check_same_result_twice, Remembering()),
        (check_one_bar_is_a_run, Planted(fill_the_last_signal)),
        (check_flat_price_earns_nothing, Planted(add_interest)),
        (check_inputs_stay_as_they_are, Planted(erase_signals)),
    ],
)
def test_planted_fault_fails_the_contract(check: Check, engine: Engine) -> None:
    check_planted(check, HONEST)
    with pytest.raises(AssertionError):
        check_planted(check, engine)


def test_planted_fills_at_the_high_disagree() -> None:
    market, rules = random_market(40, seed=1), TradingRules(fill=FillTiming.NEXT_OPEN)
    assert_engines_agree(ENGINES, market, rules)
    with pytest.raises(AssertionError):
        assert_engines_agree({**ENGINES, EngineName.EVENT_DRIVEN: Planted(fill_at_the_high)}, market, rules)


def test_every_check_has_a_planted_fault() -> None:
    mark = next(mark for mark in test_planted_fault_fails_the_contract.pytestmark if mark.name == "parametrize")
    assert {check for check, _ in mark.args[1]} == set(CHECKS)
