"""How fast a portfolio is: beside the same symbols one by one, and beside vectorbt's shared cash.

50 symbols of 10⁵ random bars each, with the signals of an SMA 20/50 cross.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from src.domain.bars import Bars
from src.domain.order_rules import Exits, Sizing
from src.domain.signals import Signals
from src.domain.strategy import StrategyInputs
from src.domain.trading import FillTiming, TradingRules
from src.engines.event_driven import EventDrivenEngine
from src.engines.portfolio import run_portfolio
from src.strategies.crossover import Crossover, CrossoverParams
from tests.benchmarks.measurement import Measurement, best_of
from tests.market import random_bars

SYMBOLS, BARS = 50, 100_000
UNITS = f"{SYMBOLS} symbols of {BARS:,} bars"
TARGET = f"≥ 5 M symbol-bars/s (≤ {SYMBOLS * BARS / 5e6:g} s)"
RULES = TradingRules(fill=FillTiming.NEXT_OPEN, fee_rate=0.0004, slippage_rate=0.0001)
STOPS = replace(RULES, exits=Exits(stop_loss_rate=0.02, take_profit_rate=0.04, trailing_stop_rate=0.015))
VECTORBT_SYMBOLS = 10
"""vectorbt needs some gigabytes for 50."""


def measure() -> list[Measurement]:
    """Run the benchmark; takes about half a minute."""
    bars = [replace(random_bars(BARS, seed=seed, interval="1m", volatility=0.002), symbol=f"S{seed}")
            for seed in range(SYMBOLS)]  # fmt: skip
    strategy = Crossover(CrossoverParams(fast=20, slow=50))
    signals = [strategy.signals(StrategyInputs(bars=own)) for own in bars]

    def trade(rules: TradingRules, most_open: int) -> float:
        return best_of(lambda: run_portfolio(bars, signals, [rules] * SYMBOLS, most_open=most_open), repeats=3)

    engine = EventDrivenEngine()

    def trade_alone(rules: TradingRules) -> float:
        return best_of(
            lambda: [engine.run(own, given, rules) for own, given in zip(bars, signals, strict=True)], repeats=3
        )

    def beside_alone(name: str, rules: TradingRules, most_open: int) -> Measurement:
        return Measurement(
            name=f"portfolio, {name}", seconds=trade(rules, most_open), units=UNITS,
            peer_name="each symbol alone, our engine", peer_seconds=trade_alone(rules), target=TARGET,
        )  # fmt: skip

    few, shared = slice(0, VECTORBT_SYMBOLS), replace(RULES, sizing=Sizing(fixed_units=1.0))
    ours = best_of(
        lambda: run_portfolio(bars[few], signals[few], [shared] * VECTORBT_SYMBOLS, most_open=VECTORBT_SYMBOLS),
        repeats=3,
    )
    return [
        beside_alone("market orders", RULES, SYMBOLS),
        beside_alone("stop + target + trailing stop", STOPS, SYMBOLS),
        beside_alone("market orders, 5 places", RULES, 5),
        Measurement(
            name="portfolio, market orders", seconds=ours, units=f"{VECTORBT_SYMBOLS} symbols of {BARS:,} bars",
            peer_name="vectorbt, shared cash", peer_seconds=_vectorbt(bars[few], signals[few], shared),
        ),
    ]  # fmt: skip


def _vectorbt(bars: Sequence[Bars], signals: Sequence[Signals], rules: TradingRules) -> float:
    """Return the seconds of vectorbt's shared cash on frames that are made before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import vectorbt as vbt

        action = np.column_stack([own.action for own in signals])
        action = np.concatenate((np.zeros((1, len(bars)), np.int8), action[:-1]))
        close, open_ = (pd.DataFrame({own.symbol: getattr(own, name) for own in bars}) for name in ("close", "open"))

        def run() -> object:
            return vbt.Portfolio.from_signals(
                close, action == 1, action == -1, price=open_, size=1.0, init_cash=rules.initial_cash,
                fees=rules.fee_rate, slippage=rules.slippage_rate, cash_sharing=True, group_by=True, call_seq="auto",
                freq="1min",
            ).value()  # fmt: skip

        return best_of(run, repeats=2)
