"""The fourteen features against pandas, and all metrics against empyrical's few."""

from __future__ import annotations

import warnings

import pandas as pd

from src.domain.bars import Bars
from src.domain.strategy import StrategyInputs
from src.domain.trading import FillTiming, TradingRules
from src.engines.vectorized import VectorizedEngine
from src.features.ohlcv import build_features
from src.metrics.summary import measure as measure_metrics
from src.strategies.crossover import Crossover, CrossoverParams
from tests.benchmarks.measurement import Measurement, best_of
from tests.market import random_bars

BARS = 100_000
UNITS = f"{BARS:,} bars"


def measure() -> list[Measurement]:
    """Measure both; a few seconds."""
    bars = random_bars(BARS, seed=3, interval="1h", volatility=0.002)
    return [
        Measurement(
            name="14 features",
            seconds=best_of(lambda: build_features(bars), repeats=20),
            units=UNITS,
            peer_name="pandas rolling, the usual way",
            peer_seconds=best_of(lambda: _pandas_rolling(bars), repeats=5),
        ),
        _metrics(bars),
    ]


def _pandas_rolling(bars: Bars) -> pd.DataFrame:
    frame = pd.DataFrame({name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")})
    close, volume = frame["close"], frame["volume"]
    returns = close.pct_change()
    means = {f"SMA_{length}": close.rolling(length).mean() for length in (5, 10, 20)}
    deviations = {f"Volatility_{length}": returns.rolling(length).std() for length in (5, 10)}
    usual = volume.rolling(5).mean()
    return frame.assign(
        **means, **deviations, Returns=returns, Returns_5=close.pct_change(5), Volume_SMA_5=usual,
        Volume_Ratio=volume / usual,
    )  # fmt: skip


def _metrics(bars: Bars) -> Measurement:
    import empyrical

    signals = Crossover(CrossoverParams()).signals(StrategyInputs(bars=bars))
    rules = TradingRules(fill=FillTiming.SAME_CLOSE)
    simulation = VectorizedEngine().run(bars, signals, rules)
    returns = pd.Series(simulation.equity).pct_change().fillna(0.0)
    market = pd.Series(bars.close).pct_change().fillna(0.0)
    per_year = bars.interval.bars_per_year

    def peer() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for ratio in (empyrical.sharpe_ratio, empyrical.sortino_ratio, empyrical.calmar_ratio):
                ratio(returns, annualization=per_year)
            for figure in (empyrical.max_drawdown, empyrical.omega_ratio, empyrical.tail_ratio):
                figure(returns)
            empyrical.alpha_beta(returns, market, annualization=per_year)
            empyrical.value_at_risk(returns)
            empyrical.conditional_value_at_risk(returns)

    def ours() -> None:
        measure_metrics(simulation, bars, initial_cash=rules.initial_cash, strategy_name="crossover")

    return Measurement(
        name="all 45 metrics",
        seconds=best_of(ours, repeats=20),
        units=f"{UNITS}, {len(simulation.trades):,} trades",
        peer_name="empyrical, 10 metrics",
        peer_seconds=best_of(peer, repeats=3),
    )
