"""Compare fills, equity and metrics with vectorbt's documented way and empyrical, on real and random bars."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from src.domain.annualization import AnnualizationSettings, annualize
from src.domain.bars import Bars
from src.domain.intervals import DAY_MS
from src.domain.order_rules import Sizing
from src.domain.performance import Metrics
from src.domain.signals import Signals, StrategyDescription
from src.domain.simulation import Side, Simulation
from src.domain.strategy import StrategyInputs
from src.domain.trading import FillTiming, TradingRules
from src.engines.vectorized import VectorizedEngine
from src.metrics.summary import measure
from src.strategies.crossover import Crossover, CrossoverParams
from tests.market import random_bars, read_klines

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import empyrical
    import vectorbt as vbt

TOLERANCE = 1e-9

# The documented path takes seconds on long files; these many rows hold hundreds of crossings.
FILES = [
    ("BTCUSDT-1d.csv.gz", "1d", None),
    ("LUNAUSDT-1d-12col.csv.gz", "1d", None),  # 17 days without trading
    ("BTCUSDT-1h.csv.gz", "1h", 20_000),
    ("BTCUSDT-1m-2021-04_2021-06.csv.gz", "1m", 20_000),
]
FREQUENCIES = {"1d": "1D", "1h": "1h", "1m": "1min"}

SIZINGS = {
    "all cash": (Sizing(), {}),
    "fixed": (Sizing(fixed_units=0.05), {"size": 0.05}),
    "fixed, too large": (Sizing(fixed_units=900.0), {"size": 900.0}),
    "percent": (Sizing(equity_fraction=0.3), {"size": 0.3, "size_type": "percent"}),
}
COSTS = {"free": (0.0, 0.0), "costs": (0.001, 0.001)}


def documented_portfolio(bars: Bars, signals: Signals, rules: TradingRules, size: dict[str, Any]) -> Any:
    """Simulate the way vectorbt's documentation shows: pandas in, `Portfolio.from_signals`."""
    index = pd.to_datetime(bars.open_time_ms, unit="ms", utc=True)
    entries = pd.Series(signals.action == 1, index=index)
    exits = pd.Series(signals.action == -1, index=index)
    price = pd.Series(bars.close, index=index)
    if rules.fill is FillTiming.NEXT_OPEN:
        entries, exits = entries.shift(1, fill_value=False), exits.shift(1, fill_value=False)
        price = pd.Series(bars.open, index=index)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return vbt.Portfolio.from_signals(
            pd.Series(bars.close, index=index),
            entries,
            exits,
            price=price,
            init_cash=rules.initial_cash,
            fees=rules.fee_rate,
            slippage=rules.slippage_rate,
            freq=FREQUENCIES[bars.interval.name],
            **size,
        )


def close_to(actual: Any, expected: Any) -> Any:
    return np.testing.assert_allclose(actual, expected, rtol=TOLERANCE, atol=1e-9)


def assert_same_fills_and_equity(simulation: Simulation, portfolio: Any) -> None:
    records = portfolio.orders.values
    fills = simulation.fills
    assert len(fills) == len(records) > 0
    np.testing.assert_array_equal(fills["bar"], records["idx"])
    np.testing.assert_array_equal(fills["side"], np.where(records["side"] == 0, Side.BUY, Side.SELL))
    for ours, theirs in (("quantity", "size"), ("price", "price"), ("fee", "fees")):
        close_to(fills[ours], records[theirs])
    close_to(simulation.equity, portfolio.value().to_numpy())
    close_to(simulation.cash, portfolio.cash().to_numpy())
    close_to(simulation.position, portfolio.assets().to_numpy())


