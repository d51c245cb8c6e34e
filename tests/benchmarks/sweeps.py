"""Rows of sweeps against this service's own pipeline in a loop, vectorbt, raptorbt and backtesting.py.

Each peer's final equity is compared first: one that disagrees gets no time. Times are processor time on one thread.
Ours is of figures, trials and block sums of all rows; peers compute fewer rows, and their time is scaled up.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from src.domain.bars import Bars
from src.domain.runs import BacktestRequest
from src.domain.signals import OutputKind, ParameterValue, Predictions
from src.domain.strategy import ModelParams
from src.domain.sweeps import ROW_METRICS
from src.domain.trading import EngineName, FillTiming, TradingRules
from src.engines.registry import ENGINES
from src.service.pipeline import compute_outcome
from src.strategies.crossover import CrossoverParams
from src.strategies.registry import PARAMS
from src.sweeps.evaluation import Evaluator, SweepInputs
from src.sweeps.parameters import apply_values
from tests.benchmarks.measurement import Measurement, Memory, time_once
from tests.benchmarks.sweep_peers import PEERS, Peer
from tests.factories import make_request
from tests.market import random_bars
from tests.sweep_agreement import Floats, build_sweep

ROOT: Final = Path(__file__).parents[2]
SIZES: Final = ((10_000, 10_000), (1_000, 100_000), (100, 1_000_000))
"""Rows and bars of the sweeps of crossovers."""

QUICK_SIZES: Final = ((1_000, 10_000),)
FINAL_EQUITY: Final = ROW_METRICS.index("final_equity")
LOOP_BARS: Final = 1_000_000
"""Bars that the pipeline computes row by row, in as many rows as they take."""

NEXT_OPEN: Final = TradingRules(fill=FillTiming.NEXT_OPEN)
SAME_CLOSE: Final = TradingRules(fill=FillTiming.SAME_CLOSE)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Workload:
    """A sweep and what it is promised to be: at least so many times as fast as the pipeline in a loop."""

    name: str
    bars: Bars
    backtest: BacktestRequest
    swept: Mapping[str, Sequence[ParameterValue]]
    predictions: Predictions | None = None
    least_ratio: float | None = None
    """Of the loop's time to the sweep's."""
    least_bars_per_second: float | None = None


def measure(*, quick: bool) -> list[Measurement | Memory]:
    """Measure sweeps of all kernels, then crossovers against other programs, threads and memory."""
    sizes = QUICK_SIZES if quick else SIZES
    found: list[Measurement | Memory] = []
    for rows, bars in sizes:
        workload = _crossovers(rows, random_bars(bars, seed=11, interval="1m", volatility=0.001), SAME_CLOSE)
        evaluator, values = _prepare(workload)
        found.append(_against_loop(workload, evaluator, values))
        seconds = found[0].seconds if len(found) == 1 and isinstance(found[0], Measurement) else None
        for peer in PEERS if rows <= 10_000 else ():
            measured = _against_peer(workload, evaluator, values, peer, ours=seconds)
            if measured is not None:
                found.append(measured)
    rows, bars = (300, 10_000) if quick else (3_000, 10_000)
    for workload in _others(rows, random_bars(bars, seed=12, interval="1h", volatility=0.005)):
        evaluator, values = _prepare(workload)
        found.append(_against_loop(workload, evaluator, values))
    found.append(_on_two_threads(*sizes[0]))
    found.append(_peak_memory(sizes[0][1], quick=quick))
    return found


def _request(engine: EngineName, rules: TradingRules, **others: Any) -> BacktestRequest:
    return make_request(engine=engine, rules=rules, **others)


def _crossovers(rows: int, bars: Bars, rules: TradingRules) -> Workload:
    """A grid of about square shape, its last parameter fastest, as the service builds it."""
    slows = max(10, round(rows**0.5))
    fasts = rows // slows
    swept = {
        "fast": np.repeat(np.arange(5, 5 + fasts), slows).tolist(),
        "slow": np.tile(np.arange(fasts + 10, fasts + 10 + 2 * slows, 2), fasts).tolist(),
    }
    engine = EngineName.VECTORIZED if rules.fill is FillTiming.SAME_CLOSE else EngineName.EVENT_DRIVEN
    return Workload(
        name="sweep of crossovers",
        bars=bars,
        backtest=_request(engine, rules),
        swept=swept,
        # What a request costs beside its bars, which a sweep saves, counts less the more bars there are.
        least_ratio=30 if len(bars) <= 10_000 else None,
        least_bars_per_second=300e6 if 10_000 < len(bars) <= 100_000 else None,
    )


def _others(rows: int, bars: Bars) -> list[Workload]:
    event_driven = EngineName.EVENT_DRIVEN
    slows, exits = rows // 10, max(2, round(rows**0.5))
    stops = np.linspace(0.005, 0.05, exits).round(6).tolist()
    random = np.random.default_rng(3)
    prediction = 0.5 + 0.1 * np.tanh(np.convolve(random.normal(size=len(bars)), np.full(20, 0.3), mode="same"))
    predictions = Predictions(values=prediction, kind=OutputKind.PROBABILITY, feature_columns=("Close",))
    return [
        Workload(
            name="sweep of RSI levels, market orders",
            bars=bars,
            backtest=_request(EngineName.VECTORIZED, SAME_CLOSE, strategy=PARAMS["rsi"]()),
            swept={
                "length": np.tile(np.arange(5, 15), slows).tolist(),
                "low": np.repeat(np.linspace(20, 45, slows), 10).round(3).tolist(),
            },
        ),
        Workload(
            name="sweep of crossovers with stop and target",
            bars=bars,
            backtest=_request(event_driven, NEXT_OPEN),
            swept={
                "fast": np.repeat(np.arange(5, 15), slows).tolist(),
                "slow": np.tile(np.arange(20, 20 + slows), 10).tolist(),
                "stop_loss": [0.02] * (10 * slows),
                "take_profit": [0.04] * (10 * slows),
            },
            least_ratio=10,
        ),
        Workload(
            name="sweep of a model's thresholds",
            bars=bars,
            backtest=_request(EngineName.VECTORIZED, SAME_CLOSE, strategy=ModelParams(reference="m.onnx")),
            swept={"threshold": np.linspace(0.4, 0.6, rows).round(6).tolist()},
            predictions=predictions,
            least_ratio=8,
        ),
        Workload(
            name="sweep of stops and targets on one signal",
            bars=bars,
            backtest=_request(event_driven, NEXT_OPEN, strategy=CrossoverParams(fast=10, slow=40)),
            swept={"stop_loss": stops * exits, "take_profit": np.repeat(stops, exits).tolist()},
            least_ratio=8,
        ),
    ]


def _prepare(workload: Workload) -> tuple[Evaluator, Floats]:
    request, values = build_sweep(workload.backtest, workload.swept)
    return Evaluator(SweepInputs(request=request, bars=workload.bars, predictions=workload.predictions)), values


def _evaluate(evaluator: Evaluator, values: Floats) -> Floats:
    """Evaluate rows in chunks as a job does; return their final equity."""
    found = []
    for first in range(0, len(values), evaluator.chunk_rows):
        chunk = evaluator.evaluate(values[first : first + evaluator.chunk_rows], first=first, total=len(values))
        found.append(chunk.rows.figures[:, FINAL_EQUITY])
    return np.concatenate(found)


def _time_rows(evaluator: Evaluator, values: Floats) -> float:
    """Return the seconds of all rows: the shortest of three runs, of one for long ones, compiled before."""
    evaluator.evaluate(values[:2], first=0, total=len(values))
    repeats = 3 if len(values) * evaluator.slots.size < 10**7 else 2
    return min(time_once(lambda: _evaluate(evaluator, values), time.process_time) for _ in range(repeats))


def _against_loop(workload: Workload, evaluator: Evaluator, values: Floats) -> Measurement:
    """Compare with the pipeline, which computes evenly spread rows."""
    names = list(workload.swept)
    columns = [list(some) for some in workload.swept.values()]
    chosen = np.linspace(0, len(values) - 1, min(len(values), max(8, LOOP_BARS // len(workload.bars)))).astype(int)

    def run(row: int) -> float:
        plain = {name: column[row] for name, column in zip(names, columns, strict=True)}
        request = apply_values(workload.backtest, plain)
        outcome = compute_outcome(request, workload.bars, workload.predictions, ENGINES)
        return outcome.metrics.final_equity

    expected = [run(row) for row in chosen.tolist()]
    np.testing.assert_array_equal(_evaluate(evaluator, values)[chosen], expected)
    alone = min(time_once(lambda: [run(row) for row in chosen.tolist()], time.process_time) for _ in range(2))
    return _compared(workload, evaluator, values, "this pipeline in a loop", alone / len(chosen), workload.least_ratio)


def _against_peer(
    workload: Workload, evaluator: Evaluator, values: Floats, peer: Peer, *, ours: float | None
) -> Measurement | None:
    """Compare with another program on the first rows; None if it disagrees, or is too slow for so many bars."""
    if len(workload.bars) > peer.max_bars:
        return None
    rows = values[np.linspace(0, len(values) - 1, peer.rows).astype(int)]
    other = workload if peer.fill is FillTiming.SAME_CLOSE else _at_next_open(workload, peer)
    own, _ = _prepare(other) if other is not workload else (evaluator, values)
    expected = _evaluate(own, rows)
    work = peer.prepare(other.bars, rows.astype(np.int64), other.backtest.rules)
    found = work()
    if not np.allclose(found, expected, rtol=peer.tolerance):
        worst = float(np.max(np.abs(found / expected - 1)))
        print(f"  no time for {peer.name}: its final equity differs by up to {worst:.2g}", file=sys.stderr)
        return None
    seconds = min(time_once(work, time.process_time) for _ in range(peer.repeats)) / len(rows)
    return _compared(workload, evaluator, values, f"{peer.name}, {peer.rows} rows", seconds, peer.least_ratio, ours)


def _at_next_open(workload: Workload, peer: Peer) -> Workload:
    return Workload(
        name=workload.name,
        bars=workload.bars,
        backtest=_request(EngineName.EVENT_DRIVEN, peer.rules or NEXT_OPEN),
        swept=workload.swept,
    )


def _compared(
    workload: Workload,
    evaluator: Evaluator,
    values: Floats,
    peer_name: str,
    peer_seconds_a_row: float,
    least: float | None,
    ours: float | None = None,
) -> Measurement:
    seconds = _time_rows(evaluator, values) if ours is None else ours
    peer_seconds = peer_seconds_a_row * len(values)
    rate, bars = len(values) / seconds, len(workload.bars)
    print(f"  {workload.name}: {rate:,.0f} rows/s, {rate * bars / 1e6:,.0f} M bars/s ({evaluator.kernel})", flush=True)
    target = None
    if least is not None:
        target = f"≥ {least:g}× ({_verdict(peer_seconds / seconds, least)})"
    elif (least_rate := workload.least_bars_per_second) is not None:
        target = f"≥ {least_rate / 1e6:g} M bars/s ({_verdict(rate * bars, least_rate)})"
    return Measurement(
        name=f"{workload.name} ({evaluator.kernel})",
        seconds=seconds,
        units=f"{len(values):,} rows × {bars:,} bars",
        peer_name=peer_name,
        peer_seconds=peer_seconds,
        target=target,
    )


def _verdict(found: float, least: float) -> str:
    return "met" if found >= least else "missed"


def _on_two_threads(rows: int, bars: int) -> Measurement:
    """Compare two threads with one in wall time: on a machine with other work, the ratio is too low."""
    workload = _crossovers(rows, random_bars(bars, seed=11, interval="1m", volatility=0.001), SAME_CLOSE)
    evaluator, values = _prepare(workload)
    step = min(evaluator.chunk_rows, len(values) // 4)
    firsts = range(0, len(values), step)

    def chunk(first: int) -> object:
        return evaluator.evaluate(values[first : first + step], first=first, total=len(values))

    def run(count: int) -> Callable[[], object]:
        def work() -> object:
            with ThreadPoolExecutor(count) as threads:
                return [None for _ in threads.map(chunk, firsts)]

        return work

    times = [(time_once(run(2)), time_once(run(1))) for _ in range(4)][1:]
    two, one = min(two for two, _ in times), min(one for _, one in times)
    return Measurement(
        name="sweep of crossovers on two threads",
        seconds=two,
        units=f"{rows:,} rows × {bars:,} bars",
        peer_name="on one thread",
        peer_seconds=one,
        target=f"≥ 1.7× on a quiet machine ({'met' if one / two >= 1.7 else 'missed'})",
    )


def _peak_memory(bars: int, *, quick: bool) -> Memory:
    """Return the highest resident memory of a process that does nothing else."""
    few, many = (1_000, 10_000) if quick else (1_000, 100_000)
    words = [sys.executable, "-m", "tests.sweep_memory", str(bars), str(few), str(many)]
    output = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    first, last = map(int, output.split())
    return Memory(
        name="sweep, imports included",
        bytes=last,
        units=f"{many:,} rows × {bars:,} bars; {first / 1e6:,.0f} MB at {few:,} rows",
        target=f"≤ 500 MB ({'met' if last <= 500e6 else 'missed'})",
    )
