"""Test whether the best of many rows beats buy-and-hold by more than chance, after Hansen.

Differences to buy-and-hold are resampled in circular blocks, the same bars for all rows (Hansen 2005, "A Test for
Superior Predictive Ability"). The same resamples give the set of rows that each beat it (Romano & Wolf 2005, "Stepwise
Multiple Testing as Formalized Data Snooping").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from src.judgement import resampling
from src.judgement.block_lengths import choose_block_length
from src.judgement.overfitting import select_rows

Floats = NDArray[np.float64]

RESAMPLES: Final = 1000
MIN_BARS: Final = 100
LEVEL: Final = 0.05
COLUMNS_AT_ONCE: Final = 64
"""Rows whose table of blocks is in memory at once: 5 MB of 10,000 bars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Superiority:
    """How the rows compare with buy-and-hold.

    `p_value` is Hansen's consistent one; `lower` and `upper` are its bounds. `best` is the row with the largest
    studentized difference, `superior_rows` are those that beat buy-and-hold, with 5 % for one or more wrong ones.
    `rows` counts those that were tested. `block_length` counts bars.
    """

    p_value: float
    lower: float
    upper: float
    best: int
    superior_rows: tuple[int, ...]
    rows: int
    block_length: int


class PValues(NamedTuple):
    lower: float
    consistent: float
    upper: float


def measure_superiority(returns: Floats, market: Floats) -> Superiority | None:
    """Test whether one of the rows [n, rows], returns per bar, beats buy-and-hold, `market` [n].

    Rows that differ from buy-and-hold by the same in each bar, and all but the first of equal rows, are left out.
    None under 100 bars, without a row, and if a return is not a number.
    """
    differences = returns - market[:, None]
    n = differences.shape[0]
    if n < MIN_BARS or not np.isfinite(differences).all():
        return None
    kept = select_rows(differences)
    if kept.size == 0:
        return None
    differences = np.ascontiguousarray(differences[:, kept])
    length = choose_block_length(differences.mean(axis=1))
    seed = resampling.seed_of(differences.ravel())
    starts = resampling.draw_starts(n, resampling.count_blocks(n, length), RESAMPLES, np.uint64(seed))
    means = differences.mean(axis=0)
    resampled = resample_means(differences, starts, length)
    deviations = resampled.std(axis=0)
    moving = deviations > 0
    if not moving.any():
        return None
    kept, means, resampled, deviations = kept[moving], means[moving], resampled[:, moving], deviations[moving]
    found = find_p_values(means, resampled, deviations, n)
    return Superiority(
        p_value=found.consistent,
        lower=found.lower,
        upper=found.upper,
        best=int(kept[np.argmax(means / deviations)]),
        superior_rows=tuple(int(row) for row in kept[find_superior(means, resampled, deviations)]),
        rows=int(kept.size),
        block_length=length,
    )


def find_p_values(means: Floats, resampled: Floats, deviations: Floats, n: int) -> PValues:
    """Return the p-values of max(0, max mean ÷ deviation), from means [rows] and resampled means [B, rows].

    The null is centered at 0 for rows that are not far below it (the consistent p-value: mean ≥ −√(2 log log n)
    deviations); at no row below 0 (lower), and at all rows (upper).
    """
    statistic = max(0.0, float((means / deviations).max()))
    is_near = means / deviations >= -math.sqrt(2 * math.log(math.log(n)))
    centers = (np.maximum(means, 0.0), np.where(is_near, means, 0.0), means)
    return PValues(*(_exceeded(resampled, center, deviations, statistic) for center in centers))


def find_superior(means: Floats, resampled: Floats, deviations: Floats) -> NDArray[np.int64]:
    """Return the rows that beat 0, in steps: the rows that a step finds are left out of the maximum of the next one."""
    studentized = (resampled - means) / deviations
    own = means / deviations
    superior = np.zeros(means.size, np.bool_)
    while not superior.all():
        critical = float(np.quantile(np.maximum(studentized[:, ~superior].max(axis=1), 0.0), 1 - LEVEL))
        found = ~superior & (own > critical)
        if not found.any():
            break
        superior |= found
    return np.flatnonzero(superior)


def resample_means(differences: Floats, starts: resampling.Starts, length: int) -> Floats:
    """Return the mean [B, rows] of each resample of blocks, whose last one is cut so that all have n bars."""
    n, rows = differences.shape
    rest = n % length
    found = np.empty((starts.shape[0], rows))
    for first in range(0, rows, COLUMNS_AT_ONCE):
        some = np.ascontiguousarray(differences[:, first : first + COLUMNS_AT_ONCE])
        table = _sum_blocks(some, length)
        last = _sum_blocks(some, rest) if rest else table
        found[:, first : first + COLUMNS_AT_ONCE] = _average_blocks(table, last, starts, n // length)
    return found


def _exceeded(resampled: Floats, center: Floats, deviations: Floats, statistic: float) -> float:
    largest: Floats = np.maximum(((resampled - center) / deviations).max(axis=1), 0.0)
    return int(np.count_nonzero(largest > statistic)) / largest.size


@njit(cache=True, nogil=True)
def _sum_blocks(values: Floats, length: int) -> Floats:
    """Return the sum of the circular block of `length` bars from each start [n, rows], by doubling."""
    n, rows = values.shape
    power, spare, table = values.copy(), np.empty((n, rows)), np.zeros((n, rows))
    covered, width, left = 0, 1, length
    while left > 0:
        if left & 1:
            # An empty block is a row of zeros.
            for i in range(n):
                table[i] += power[(i + covered) % n]
            covered += width
        left >>= 1
        if left > 0:
            for i in range(n):
                spare[i] = power[i] + power[(i + width) % n]
            power, spare = spare, power
            width *= 2
    return table


@njit(cache=True, nogil=True)
def _average_blocks(table: Floats, last: Floats, starts: resampling.Starts, whole: int) -> Floats:
    """Return the mean over n bars [B, rows] of each resample: `whole` blocks, and a cut one if there are more."""
    n, rows = table.shape
    found = np.zeros((starts.shape[0], rows))
    for b in range(starts.shape[0]):
        own = found[b]
        for q in range(whole):
            own += table[np.uint64(starts[b, q])]
        for q in range(whole, starts.shape[1]):
            own += last[np.uint64(starts[b, q])]
        own /= n
    return found