def assert_same_metrics(metrics: Metrics, portfolio: Any) -> None:
    """Compare each metric that vectorbt defines."""
    closed, returns = portfolio.trades.closed, portfolio.returns()
    per_year = metrics.bars_per_year
    # vectorbt counts the bars of a year; with a year of this length that is the elapsed time, gaps included.
    bar = pd.Timedelta(portfolio.wrapper.freq)
    elapsed = returns.index[-1] + bar - returns.index[0]
    growth_year = {"year_freq": pd.Timedelta(days=365) * (bar * len(returns) / elapsed)}
    expected = {
        "final_equity": portfolio.final_value(),
        "total_return": portfolio.total_return() * 100,
        "buy_and_hold_return": portfolio.total_benchmark_return() * 100,
        "cagr": portfolio.annualized_return(**growth_year) * 100,
        "annual_volatility": portfolio.annualized_volatility() * 100,
        "sharpe_ratio": portfolio.sharpe_ratio(),
        "sortino_ratio": portfolio.sortino_ratio(),
        "calmar_ratio": portfolio.calmar_ratio(**growth_year),
        "omega_ratio": portfolio.omega_ratio(),
        "max_drawdown": -portfolio.max_drawdown() * 100,
        "max_drawdown_duration": portfolio.drawdowns.duration.max(),
        "average_drawdown": -portfolio.drawdowns.avg_drawdown() * 100,
        "ulcer_index": math.sqrt((portfolio.drawdown() ** 2).mean()) * 100,
        "value_at_risk": portfolio.value_at_risk() * 100,
        "cvar": portfolio.cond_value_at_risk() * 100,
        "skew": returns.skew(),
        "kurtosis": returns.kurt(),
        "tail_ratio": portfolio.tail_ratio(),
        "alpha": portfolio.alpha() * 100,
        "beta": portfolio.beta(),
        "exposure": (portfolio.assets() != 0).mean() * 100,
        "total_fees": portfolio.orders.fees.sum(),
        "total_trades": closed.count(),
        "open_trades": portfolio.trades.open.count(),
        "winning_trades": closed.winning.count(),
        "losing_trades": closed.losing.count(),
        "win_rate": closed.win_rate() * 100,
        "profit_factor": closed.profit_factor(),
        "expectancy": closed.expectancy(),
        "average_win": closed.winning.returns.mean() * 100,
        "average_loss": closed.losing.returns.mean() * 100,
        "best_trade": closed.returns.max() * 100,
        "worst_trade": closed.returns.min() * 100,
        "average_trade_duration": closed.duration.mean(),
        "max_consecutive_wins": closed.winning_streak.max(),
        "max_consecutive_losses": closed.losing_streak.max(),
        "sqn": closed.sqn(),
    }
    for name, value in expected.items():
        actual = getattr(metrics, name)
        if actual is None:
            is_short = elapsed < pd.Timedelta(days=30) and name in ("cagr", "calmar_ratio", "alpha")
            assert is_short or not math.isfinite(value), f"{name}: vectorbt says {value}"
        else:
            assert actual == pytest.approx(value, rel=TOLERANCE, abs=1e-9), name
    assert per_year == pytest.approx(pd.Timedelta(days=365) / pd.Timedelta(FREQUENCIES_BY_YEAR[per_year]))


FREQUENCIES_BY_YEAR = {365.0: "1D", 8760.0: "1h", 525600.0: "1min"}


@pytest.fixture(scope="module", params=FILES, ids=lambda item: item[0])
def real(request: pytest.FixtureRequest, shared_data: Path) -> Bars:
    name, interval, rows = request.param
    return read_klines(shared_data / name, interval=interval, rows=rows)


@pytest.fixture(scope="module")
def signals(real: Bars) -> Signals:
    return Crossover(CrossoverParams()).signals(StrategyInputs(bars=real))


@pytest.mark.parametrize("costs", COSTS, ids=str)
@pytest.mark.parametrize("fill", FillTiming)
@pytest.mark.parametrize("sizing", SIZINGS, ids=str)
def test_metrics_agree_with_vectorbt_on_real_bars(
    real: Bars, signals: Signals, sizing: str, fill: FillTiming, costs: str
) -> None:
    chosen, size = SIZINGS[sizing]
    fees, slippage = COSTS[costs]
    rules = TradingRules(fill=fill, fee_rate=fees, slippage_rate=slippage, sizing=chosen)
    simulation = VectorizedEngine().run(real, signals, rules)
    portfolio = documented_portfolio(real, signals, rules, size)
    assert_same_fills_and_equity(simulation, portfolio)
    metrics = measure(simulation, real, initial_cash=rules.initial_cash, strategy_name="MA Crossover")
    assert_same_metrics(metrics, portfolio)
    if sizing == "fixed, too large":
        assert simulation.reduced_entries > 0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fill", FillTiming)
