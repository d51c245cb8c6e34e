"""Build what a run adds to its user's ledger of trials."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.trials import Trial
from src.judgement.trial_directions import measure_direction

Floats = NDArray[np.float64]

UNITS: Final = ((86_400_000, 0), (3_600_000, 1), (60_000, 2), (1_000, 3))
"""Days, hours, minutes and seconds in ms, and the level that distinguishes their slots."""
LEVELS: Final = 4
MIN_UNITS: Final = 30


def build_trial(open_time_ms: NDArray[np.int64], returns: Floats) -> Trial | None:
    """Return the trial of a run, from its returns per bar [n] and the bars' open times; see `build_trials`."""
    [trial] = build_trials(open_time_ms, returns)
    return trial


def build_trials(open_time_ms: NDArray[np.int64], *runs: Floats) -> tuple[Trial | None, ...]:
    """Return the trial of each run on some bars, from its returns per bar [n]; None for one that did not move.

    Returns of the bars that open in one UTC day are compounded, so that runs of all intervals are compared. A run over
    less than 30 days is counted by hours, one over less than 30 hours by minutes, and so on. None also under two such
    slots, and if a return is not a number.
    """
    slots, firsts = find_slots(open_time_ms)
    return tuple(_build_trial(slots, firsts, returns) for returns in runs)


def _build_trial(slots: NDArray[np.int64], firsts: NDArray[np.int64], returns: Floats) -> Trial | None:
    if not slots.size:
        return None
    values = np.multiply.reduceat(1 + returns, firsts) - 1
    directions = np.empty(values.size, np.int64)
    moves, t = measure_direction(values, directions)
    return Trial(slots=slots, directions=directions, t=t) if moves else None


def active_returns(returns: Floats, market: Floats, exposure: Floats) -> Floats:
    """Return r − p̄ × b per bar [n]: the returns minus those of the average market exposure.

    b are the market's returns and p̄ is the mean of `exposure`, the signed fraction of equity that is held.
    """
    return returns - float(exposure.mean()) * market


def find_slots(open_time_ms: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the slots [k] and the number of the first bar in each; see `Trial` and `build_trials`. Open times rise."""
    for unit_ms, level in UNITS:
        units = open_time_ms // unit_ms
        if units.size and (units[-1] - units[0] + 1 >= MIN_UNITS or level == UNITS[-1][1]):
            firsts = np.concatenate(([0], np.flatnonzero(units[1:] != units[:-1]) + 1))
            return LEVELS * units[firsts] * unit_ms + level, firsts
    return np.empty(0, np.int64), np.empty(0, np.int64)
