"""Fees that break even beside the engine, years and trends by hand, and what the best trades made."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from src.domain.benchmarks import BestTrades
from src.domain.strategy import StrategyInputs
from src.domain.trading import FillTiming, TradingRules
from src.engines.vectorized import VectorizedEngine
from src.judgement import breakdowns
from src.judgement.breakdowns import bars_below_last_peak, break_even_fee, measure_best_trades
from src.strategies.crossover import Crossover, CrossoverParams
from tests.market import random_bars

Floats = NDArray[np.float64]

NO_ENTRIES = np.empty(0, np.int64)


def run_crossover(fee_rate: float, *, seed: int, bars: int) -> tuple[float, int, int]:
    """Final ÷ starting equity, entries and exits of a long run with all cash."""
    market = random_bars(bars, seed=seed)
    signals = Crossover(CrossoverParams(fast=3, slow=8)).signals(StrategyInputs(bars=market))
    rules = TradingRules(fill=FillTiming.SAME_CLOSE, fee_rate=fee_rate, slippage_rate=0.0005)
    simulation = VectorizedEngine().run(market, signals, rules)
    entries = int(np.count_nonzero(simulation.fills["side"] > 0))
    return float(simulation.equity[-1]) / rules.initial_cash, entries, len(simulation.fills) - entries


@pytest.mark.parametrize("seed", range(12))
def test_engine_breaks_even_at_the_fee(seed: int) -> None:
    growth, entries, exits = run_crossover(0.001, seed=seed, bars=200 + seed)
    fee = break_even_fee(growth, 0.001, entries=entries, exits=exits)
    assert fee is not None
    if fee < 0:
        assert run_crossover(0.0, seed=seed, bars=200 + seed)[0] < 1
    else:
        assert run_crossover(fee, seed=seed, bars=200 + seed)[0] == pytest.approx(1.0, abs=1e-9)


def test_sampled_runs_include_open_and_closed_trades() -> None:
    runs = [run_crossover(0.001, seed=seed, bars=200 + seed) for seed in range(12)]
    fees = [break_even_fee(growth, 0.001, entries=entries, exits=exits) or 0.0 for growth, entries, exits in runs]
    positive = {entries - exits for (_, entries, exits), fee in zip(runs, fees, strict=True) if fee > 0}
    assert positive == {0, 1}


@pytest.mark.parametrize(("entries", "exits"), [(1, 1), (7, 7), (1, 0), (7, 6)])
@pytest.mark.parametrize("fee", [-0.01, 0.0, 0.003, 0.2])
def test_break_even_fee_undoes_the_growth(entries: int, exits: int, fee: float) -> None:
    at_fee = (1 - 0.001) ** exits / (1 + 0.001) ** entries
    growth = at_fee / ((1 - fee) ** exits / (1 + fee) ** entries)
    assert break_even_fee(growth, 0.001, entries=entries, exits=exits) == pytest.approx(fee, abs=1e-12)


def test_open_trade_break_even_fee_exceeds_one() -> None:
    assert break_even_fee(10.0, 0.001, entries=1, exits=0) == pytest.approx(9.01)


def test_break_even_fee_needs_fills_and_equity() -> None:
    assert break_even_fee(1.0, 0.001, entries=0, exits=0) is None
    assert break_even_fee(0.0, 0.001, entries=3, exits=3) is None


def test_years_are_those_of_utc() -> None:
    # Four bars of 1969, 1970, 1970 and 1971.
    year_ms = 365 * 86_400_000
    times = np.array([-1, 0, year_ms - 1, year_ms], np.int64)
    returns = np.array([0.5, 0.1, -0.2, 0.3])
    parts = breakdowns.split_by_year(times, returns, np.array([0, 2, 2]), bars_per_year=365.0)
    assert [(part.name, part.bars, part.trades) for part in parts] == [("1969", 1, 1), ("1970", 2, 2), ("1971", 1, 0)]
    assert [part.total_return for part in parts] == [pytest.approx(value) for value in (50.0, -12.0, 30.0)]
    sharpe = -0.05 / np.std([0.1, -0.2], ddof=1) * math.sqrt(365)
    assert [part.sharpe_ratio for part in parts] == [None, pytest.approx(sharpe), None]


def test_risk_free_rate_lowers_the_ratios_of_years() -> None:
    times = np.arange(50, dtype=np.int64) * 86_400_000
    returns = np.random.default_rng(1).standard_normal(50) * 0.01
    (part,) = breakdowns.split_by_year(times, returns, NO_ENTRIES, bars_per_year=365.0, risk_free=0.001)
    expected = (returns.mean() - 0.001) / returns.std(ddof=1) * math.sqrt(365)
    assert part.sharpe_ratio == pytest.approx(expected)


def test_trend_is_known_before_the_bar() -> None:
    # Rises to bar 150, falls after it. The return of the 100 bars up to bar 150 + k is over 0 while k < 50.
    close = np.concatenate((np.arange(100.0, 251.0), np.arange(249.0, 149.0, -1)))
    returns = np.where(np.arange(close.size) == 200, 0.5, 0.001)
    entries = np.array([50, 101, 200, 201, 202])
    rising, falling = breakdowns.split_by_trend(close, returns, entries, bars_per_year=365.0)
    # Bars 101 to 200; bar 201 follows a return of exactly 0; bars 202 to 250.
    assert (rising.name, rising.bars, rising.trades) == ("rising", 100, 2)
    assert (falling.name, falling.bars, falling.trades) == ("falling", 49, 1)
    assert rising.total_return == pytest.approx((1.5 * 1.001**99 - 1) * 100)
    assert falling.total_return == pytest.approx((1.001**49 - 1) * 100)


@pytest.mark.parametrize("n", [1, 100, 101])
def test_short_market_has_no_trend(n: int) -> None:
    parts = breakdowns.split_by_trend(np.arange(1.0, n + 1), np.zeros(n), NO_ENTRIES, bars_per_year=365.0)
    assert [(part.bars, part.total_return, part.sharpe_ratio) for part in parts] == [(0, 0.0, None)] * 2


def test_best_trades_equal_hand_computation() -> None:
    # 100 → 150 → 120 → 180 → 170 → 190 → 200; the open trade makes it 220.
    profits = np.array([50.0, -30, 60, -10, 20, 10])
    found = measure_best_trades(profits, initial_cash=100.0, final_equity=220.0)
    assert found.share_of_best == pytest.approx(60.0)
    assert found.share_of_best5 == pytest.approx((50 + 60 + 20 + 10 - 10) / 100 * 100)
    assert found.return_without_best == pytest.approx((2.2 / 1.5 - 1) * 100)
    five = 1.5 * 1.5 * (190 / 170) * (200 / 190) * (170 / 180)
    assert found.return_without_best5 == pytest.approx((2.2 / five - 1) * 100)


def test_best_trades_need_as_many_trades() -> None:
    found = measure_best_trades(np.array([1.0, 2, 3, 4]), initial_cash=100.0, final_equity=110.0)
    assert found.share_of_best == pytest.approx(40.0)
    assert (found.share_of_best5, found.return_without_best5) == (None, None)
    assert measure_best_trades(np.empty(0), initial_cash=100.0, final_equity=110.0) == BestTrades(
        share_of_best=None, share_of_best5=None, return_without_best=None, return_without_best5=None
    )


def test_shares_need_a_profit() -> None:
    for profits in ([5.0, -5.0], [0.1 + 0.2, -0.3], [1.0, -4.0]):
        found = measure_best_trades(np.array(profits), initial_cash=100.0, final_equity=97.0)
        assert found.share_of_best is None
        assert found.return_without_best is not None


def test_used_up_equity_has_no_return_without_trades() -> None:
    found = measure_best_trades(np.array([50.0, -150.0, 200.0]), initial_cash=100.0, final_equity=200.0)
    assert found.share_of_best == pytest.approx(200.0)
    assert found.return_without_best is None


@pytest.mark.parametrize(
    ("equity", "bars"),
    [
        ([101.0, 105.0, 103.0, 104.0], 2),
        ([101.0, 105.0, 103.0, 105.0], 0),
        ([99.0, 98.0, 97.0], 3),
        ([99.0, 100.0, 97.0], 1),
        ([101.0, 101.0 * (1 - 1e-15)], 0),
    ],
)
def test_bars_below_last_peak_equal_hand_computation(equity: list[float], bars: int) -> None:
    assert bars_below_last_peak(np.array(equity), 100.0) == bars


@pytest.mark.parametrize(("entries", "exits"), [(1, 1), (40, 40), (1, 0), (7, 6)])
def test_nothing_earned_has_a_fee_of_zero(entries: int, exits: int) -> None:
    growth = 1.0
    for number in range(entries + exits):
        growth = growth / 1.01 if number % 2 == 0 else growth * 0.99
    assert break_even_fee(growth, 0.01, entries=entries, exits=exits) == 0.0