def test_metrics_agree_with_vectorbt_on_random_bars(seed: int, fill: FillTiming) -> None:
    bars = random_bars(400, seed=seed)
    signals = Crossover(CrossoverParams(fast=5, slow=12)).signals(StrategyInputs(bars=bars))
    rules = TradingRules(fill=fill)
    simulation = VectorizedEngine().run(bars, signals, rules)
    portfolio = documented_portfolio(bars, signals, rules, {})
    assert_same_fills_and_equity(simulation, portfolio)
    assert_same_metrics(measure(simulation, bars, initial_cash=10_000, strategy_name="x"), portfolio)


def test_signals_are_those_of_vectorbts_own_crossings(shared_data: Path) -> None:
    bars = read_klines(shared_data / "BTCUSDT-1d.csv.gz", interval="1d")
    close = pd.Series(bars.close)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fast, slow = vbt.MA.run(close, 20), vbt.MA.run(close, 50)
        buys = np.flatnonzero(fast.ma_crossed_above(slow))
        sells = np.flatnonzero(fast.ma_crossed_below(slow))
    action = Crossover(CrossoverParams()).signals(StrategyInputs(bars=bars)).action
    np.testing.assert_array_equal(np.flatnonzero(action == 1), buys)
    np.testing.assert_array_equal(np.flatnonzero(action == -1), sells)


@pytest.mark.parametrize("fill", FillTiming)
def test_metrics_are_empyricals_where_it_defines_them(fill: FillTiming) -> None:
    bars = random_bars(900, seed=11)
    simulation = VectorizedEngine().run(
        bars, Crossover(CrossoverParams(fast=4, slow=9)).signals(StrategyInputs(bars=bars)), TradingRules(fill=fill)
    )
    metrics = measure(simulation, bars, initial_cash=10_000, strategy_name="x")
    returns = pd.Series(simulation.equity).pct_change().fillna(simulation.equity[0] / 10_000 - 1)
    market = pd.Series(bars.close).pct_change().fillna(0.0)
    year = {"annualization": 365}
    expected = {
        "cagr": empyrical.cagr(returns, **year) * 100,
        "annual_volatility": empyrical.annual_volatility(returns, **year) * 100,
        "sharpe_ratio": empyrical.sharpe_ratio(returns, **year),
        "sortino_ratio": empyrical.sortino_ratio(returns, **year),
        "calmar_ratio": empyrical.calmar_ratio(returns, **year),
        "omega_ratio": empyrical.omega_ratio(returns, **year),
        "max_drawdown": -empyrical.max_drawdown(returns) * 100,
        "value_at_risk": empyrical.value_at_risk(returns) * 100,
        "cvar": empyrical.conditional_value_at_risk(returns) * 100,
        "tail_ratio": empyrical.tail_ratio(returns),
        "alpha": empyrical.alpha(returns, market, **year) * 100,
        "beta": empyrical.beta(returns, market),
    }
    for name, value in expected.items():
        assert getattr(metrics, name) == pytest.approx(value, rel=TOLERANCE), name


@pytest.mark.parametrize("rate", [0.0, 0.05, -0.01])
@pytest.mark.parametrize("per_year", [365.0, 252.0])
def test_risk_free_rate_agrees_with_vectorbt_and_empyrical(rate: float, per_year: float) -> None:
    bars = random_bars(900, seed=11)
    simulation = VectorizedEngine().run(
        bars,
        Crossover(CrossoverParams(fast=4, slow=9)).signals(StrategyInputs(bars=bars)),
        TradingRules(fill=FillTiming.NEXT_OPEN),
    )
    settings = AnnualizationSettings(bars_per_year=per_year, risk_free_rate=rate)
    metrics = measure(simulation, bars, initial_cash=10_000, strategy_name="x", settings=settings)
    index = pd.to_datetime(bars.open_time_ms, unit="ms", utc=True)
    returns = pd.Series(simulation.equity, index=index).pct_change().fillna(simulation.equity[0] / 10_000 - 1)
    market = pd.Series(bars.close, index=index).pct_change().fillna(0.0)
    # Both libraries take the rate per bar.
    per_bar = annualize(bars, settings).risk_free_per_bar
    accessor = returns.vbt.returns(freq="1D", year_freq=pd.Timedelta(days=per_year))
    year = {"annualization": per_year}
    expected = {
        "sharpe_ratio": (
            accessor.sharpe_ratio(risk_free=per_bar),
            empyrical.sharpe_ratio(returns, risk_free=per_bar, **year),
        ),
        "sortino_ratio": (
            accessor.sortino_ratio(required_return=per_bar),
            empyrical.sortino_ratio(returns, required_return=per_bar, **year),
        ),
        "alpha": (
            accessor.alpha(market, risk_free=per_bar) * 100,
            empyrical.alpha(returns, market, risk_free=per_bar, **year) * 100,
        ),
        "annual_volatility": (
            accessor.annualized_volatility() * 100,
            empyrical.annual_volatility(returns, **year) * 100,
        ),
    }
    for name, values in expected.items():
        for value in values:
            assert getattr(metrics, name) == pytest.approx(value, rel=TOLERANCE), name
    # The rate per bar is the one that both libraries make of a yearly one, in their omega ratios.
    excess = returns - per_bar
    omega = excess[excess > 0].sum() / -excess[excess < 0].sum()
    assert empyrical.omega_ratio(returns, required_return=rate, **year) == pytest.approx(omega, rel=TOLERANCE)
    assert accessor.omega_ratio(required_return=rate) == pytest.approx(omega, rel=TOLERANCE)


