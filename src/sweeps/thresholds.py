"""Find the signals of one prediction at many thresholds; see `strategies.model_signals`."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from src.sweeps.crossings import Events

Floats = NDArray[np.float64]


@njit(cache=True, nogil=True)
def _count_edges(values: Floats, threshold: float) -> int:
    count, is_long = 0, False
    for value in values:
        turns = (value >= threshold) != is_long and not np.isnan(value)
        count += turns
        is_long ^= turns
    return count


@njit(cache=True, nogil=True)
def _write_edges(values: Floats, threshold: float, bars: NDArray[np.int32], actions: NDArray[np.int8]) -> None:
    count, is_long = 0, False
    for t in range(values.size):
        # A bar without a prediction (NaN) keeps the target.
        if (values[t] >= threshold) != is_long and not np.isnan(values[t]):
            is_long = not is_long
            bars[count], actions[count] = t, 1 if is_long else -1
            count += 1


@njit(cache=True, nogil=True)
def _find_edges(values: Floats, thresholds: Floats) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int8]]:
    offsets = np.zeros(thresholds.size + 1, np.int64)
    for group in range(thresholds.size):
        offsets[group + 1] = offsets[group] + _count_edges(values, thresholds[group])
    bars, actions = np.empty(offsets[-1], np.int32), np.empty(offsets[-1], np.int8)
    for group in range(thresholds.size):
        first, stop = offsets[group], offsets[group + 1]
        _write_edges(values, thresholds[group], bars[first:stop], actions[first:stop])
    return offsets, bars, actions


def find_threshold_events(values: Floats, thresholds: Floats) -> Events:
    """Return a buy at each bar [n] at which the prediction reaches the threshold, a sell at each below it again."""
    return Events(*_find_edges(values, thresholds))
