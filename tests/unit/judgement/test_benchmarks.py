"""Buy-and-hold beside vectorbt, other costs beside whole runs, and break-even fees run again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import vectorbt as vbt
from hypothesis import given
from hypothesis import strategies as st

from src.domain.annualization import Annualization, AnnualizationSettings, annualize
from src.domain.bars import Bars
from src.domain.errors import InvalidInput
from src.domain.exchange_rules import ExchangeRules
from src.domain.funding import Funding, FundingKind
from src.domain.ladders import TakeProfit
from src.domain.order_rules import EntryOrder, EntryType, Exits, Sizing
from src.domain.signals import Signals, StrategyDescription
from src.domain.simulation import Simulation
from src.domain.trading import Direction, FillTiming, TradingRules
from src.domain.volume_rules import VolumeRules
from src.engines.event_driven import EventDrivenEngine
from src.engines.vectorized import VectorizedEngine
from src.judgement import benchmarks
from src.judgement.benchmarks import (
    HOLD_OPENING_BARS,
    delay,
    extend_hold,
    find_break_even_fee,
    hold_market,
    measure_costs,
    simulate_hold,
)
from tests.market import bars_of_closes, random_bars
from tests.simulations import RULES, SHARED_RULES, Market, markets, random_market

run = EventDrivenEngine().run
NEXT_OPEN = TradingRules(fill=FillTiming.NEXT_OPEN)
SETTINGS = AnnualizationSettings(risk_free_rate=0.03)
FIXED = Sizing(fixed_units=1.0)
FUNDING = Funding(kind=FundingKind.CONSTANT, rate=0.0005)


def year_of(bars: Bars) -> Annualization:
    return annualize(bars, SETTINGS)


def signals_of(*action: int) -> Signals:
    return Signals(action=np.array(action, np.int8), strategy=StrategyDescription(name="hand-made"))


class CountedRun:
    """The engine's `run`, which keeps the rules that it was called with."""

    def __init__(self) -> None:
        self.rules: list[TradingRules] = []

    def __call__(self, bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
        self.rules.append(rules)
        return run(bars, signals, rules)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sizing", [Sizing(), Sizing(equity_fraction=0.3), Sizing(fixed_units=20.0)])
def test_holding_the_market_equals_vectorbt(seed: int, sizing: Sizing) -> None:
    bars = random_bars(300, seed=seed)
    rules = TradingRules(fill=FillTiming.SAME_CLOSE, fee_rate=0.002, slippage_rate=0.003, sizing=sizing)
    size, kind = (sizing.fixed_units or np.inf), "amount"
    if sizing.equity_fraction is not None:
        size, kind = sizing.equity_fraction, "percent"
    entries = np.arange(300) == 0
    portfolio = vbt.Portfolio.from_signals(
        bars.close, entries, np.zeros(300, bool), size=size, size_type=kind, fees=0.002, slippage=0.003, init_cash=1e4,
        freq="1D",
    )  # fmt: skip
    held = hold_market(bars, rules, year_of(bars), run)
    assert held is not None
    assert held.total_return == pytest.approx(portfolio.total_return() * 100, rel=1e-9)
    assert held.max_drawdown == pytest.approx(-portfolio.max_drawdown() * 100, rel=1e-9)
    returns = portfolio.value() / np.concatenate(([1e4], portfolio.value()[:-1])) - 1
    excess = returns.mean() - (1.03 ** (1 / 365) - 1)
    assert held.sharpe_ratio == pytest.approx(float(excess / returns.std(ddof=1) * np.sqrt(365)), rel=1e-9)


def test_holding_the_market_ignores_the_orders() -> None:
    bars = random_bars(200, seed=3, volatility=0.05)
    orders = replace(
        NEXT_OPEN,
        direction=Direction.SHORT,
        entry=EntryOrder(type=EntryType.LIMIT, offset_rate=0.5),
        exits=Exits(stop_loss_rate=0.01, take_profit_rate=0.01, trailing_stop_rate=0.01, max_bars=1),
    )
    held = hold_market(bars, orders, year_of(bars), run)
    assert held == hold_market(bars, NEXT_OPEN, year_of(bars), run)
    # By hand: bought at the second open, never sold.
    units = 10_000 / 1.001 / (bars.open[1] * 1.001)
    assert held is not None
    assert held.total_return == pytest.approx((units * bars.close[-1] / 10_000 - 1) * 100, rel=1e-9)


def test_market_is_held_without_funding() -> None:
    bars = random_bars(60, seed=1)
    assert run(bars, signals_of(1, *[0] * 59), replace(NEXT_OPEN, funding=FUNDING)).trades["funding"][0] != 0
    held = hold_market(bars, replace(NEXT_OPEN, funding=FUNDING), year_of(bars), run)
    assert held == hold_market(bars, NEXT_OPEN, year_of(bars), run)


def test_market_that_cannot_be_bought_is_not_held() -> None:
    bars = bars_of_closes([100.0])
    assert hold_market(bars, NEXT_OPEN, year_of(bars), run) is None
    held = hold_market(bars, replace(NEXT_OPEN, fill=FillTiming.SAME_CLOSE), year_of(bars), run)
    assert held is not None
    assert held.sharpe_ratio is None


@given(market=markets(), rules=RULES, shared=SHARED_RULES)
def test_extended_hold_equals_whole_simulation(market: Market, rules: TradingRules, shared: TradingRules) -> None:
    bars, _ = market
    opening = bars.slice(0, min(HOLD_OPENING_BARS, len(bars)))
    for engine, given_rules in ((EventDrivenEngine(), rules), (VectorizedEngine(), shared)):
        whole = simulate_hold(bars, given_rules, engine.run)
        curve = extend_hold(opening, bars.close, given_rules, engine.run)
        assert (whole is None) == (curve is None)
        if whole is not None and curve is not None:
            assert curve.tobytes() == whole.equity.tobytes()


@given(market=markets(), rules=RULES)
def test_cost_cases_equal_whole_runs(market: Market, rules: TradingRules) -> None:
    bars, signals = market
    own, counted = run(bars, signals, rules), CountedRun()
    study = measure_costs(bars, signals, rules, own, year_of(bars), counted)
    assert [(case.delay_bars, case.cost_factor) for case in study.cases] == [
        (0, 0.5), (0, 1.0), (0, 2.0), (0, 4.0), (1, 1.0),
    ]  # fmt: skip
    assert len(counted.rules) == (1 if benchmarks.has_fills_apart_from_costs(rules) else 4)
    late = Signals(action=np.concatenate(([0], signals.action[:-1])).astype(np.int8), strategy=signals.strategy)
    for case in study.cases:
        scaled = {
            name: rate if rate is None or rate < 0 else rate * case.cost_factor
            for name in ("fee_rate", "maker_fee_rate", "taker_fee_rate", "slippage_rate")
            for rate in [getattr(rules, name)]
        }
        volume, limit = rules.volume, rules.volume.max_share or 1.0
        # The largest impact leaves a sale a price.
        most = (1 - scaled["slippage_rate"]) / limit**2 * (1 - 1e-9)
        impact = min(volume.impact * case.cost_factor, most)
        costs = replace(rules, **scaled, volume=replace(volume, impact=impact))
        whole = run(bars, late if case.delay_bars else signals, costs)
        assert case.total_return == pytest.approx((whole.equity[-1] / rules.initial_cash - 1) * 100, rel=1e-9, abs=1e-9)
    equity = run(bars, late, rules).equity
    before = np.concatenate(([rules.initial_cash], equity[:-1]))
    expected = np.divide(equity - before, before, out=np.zeros(len(bars)), where=before > 0)
    np.testing.assert_allclose(study.delayed_returns, expected, atol=1e-12)


def test_costs_stay_below_the_whole_price() -> None:
    bars, signals = random_market(50, 4)
    rules = replace(NEXT_OPEN, fee_rate=0.3, slippage_rate=0.4, sizing=FIXED)
    counted = CountedRun()
    measure_costs(bars, signals, rules, run(bars, signals, rules), year_of(bars), counted)
    fees = [item.fee_rate for item in counted.rules]
    assert fees == [0.15, 0.6, benchmarks.MAX_RATE, 0.3]
    assert [item.slippage_rate for item in counted.rules] == [0.2, 0.8, benchmarks.MAX_RATE, 0.4]


@pytest.mark.parametrize("fill", FillTiming)
def test_scaled_equity_equals_whole_run(fill: FillTiming) -> None:
    bars, signals = random_market(400, 4)
    rules = TradingRules(fill=fill, fee_rate=0.002, slippage_rate=0.003)
    costs = replace(rules, fee_rate=0.05, slippage_rate=0.01)
    assert benchmarks.has_fills_apart_from_costs(rules)
    scaled = benchmarks.scale_equity(run(bars, signals, rules), rules, costs.fee_rate, costs.slippage_rate)
    np.testing.assert_allclose(scaled, run(bars, signals, costs).equity, rtol=1e-11)


@pytest.mark.parametrize(
    "changes",
    [
        {"sizing": FIXED}, {"direction": Direction.BOTH}, {"exits": Exits(stop_loss_rate=0.1)},
        {"entry": EntryOrder(type=EntryType.STOP, offset_rate=0.01)}, {"sizing": Sizing(), "funding": FUNDING},
        {"entry": EntryOrder(type=EntryType.STOP, offset_rate=0.01)}, {"exchange": ExchangeRules(step_size=0.1)},
        {"exchange": ExchangeRules(min_notional=10.0)}, {"volume": VolumeRules(impact=0.1)},
        {"volume": VolumeRules(max_share=0.1)},
    ],
)  # fmt: skip
def test_fills_depend_on_costs_with_levels_and_sizes(changes: dict[str, Any]) -> None:
    assert not benchmarks.has_fills_apart_from_costs(replace(NEXT_OPEN, **changes))


def test_run_that_outgrows_numbers_is_left_out() -> None:
    def outgrown(bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
        if rules.fee_rate < 0.01 or signals is not given:
            raise InvalidInput("The equity grows beyond what numbers hold.")
        return run(bars, signals, rules)

    bars, given = random_market(50, 4)
    rules = replace(NEXT_OPEN, fee_rate=0.01, sizing=FIXED)
    study = measure_costs(bars, given, rules, run(bars, given, rules), year_of(bars), outgrown)
    assert [case.cost_factor for case in study.cases] == [1.0, 2.0, 4.0]
    assert study.delayed_returns is None
    assert hold_market(bars, replace(rules, fee_rate=0.001), year_of(bars), outgrown) is None
    # The search begins with the fee of the run, and goes down if it loses at that.
    loses = replace(rules, fee_rate=0.05)
    assert find_break_even_fee(bars, given, loses, run(bars, given, loses), outgrown) is None


def test_last_signal_is_lost_one_bar_late() -> None:
    assert delay(signals_of(1, 0, -1, 1)).action.tolist() == [0, 1, 0, -1]
    assert delay(signals_of(1)).action.tolist() == [0]


@given(market=markets(), rules=RULES, is_named=st.booleans())
def test_all_cash_run_breaks_even_at_the_fee(market: Market, rules: TradingRules, is_named: bool) -> None:
    bars, signals = market
    sizing = Sizing(equity_fraction=1.0) if is_named else Sizing()
    exits = replace(rules.exits, break_even_rate=None, take_profits=())
    rules = replace(
        rules.with_one_fee(rules.fee_rate),
        direction=Direction.LONG, sizing=sizing, exits=exits, exchange=ExchangeRules(), volume=VolumeRules(),
        entry=replace(rules.entry, additions=()),
    )  # fmt: skip
    own, counted = run(bars, signals, rules), CountedRun()
    fee = find_break_even_fee(bars, signals, rules, own, counted)
    assert not counted.rules, "the formula needs no run"
    if not len(own.fills):
        assert fee is None
        return
    assert fee is not None
    if fee < -1e-9:
        assert run(bars, signals, replace(rules, fee_rate=0.0)).equity[-1] < rules.initial_cash
    elif fee < 1:
        again = run(bars, signals, replace(rules, fee_rate=max(fee, 0.0)))
        assert again.equity[-1] / rules.initial_cash == pytest.approx(1.0, abs=1e-9)


def test_steps_of_units_break_even_by_search() -> None:
    bars, signals = random_market(120, 4)
    rules = replace(NEXT_OPEN, sizing=Sizing(), exchange=ExchangeRules(step_size=7.0))
    counted = CountedRun()
    fee = find_break_even_fee(bars, signals, rules, run(bars, signals, rules), counted)
    assert counted.rules, "no formula knows what steps leave unspent"
    assert fee is not None
    ends = [run(bars, signals, replace(rules, fee_rate=one)).equity[-1] for one in (fee, fee + 1e-4)]
    assert ends[0] >= rules.initial_cash * (1 - 1e-4) > ends[1]


@pytest.mark.parametrize("volume", [VolumeRules(impact=0.05), VolumeRules(max_share=0.1)])
def test_fills_by_volume_break_even_by_search(volume: VolumeRules) -> None:
    bars, signals = random_market(120, 4)
    rules, counted = replace(NEXT_OPEN, sizing=Sizing(), slippage_rate=0.0, volume=volume), CountedRun()
    find_break_even_fee(bars, signals, rules, run(bars, signals, rules), counted)
    assert counted.rules


@pytest.mark.parametrize("factor", [0.5, 2.0, 4.0])
def test_impact_grows_with_the_other_costs(factor: float) -> None:
    rules = replace(NEXT_OPEN, volume=VolumeRules(impact=3.0, max_share=0.125))
    assert benchmarks.scale_costs(rules, factor).volume == VolumeRules(impact=3.0 * factor, max_share=0.125)


@pytest.mark.parametrize("slippage", [0.0, 0.2, 0.3, 0.9])
def test_scaled_impact_leaves_sales_a_price(slippage: float) -> None:
    largest = (1 - slippage) / 0.25**2 * 0.999
    rules = replace(NEXT_OPEN, slippage_rate=slippage, volume=VolumeRules(impact=largest, max_share=0.25))
    dear = benchmarks.scale_costs(rules, 4.0)
    assert dear.slippage_rate + dear.volume.impact * 0.25**2 == pytest.approx(1.0)


def test_costs_of_impact_are_runs_of_their_own() -> None:
    bars, signals = random_market(200, 4)
    rules = replace(NEXT_OPEN, slippage_rate=0.0, fee_rate=0.0, volume=VolumeRules(impact=0.02))
    study = measure_costs(bars, signals, rules, run(bars, signals, rules), year_of(bars), run)
    ended = [case.total_return for case in study.cases if not case.delay_bars]
    assert len(ended) == 4
    assert ended == sorted(ended, reverse=True)
    assert ended[-1] < ended[0]


def test_market_is_held_whole_whatever_its_volume() -> None:
    bars = bars_of_closes([100.0, 100, 100, 120])
    rules = replace(NEXT_OPEN, fee_rate=0.0, slippage_rate=0.0, volume=VolumeRules(impact=0.5, max_share=0.01))
    held = hold_market(bars, rules, year_of(bars), EventDrivenEngine().run)
    assert held is not None
    assert held.total_return == pytest.approx(20.0)


def test_two_fees_break_even_at_one() -> None:
    bars, signals = random_market(120, 4)
    rules = replace(NEXT_OPEN, maker_fee_rate=-0.001, taker_fee_rate=0.0004, sizing=Sizing())
    counted = CountedRun()
    fee = find_break_even_fee(bars, signals, rules, run(bars, signals, rules), counted)
    same = rules.with_one_fee(0.0004)
    assert fee == pytest.approx(find_break_even_fee(bars, signals, same, run(bars, signals, same), run), abs=1e-5)
    assert counted.rules
    assert all(item.maker_rate == item.taker_rate for item in counted.rules)


def bisect(bars: Bars, signals: Signals, rules: TradingRules) -> float:
    low, high = 0.0, 0.99
    for _ in range(60):
        middle = (low + high) / 2
        gains = run(bars, signals, replace(rules, fee_rate=middle)).equity[-1] >= rules.initial_cash
        low, high = (middle, high) if gains else (low, middle)
    return low


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"exits": Exits(stop_loss_rate=0.03, take_profit_rate=0.05)},
        {"exits": Exits(trailing_stop_rate=0.04, max_bars=9), "entry": EntryOrder(type=EntryType.STOP)},
        {"exits": Exits(take_profits=(TakeProfit(rate=0.02, portion=0.5), TakeProfit(rate=0.05)))},
        {"sizing": Sizing(equity_fraction=0.4)},
        {"sizing": FIXED},
        {"sizing": FIXED, "direction": Direction.SHORT},
        {"sizing": Sizing(equity_fraction=0.1), "direction": Direction.BOTH},
        {"funding": FUNDING},
    ],
)
def test_fee_equals_bisection(changes: dict[str, Any]) -> None:
    found = 0
    for seed in range(12):
        bars, signals = random_market(120, seed, share=0.1)
        rules = replace(NEXT_OPEN, slippage_rate=0.0, **changes)
        fee = find_break_even_fee(bars, signals, rules, run(bars, signals, rules), run)
        if fee is None or fee < 0:
            assert run(bars, signals, replace(rules, fee_rate=0.0)).equity[-1] < rules.initial_cash
        else:
            assert fee == pytest.approx(bisect(bars, signals, rules), abs=2e-5)
            found += 1
    assert found >= 3


