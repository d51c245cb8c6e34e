"""What the judgement of a run costs, its runs for comparison included, beside the run itself.

Also its kernels beside numpy's way: all shifts by rolling, all splits of a sweep by slicing.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from src.domain.annualization import DEFAULT_ANNUALIZATION, annualize
from src.domain.bar_quality import DataQuality
from src.domain.bars import Bars
from src.domain.judgement import Judgement, LedgerSnapshot
from src.domain.signals import Signals
from src.domain.strategy import StrategyInputs
from src.domain.trading import FillTiming, TradingRules
from src.domain.trial_states import EMPTY_LEDGER, LedgerUpdate
from src.domain.trials import LedgerEntry
from src.engines.event_driven import EventDrivenEngine
from src.judgement import overfitting, superiority, timing, trial_ledger
from src.judgement.report import JudgedRun, examine, judge
from src.metrics.summary import measure as measure_metrics
from src.service.judging import take_snapshot
from src.strategies.crossover import Crossover, CrossoverParams
from tests.benchmarks.measurement import Measurement, best_of
from tests.market import random_bars

Floats = NDArray[np.float64]

SIZES = ((1_000, "≤ 2 ms"), (10_000, "≤ 10 ms"), (100_000, "≤ 60 ms"))
SHIFTED_BARS = 10_000
SWEEP_BARS, SWEEP_ROWS = 1_000, 2_000
NUMPY_SPLITS = 20
RULES = TradingRules(fill=FillTiming.NEXT_OPEN)
ENGINE = EventDrivenEngine()


def judge_run(run: JudgedRun, ledger: LedgerSnapshot) -> Judgement:
    """Return the whole judgement of a run, with the runs that it makes for comparison."""
    return judge(examine(run, ENGINE.run), ledger, rows=None, training=None)


def measure(*, quick: bool) -> list[Measurement]:
    """Measure runs of three lengths, the timing test, and the two tests of a sweep."""
    runs = [_measure_run(bars, target) for bars, target in SIZES]
    return [*runs, _measure_timing(), *_measure_sweep(rows=SWEEP_ROWS // 10 if quick else SWEEP_ROWS)]


def _measure_run(n: int, target: str) -> Measurement:
    bars = random_bars(n, seed=3, interval="1h", volatility=0.004)
    signals = Crossover(CrossoverParams()).signals(StrategyInputs(bars=bars))
    simulation = ENGINE.run(bars, signals, RULES)
    run = JudgedRun(
        bars=bars,
        quality=DataQuality(expected_bars=n, present_bars=n),
        signals=signals,
        rules=RULES,
        simulation=simulation,
        metrics=measure_metrics(simulation, bars, initial_cash=RULES.initial_cash, strategy_name="crossover"),
        annualization=annualize(bars, DEFAULT_ANNUALIZATION),
        has_model=False,
        is_simulated=False,
        differing_fills=None,
    )
    ledger = _ledger_of_days(bars)
    return Measurement(
        name="judgement of a run",
        seconds=best_of(lambda: judge_run(run, ledger), repeats=20),
        units=f"{n:,} bars, {len(simulation.trades):,} trades",
        peer_name="the run: event-driven engine and metrics",
        peer_seconds=best_of(lambda: _run(bars, signals), repeats=10),
        target=target,
    )


def _run(bars: Bars, signals: Signals) -> None:
    simulation = ENGINE.run(bars, signals, RULES)
    measure_metrics(simulation, bars, initial_cash=RULES.initial_cash, strategy_name="crossover")


def _ledger_of_days(bars: Bars) -> LedgerSnapshot:
    """A ledger of 90 trials on all days of the bars."""
    rng, ledger = np.random.default_rng(1), EMPTY_LEDGER
    for number in range(90):
        trial = trial_ledger.build_trial(bars.open_time_ms, rng.standard_normal(len(bars)) * 0.01)
        ledger = ledger.add(LedgerEntry(key=str(number), total=trial, active=trial))
    return take_snapshot(LedgerUpdate(before=ledger, after=ledger))


def _measure_timing() -> Measurement:
    rng = np.random.default_rng(2)
    market = rng.standard_normal(SHIFTED_BARS) * 0.02
    exposure = np.repeat(rng.random(SHIFTED_BARS // 10) < 0.5, 10).astype(float)
    return Measurement(
        name="timing test",
        seconds=best_of(lambda: timing.measure_timing(exposure, market, bars_per_year=365.0), repeats=20),
        units=f"{SHIFTED_BARS:,} bars",
        peer_name="numpy, all shifts by rolling",
        peer_seconds=best_of(lambda: _roll(exposure, market), repeats=1),
    )


def _roll(exposure: Floats, market: Floats) -> list[float]:
    return [float((np.roll(exposure, shift) * market).sum()) for shift in range(market.size)]


def _measure_sweep(rows: int) -> list[Measurement]:
    rng = np.random.default_rng(3)
    returns = rng.standard_normal((SWEEP_BARS, rows)) * 0.01
    market = rng.standard_normal(SWEEP_BARS) * 0.01
    units = f"{SWEEP_BARS:,} bars × {rows:,} rows"
    blocks = overfitting.DEFAULT_BLOCKS
    splits_s = best_of(lambda: _slice_splits(returns, blocks), repeats=1) / NUMPY_SPLITS
    return [
        Measurement(
            name=f"overfitting, {blocks} blocks",
            seconds=best_of(lambda: overfitting.measure_overfitting(returns), repeats=3),
            units=units,
            peer_name=f"numpy, {NUMPY_SPLITS} splits scaled up",
            peer_seconds=splits_s * math.comb(blocks, blocks // 2),
        ),
        Measurement(
            name="superiority",
            seconds=best_of(lambda: superiority.measure_superiority(returns, market), repeats=3),
            units=units,
            peer_name="numpy, 10 resamples scaled up",
            peer_seconds=best_of(lambda: _resample_rows(returns), repeats=1) / 10 * superiority.RESAMPLES,
        ),
    ]


def _slice_splits(returns: Floats, blocks: int) -> list[int]:
    parts = np.array_split(returns[: len(returns) // blocks * blocks], blocks)
    chosen = []
    for half in itertools.islice(itertools.combinations(range(blocks), blocks // 2), NUMPY_SPLITS):
        inside = np.concatenate([parts[block] for block in half])
        outside = np.concatenate([parts[block] for block in range(blocks) if block not in half])
        ratios, others = (side.mean(axis=0) / side.std(axis=0, ddof=1) for side in (inside, outside))
        chosen.append(int(np.count_nonzero(others < others[np.argmax(ratios)])))
    return chosen


def _resample_rows(returns: Floats) -> list[Floats]:
    rng = np.random.default_rng(4)
    n, length = len(returns), 10
    starts = rng.integers(n, size=(10, n // length))
    return [returns[((own[:, None] + np.arange(length)) % n).ravel()].mean(axis=0) for own in starts]
