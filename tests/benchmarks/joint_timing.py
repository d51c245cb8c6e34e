"""The joint timing test of a sweep: how often the best of 42 rows without an edge passes, and what it costs.

`python run.py bench --only joint_timing`: the shares that pass are in the columns of the work and of the peer.
"""

from __future__ import annotations

import time
from itertools import product

import numpy as np

from src.domain.sweep_rows import SweepInputs
from src.judgement.joint_timing import measure_joint_timing
from src.judgement.timing import measure_timing
from src.service.sweep_tests import MarketTest, RowTimingTest
from tests.benchmarks.measurement import Measurement, best_of
from tests.exposures import Floats, market, means_of
from tests.factories import make_request
from tests.market import random_bars
from tests.sweep_agreement import build_sweep

SHAPES = ((600, 4_000), (2_000, 4_000))
"""Bars and paths: the standard error of 5 % is 0.35 %."""

QUICK_PATHS = 200
LEVEL = 0.05
SEED = 500_000
SIZES = (3_000, 10_000, 100_000)
TESTED = 1_000
"""Rows that a sweep tests at most."""

QUICK_TESTED = 100


def measure(*, quick: bool) -> list[Measurement]:
    """Measure the errors of the test, and its time beside that of the test against buying and holding."""
    errors = [_measure_errors(bars, QUICK_PATHS if quick else paths) for bars, paths in SHAPES]
    return [*errors, *(_measure_sweep(QUICK_TESTED if quick else TESTED, bars) for bars in SIZES)]


def _measure_errors(bars: int, paths: int) -> Measurement:
    """Return how often the best of 42 means passes on random walks, by the joint test and by its own."""
    joint = plain = 0
    joint_s = plain_s = 0.0
    for path in range(paths):
        returns = market(bars, SEED + path)
        exposures = means_of(returns)
        started = time.perf_counter()
        best, p_value = _test_jointly(exposures, returns)
        joint_s += time.perf_counter() - started
        started = time.perf_counter()
        alone = measure_timing(exposures[best], returns, bars_per_year=365.0)
        plain_s += time.perf_counter() - started
        joint += p_value <= LEVEL
        plain += alone is not None and alone.p_value <= LEVEL
    return Measurement(
        name="joint timing test, best of 42 means without an edge",
        seconds=joint_s / paths,
        units=f"{bars:,} bars, {paths:,} paths: {joint / paths:.1%} pass",
        peer_name=f"the best one alone: {plain / paths:.1%} pass",
        peer_seconds=plain_s / paths,
        target="3 to 6 % pass",
    )


def _test_jointly(exposures: Floats, returns: Floats) -> tuple[int, float]:
    found = measure_joint_timing(lambda rows: exposures[rows], np.arange(len(exposures)), returns)
    if found is None:
        raise ValueError("a path without a row to test")
    return found.best, found.p_value


def _measure_sweep(rows: int, bars: int) -> Measurement:
    lengths = [(fast, slow) for fast, slow in product(range(2, 42), range(45, 145, 4))][:rows]
    names = {"fast": [fast for fast, _ in lengths], "slow": [slow for _, slow in lengths]}
    request, values = build_sweep(make_request(), names)
    inputs = SweepInputs(request=request, bars=random_bars(bars, seed=3, interval="1h", volatility=0.004))
    numbers = np.arange(rows)
    return Measurement(
        name="timing of a sweep's rows",
        seconds=best_of(lambda: RowTimingTest(inputs, values, numbers, 0).run(), repeats=1),
        units=f"{rows:,} tested rows of crossovers, {bars:,} bars",
        peer_name="their test against buying and holding",
        peer_seconds=best_of(lambda: MarketTest(inputs, values).run(), repeats=1),
    )
