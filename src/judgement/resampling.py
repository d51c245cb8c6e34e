"""Draw block resamples of returns: their seed, and the compiled loops that draw paths.

Blocks are circular and of fixed length (Politis & Romano 1992), so a block is known by its start, and the figures of a
path follow from those of its blocks: a table holds them for every start, and a resample costs n ÷ L steps. A last block
is cut, so that every path has n bars.

All random numbers come from splitmix64 (Steele, Lea & Flood 2014), which is part of the rules here: numpy does not
promise that its generators give the same numbers in later versions.

Compiled functions call those of their own file only: numba's cache on disk does not see a change of another file.
"""

from __future__ import annotations

import hashlib
import math
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Starts = NDArray[np.int32]

RESAMPLES: Final = 1000
_PARTS: Final = (100,) * 10
"""Resamples drawn at once: the starts of all would be new pages of memory at each call, a quarter of its time."""

SQUARES_ROUNDING: Final = 1e-12
"""Part of a sum of squares that its rounding may make up. A path that stands still has deviations of −mean each, and
what is left of their squares is rounding: without this limit its Sharpe ratio would be 10⁸."""

SUM, SQUARES, GROWTH, HIGHEST, LOWEST, FALL = range(6)
"""Columns of a table of blocks: Σd, Σd², Σlog(1 + r), highest and lowest prefix of that sum (the empty one counts, so
≥ 0 and ≤ 0), and its deepest fall ≥ 0."""


class SharpeResamples(NamedTuple):
    """The Sharpe ratio per bar, its block standard error, and t* of each resample [B]; NaN without variance."""

    sharpe: float
    error: float
    statistics: Floats


class PathResamples(NamedTuple):
    """Growth Σlog(1 + r) [B] and deepest fall of it [B], ≥ 0, of each resampled path."""

    growth: Floats
    falls: Floats


def seed_of(returns: Floats) -> int:
    """Return the first 8 bytes of the SHA-256 of the returns (little-endian doubles, −0 as 0), big end first."""
    values = np.ascontiguousarray(returns, dtype="<f8") + 0.0
    return int.from_bytes(hashlib.sha256(values.tobytes()).digest()[:8], "big")


@njit(cache=True, nogil=True)
def _join(left: Floats, right: Floats, shift: int, out: Floats) -> None:
    """Write, for each start i, the block that is left[i] followed by right[i + shift]; `out` may be `left`."""
    n = left.shape[0]
    for i in range(n):
        j = i + shift
        if j >= n:
            j -= n
        grown, high, low = left[i, GROWTH], left[i, HIGHEST], left[i, LOWEST]
        fall = max(left[i, FALL], right[j, FALL], high - (grown + right[j, LOWEST]))
        out[i, SUM] = left[i, SUM] + right[j, SUM]
        out[i, SQUARES] = left[i, SQUARES] + right[j, SQUARES]
        out[i, GROWTH] = grown + right[j, GROWTH]
        out[i, HIGHEST] = max(high, grown + right[j, HIGHEST])
        out[i, LOWEST] = min(low, grown + right[j, LOWEST])
        out[i, FALL] = fall


@njit(cache=True, nogil=True)
def tabulate_blocks(deviations: Floats, returns: Floats, length: int) -> Floats:
    """Return the figures [n, 6] of the circular block of `length` < n bars from each start.

    Columns: see `SUM` and those after it, d being `deviations`. Built by doubling: log₂(length) passes. A return of −1
    or less uses up all equity: its growth is −∞, and so is that of every path that it is on.
    """
    n = returns.size
    power = np.empty((n, 6))
    for i in range(n):
        growth = math.log1p(returns[i]) if returns[i] > -1.0 else -np.inf
        power[i, SUM] = deviations[i]
        power[i, SQUARES] = deviations[i] * deviations[i]
        power[i, GROWTH] = growth
        power[i, HIGHEST] = max(growth, 0.0)
        power[i, LOWEST] = min(growth, 0.0)
        power[i, FALL] = max(-growth, 0.0)
    table, spare = np.zeros((n, 6)), np.empty((n, 6))
    covered, width, left = 0, 1, length
    while left > 0:
        if left & 1:
            # An empty block is a row of zeros.
            _join(table, power, covered, table)
            covered += width
        left >>= 1
        if left > 0:
            _join(power, power, width, spare)
            power, spare = spare, power
            width *= 2
    return table