@given(market=markets(), rules=RULES)
def test_fee_takes_few_runs(market: Market, rules: TradingRules) -> None:
    bars, signals = market
    counted = CountedRun()
    find_break_even_fee(bars, signals, rules, run(bars, signals, rules), counted)
    assert len(counted.rules) <= benchmarks.MAX_FEE_RUNS


def test_search_ends_where_the_gain_jumps_over_zero() -> None:
    asked = []

    def gain(fee: float) -> float:
        asked.append(fee)
        return 1.0 if fee < 0.7123 else -1e9

    fee = benchmarks._search_fee(gain, 0.0, 1.0)
    assert fee == pytest.approx(0.7123, abs=1e-3)
    assert len(asked) <= benchmarks.MAX_FEE_RUNS


@pytest.mark.parametrize("fee_rate", [0.0, 0.5])
def test_no_fee_breaks_even(fee_rate: float) -> None:
    rules = replace(NEXT_OPEN, sizing=FIXED, fee_rate=fee_rate, slippage_rate=0.0)

    def find(signals: Signals, *closes: float) -> float | None:
        bars = bars_of_closes(closes)
        return find_break_even_fee(bars, signals, rules, run(bars, signals, rules), run)

    assert find(signals_of(0, 0), 100.0, 100.0) is None, "without fills"
    assert find(signals_of(1, -1, 0), 100.0, 100.0, 90.0) is None, "loses without fees"
    assert find(signals_of(1, 0, 0), 100.0, 100.0, 1000.0) is None, "gains at every fee"
    # 200 − 100 = fee × 300
    assert find(signals_of(1, -1, 0), 100.0, 100.0, 200.0) == pytest.approx(1 / 3, abs=1e-5)
