"""How fast the event-driven engine is: beside a one-pass loop, which is the limit, and beside other engines.

The data are 10⁶ random candles that gap, the signals those of an SMA 20/50 cross.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from src.domain.atr_exits import AtrDistances
from src.domain.bars import Bars
from src.domain.exchange_rules import ExchangeRules
from src.domain.funding import Funding, FundingKind
from src.domain.ladders import AddEntry, TakeProfit
from src.domain.order_rules import EntryOrder, EntryType, Exits, Margin, Sizing
from src.domain.signals import Signals
from src.domain.strategy import StrategyInputs
from src.domain.trading import Direction, FillTiming, TradingRules
from src.engines.event_driven import EventDrivenEngine
from src.strategies.crossover import Crossover, CrossoverParams
from tests.benchmarks.measurement import Measurement, best_of
from tests.market import random_bars

BARS = 1_000_000
UNITS = f"{BARS:,} bars"
BACKTRADER_BARS = 3_000
NAUTILUS_BARS_PER_SECOND = 19_000
"""nautilus_trader's best: measured in November 2026, two cores, Python 3.11; it is not among the requirements."""

RULES = TradingRules(fill=FillTiming.NEXT_OPEN, fee_rate=0.0002, slippage_rate=0.0001)
EXITS = Exits(stop_loss_rate=0.01, take_profit_rate=0.02, trailing_stop_rate=0.008)
RULES_WITH_EXITS = TradingRules(
    fill=FillTiming.NEXT_OPEN, fee_rate=RULES.fee_rate, slippage_rate=RULES.slippage_rate, exits=EXITS
)

MANY_SETTINGS = TradingRules(
    fill=FillTiming.NEXT_OPEN, fee_rate=0.0004, maker_fee_rate=0.0002, slippage_rate=0.0001, direction=Direction.BOTH,
    sizing=Sizing(risk_fraction=0.01), margin=Margin(leverage=5.0),
    funding=Funding(kind=FundingKind.CONSTANT, rate=0.0001),
    exchange=ExchangeRules(tick_size=0.01, step_size=0.001, min_notional=10.0),
    entry=EntryOrder(type=EntryType.LIMIT, offset_rate=0.001, life_bars=5, is_repriced=True),
    exits=Exits(
        stop_loss_rate=0.01, take_profit_rate=0.02, atr=AtrDistances(trailing_stop=8.0), trailing_start_rate=0.004,
        break_even_rate=0.006, max_bars=2_000, cooldown_bars=3, at_end=True,
    ),
)  # fmt: skip
"""Each kind of setting but the rungs of a ladder, which take the place of the target."""
LADDER = replace(
    MANY_SETTINGS,
    entry=replace(MANY_SETTINGS.entry, additions=(AddEntry(move=-0.005, size=0.5), AddEntry(move=0.004, size=0.5))),
    exits=Exits(
        stop_loss_rate=0.02, trailing_stop_rate=0.01, break_even_rate=0.012, max_bars=2_000,
        take_profits=(TakeProfit(rate=0.008, portion=0.3), TakeProfit(rate=0.015, portion=0.3), TakeProfit(rate=0.025)),
    ),
)  # fmt: skip

FIRST_CALL = """
import time
start = time.perf_counter()
import numpy as np
from src.domain.market import Bars, Interval
from src.domain.signals import Signals, StrategyDescription
from src.domain.trading import Direction, FillTiming, TradingRules
from src.engines.event_driven import EventDrivenEngine
one = np.ones(3)
bars = Bars(symbol="X", interval=Interval.named("1d"), open_time_ms=np.arange(3), open=one, high=one, low=one,
            close=one, volume=one)
signals = Signals(action=np.array([1, 0, -1], dtype=np.int8), strategy=StrategyDescription(name="x"))
EventDrivenEngine().run(bars, signals, TradingRules(fill=FillTiming.NEXT_OPEN))
print(time.perf_counter() - start)
"""

IMPORT_NUMBA = """
import time
start = time.perf_counter()
import numba
print(time.perf_counter() - start)
"""


@njit(cache=True, nogil=True)
def one_pass(
    open: NDArray[np.float64],
    close: NDArray[np.float64],
    fast: int,
    slow: int,
    cash: float,
    fee: float,
    slippage: float,
    equity: NDArray[np.float64],
) -> float:
    """Means, crossings, fills at the next open and equity in a single loop: nothing that trades can be faster."""
    units = fast_sum = slow_sum = last_gap = 0.0
    word = 0
    for bar in range(len(close)):
        if word > 0 and units == 0.0:
            units = cash / (1 + fee) / (open[bar] * (1 + slippage))
            cash = 0.0
        elif word < 0 and units > 0.0:
            cash += units * open[bar] * (1 - slippage) * (1 - fee)
            units = 0.0
        fast_sum += close[bar] - (close[bar - fast] if bar >= fast else 0.0)
        slow_sum += close[bar] - (close[bar - slow] if bar >= slow else 0.0)
        gap = fast_sum / fast - slow_sum / slow
        word = 0
        if bar >= slow:
            word = 1 if gap > 0 >= last_gap else -1 if gap < 0 <= last_gap else 0
        last_gap = gap
        equity[bar] = cash + units * close[bar]
    return cash


