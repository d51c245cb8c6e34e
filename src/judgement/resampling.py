"""Draw block resamples of returns: their seed, and the compiled loops that draw paths.

Blocks are circular and of fixed length (Politis & Romano 1992), so a block is known by its start, and the figures of a
path follow from those of its blocks: a table holds them for every start, and a resample costs n ÷ L steps. A last block
is cut, so that every path has n bars.

All random numbers come from splitmix64 (Steele, Lea & Flood 2014), which is part of the rules here: numpy does not
promise that its generators give the same numbers in later versions.

Compiled functions call only functions of their own file, because numba's disk cache misses changes of other files.
"""

from __future__ import annotations

import hashlib
import math
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Starts = NDArray[np.uint32]
"""Unsigned, so that compiled code does not test for negative indices, which takes 15 to 30 % of a resample's time."""

RESAMPLES: Final = 1000
SQUARES_ROUNDING: Final = 1e-12
"""The fraction of a sum of squares that may be rounding. On a flat path each deviation is −mean, and the variance that
remains is rounding: without this limit its Sharpe ratio would be 10⁸."""

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
    or less uses up all equity: its growth is −∞, and so is that of every path that contains it.
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
def _draw(state: np.uint64, bound: np.uint64, drawn: Starts) -> np.uint64:
    """Fill `drawn` with whole numbers from 0 to `bound` − 1 (bound < 2³²); return the next state of splitmix64."""
    for q in range(drawn.shape[0]):
        state = state + np.uint64(0x9E3779B97F4A7C15)
        mixed = state
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
        drawn[q] = ((mixed >> np.uint64(32)) * bound) >> np.uint64(32)
    return state


@njit(cache=True, nogil=True)
def draw_starts(n: int, blocks: int, resamples: int, seed: np.uint64) -> Starts:
    """Return the starts [resamples, blocks] of circular blocks on n bars."""
    starts, state = np.empty((resamples, blocks), np.uint32), seed
    for b in range(resamples):
        state = _draw(state, np.uint64(n), starts[b])
    return starts


@njit(cache=True, nogil=True)
def draw_two_stages(n: int, state: np.uint64, population: Starts, starts: Starts) -> np.uint64:
    """Draw as many starts as `population` has, then fill `starts` with draws from those; return the next state."""
    state = _draw(state, np.uint64(n), population)
    state = _draw(state, np.uint64(population.shape[0]), starts)
    for q in range(starts.shape[0]):
        starts[q] = population[np.uint64(starts[q])]
    return state


@njit(cache=True, nogil=True)
def _influence(mean: float, deviation: float, sharpe: float) -> tuple[float, float, float]:
    """Return the factors of Σd, Σd² and the number of bars of a block that give its sum of ψ.

    ψ = z − SR/2 (z² − 1) is the influence of a bar on the ratio, z = (d − mean) ÷ deviation.
    """
    z_mean = mean / deviation
    by_sum = (1.0 + sharpe * z_mean) / deviation
    by_square = -0.5 * sharpe / (deviation * deviation)
    return by_sum, by_square, -z_mean - 0.5 * sharpe * (z_mean * z_mean - 1.0)


@njit(cache=True, nogil=True)
def block_error(table: Floats, length: int, mean: float, deviation: float) -> float:
    """Return the standard error of the Sharpe ratio mean ÷ deviation per bar, from all circular blocks of `length`.

    `table` holds the blocks of deviations from the returns' own mean; `mean` is the mean above the risk-free rate.
    """
    n = table.shape[0]
    by_sum, by_square, by_bar = _influence(0.0, deviation, mean / deviation)
    squared = 0.0
    for i in range(n):
        squared += (by_sum * table[i, SUM] + by_square * table[i, SQUARES] + by_bar * length) ** 2
    return math.sqrt(squared / n / length / n)


