"""Simulated markets and strategies with a known edge or none, and the verdict on each.

Every path is judged as the service judges a run: through the event-driven engine, without costs (which would only help
to doubt), among all trials that led to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.annualization import DEFAULT_ANNUALIZATION, annualize
from src.domain.bar_quality import DataQuality
from src.domain.bars import Bars
from src.domain.intervals import DAY_MS, Interval
from src.domain.order_rules import Exits
from src.domain.signals import Signals, StrategyDescription
from src.domain.simulation import Simulation
from src.domain.strategy import StrategyInputs
from src.domain.trading import Direction, FillTiming, TradingRules
from src.domain.trial_states import EMPTY_LEDGER, LedgerUpdate, TrialLedgerState
from src.domain.trials import LedgerEntry
from src.engines.event_driven import EventDrivenEngine
from src.judgement import timing, trial_ledger
from src.judgement.report import JudgedRun, examine, judge
from src.metrics.returns import moments, simple_returns
from src.metrics.summary import measure
from src.service.judging import take_snapshot
from src.strategies.crossover import Crossover, CrossoverParams

Floats = NDArray[np.float64]
Market = Callable[[np.random.Generator, int], Bars]
Search = Callable[[np.random.Generator, Bars], Sequence[Signals]]

START_MS: Final = 1_483_228_800_000
VOLATILITY: Final = 0.03
DRIFT: Final = 0.001
"""Per day, about that of BTCUSDT since 2017."""
HOLDING_BARS: Final = 5
PAIRS: Final = tuple((fast, slow) for fast in range(2, 22, 2) for slow in range(25, 115, 10))
"""90 moving averages."""
LONG: Final = TradingRules(fill=FillTiming.SAME_CLOSE, fee_rate=0.0, slippage_rate=0.0)
BOTH: Final = replace(LONG, direction=Direction.BOTH)
EXITS: Final = replace(LONG, exits=Exits(stop_loss_rate=0.05, take_profit_rate=0.08))

_run = EventDrivenEngine().run


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One kind of path: a market, a search on it whose best run is judged, and whether the trials are counted."""

    name: str
    market: Market
    search: Search
    rules: TradingRules = LONG
    has_edge: bool = False
    is_counted: bool = True


def simulate_path(cell: Cell, bars: int, seed: Sequence[int]) -> tuple[Bars, list[tuple[Signals, Simulation]]]:
    """Return the market of one path, and the runs of its search."""
    rng = np.random.default_rng(seed)
    market = cell.market(rng, bars)
    return market, [(signals, _run(market, signals, cell.rules)) for signals in cell.search(rng, market)]


def judge_path(cell: Cell, bars: int, seed: Sequence[int]) -> str:
    """Return the level of the verdict on the best run of one path."""
    market, runs = simulate_path(cell, bars, seed)
    ledger = EMPTY_LEDGER
    if cell.is_counted:
        for number, (_, simulation) in enumerate(runs):
            ledger = ledger.add(_entry_of(str(number), market, simulation, cell.rules))
    signals, best = max(runs, key=lambda run: _sharpe_of(run[1], cell.rules))
    if not cell.is_counted:
        ledger = ledger.add(_entry_of("best", market, best, cell.rules))
    return _judge(market, signals, best, cell.rules, ledger)


def _judge(bars: Bars, signals: Signals, simulation: Simulation, rules: TradingRules, ledger: TrialLedgerState) -> str:
    run = JudgedRun(
        bars=bars,
        quality=DataQuality(expected_bars=len(bars), present_bars=len(bars)),
        signals=signals,
        rules=rules,
        simulation=simulation,
        metrics=measure(simulation, bars, initial_cash=rules.initial_cash, strategy_name="simulated"),
        annualization=annualize(bars, DEFAULT_ANNUALIZATION),
        has_model=False,
        is_simulated=False,
        differing_fills=0,
    )
    snapshot = take_snapshot(LedgerUpdate(before=ledger, after=ledger))
    return str(judge(examine(run, _run), snapshot, rows=None, training=None).verdict.level)


def _entry_of(key: str, bars: Bars, simulation: Simulation, rules: TradingRules) -> LedgerEntry:
    returns = simple_returns(simulation.equity, rules.initial_cash)
    market = simple_returns(bars.close, float(bars.close[0]))
    exposure = timing.hold_exposure(simulation.position, bars.close, simulation.equity, is_filled_at_close=True)
    active = trial_ledger.active_returns(returns, market, exposure)
    return LedgerEntry(
        key=key,
        total=trial_ledger.build_trial(bars.open_time_ms, returns),
        active=trial_ledger.build_trial(bars.open_time_ms, active),
    )


def _sharpe_of(simulation: Simulation, rules: TradingRules) -> float:
    found = moments(simple_returns(simulation.equity, rules.initial_cash))
    return found.mean_excess / found.deviation if found.deviation > 0 else -np.inf