def measure() -> list[Measurement]:
    """Run them all; about a quarter of a minute with warm caches."""
    bars = random_bars(BARS, seed=1, interval="1m", volatility=0.001)
    signals = Crossover(CrossoverParams()).signals(StrategyInputs(bars=bars))
    engine = EventDrivenEngine()
    market = best_of(lambda: engine.run(bars, signals, RULES), repeats=9)
    with_exits = best_of(lambda: engine.run(bars, signals, RULES_WITH_EXITS), repeats=9)
    equity = np.empty(BARS)
    limit = best_of(lambda: one_pass(bars.open, bars.close, 20, 50, 10_000.0, 0.0002, 0.0001, equity), repeats=9)
    name, name_with_exits = "event engine, market orders", "event engine, stop + target + trailing stop"

    def beside(peer_name: str, peer_seconds: float, target: str | None = None) -> Measurement:
        return Measurement(
            name=name, seconds=market, units=UNITS, peer_name=peer_name, peer_seconds=peer_seconds, target=target
        )

    return [
        beside("one-pass loop", limit, "≤ 2× the loop's time"),
        Measurement(
            name=name_with_exits,
            seconds=with_exits,
            units=UNITS,
            peer_name="one-pass loop",
            peer_seconds=limit,
            target="≥ 12 M bars/s (≤ 83 ms), or ≤ 8× the loop's time",
        ),
        *(
            Measurement(
                name=f"event engine, {what}",
                seconds=best_of(lambda rules=rules: engine.run(bars, signals, rules), repeats=9),
                units=UNITS,
                peer_name="one-pass loop",
                peer_seconds=limit,
                target="≥ 20 M bars/s (≤ 50 ms)",
            )
            for what, rules in (("nearly all settings", MANY_SETTINGS), ("and targets and additions", LADDER))
        ),
        beside("raptorbt", _raptorbt_seconds(bars, signals), "≥ 1.5× faster"),
        beside("vectorbt core", _vectorbt_seconds(bars, signals)),
        beside(f"backtrader, {BACKTRADER_BARS} bars scaled up", _backtrader_seconds(bars), "≥ 500× faster"),
        beside("nautilus_trader, 19 k bars/s quoted", BARS / NAUTILUS_BARS_PER_SECOND),
        Measurement(
            name="event engine, first call in a fresh process, imports included",
            seconds=_fresh_process_seconds(FIRST_CALL),
            units="3 bars",
            peer_name="import of numba alone",
            peer_seconds=_fresh_process_seconds(IMPORT_NUMBA),
            target="< 1 s with a filled cache",
        ),
    ]


def _raptorbt_seconds(bars: Bars, signals: Signals) -> float:
    import raptorbt

    config = raptorbt.BacktestConfig(
        initial_capital=10_000.0, fees=RULES.fee_rate, slippage=RULES.slippage_rate, fill_timing="next_bar_open"
    )
    buys, sells = signals.action == 1, signals.action == -1
    columns = [
        np.ascontiguousarray(column)
        for column in (bars.open_time_ms * 1_000_000, bars.open, bars.high, bars.low, bars.close, bars.volume)
    ]
    return best_of(lambda: raptorbt.run_single_backtest(*columns, buys, sells, config=config).equity_curve(), repeats=3)


def _vectorbt_seconds(bars: Bars, signals: Signals) -> float:
    from vectorbt.portfolio.dispatch import simulate_from_signals

    def column(values: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(values[:, np.newaxis])

    entries, exits = (np.concatenate(([False], (signals.action == word)[:-1])) for word in (1, -1))
    arrays = {"entries": column(entries), "exits": column(exits), "price": column(bars.open)}
    return best_of(
        lambda: simulate_from_signals(
            (BARS, 1),
            np.array([1]),
            np.array([10_000.0]),
            np.zeros((BARS, 1), dtype=np.int64),
            **arrays,
            close=column(bars.close),
            fees=np.asarray(RULES.fee_rate),
            slippage=np.asarray(RULES.slippage_rate),
            use_stops=False,
        ),
        repeats=3,
    )


def _backtrader_seconds(bars: Bars) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import backtrader

    class MeansCross(backtrader.Strategy):  # type: ignore[misc]
        def __init__(self) -> None:
            fast, slow = (backtrader.ind.SMA(self.data.close, period=period) for period in (20, 50))
            self.cross = backtrader.ind.CrossOver(fast, slow)

        def next(self) -> None:
            if self.cross[0] > 0 and not self.position:
                self.buy(size=1)
            elif self.cross[0] < 0 and self.position:
                self.close()

    few = bars.slice(0, BACKTRADER_BARS)
    frame = pd.DataFrame(
        {name: getattr(few, name) for name in ("open", "high", "low", "close", "volume")},
        index=pd.to_datetime(few.open_time_ms, unit="ms"),
    )

    def run() -> None:
        cerebro = backtrader.Cerebro(stdstats=False)
        cerebro.broker.setcommission(commission=RULES.fee_rate)
        cerebro.adddata(backtrader.feeds.PandasData(dataname=frame))
        cerebro.addstrategy(MeansCross)
        cerebro.run()

    return best_of(run, repeats=2) * BARS / BACKTRADER_BARS


def _fresh_process_seconds(program: str) -> float:
    root = Path(__file__).parents[2]
    runs = [
        subprocess.run([sys.executable, "-c", program], cwd=root, check=True, capture_output=True, text=True)
        for _ in range(3)
    ]
    return min(float(run.stdout) for run in runs)
