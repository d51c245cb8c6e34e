"""Check that ratios of runs of mere rounding do not exist, and that the unit of money changes no ratio."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from src.domain.annualization import DEFAULT_ANNUALIZATION, AnnualizationSettings
from src.domain.performance import METRIC_DEFINITIONS, Metrics
from src.domain.simulation import FILL_DTYPE, TRADE_DTYPE, Simulation
from src.domain.strategy import StrategyInputs
from src.domain.trading import FillTiming, TradingRules
from src.engines.vectorized import VectorizedEngine
from src.metrics.returns import tail_ratio, tails
from src.metrics.summary import measure
from src.strategies.crossover import Crossover, CrossoverParams
from tests.market import bars_of_closes, random_bars
from tests.thoroughness import examples

SPREAD_RATIOS = ("sharpe_ratio", "sortino_ratio", "omega_ratio", "calmar_ratio", "skew", "kurtosis")
START = 10_000.0

rates = st.floats(min_value=1e-9, max_value=0.1)
lengths = st.integers(min_value=31, max_value=300)
units = st.sampled_from([1e-6, 0.1, 3.0, 1e6])


def measured(
    equity: ArrayLike,
    closes: ArrayLike,
    initial_cash: float,
    settings: AnnualizationSettings = DEFAULT_ANNUALIZATION,
) -> Metrics:
    """Return the metrics of a run of this equity, held as cash, beside a market of these closes."""
    values: NDArray[np.float64] = np.asarray(equity, dtype=np.float64)
    simulation = Simulation(
        equity=values, cash=values, position=np.zeros(len(values)),
        fills=np.empty(0, dtype=FILL_DTYPE), trades=np.empty(0, dtype=TRADE_DTYPE),
    )  # fmt: skip
    return measure(simulation, bars_of_closes(closes), initial_cash=initial_cash, strategy_name="x", settings=settings)


def grown(start: float, rate: float, bars: int) -> list[float]:
    """Return `start` grown by the same rate per bar, rounded at each, from the first bar on."""
    values = [start * (1 + rate)]
    while len(values) < bars:
        values.append(values[-1] * (1 + rate))
    return values


@settings(max_examples=examples(100), deadline=None)
@given(rate=rates, bars=lengths, start=st.floats(min_value=1e-6, max_value=1e12))
def test_even_growth_of_equity_has_no_deviation(rate: float, bars: int, start: float) -> None:
    found = measured(grown(start, rate, bars), np.linspace(1, 2, bars), start)
    assert [name for name in SPREAD_RATIOS if getattr(found, name) is not None] == []
    assert (found.annual_volatility, found.max_drawdown, found.average_drawdown) == (0.0, 0.0, None)


@settings(max_examples=examples(100), deadline=None)
@given(rate=rates, bars=lengths)
def test_growth_at_risk_free_rate_has_no_downside(rate: float, bars: int) -> None:
    # One bar a year: the rate per bar is the yearly one.
    year = AnnualizationSettings(bars_per_year=1.0, risk_free_rate=rate)
    found = measured(grown(START, rate, bars), np.linspace(1, 2, bars), START, year)
    assert (found.sharpe_ratio, found.sortino_ratio) == (None, None)


@settings(max_examples=examples(100), deadline=None)
@given(rate=rates | rates.map(lambda rate: -rate) | st.just(0.0), bars=lengths, seed=st.integers(0, 1000))
def test_market_that_grows_evenly_has_no_beta(rate: float, bars: int, seed: int) -> None:
    equity = START * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, bars)))
    found = measured(equity, grown(100.0, rate, bars), START)
    assert (found.beta, found.alpha) == (None, None)
    assert found.sharpe_ratio is not None


@settings(max_examples=examples(100), deadline=None)
@given(noise=st.lists(st.integers(-4, 4), min_size=31, max_size=200))
def test_rounding_around_a_flat_equity_is_no_figure(noise: list[int]) -> None:
    found = measured([START * (1 + 1e-15 * step) for step in noise], [50 * (1 + 1e-15 * step) for step in noise], START)
    ratios = (*SPREAD_RATIOS, "tail_ratio", "beta", "alpha")
    assert [name for name in ratios if getattr(found, name) is not None] == []
    assert (found.annual_volatility, found.max_drawdown, found.max_drawdown_duration) == (0.0, 0.0, 0)


def test_percentile_between_loss_and_gain_is_no_denominator() -> None:
    # 1.2 bars into the order of 25: −0.1 + 0.2 × (0.4 + 0.1) is 0, but for rounding.
    found = tails(np.array([-0.2, -0.1, *[0.4] * 23]))
    assert found.fifth_percentile == 0.0
    assert np.isnan(tail_ratio(found))


def test_equity_within_rounding_has_no_turnover() -> None:
    assert measured([START * 1e-15] * 40, np.linspace(1, 2, 40), START).turnover is None
    assert measured([START * 1e-9] * 40, np.linspace(1, 2, 40), START).turnover == 0.0


@pytest.mark.parametrize("start", [START, 1e6])
def test_ratios_of_tiny_changes_are_right_or_absent(start: float) -> None:
    moves = np.cumsum(np.random.default_rng(5).normal(0, 1, 200)).round(3)
    for size in np.logspace(-16, -6, 41):
        found = measured(start * (1 + size * moves), np.linspace(1, 2, 200), start)
        # So small returns are the differences of the moves, to all digits that count.
        steps = np.diff(moves, prepend=0.0)
        depth = float((np.maximum(np.maximum.accumulate(moves), 0) - moves).max())
        exact = {
            "sharpe_ratio": steps.mean() / steps.std(ddof=1) * np.sqrt(365),
            "sortino_ratio": steps.mean() / np.sqrt((np.minimum(steps, 0) ** 2).mean()) * np.sqrt(365),
            "calmar_ratio": moves[-1] * 365 / 200 / depth,
        }
        for name, value in exact.items():
            figure = getattr(found, name)
            assert figure is None or figure == pytest.approx(value, rel=0.05), (name, size)
            assert size < 3e-12 or figure is not None, (name, size)
            assert size > 1e-14 or figure is None, (name, size)


def test_small_changes_above_rounding_are_figures() -> None:
    steps = np.random.default_rng(3).normal(0, 1e-9, 200)
    found = measured(START * (1 + steps), 50 * (1 + steps[::-1]), START)
    ratios = (*SPREAD_RATIOS, "tail_ratio", "beta", "alpha")
    assert [name for name in ratios if getattr(found, name) is None] == []


@pytest.mark.parametrize("quiet", [1e-3, 1e-6])
def test_beta_of_accruing_market_ignores_first_bar(quiet: float) -> None:
    # The market accrues 1 % a bar; its small deviations must give beta, not the 0 used as its first return.
    moves = np.random.default_rng(1).normal(0, quiet, 60)
    closes = 100 * np.cumprod(1.01 + moves)
    found = measured(START * np.cumprod(1.0 + moves), closes, START)
    assert found.beta is None


@settings(max_examples=examples(30), deadline=None)
@given(seed=st.integers(0, 500), unit=units)
def test_unit_of_money_changes_no_ratio(seed: int, unit: float) -> None:
    bars = random_bars(200, seed=seed)
    rules = TradingRules(fill=FillTiming.NEXT_OPEN)
    simulation = VectorizedEngine().run(
        bars, Crossover(CrossoverParams(fast=3, slow=8)).signals(StrategyInputs(bars=bars)), rules
    )
    fills, trades = simulation.fills.copy(), simulation.trades.copy()
    for name in ("price", "fee"):
        fills[name] *= unit
    for name in ("entry_price", "entry_fee", "exit_price", "exit_fee", "profit"):
        trades[name] *= unit
    scaled = replace(
        simulation, equity=simulation.equity * unit, cash=simulation.cash * unit, fills=fills, trades=trades
    )
    prices = {name: getattr(bars, name) * unit for name in ("open", "high", "low", "close")}
    one = measure(simulation, bars, initial_cash=START, strategy_name="x")
    other = measure(scaled, replace(bars, **prices), initial_cash=START * unit, strategy_name="x")
    in_money = {definition.name for definition in METRIC_DEFINITIONS if definition.unit == "quote currency"}
    for name in {field.name for field in fields(Metrics)} - in_money:
        before, after = getattr(one, name), getattr(other, name)
        assert after == (pytest.approx(before, rel=1e-9, abs=1e-9) if isinstance(before, float) else before), name
