"""A whole crossover backtest against backtesting.py's, from candles to figures."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr

import pandas as pd

from src.domain.bars import Bars
from src.domain.strategy import StrategyInputs
from src.domain.trading import FillTiming, TradingRules
from src.engines.event_driven import EventDrivenEngine
from src.metrics.summary import measure as measure_metrics
from src.strategies.crossover import Crossover, CrossoverParams
from tests.benchmarks.measurement import Measurement, best_of
from tests.market import random_bars

RULES = TradingRules(fill=FillTiming.NEXT_OPEN, initial_cash=1e9, fee_rate=0.001, slippage_rate=0.0)


def measure() -> list[Measurement]:
    """Measure at 1,000 and at 10,000 bars; backtesting.py fills at the next open too."""
    return [_measure(random_bars(bars, seed=9, interval="1h", volatility=0.01)) for bars in (1_000, 10_000)]


def _measure(bars: Bars) -> Measurement:
    engine = EventDrivenEngine()

    def ours() -> None:
        signals = Crossover(CrossoverParams()).signals(StrategyInputs(bars=bars))
        simulation = engine.run(bars, signals, RULES)
        measure_metrics(simulation, bars, initial_cash=RULES.initial_cash, strategy_name="crossover")

    return Measurement(
        name="crossover + event engine + all metrics",
        seconds=best_of(ours, repeats=30),
        units=f"{len(bars):,} bars",
        peer_name="backtesting.py, its 30 figures",
        peer_seconds=best_of(_peer(bars), repeats=3),
    )


def _peer(bars: Bars) -> Callable[[], object]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from backtesting import Backtest, Strategy
        from backtesting.lib import crossover

    def mean(values: object, length: int) -> pd.Series[float]:
        return pd.Series(values).rolling(length).mean()

    class MeansCross(Strategy):  # type: ignore[misc]
        def init(self) -> None:
            self.fast = self.I(mean, self.data.Close, 20)
            self.slow = self.I(mean, self.data.Close, 50)

        def next(self) -> None:
            if crossover(self.fast, self.slow):
                self.buy()
            elif crossover(self.slow, self.fast):
                self.position.close()

    frame = pd.DataFrame(
        {name.capitalize(): getattr(bars, name) for name in ("open", "high", "low", "close", "volume")},
        index=pd.to_datetime(bars.open_time_ms, unit="ms"),
    )

    def run() -> object:
        # It draws its progress on stderr.
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            return Backtest(frame, MeansCross, cash=RULES.initial_cash, commission=RULES.fee_rate).run()

    return run
