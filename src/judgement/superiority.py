"""Test whether the best of many rows beats buy-and-hold by more than chance (Hansen's test).

Differences to buy-and-hold are resampled in circular blocks, the same bars for all rows (Hansen 2005, "A Test for
Superior Predictive Ability"). The same resamples give the set of rows that each beat it (Romano & Wolf 2005, "Stepwise
Multiple Testing as Formalized Data Snooping").
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from src.judgement import resampling
from src.judgement.block_lengths import choose_block_length
from src.judgement.overfitting import select_rows

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

RESAMPLES: Final = 1000
MIN_BARS: Final = 100
LEVEL: Final = 0.05
COLUMNS_AT_ONCE: Final = 64
"""Rows whose table of blocks is in memory at once: 5 MB of 10,000 bars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Superiority:
    """How the rows compare with buy-and-hold.

    `p_value` is Hansen's consistent one; `lower` and `upper` are its bounds. `best` is the row with the largest
    studentized difference. `superior_rows` are those that beat buy-and-hold, with a probability of 5 % that one or more
    of them do not. `rows` counts the tested rows. `block_length` counts bars.
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

    Rows with the same difference from buy-and-hold in each bar, and all but the first of equal rows, are left out. None
    under 100 bars, without a row, and if a return is not a number.
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
    return _compare(kept, differences.mean(axis=0), resample_means(differences, starts, length), n, length)


def measure_streamed_superiority(
    returns_of: Callable[[Numbers], Floats], rows: Numbers, market: Floats, *, seed: int | None = None
) -> Superiority | None:
    """Do the same for rows whose returns are computed as they are needed: at most 64 rows are in memory at once.

    Parameters
    ----------
    returns_of
        Returns the returns per bar [n, j] of up to 64 rows; it is called twice for each row.
    rows
        The numbers of the rows; `best` and `superior_rows` are among them.
    seed
        The seed of the resamples; if None, it is computed from the rows' differences, row by row.
    """
    n = market.size
    survey = _survey(returns_of, rows, market) if n >= MIN_BARS else None
    if survey is None:
        return None
    length = choose_block_length(survey.mean)
    seed = survey.seed if seed is None else seed
    starts = resampling.draw_starts(n, resampling.count_blocks(n, length), RESAMPLES, np.uint64(seed))
    means, resampled = np.empty(survey.kept.size), np.empty((RESAMPLES, survey.kept.size))
    for some in _cut(survey.kept.size):
        differences = np.ascontiguousarray(returns_of(survey.kept[some]) - market[:, None])
        means[some] = _mean_of_columns(differences)
        resampled[:, some] = resample_means(differences, starts, length)
    return _compare(survey.kept, means, resampled, n, length)


class _Survey(NamedTuple):
    """The rows that are tested, the mean of their differences at each bar [n], and the seed that follows from them."""

    kept: Numbers
    mean: Floats
    seed: int


def _survey(returns_of: Callable[[Numbers], Floats], rows: Numbers, market: Floats) -> _Survey | None:
    """Look at all rows once; None if a return is not a number, or no row is left."""
    kept: list[int] = []
    total, digest, seen = np.zeros(market.size), hashlib.sha256(), set[bytes]()
    for some in _cut(rows.size):
        differences = returns_of(rows[some]) - market[:, None]
        if not np.isfinite(differences).all():
            return None
        for column in select_rows(differences).tolist():
            # −0 as 0, so that equal numbers have equal bytes.
            own = np.ascontiguousarray(differences[:, column], "<f8") + 0.0
            key = hashlib.sha256(own.tobytes()).digest()
            if key in seen:
                continue
            seen.add(key)
            digest.update(own.tobytes())
            total += own
            kept.append(int(rows[some][column]))
    if not kept:
        return None
    return _Survey(np.array(kept, np.int64), total / len(kept), int.from_bytes(digest.digest()[:8], "big"))


def _mean_of_columns(values: Floats) -> Floats:
    """Return the mean of each column, summed in the order of bars whatever the number of columns."""
    # numpy adds pairwise if there is one column only, which differs in the last bit.
    wide = np.column_stack((values, values)) if values.shape[1] == 1 else values
    means: Floats = wide.mean(axis=0)[: values.shape[1]]
    return means


def _cut(count: int) -> Iterator[slice]:
    return (slice(first, first + COLUMNS_AT_ONCE) for first in range(0, count, COLUMNS_AT_ONCE))


def _compare(kept: Numbers, means: Floats, resampled: Floats, n: int, length: int) -> Superiority | None:
    """Return the test's result from the means [rows] and resampled means [B, rows] of the rows `kept`."""
    deviations = resampled.std(axis=0)
    moving = deviations > 0
    if not moving.any():
        return None
    if not moving.all():
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
    """Return the rows that beat 0, stepwise: the rows that a step finds are left out of the next step's maximum."""
    own = means / deviations
    superior = np.zeros(means.size, np.bool_)
    while not superior.all():
        critical = float(np.quantile(_largest(resampled, means, deviations, ~superior), 1 - LEVEL))
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
    largest = _largest(resampled, center, deviations, np.ones(center.size, np.bool_))
    return int(np.count_nonzero(largest > statistic)) / largest.size


def _largest(resampled: Floats, center: Floats, deviations: Floats, counted: NDArray[np.bool_]) -> Floats:
    """Return max(0, max (resampled − center) ÷ deviation) [B] over the counted rows, some rows at a time."""
    largest = np.zeros(resampled.shape[0])
    rows = np.flatnonzero(counted)
    for some in _cut(rows.size):
        columns = rows[some]
        studentized = (resampled[:, columns] - center[columns]) / deviations[columns]
        np.maximum(largest, studentized.max(axis=1), out=largest)
    return largest


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