@njit(cache=True, nogil=True)
def studentize_sharpe(
    table: Floats, last: Floats, starts: Starts, length: int, mean: float, deviation: float, least: float, own: Floats
) -> float:
    """Return t* = (SR* − SR) ÷ error* of one resample (Ledoit & Wolf 2008), NaN if it has no variance.

    `table` and `last` hold the blocks of `length` bars and the cut last ones (the same if n is a multiple); `own`
    [blocks, 2] is filled with the sums of the blocks that `starts` names. A resample whose deviation is not over
    `least`, or is rounding, has no variance. Its error is that of its own blocks' sums.
    """
    n, blocks = table.shape[0], starts.shape[0]
    whole = n // length
    total, squares = 0.0, 0.0
    for q in range(blocks):
        block = table[np.uint64(starts[q])] if q < whole else last[np.uint64(starts[q])]
        own[q, 0], own[q, 1] = block[SUM], block[SQUARES]
        total += own[q, 0]
        squares += own[q, 1]
    shift = total / n
    residue = squares - total * shift
    spread = math.sqrt(max(residue, 0.0) / (n - 1))
    if spread <= least or residue <= SQUARES_ROUNDING * squares:
        return np.nan
    found = (mean + shift) / spread
    by_sum, by_square, by_bar = _influence(shift, spread, found)
    squared = 0.0
    for q in range(blocks):
        bars = length if q < whole else n - whole * length
        squared += (by_sum * own[q, 0] + by_square * own[q, 1] + by_bar * bars) ** 2
    return (found - mean / deviation) / (math.sqrt(squared) / n) if squared > 0.0 else np.nan


@njit(cache=True, nogil=True)
def compose_path(table: Floats, last: Floats, starts: Starts, length: int) -> tuple[float, float]:
    """Return the growth and the deepest fall of the path of n bars that the starts [blocks] make."""
    whole = table.shape[0] // length
    growth, peak, fall = 0.0, 0.0, 0.0
    for q in range(starts.shape[0]):
        block = table[np.uint64(starts[q])] if q < whole else last[np.uint64(starts[q])]
        fall = max(fall, block[FALL], peak - (growth + block[LOWEST]))
        peak = max(peak, growth + block[HIGHEST])
        growth += block[GROWTH]
    return growth, fall


def count_blocks(n: int, length: int) -> int:
    """Return how many blocks make a path of n bars, the cut last one included."""
    return -(-n // length)


def resample_sharpe(
    table: Floats, last: Floats, *, length: int, mean: float, deviation: float, least: float, seed: int
) -> SharpeResamples:
    """Draw the resamples of the Sharpe ratio; see `studentize_sharpe`."""
    statistics = _draw_sharpes(table, last, length, mean, deviation, least, np.uint64(seed))
    return SharpeResamples(mean / deviation, block_error(table, length, mean, deviation), statistics)


@njit(cache=True, nogil=True)
def _draw_sharpes(
    table: Floats, last: Floats, length: int, mean: float, deviation: float, least: float, state: np.uint64
) -> Floats:
    # One resample at a time, because an array of all starts needs new memory pages at each call: a quarter of its time.
    n = table.shape[0]
    starts = np.empty(-(-n // length), np.uint32)
    own = np.empty((starts.shape[0], 2))
    statistics = np.empty(RESAMPLES)
    for b in range(RESAMPLES):
        state = _draw(state, np.uint64(n), starts)
        statistics[b] = studentize_sharpe(table, last, starts, length, mean, deviation, least, own)
    return statistics


def resample_paths(table: Floats, last: Floats, *, length: int, seed: int) -> PathResamples:
    """Draw the paths, in two stages."""
    return PathResamples(*_draw_paths(table, last, length, np.uint64(seed)))


@njit(cache=True, nogil=True)
def _draw_paths(table: Floats, last: Floats, length: int, state: np.uint64) -> tuple[Floats, Floats]:
    n = table.shape[0]
    starts = np.empty(-(-n // length), np.uint32)
    population = np.empty_like(starts)
    growths, falls = np.empty(RESAMPLES), np.empty(RESAMPLES)
    for b in range(RESAMPLES):
        state = draw_two_stages(n, state, population, starts)
        growths[b], falls[b] = compose_path(table, last, starts, length)
    return growths, falls
