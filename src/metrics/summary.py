"""Compute every metric of the contract from one simulation."""

from __future__ import annotations

import math

import numpy as np

from src.domain.annualization import DEFAULT_ANNUALIZATION, AnnualizationSettings, annualize
from src.domain.bars import Bars
from src.domain.performance import Metrics
from src.domain.simulation import Simulation
from src.metrics import returns as of_returns
from src.metrics.drawdowns import measure_drawdowns
from src.metrics.trades import measure_trades


def measure(
    simulation: Simulation,
    bars: Bars,
    *,
    initial_cash: float,
    strategy_name: str,
    settings: AnnualizationSettings = DEFAULT_ANNUALIZATION,
) -> Metrics:
    """Return the metrics of a simulation on its bars; for definitions and units see `domain.performance.Metrics`."""
    equity, n, annualization = simulation.equity, len(bars), annualize(bars, settings)
    per_year, risk_free = annualization.bars_per_year, annualization.risk_free_per_bar
    growth = float(equity[-1]) / initial_cash
    returns = of_returns.simple_returns(equity, initial_cash)
    market = of_returns.simple_returns(bars.close, float(bars.close[0]))
    found = of_returns.moments(returns, risk_free)
    tails = of_returns.tails(returns)
    beta = of_returns.beta(returns, market)
    falls = measure_drawdowns(equity, initial_cash)
    trades = measure_trades(simulation.trades)
    alpha = of_returns.alpha(found, float(market.mean()), beta, risk_free, per_year)
    cagr = of_returns.annual_growth_rate(growth, annualization.elapsed_years)
    if annualization.is_too_short:
        alpha = cagr = math.nan
    fills = simulation.fills
    traded = float((fills["quantity"] * fills["price"]).sum())
    mean_equity = of_returns.without_rounding(float(equity.mean()), initial_cash)
    return Metrics(
        strategy_name=strategy_name,
        start=int(bars.open_time_ms[0]),
        end=int(bars.open_time_ms[-1]),
        bars=n,
        final_equity=float(equity[-1]),
        total_return=(growth - 1) * 100,
        buy_and_hold_return=_known((float(bars.close[-1] / bars.close[0]) - 1) * 100),
        cagr=_known(cagr * 100),
        annual_volatility=_known(found.deviation * math.sqrt(per_year) * 100),
        sharpe_ratio=_known(of_returns.sharpe_ratio(found, per_year)),
        sortino_ratio=_known(of_returns.sortino_ratio(found, per_year)),
        calmar_ratio=_known(of_returns.ratio(cagr, of_returns.known_spread(falls.deepest, 1.0))),
        omega_ratio=_known(of_returns.omega_ratio(found)),
        max_drawdown=falls.deepest * 100,
        max_drawdown_duration=falls.longest,
        average_drawdown=_known(falls.mean_depth * 100),
        ulcer_index=_known(falls.ulcer_index * 100),
        value_at_risk=_known(tails.fifth_percentile * 100),
        cvar=_known(tails.mean_of_worst * 100),
        skew=_known(found.skew),
        kurtosis=_known(found.excess_kurtosis),
        tail_ratio=_known(of_returns.tail_ratio(tails)),
        alpha=_known(alpha * 100),
        beta=_known(beta),
        exposure=float(np.count_nonzero(simulation.position)) / n * 100,
        turnover=_known(of_returns.ratio(traded, mean_equity)),
        total_fees=float(fills["fee"].sum()),
        total_funding=float(simulation.trades["funding"].sum()),
        liquidation_distance=(
            None if simulation.liquidation_distance is None else simulation.liquidation_distance * 100
        ),
        total_trades=trades.closed,
        open_trades=trades.open,
        winning_trades=trades.winning,
        losing_trades=trades.losing,
        win_rate=_known(trades.win_rate * 100),
        profit_factor=_known(trades.profit_factor),
        expectancy=_known(trades.expectancy),
        average_win=_known(trades.average_win * 100),
        average_loss=_known(trades.average_loss * 100),
        best_trade=_known(trades.best * 100),
        worst_trade=_known(trades.worst * 100),
        average_trade_duration=_known(trades.average_duration),
        max_consecutive_wins=trades.most_wins_in_a_row,
        max_consecutive_losses=trades.most_losses_in_a_row,
        sqn=_known(trades.quality_number),
        kelly=_known(trades.kelly),
        bars_per_year=per_year,
        annualisation=annualization.rule.value,
    )


def _known(value: float) -> float | None:
    """Return the figure, or None if it does not exist."""
    return float(value) if math.isfinite(value) else None
