"""The vectorized engine against vectorbt as its documentation shows it, and against its bare core."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from src.domain.strategy import StrategyInputs
from src.domain.trading import FillTiming, TradingRules
from src.engines.vectorized import VectorizedEngine
from src.metrics.summary import measure as measure_metrics
from src.strategies.crossover import Crossover, CrossoverParams
from tests.benchmarks.measurement import Measurement, best_of
from tests.market import random_bars

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import vectorbt as vbt
    from vectorbt.portfolio.dispatch import simulate_from_signals

RULES = TradingRules(fill=FillTiming.SAME_CLOSE)


def measure() -> list[Measurement]:
    """Measure at 1,000 bars, where overhead decides, and at 1,000,000, where arithmetic does."""
    return [*_against_the_documented_path(1_000), _against_the_core(1_000_000)]


def _against_the_documented_path(n: int) -> list[Measurement]:
    bars = random_bars(n, seed=1)
    signals = Crossover(CrossoverParams()).signals(StrategyInputs(bars=bars))
    engine = VectorizedEngine()
    close = pd.Series(bars.close, index=pd.to_datetime(bars.open_time_ms, unit="ms", utc=True))
    entries = pd.Series(signals.action == 1, index=close.index)
    exits = pd.Series(signals.action == -1, index=close.index)

    def ours() -> None:
        simulation = engine.run(bars, signals, RULES)
        measure_metrics(simulation, bars, initial_cash=RULES.initial_cash, strategy_name="x")

    def documented() -> None:
        portfolio = vbt.Portfolio.from_signals(
            close, entries, exits, init_cash=RULES.initial_cash, fees=0.001, slippage=0.001, freq="1D"
        )
        _five_metrics(portfolio)

    def documented_with_averages() -> None:
        fast, slow = vbt.MA.run(close, 20), vbt.MA.run(close, 50)
        portfolio = vbt.Portfolio.from_signals(
            close,
            fast.ma_crossed_above(slow),
            fast.ma_crossed_below(slow),
            init_cash=RULES.initial_cash,
            fees=0.001,
            slippage=0.001,
            freq="1D",
        )
        _five_metrics(portfolio)

    def ours_with_averages() -> None:
        found = Crossover(CrossoverParams()).signals(StrategyInputs(bars=bars))
        measure_metrics(engine.run(bars, found, RULES), bars, initial_cash=RULES.initial_cash, strategy_name="x")

    return [
        Measurement(
            name="vectorized engine + all metrics",
            seconds=best_of(ours, repeats=50),
            units=f"{n:,} bars",
            peer_name="vectorbt documented: from_signals + 5 metrics",
            peer_seconds=best_of(documented, repeats=10),
            target="≥ 20× faster",
        ),
        Measurement(
            name="crossover + vectorized engine + all metrics",
            seconds=best_of(ours_with_averages, repeats=50),
            units=f"{n:,} bars",
            peer_name="vectorbt documented: MA, crosses, from_signals + 5 metrics",
            peer_seconds=best_of(documented_with_averages, repeats=10),
            target="≥ 20× faster",
        ),
    ]


def _five_metrics(portfolio: Any) -> None:
    portfolio.total_return()
    portfolio.sharpe_ratio()
    portfolio.max_drawdown()
    portfolio.trades.win_rate()
    portfolio.trades.profit_factor()


def _against_the_core(n: int) -> Measurement:
    bars = random_bars(n, seed=2, interval="1m", volatility=0.001)
    signals = Crossover(CrossoverParams()).signals(StrategyInputs(bars=bars))
    engine = VectorizedEngine()
    column = np.ascontiguousarray(bars.close[:, np.newaxis])
    entries = np.ascontiguousarray((signals.action == 1)[:, np.newaxis])
    exits = np.ascontiguousarray((signals.action == -1)[:, np.newaxis])
    call_sequence = np.zeros(column.shape, dtype=np.int64)

    def core() -> None:
        simulate_from_signals(
            column.shape,
            np.array([1], dtype=np.int64),
            np.array([RULES.initial_cash]),
            call_sequence,
            entries=entries,
            exits=exits,
            close=column,
            fees=np.asarray(RULES.fee_rate),
            slippage=np.asarray(RULES.slippage_rate),
            use_stops=False,
        )

    return Measurement(
        name="vectorized engine (fills, cash, position, equity, trades)",
        seconds=best_of(lambda: engine.run(bars, signals, RULES), repeats=5),
        units=f"{n:,} bars",
        peer_name="vectorbt core: order records only",
        peer_seconds=best_of(core, repeats=5),
        target="no slower",
    )
