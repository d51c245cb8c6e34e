"""Batches of runs on the same bars, as a sweep counts them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from src.domain.trials import TrialBatch, TrialTable
from src.judgement.trial_ledger import build_trials, find_slots

DAY_MS = 86_400_000
GARBAGE = 7
"""What rows hold that did not move; no sum may have it."""


def make_batch(seeds: Sequence[int], *, days: int = 60, first_day: int = 0) -> TrialBatch:
    """Return runs with the keys run-0, run-1, …; every fifth did not move, every seventh not beside the market."""
    times = (np.arange(days, dtype=np.int64) + first_day) * DAY_MS
    tables = [_make_table(times, seeds, flat_every) for flat_every in (5, 7)]
    return TrialBatch(
        keys=tuple(f"run-{seed}" for seed in seeds), slots=find_slots(times)[0], total=tables[0], active=tables[1]
    )


def _make_table(times: NDArray[np.int64], seeds: Sequence[int], flat_every: int) -> TrialTable:
    returns = [np.random.default_rng((seed, flat_every)).standard_normal(times.size) * 0.01 for seed in seeds]
    returns = [0 * one if seed % flat_every == 0 else one for seed, one in zip(seeds, returns, strict=True)]
    trials = build_trials(times, *returns)
    garbage = np.full(times.size, GARBAGE)
    rows = [garbage if trial is None else trial.directions for trial in trials]
    return TrialTable(
        directions=np.array(rows, np.int64).reshape(len(seeds), times.size),
        t=np.array([np.nan if trial is None else trial.t for trial in trials], np.float64),
        moves=np.array([trial is not None for trial in trials], np.bool_),
    )
