"""Find where pairs of moving averages of the close cross, for many pairs in one pass over the bars.

The averages come from one prefix sum of the closes in double-double arithmetic, in blocks of bars that stay in the
processor's cache. A pair's state (which of the two is above) is scanned eight bars at a time, as it rarely changes. The
events are those of `strategies.crossover.crossings`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from src.indicators.moving_average import _add, _divide
from src.strategies.crossover import ROUNDING

Floats = NDArray[np.float64]
Windows = NDArray[np.int64]

TABLE_BYTES: Final = 2**20
"""The approximate size of a block of the averages of all windows: half of a core's second-level cache."""

MIN_BLOCK: Final = 512
MAX_BLOCK: Final = 4096
"""Bars of a block; multiples of 8."""

UNKNOWN: Final = 2
"""The state before the first bar at which both averages exist."""

_REPEAT: Final = 0x0101010101010101
"""Multiplied by a byte, it repeats that byte eight times."""


class Events(NamedTuple):
    """The events of groups of rows: group g has those from `offsets[g]` to before `offsets[g + 1]`.

    `bars` [m] int32 rise in each group, `actions` [m] int8 hold `Action` values.
    """

    offsets: NDArray[np.int64]
    bars: NDArray[np.int32]
    actions: NDArray[np.int8]


@njit(cache=True, nogil=True)
def add_closes(close: Floats) -> tuple[Floats, Floats]:
    """Return the sum of the closes before each bar [n + 1] as a double-double: a number and its rounding error."""
    highs, lows = np.zeros(close.size + 1), np.zeros(close.size + 1)
    high, low = 0.0, 0.0
    for t in range(close.size):
        total, error = _add(high, close[t])
        high, low = _add(total, error + low)
        highs[t + 1], lows[t + 1] = high, low
    return highs, lows


@njit(nogil=True, error_model="numpy")
def _average(highs: Floats, lows: Floats, window: int, start: int, stop: int, out: Floats) -> None:
    """Write the means of the bars from `start` to before `stop`, NaN for the first window − 1 bars of all."""
    first = max(start, window - 1)
    for t in range(start, min(first, stop)):
        out[t - start] = np.nan
    for t in range(first, stop):
        total, error = _add(highs[t + 1], -highs[t + 1 - window])
        total, rest = _add(total, error + (lows[t + 1] - lows[t + 1 - window]))
        out[t - start] = _divide(total, rest, float(window))


@njit(nogil=True, error_model="numpy")
def _compare(fast: Floats, slow: Floats, size: int, states: NDArray[np.int8]) -> None:
    """Write 1 where fast is above slow, −1 where it is below, 0 where they are equal up to rounding, or missing."""
    for t in range(size):
        margin = ROUNDING * slow[t]
        states[t] = np.int8(fast[t] > slow[t] + margin) - np.int8(fast[t] < slow[t] - margin)


@njit(cache=True, nogil=True, error_model="numpy")
def _scan(
    highs: Floats,
    lows: Floats,
    windows: Windows,
    fast: Windows,
    slow: Windows,
    warm_up: int,
    block: int,
    rows: NDArray[np.int32],
    codes: NDArray[np.int32],
) -> int:
    """Write each crossing's pair and 2 × bar + (1 if fast rises); return how many, −1 if there is no room for all.

    `fast` and `slow` [k] are places in `windows`. Bars count from `warm_up` on; crossings before are left out.
    """
    n, pairs, room = highs.size - 1, fast.size, rows.size
    table = np.empty((windows.size, block))
    lasts = np.full(pairs, UNKNOWN, np.int64)
    states = np.zeros(block + 8, np.int8)
    words = states.view(np.int64)
    count = 0
    for start in range(0, n, block):
        stop = min(n, start + block)
        size = stop - start
        for place in range(windows.size):
            _average(highs, lows, windows[place], start, stop, table[place])
        for pair in range(pairs):
            t = max(0, max(windows[slow[pair]], windows[fast[pair]]) - 1 - start)
            if t >= size:
                continue
            _compare(table[fast[pair]], table[slow[pair]], size, states)
            states[size : size + 8] = 3  # an invalid state ends the scan
            last = lasts[pair]
            if last == UNKNOWN:
                last = np.int64(states[t])
                t += 1
            while t < size:
                if t % 8 == 0:
                    same = np.int64(last & 255) * _REPEAT
                    while t + 8 <= size and words[t >> 3] == same:
                        t += 8
                    if t >= size:
                        break
                state = np.int64(states[t])
                if state != last:
                    bar = start + t - warm_up
                    if state != 0 and bar >= 0:
                        if count == room:
                            return -1
                        rows[count], codes[count] = pair, 2 * bar + (1 if state > 0 else 0)
                        count += 1
                    last = state
                t += 1
            lasts[pair] = last
    return count


@njit(cache=True, nogil=True)
def _sort(
    pairs: int, rows: NDArray[np.int32], codes: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int8]]:
    """Return the events pair by pair, each pair's in order of time."""
    offsets = np.zeros(pairs + 1, np.int64)
    for row in rows:
        offsets[row + 1] += 1
    for pair in range(pairs):
        offsets[pair + 1] += offsets[pair]
    places = offsets.copy()
    bars, actions = np.empty(rows.size, np.int32), np.empty(rows.size, np.int8)
    for number in range(rows.size):
        place = places[rows[number]]
        bars[place] = codes[number] >> 1
        actions[place] = 2 * (codes[number] & 1) - 1
        places[rows[number]] = place + 1
    return offsets, bars, actions


def find_crossings(
    sums: tuple[Floats, Floats], fast: Windows, slow: Windows, *, warm_up: int, max_events: int
) -> Events | None:
    """Return the crossings of the pairs [k] of window lengths, after `warm_up` bars; None if over `max_events`.

    `sums` are those of `add_closes`.
    """
    windows, places = np.unique(np.concatenate((fast, slow)), return_inverse=True)
    block = int(np.clip(TABLE_BYTES // (8 * windows.size) // 8 * 8, MIN_BLOCK, MAX_BLOCK))
    rows, codes = np.empty((2, max_events), np.int32)
    count = _scan(*sums, windows, places[: fast.size], places[fast.size :], warm_up, block, rows, codes)
    return None if count < 0 else Events(*_sort(fast.size, rows[:count], codes[:count]))