def walk(drift: float) -> Market:
    """Return a market of daily bars whose volatility clusters (GARCH) and whose shocks have fat tails (t, 4)."""

    def make(rng: np.random.Generator, n: int) -> Bars:
        shocks = rng.standard_t(4, n) / np.sqrt(2)
        variance, returns = VOLATILITY**2, np.empty(n)
        for t in range(n):
            returns[t] = np.sqrt(variance) * shocks[t]
            variance = 0.05 * VOLATILITY**2 + 0.10 * returns[t] ** 2 + 0.85 * variance
        return bars_of(rng, np.clip(returns + drift, -0.5, 1.0))

    return make


def resampled(returns: Floats, block: int = 20) -> Market:
    """Return a market of blocks of real daily returns, in random order."""

    def make(rng: np.random.Generator, n: int) -> Bars:
        starts = rng.integers(0, len(returns) - block, -(-n // block))
        return bars_of(rng, np.concatenate([returns[start : start + block] for start in starts])[:n])

    return make


def bars_of(rng: np.random.Generator, returns: Floats) -> Bars:
    """Return daily bars with these returns of the close, each opening at the close before."""
    close = 100 * np.cumprod(1 + returns)
    open_ = np.concatenate(([100.0], close[:-1]))
    reach = 1 + np.abs(rng.standard_normal((2, len(close)))) * VOLATILITY / 3
    return Bars(
        symbol="CALIBRATION",
        interval=Interval.named("1d"),
        open_time_ms=START_MS + DAY_MS * np.arange(len(close), dtype=np.int64),
        open=open_,
        high=np.maximum(open_, close) * reach[0],
        low=np.minimum(open_, close) / reach[1],
        close=close,
        volume=np.ones(len(close)),
    )


def enter_at_random(count: int) -> Search:
    """Return a search among strategies that go in and out of the market at random, for 5 bars on average each."""

    def search(rng: np.random.Generator, bars: Bars) -> Sequence[Signals]:
        turns = rng.random((count, len(bars))) < 1 / HOLDING_BARS
        return [_signals_of(np.cumsum(row) % 2 == 1) for row in turns]

    return search


def average_prices(_: np.random.Generator, bars: Bars) -> Sequence[Signals]:
    """Search among 90 moving-average crossovers."""
    inputs = StrategyInputs(bars=bars)
    return [Crossover(CrossoverParams(fast=fast, slow=slow)).signals(inputs) for fast, slow in PAIRS]


def know_the_next_bar(share: float) -> Search:
    """Return one strategy that is right about the next bar's direction in this share of the bars."""

    def search(rng: np.random.Generator, bars: Bars) -> Sequence[Signals]:
        rises = np.append(bars.close[1:] > bars.close[:-1], False)
        return [_signals_of(np.where(rng.random(len(bars)) < share, rises, ~rises))]

    return search


def _signals_of(is_long: NDArray[np.bool_]) -> Signals:
    target = is_long.astype(np.int8)
    action = np.diff(target, prepend=np.int8(0)).astype(np.int8)
    return Signals(action=action, strategy=StrategyDescription(name="simulated"))


def cells(real_returns: Floats | None = None) -> tuple[Cell, ...]:
    """Return all cells; those of a real market only with its daily returns."""
    flat, rising = walk(0.0), walk(DRIFT)
    found = [
        Cell(name="random entries, flat market", market=flat, search=enter_at_random(1)),
        Cell(name="random entries, rising market", market=rising, search=enter_at_random(1)),
        Cell(name="random entries, long and short", market=rising, search=enter_at_random(1), rules=BOTH),
        Cell(name="random entries, stops and targets", market=rising, search=enter_at_random(1), rules=EXITS),
        Cell(name="best of 30 random", market=rising, search=enter_at_random(30)),
        Cell(name="best of 30 random, long and short", market=rising, search=enter_at_random(30), rules=BOTH),
        Cell(name="best of 30 random, stops and targets", market=rising, search=enter_at_random(30), rules=EXITS),
        Cell(name="best of 90 averages", market=rising, search=average_prices),
        Cell(name="best of 90 averages, long and short", market=rising, search=average_prices, rules=BOTH),
    ]
    if real_returns is not None:
        real = resampled(real_returns)
        found += [
            Cell(
                name="best of 90 averages, shuffled days of BTCUSDT",
                market=resampled(real_returns, 1),
                search=average_prices,
            ),
            Cell(name="best of 90 averages, blocks of BTCUSDT", market=real, search=average_prices),
            Cell(
                name="best of 90 averages, blocks of BTCUSDT, trials not counted",
                market=real,
                search=average_prices,
                is_counted=False,
            ),
        ]
    found += [
        Cell(name="right in 55 %", market=flat, search=know_the_next_bar(0.55), has_edge=True),
        Cell(
            name="right in 55 %, long and short", market=flat, search=know_the_next_bar(0.55), rules=BOTH, has_edge=True
        ),
    ]
    return tuple(found)
