"""Metrics where they do not exist, and on a row worked out by hand."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import empyrical
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from src.domain.annualization import DEFAULT_ANNUALIZATION, AnnualizationSettings
from src.domain.bars import Bars
from src.domain.intervals import DAY_MS
from src.domain.order_rules import Sizing
from src.domain.performance import METRIC_DEFINITIONS, Metrics
from src.domain.signals import Signals, StrategyDescription
from src.domain.simulation import TRADE_DTYPE
from src.domain.trading import FillTiming, TradingRules
from src.engines.vectorized import VectorizedEngine
from src.metrics.summary import measure
from src.metrics.trades import measure_trades
from tests.market import bars_at, bars_of_closes, random_bars


def run(
    bars: Bars, action: list[int], settings: AnnualizationSettings = DEFAULT_ANNUALIZATION, **rules: Any
) -> Metrics:
    signals = Signals(action=np.array(action, dtype=np.int8), strategy=StrategyDescription(name="by hand"))
    chosen = TradingRules(fill=FillTiming.SAME_CLOSE, **{"fee_rate": 0.0, "slippage_rate": 0.0, **rules})
    simulation = VectorizedEngine().run(bars, signals, chosen)
    return measure(simulation, bars, initial_cash=chosen.initial_cash, strategy_name="by hand", settings=settings)


def test_metrics_of_a_run_by_hand() -> None:
    # 1000 buys 10 units at 100; they are sold at 120 (+200) and 1200 buys 8 at 150, sold at 75 (−600): 600 are left.
    bars = bars_of_closes([100, 120, 150, 75, 75])
    found = run(bars, [1, -1, 1, -1, 0], initial_cash=1000.0)
    assert found.final_equity == pytest.approx(600)
    assert found.total_return == pytest.approx(-40)
    assert found.buy_and_hold_return == pytest.approx(-25)
    assert found.max_drawdown == pytest.approx(50)
    assert found.max_drawdown_duration == 2
    assert (found.total_trades, found.winning_trades, found.losing_trades, found.open_trades) == (2, 1, 1, 0)
    assert found.win_rate == pytest.approx(50)
    assert found.profit_factor == pytest.approx(200 / 600)
    assert found.expectancy == pytest.approx(-200)
    assert found.average_win == pytest.approx(20)
    assert found.average_loss == pytest.approx(-50)
    assert found.kelly == pytest.approx(0.5 - 0.5 * 0.5 / 0.2)
    assert found.exposure == pytest.approx(40)
    assert found.average_trade_duration == pytest.approx(1)
    # Returns per bar: 0, +20 %, 0, −50 %, 0.
    assert found.omega_ratio == pytest.approx(0.2 / 0.5)
    deviation = math.sqrt(sum((r + 0.06) ** 2 for r in (0, 0.2, 0, -0.5, 0)) / 4)
    assert found.sharpe_ratio == pytest.approx(-0.06 / deviation * math.sqrt(365))
    assert found.turnover == pytest.approx((1000 + 1200 + 1200 + 600) / (1000 + 1200 + 1200 + 600 + 600) * 5)


def test_ratios_without_trades_do_not_exist() -> None:
    found = run(bars_of_closes([100, 120, 90]), [0, 0, 0])
    assert found.total_return == 0
    assert found.max_drawdown == 0
    for name in (
        *("sharpe_ratio", "sortino_ratio", "calmar_ratio", "omega_ratio", "tail_ratio", "skew", "kurtosis"),
        *("win_rate", "profit_factor", "expectancy", "best_trade", "worst_trade", "sqn", "kelly", "average_drawdown"),
    ):
        assert getattr(found, name) is None, name


def test_one_bar_has_no_deviation() -> None:
    found = run(bars_of_closes([100]), [1])
    assert found.open_trades == 1
    assert found.sharpe_ratio is None
    assert found.annual_volatility is None
    assert found.beta is None


def test_profit_without_a_loss_has_no_profit_factor() -> None:
    found = run(bars_of_closes([100, 120, 150]), [1, -1, 0])
    assert found.win_rate == 100
    assert found.profit_factor is None


@pytest.mark.parametrize("closes", [[1e-8, 1e8, 1e-8], [100.0] * 5, [1, 1e12, 1e12]])
def test_no_metric_is_ever_infinite(closes: list[float]) -> None:
    found = run(bars_of_closes(closes), [1] + [0] * (len(closes) - 1))
    for item in dataclasses.fields(found):
        value = getattr(found, item.name)
        assert not isinstance(value, float) or math.isfinite(value), item.name


def test_every_metric_has_a_unit_and_a_definition() -> None:
    assert len(METRIC_DEFINITIONS) == len(dataclasses.fields(Metrics))
    assert all(definition.unit and definition.definition for definition in METRIC_DEFINITIONS)


def test_rounding_is_neither_a_loss_nor_variance() -> None:
    # All cash bought at 1.07 is worth 9999.999999999998.
    flat = run(bars_of_closes([1.07] * 10), [0, 1, *[0] * 8])
    ratios = (flat.sharpe_ratio, flat.sortino_ratio, flat.omega_ratio, flat.calmar_ratio, flat.tail_ratio, flat.skew)
    assert ratios == (None,) * 6
    assert (flat.max_drawdown, flat.max_drawdown_duration, flat.average_drawdown) == (0.0, 0, None)
    rising = run(bars_of_closes([1.07, 1.07, *(1.07 + 0.01 * step for step in range(1, 10))]), [0, 1, *[0] * 9])
    assert (rising.omega_ratio, rising.sortino_ratio, rising.calmar_ratio, rising.average_drawdown) == (None,) * 4
    assert rising.sharpe_ratio is not None


def test_loss_in_first_bar_is_a_drawdown() -> None:
    # 1000 buys for 1000 ÷ 1.01 and pays the rest as fee; the price never moves.
    found = run(bars_of_closes([100.0] * 3), [1, 0, 0], initial_cash=1000.0, fee_rate=0.01)
    lost = (1 - 1 / 1.01) * 100
    assert found.max_drawdown == pytest.approx(lost)
    assert found.average_drawdown == pytest.approx(lost)
    assert found.ulcer_index == pytest.approx(lost)
    assert found.max_drawdown_duration == 3


def test_growth_is_measured_over_elapsed_time() -> None:
    # 40 business days are 54 calendar days, the first Monday's open to the last Friday's close.
    days = [day for day in range(56) if day % 7 < 5]
    bars = bars_at([day * DAY_MS for day in days], np.linspace(100, 110, len(days)))
    found = run(bars, [1] + [0] * 39)
    assert found.cagr == pytest.approx((1.1 ** (365 / 54) - 1) * 100)
    assert found.bars_per_year == pytest.approx(40 / (54 / 365))
    assert found.annualisation == "observed"
    requested = run(bars, [1] + [0] * 39, settings=AnnualizationSettings(bars_per_year=252))
    assert requested.cagr == found.cagr


def test_growth_under_30_days_has_no_yearly_figures() -> None:
    short, enough = (run(bars_of_closes([100, 90, 120] * (n // 3)), [1] + [0] * (n - 1)) for n in (27, 30))
    assert (short.cagr, short.calmar_ratio, short.alpha) == (None, None, None)
    assert None not in (enough.cagr, enough.calmar_ratio, enough.alpha)
    assert short.sharpe_ratio is not None
    assert short.max_drawdown > 0


def test_risk_free_rate_lowers_sharpe_and_sortino_by_hand() -> None:
    bars = bars_of_closes([100, 120, 150, 75, 75])
    found = run(bars, [1, -1, 1, -1, 0], settings=AnnualizationSettings(bars_per_year=2, risk_free_rate=0.21))
    # √1.21 − 1 = 10 % a bar; returns per bar: 0, +20 %, 0, −50 %, 0.
    excess = [r - 0.1 for r in (0, 0.2, 0, -0.5, 0)]
    mean = sum(excess) / 5
    deviation = math.sqrt(sum((r - mean) ** 2 for r in excess) / 4)
    downside = math.sqrt(sum(min(r, 0) ** 2 for r in excess) / 5)
    assert found.sharpe_ratio == pytest.approx(mean / deviation * math.sqrt(2))
    assert found.sortino_ratio == pytest.approx(mean / downside * math.sqrt(2))
    assert (found.bars_per_year, found.annualisation) == (2, "requested")


def test_profits_within_rounding_are_neither_wins_nor_losses() -> None:
    # 9345.79 units bought and sold at 1.07: 10,000 changed hands twice, and a few units in the last place are left.
    found = measure_trades(trades([(9345.79, 1.07, 1.07, -1.8e-12), (9345.79, 1.07, 1.08, 93.4579)]))
    assert (found.closed, found.winning, found.losing) == (2, 1, 0)
    assert math.isnan(found.profit_factor)
    assert found.worst == 0.0


def test_equal_profits_beside_large_amounts_have_no_deviation() -> None:
    # Each trade earns 0.01 of 20,000 traded; what differs is the rounding of the amounts.
    rounded = [(100.0, 100.0, 100.0001, 0.01 + step * 2e-12) for step in range(5)]
    assert math.isnan(measure_trades(trades(rounded)).quality_number)
    differing = [(100.0, 100.0, 100.0001, 0.01 + step * 1e-6) for step in range(5)]
    assert measure_trades(trades(differing)).quality_number > 0


def trades(rows: list[tuple[float, float, float, float]]) -> NDArray[np.void]:
    """Return closed trades of (quantity, entry price, exit price, profit)."""
    table = np.zeros(len(rows), dtype=TRADE_DTYPE)
    for trade, (quantity, entry, exit_, profit) in zip(table, rows, strict=True):
        trade["quantity"], trade["entry_price"], trade["exit_price"], trade["profit"] = quantity, entry, exit_, profit
        trade["return"] = profit / (entry * quantity)
    return table


def test_equal_profits_have_no_deviation() -> None:
    # Both trades earn 1; 2.01 − 1.01 and 3.51 − 2.51 differ in the last bits.
    found = run(bars_of_closes([1.01, 2.01, 2.51, 3.51]), [1, -1, 1, -1], sizing=Sizing(fixed_units=1.0))
    assert found.expectancy == pytest.approx(1.0)
    assert found.sqn is None


def test_figures_of_a_run_agree_with_pandas_and_empyrical() -> None:
    bars = random_bars(400, seed=21)
    action = np.random.default_rng(21).choice([-1, 0, 0, 0, 1], 400).astype(np.int8)
    rules = TradingRules(fill=FillTiming.SAME_CLOSE, initial_cash=5000.0)
    signals = Signals(action=action, strategy=StrategyDescription(name="random"))
    run = VectorizedEngine().run(bars, signals, rules)
    found = measure(run, bars, initial_cash=5000.0, strategy_name="random")
    equity = pd.Series([5000.0, *run.equity])
    returns, market = equity.pct_change()[1:].to_numpy(), pd.Series(bars.close).pct_change().fillna(0.0).to_numpy()
    cagr = (equity.iloc[-1] / 5000) ** (365 / 400) - 1
    assert (found.strategy_name, found.bars, found.bars_per_year) == ("random", 400, 365.0)
    assert (found.start, found.end) == (bars.open_time_ms[0], bars.open_time_ms[-1])
    assert {name: getattr(found, name) for name in (
        "final_equity", "total_return", "buy_and_hold_return", "cagr", "annual_volatility", "sharpe_ratio",
        "sortino_ratio", "calmar_ratio", "omega_ratio", "max_drawdown", "value_at_risk", "cvar", "skew", "kurtosis",
        "tail_ratio", "alpha", "beta", "exposure", "turnover", "total_fees",
    )} == pytest.approx({
        "final_equity": equity.iloc[-1],
        "total_return": (equity.iloc[-1] / 5000 - 1) * 100,
        "buy_and_hold_return": (bars.close[-1] / bars.close[0] - 1) * 100,
        "cagr": cagr * 100,
        "annual_volatility": empyrical.annual_volatility(returns, annualization=365) * 100,
        "sharpe_ratio": empyrical.sharpe_ratio(returns, annualization=365),
        "sortino_ratio": empyrical.sortino_ratio(returns, annualization=365),
        "calmar_ratio": cagr / -empyrical.max_drawdown(returns),
        "omega_ratio": empyrical.omega_ratio(returns, annualization=1),
        "max_drawdown": -empyrical.max_drawdown(returns) * 100,
        "value_at_risk": np.percentile(returns, 5) * 100,
        "cvar": empyrical.conditional_value_at_risk(returns, 0.05) * 100,
        "skew": pd.Series(returns).skew(),
        "kurtosis": pd.Series(returns).kurt(),
        "tail_ratio": empyrical.tail_ratio(returns),
        "alpha": empyrical.alpha(returns, market, annualization=365) * 100,
        "beta": empyrical.beta(returns, market),
        "exposure": (run.position > 0).mean() * 100,
        "turnover": (run.fills["quantity"] * run.fills["price"]).sum() / run.equity.mean(),
        "total_fees": run.fills["fee"].sum(),
    })  # fmt: skip


def test_trades_are_shown_in_per_cent_and_bars() -> None:
    # 10 units at 100: + 20 % in two bars, − 10 % in one, + 10 % in one; the last stays open.
    found = run(
        bars_of_closes([100, 110, 120, 100, 90, 100, 110, 50]), [1, 0, -1, 1, -1, 1, -1, 1], initial_cash=1000.0
    )
    assert (found.total_trades, found.open_trades) == (3, 1)
    assert found.best_trade == pytest.approx(20)
    assert found.worst_trade == pytest.approx(-10)
    assert found.average_win == pytest.approx(((110 - 100) / 100 + 0.2) / 2 * 100)
    assert found.average_loss == pytest.approx(-10)
    assert found.average_trade_duration == pytest.approx(4 / 3)
    assert (found.max_consecutive_wins, found.max_consecutive_losses) == (1, 1)
    assert found.exposure == pytest.approx(5 / 8 * 100)
    # Profits 200, −120, and 10 % of 1,080.
    assert found.sqn == pytest.approx(
        math.sqrt(3) * pd.Series([200, -120, 108]).mean() / pd.Series([200, -120, 108]).std()
    )