@njit(cache=True, nogil=True)
def _draw(state: np.uint64, bound: np.uint64) -> tuple[np.uint64, np.int64]:
    """Return the next state of splitmix64 and a whole number from 0 to `bound` − 1 (bound < 2³²)."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    mixed = state
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    return state, np.int64(((mixed >> np.uint64(32)) * bound) >> np.uint64(32))


@njit(cache=True, nogil=True)
def draw_starts(n: int, blocks: int, resamples: int, state: np.uint64) -> tuple[Starts, np.uint64]:
    """Return the starts [resamples, blocks] of circular blocks on n bars, and the state to go on from.

    The first state is the seed.
    """
    starts = np.empty((resamples, blocks), np.int32)
    bound = np.uint64(n)
    for b in range(resamples):
        for q in range(blocks):
            state, start = _draw(state, bound)
            starts[b, q] = start
    return starts, state


@njit(cache=True, nogil=True)
def draw_two_stages(n: int, blocks: int, resamples: int, state: np.uint64) -> tuple[Starts, np.uint64]:
    """Return the same, each start drawn from `blocks` starts that were drawn for its resample."""
    starts = np.empty((resamples, blocks), np.int32)
    population = np.empty(blocks, np.int32)
    bound, choices = np.uint64(n), np.uint64(blocks)
    for b in range(resamples):
        for q in range(blocks):
            state, start = _draw(state, bound)
            population[q] = start
        for q in range(blocks):
            state, chosen = _draw(state, choices)
            starts[b, q] = population[chosen]
    return starts, state


@njit(cache=True, nogil=True)
def _influence(mean: float, deviation: float, sharpe: float) -> tuple[float, float, float]:
    """Return what Σd, Σd² and the number of bars of a block are multiplied with, to give its sum of ψ.

    ψ = z − SR/2 (z² − 1) is the influence of a bar on the ratio, z = (d − mean) ÷ deviation.
    """
    z_mean = mean / deviation
    by_sum = (1.0 + sharpe * z_mean) / deviation
    by_square = -0.5 * sharpe / (deviation * deviation)
    return by_sum, by_square, -z_mean - 0.5 * sharpe * (z_mean * z_mean - 1.0)


@njit(cache=True, nogil=True)
def block_error(table: Floats, length: int, mean: float, deviation: float) -> float:
    """Return the standard error of the Sharpe ratio mean ÷ deviation per bar, from all circular blocks of `length`.

    `table` holds the blocks of deviations from the mean that is in the returns; `mean` is that above the risk-free
    rate.
    """
    n = table.shape[0]
    by_sum, by_square, by_bar = _influence(0.0, deviation, mean / deviation)
    squared = 0.0
    for i in range(n):
        squared += (by_sum * table[i, SUM] + by_square * table[i, SQUARES] + by_bar * length) ** 2
    return math.sqrt(squared / n / length / n)


@njit(cache=True, nogil=True)
def studentize_sharpe(
    table: Floats, last: Floats, starts: Starts, length: int, mean: float, deviation: float, least: float
) -> Floats:
    """Return t* = (SR* − SR) ÷ error* [B] of the resamples (Ledoit & Wolf 2008), NaN for those without variance.

    `table` and `last` hold the blocks of `length` bars and the cut last ones (the same if n is a multiple). A resample
    whose deviation is not over `least`, or is rounding, has no variance. Its error is that of its own blocks' sums.
    """
    n, blocks = table.shape[0], starts.shape[1]
    whole = n // length
    rest = n - whole * length
    sharpe = mean / deviation
    statistics, sums, sums_of_squares = np.empty(starts.shape[0]), np.empty(blocks), np.empty(blocks)
    for b in range(starts.shape[0]):
        total, squares = 0.0, 0.0
        for q in range(blocks):
            start = starts[b, q]
            if q < whole:
                sums[q], sums_of_squares[q] = table[start, SUM], table[start, SQUARES]
            else:
                sums[q], sums_of_squares[q] = last[start, SUM], last[start, SQUARES]
            total += sums[q]
            squares += sums_of_squares[q]
        shift = total / n
        residue = squares - total * shift
        spread = math.sqrt(max(residue, 0.0) / (n - 1))
        if spread <= least or residue <= SQUARES_ROUNDING * squares:
            statistics[b] = np.nan
            continue
        found = (mean + shift) / spread
        by_sum, by_square, by_bar = _influence(shift, spread, found)
        squared = 0.0
        for q in range(blocks):
            bars = length if q < whole else rest
            squared += (by_sum * sums[q] + by_square * sums_of_squares[q] + by_bar * bars) ** 2
        statistics[b] = (found - sharpe) / (math.sqrt(squared) / n) if squared > 0.0 else np.nan
    return statistics


@njit(cache=True, nogil=True)
def compose_paths(table: Floats, last: Floats, starts: Starts, length: int) -> tuple[Floats, Floats]:
    """Return the growth and the deepest fall of the paths of n bars that the starts [B, blocks] make."""
    whole = table.shape[0] // length
    growths, falls = np.empty(starts.shape[0]), np.empty(starts.shape[0])
    for b in range(starts.shape[0]):
        growth, peak, fall = 0.0, 0.0, 0.0
        for q in range(starts.shape[1]):
            block = table[starts[b, q]] if q < whole else last[starts[b, q]]
            fall = max(fall, block[FALL], peak - (growth + block[LOWEST]))
            peak = max(peak, growth + block[HIGHEST])
            growth += block[GROWTH]
        growths[b] = growth
        falls[b] = fall
    return growths, falls


def count_blocks(n: int, length: int) -> int:
    """Return how many blocks make a path of n bars, the cut last one included."""
    return -(-n // length)


def resample_sharpe(
    table: Floats, last: Floats, *, length: int, mean: float, deviation: float, least: float, seed: int
) -> SharpeResamples:
    """Draw the resamples of the Sharpe ratio; see `studentize_sharpe`."""
    n, state = table.shape[0], seed
    parts = []
    for count in _PARTS:
        starts, state = draw_starts(n, count_blocks(n, length), count, np.uint64(state))
        parts.append(studentize_sharpe(table, last, starts, length, mean, deviation, least))
    error = block_error(table, length, mean, deviation)
    return SharpeResamples(mean / deviation, error, np.concatenate(parts))


def resample_paths(table: Floats, last: Floats, *, length: int, seed: int) -> PathResamples:
    """Draw the paths, in two stages."""
    n, state = table.shape[0], seed
    parts = []
    for count in _PARTS:
        starts, state = draw_two_stages(n, count_blocks(n, length), count, np.uint64(state))
        parts.append(compose_paths(table, last, starts, length))
    growth, falls = zip(*parts, strict=True)
    return PathResamples(np.concatenate(growth), np.concatenate(falls))
