"""How often the Sharpe interval holds the true ratio, and the range of the next path that path, on simulated returns.

`python run.py bench --only judgement_coverage`: the shares of each kind of returns are in the column of the work.
"""

from __future__ import annotations

import math
import time

import numpy as np

from src.judgement.intervals import range_of_next_path, resample, sharpe_interval
from src.judgement.resampling import seed_of
from tests.benchmarks.measurement import Measurement, best_of
from tests.judgement_paths import KINDS, Floats

BARS = (250, 1000)
PATHS = 10_000
"""So many that the standard error of a coverage of 95 % is 0.2 %: of 2,000 one row of 92.6 % came out as 91.8 %."""

QUICK_PATHS = 300


def measure_coverage(kind: str, *, paths: int, bars: int, seed: int) -> float:
    """Return the share of the intervals that hold the true ratio, of the paths that have an interval."""
    simulated = KINDS[kind](np.random.default_rng(seed), paths, bars)
    held = known = 0
    for returns in simulated.returns:
        if (found := resample(returns, 0.0, seed_of(returns))) is not None:
            interval = sharpe_interval(found.sharpe, 1.0)
            known += 1
            held += interval.low <= simulated.sharpe <= interval.high
    return held / known


def measure_range_coverage(kind: str, *, paths: int, bars: int, seed: int) -> tuple[float, float]:
    """Return how often the next path's return lies in its range, and its drawdown below the 95th percentile."""
    returns = KINDS[kind](np.random.default_rng(seed), 2 * paths, bars).returns
    ends = shallow = known = 0
    for path, following in zip(returns[:paths], returns[paths:], strict=True):
        if (found := resample(path, 0.0, seed_of(path))) is None:
            continue
        expected = range_of_next_path(found.paths, None)
        equity = np.concatenate(([1.0], np.cumprod(1 + following)))
        total, drawdown = (equity[-1] - 1) * 100, (1 - equity / np.maximum.accumulate(equity)).max() * 100
        known += 1
        ends += expected.total_return is not None and expected.total_return.low <= total <= expected.total_return.high
        shallow += drawdown <= expected.max_drawdown.high95
    return ends / known, shallow / known


def measure(*, quick: bool) -> list[Measurement]:
    """Measure the coverage of every kind and length; the peer is a resampling by numpy's indices."""
    paths = QUICK_PATHS if quick else PATHS
    return [_measure_kind(kind, paths, bars) for bars in BARS for kind in KINDS]


def _measure_kind(kind: str, paths: int, bars: int) -> Measurement:
    one = KINDS[kind](np.random.default_rng(2), 1, bars).returns[0]
    naive_s = best_of(lambda: _resample_by_indices(one), repeats=2)
    measure_coverage(kind, paths=1, bars=bars, seed=1)
    start = time.perf_counter()
    coverage = measure_coverage(kind, paths=paths, bars=bars, seed=1)
    seconds = (time.perf_counter() - start) / paths
    ends, shallow = measure_range_coverage(kind, paths=paths // 20, bars=bars, seed=5)
    error = math.sqrt(coverage * (1 - coverage) / paths)
    held = f"holds the truth in {coverage:.1%} ± {error:.1%}, next return {ends:.1%}, drawdown {shallow:.1%}"
    return Measurement(
        name=f"Sharpe interval, {kind}",
        seconds=seconds,
        units=f"{bars:,} bars: {held}",
        peer_name="numpy, one Sharpe ratio per resample",
        peer_seconds=naive_s,
        target="92–96 %",
    )


def _resample_by_indices(returns: Floats) -> Floats:
    rng = np.random.default_rng(3)
    n, length = returns.size, round(returns.size ** (1 / 3))
    found = np.empty(1000)
    for b in range(1000):
        starts = rng.integers(n, size=-(-n // length))
        path = returns[((starts[:, None] + np.arange(length)) % n).ravel()[:n]]
        found[b] = path.mean() / path.std(ddof=1)
    return found