def test_drawdowns_from_the_starting_cash_are_the_libraries() -> None:
    # Bought at the first close, with costs: equity is below the starting cash from the first bar on.
    bars = random_bars(300, seed=5)
    action = np.zeros(len(bars), dtype=np.int8)
    action[[0, 120, 140]] = (1, -1, 1)
    signals = Signals(action=action, strategy=StrategyDescription(name="x"))
    rules = TradingRules(fill=FillTiming.SAME_CLOSE, fee_rate=0.05)
    simulation = VectorizedEngine().run(bars, signals, rules)
    metrics = measure(simulation, bars, initial_cash=rules.initial_cash, strategy_name="x")
    assert simulation.equity[0] < rules.initial_cash
    equity = pd.Series([rules.initial_cash, *simulation.equity])
    drawdowns = vbt.Drawdowns.from_ts(equity, freq="1D")
    assert metrics.max_drawdown == pytest.approx(-drawdowns.max_drawdown() * 100, rel=TOLERANCE)
    assert metrics.average_drawdown == pytest.approx(-drawdowns.avg_drawdown() * 100, rel=TOLERANCE)
    assert metrics.max_drawdown_duration == drawdowns.duration.max()
    assert metrics.max_drawdown == pytest.approx(
        -empyrical.max_drawdown(equity.pct_change().dropna()) * 100, rel=TOLERANCE
    )
    depth = (equity / equity.cummax() - 1)[1:]
    assert metrics.ulcer_index == pytest.approx(math.sqrt((depth**2).mean()) * 100, rel=TOLERANCE)


def test_business_days_agree_with_empyrical() -> None:
    days = [day for day in range(4, 4 + 104 * 7) if (day - 4) % 7 < 5]
    bars = replace(random_bars(len(days), seed=2), open_time_ms=np.array(days, dtype=np.int64) * DAY_MS)
    simulation = VectorizedEngine().run(
        bars,
        Crossover(CrossoverParams(fast=4, slow=9)).signals(StrategyInputs(bars=bars)),
        TradingRules(fill=FillTiming.NEXT_OPEN),
    )
    metrics = measure(simulation, bars, initial_cash=10_000, strategy_name="x")
    returns = pd.Series(simulation.equity).pct_change().fillna(simulation.equity[0] / 10_000 - 1)
    assert (metrics.annualisation, len(days)) == ("observed", 520)
    # 520 bars in the 726 days from Monday's open to Friday's close.
    year = {"annualization": 520 / (726 / 365)}
    assert metrics.cagr == pytest.approx(empyrical.cagr(returns, **year) * 100, rel=TOLERANCE)
    assert metrics.annual_volatility == pytest.approx(empyrical.annual_volatility(returns, **year) * 100, rel=TOLERANCE)
    assert metrics.sharpe_ratio == pytest.approx(empyrical.sharpe_ratio(returns, **year), rel=TOLERANCE)
    assert metrics.calmar_ratio == pytest.approx(empyrical.calmar_ratio(returns, **year), rel=TOLERANCE)
