"""Other programs that run many crossovers: each returns the final equity of its rows."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.trading import FillTiming, TradingRules

Floats = NDArray[np.float64]
Pairs = NDArray[np.int64]
Work = Callable[[], Floats]

COLUMNS_AT_ONCE: Final = 50
"""Rows that vectorbt holds in memory at once: a row takes 1.4 MB at 10,000 bars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Another program; `prepare` takes bars, pairs of lengths [k, 2] and rules, and returns what is timed.

    It runs `rows` rows, on up to `max_bars` bars. `rules` are those that it knows, if they are not the workload's.
    """

    name: str
    prepare: Callable[[Bars, Pairs, TradingRules], Work]
    rows: int
    max_bars: int
    fill: FillTiming = FillTiming.SAME_CLOSE
    rules: TradingRules | None = None
    tolerance: float = 1e-9
    least_ratio: float | None = None
    repeats: int = 2


def prepare_vectorbt(bars: Bars, pairs: Pairs, rules: TradingRules, *, engine: str) -> Work:
    """Run rows as columns, some at once: means, crosses, `from_signals` and five metrics."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import vectorbt as vbt

    close = pd.Series(bars.close, index=pd.to_datetime(bars.open_time_ms, unit="ms", utc=True))

    def run_some(some: Pairs) -> Floats:
        lengths, places = np.unique(some, return_inverse=True)
        means = vbt.MA.run(close, lengths.tolist()).ma.to_numpy()
        fast, slow = (means[:, places.reshape(some.shape)[:, side]] for side in range(2))
        above, below = fast > slow, fast < slow
        known = np.isfinite(slow[1:]) & np.isfinite(slow[:-1]) & np.isfinite(fast[:-1])
        buys, sells = np.zeros_like(above), np.zeros_like(below)
        buys[1:] = above[1:] & ~above[:-1] & known
        sells[1:] = below[1:] & ~below[:-1] & known
        portfolio = vbt.Portfolio.from_signals(
            close,
            buys,
            sells,
            init_cash=rules.initial_cash,
            fees=rules.fee_rate,
            slippage=rules.slippage_rate,
            freq="1min",
            engine=engine,
        )
        portfolio.sharpe_ratio()
        portfolio.max_drawdown()
        portfolio.trades.win_rate()
        portfolio.trades.profit_factor()
        return np.asarray(portfolio.final_value(), np.float64)

    def run() -> Floats:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.concatenate(
                [run_some(pairs[first : first + COLUMNS_AT_ONCE]) for first in range(0, len(pairs), COLUMNS_AT_ONCE)]
            )

    return run


def prepare_raptorbt(bars: Bars, pairs: Pairs, rules: TradingRules) -> Work:
    """Run rows as one batch of signals, on one core, with its 48 metrics."""
    os.environ.setdefault("RAYON_NUM_THREADS", "1")
    import raptorbt

    config = raptorbt.BacktestConfig(
        initial_capital=rules.initial_cash, fees=rules.fee_rate, slippage=rules.slippage_rate, upon_bar_close=True
    )
    times = bars.open_time_ms * 1_000_000
    columns = [np.ascontiguousarray(getattr(bars, name)) for name in ("open", "high", "low", "close", "volume")]

    def run() -> Floats:
        means = {length: raptorbt.sma(columns[3], length) for length in np.unique(pairs).tolist()}
        items = []
        for fast, slow in pairs.tolist():
            above, below = means[fast] > means[slow], means[fast] < means[slow]
            known = np.isfinite(means[slow])
            buys, sells = np.zeros_like(above), np.zeros_like(below)
            buys[1:] = above[1:] & ~above[:-1] & known[:-1]
            sells[1:] = below[1:] & ~below[:-1] & known[:-1]
            items.append(raptorbt.BatchSingleItem(f"{fast}-{slow}", buys, sells))
        found = raptorbt.batch_single_backtest(times, *columns, items, config=config)
        return np.array([_equity_of(one) for one in found])

    return run


def _equity_of(result: Any) -> float:
    outcome = result[1] if isinstance(result, tuple) else result
    return float(outcome.equity_curve()[-1])


def prepare_backtesting(bars: Bars, pairs: Pairs, rules: TradingRules) -> Work:
    """Run what its `optimize` runs for each combination, without its processes and with its 30 figures."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from backtesting import Backtest, Strategy
        from backtesting.lib import crossover

    def mean(values: object, length: int) -> Any:
        return pd.Series(values).rolling(length).mean()

    class MeansCross(Strategy):  # type: ignore[misc]
        fast = 1
        slow = 2

        def init(self) -> None:
            self.fast_mean = self.I(mean, self.data.Close, self.fast)
            self.slow_mean = self.I(mean, self.data.Close, self.slow)

        def next(self) -> None:
            if crossover(self.fast_mean, self.slow_mean):
                self.buy()
            elif crossover(self.slow_mean, self.fast_mean):
                self.position.close()

    frame = pd.DataFrame(
        {name.capitalize(): getattr(bars, name) for name in ("open", "high", "low", "close", "volume")},
        index=pd.to_datetime(bars.open_time_ms, unit="ms"),
    )

    def run() -> Floats:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):  # it draws its progress there
            warnings.simplefilter("ignore")
            test = Backtest(frame, MeansCross, cash=rules.initial_cash, commission=rules.fee_rate)
            found = [test.run(fast=fast, slow=slow)["Equity Final [$]"] for fast, slow in pairs.tolist()]
        return np.array(found, np.float64)

    return run


def _with_engine(engine: str) -> Callable[[Bars, Pairs, TradingRules], Work]:
    return lambda bars, pairs, rules: prepare_vectorbt(bars, pairs, rules, engine=engine)


PEERS: Final = (
    Peer(name="vectorbt (numba)", prepare=_with_engine("numba"), rows=100, max_bars=100_000, least_ratio=100),
    Peer(name="vectorbt (Rust)", prepare=_with_engine("rust"), rows=100, max_bars=100_000),
    Peer(name="raptorbt batch, one core", prepare=prepare_raptorbt, rows=100, max_bars=1_000_000),
    Peer(
        name="backtesting.py",
        prepare=prepare_backtesting,
        rows=4,
        max_bars=10_000,
        fill=FillTiming.NEXT_OPEN,
        # It trades whole units: with so much cash the rest is small.
        rules=TradingRules(fill=FillTiming.NEXT_OPEN, initial_cash=1e12, slippage_rate=0.0),
        tolerance=1e-6,
        repeats=1,
    ),
)
