"""How often the Sharpe interval holds the true ratio, on simulated returns whose ratio is known.

`python run.py bench --only judgement_coverage`: the coverage of each kind of returns is in the column of the work.
"""

from __future__ import annotations

import time

import numpy as np

from src.judgement.intervals import resample, sharpe_interval
from src.judgement.resampling import seed_of
from tests.benchmarks.measurement import Measurement, best_of
from tests.judgement_paths import KINDS, Floats

BARS = (250, 1000)
PATHS = 2000
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
    return Measurement(
        name=f"Sharpe interval, {kind}",
        seconds=(time.perf_counter() - start) / paths,
        units=f"{bars:,} bars, holds the truth in {coverage:.1%} of {paths:,}",
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
