"""Block resamples of returns: block length, seed, and the compiled loops that draw paths.

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


def choose_block_length(returns: Floats) -> int:
    """Return the bars per block: max(round(b), round(n^⅓), ⌈n/1000⌉), at most ⌊n/3⌋ and at least 1.

    b is the optimal length for a circular block bootstrap of the mean (Patton, Politis & White 2009).
    """
    n = returns.size
    wanted = max(round(optimal_block_length(returns)), round(n ** (1 / 3)), -(-n // 1000))
    return int(max(1, min(wanted, n // 3)))


@njit(cache=True, nogil=True)
def optimal_block_length(returns: Floats) -> float:
    """Return the optimal circular block length of Politis & White (2004), as corrected by Patton et al. (2009).

    Lags are looked at until a run of max(5, ⌊log₁₀ n⌋) autocorrelations is below 2√(log₁₀ n ÷ n). 1 without variance.
    The same as `b_cb` of arch's `optimal_block_length`, which computes all lags.
    """
    n = returns.size
    mean = 0.0
    for value in returns:
        mean += value
    mean /= n
    centered = returns - mean
    total = 0.0
    for value in centered:
        total += value * value
    if total <= 1e-300:
        return 1.0
    quiet_run = max(5, int(math.log10(n)))
    last_lag = min(math.ceil(math.sqrt(n)) + quiet_run, n - 2)
    bound = 2.0 * math.sqrt(math.log10(n) / n)
    covariances = np.zeros(last_lag + 1)
    run, bandwidth, is_found = 0, last_lag, False
    head, tail = 0.0, 0.0
    for lag in range(last_lag + 1):
        product = 0.0
        for t in range(lag, n):
            product += centered[t] * centered[t - lag]
        covariances[lag] = product / n
        head += centered[lag] * centered[lag]
        tail += centered[n - 1 - lag] * centered[n - 1 - lag]
        if not is_found:
            scale = math.sqrt(max(total - head, 0.0) * max(total - tail, 0.0))
            run = run + 1 if abs(product) < bound * scale else 0
            if run >= quiet_run and lag < last_lag:
                is_found = True
                bandwidth = min(2 * max(lag - quiet_run + 1, 1), last_lag)
        if is_found and lag >= bandwidth:
            break
    slope, variance = 0.0, covariances[0]
    for lag in range(1, bandwidth + 1):
        share = lag / bandwidth
        weight = 1.0 if share <= 0.5 else 2.0 * (1.0 - share)
        slope += 2.0 * weight * lag * covariances[lag]
        variance += 2.0 * weight * covariances[lag]
    if variance == 0.0:
        return 1.0
    length = (1.5 * slope * slope / (variance * variance) * n) ** (1.0 / 3.0)
    return float(min(length, math.ceil(min(3.0 * math.sqrt(n), n / 3.0))))


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
    or less is ruin: its growth is −∞, and so is that of every path that it is on.
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
def draw_starts(n: int, blocks: int, resamples: int, seed: np.uint64) -> Starts:
    """Return the starts [resamples, blocks] of circular blocks on n bars."""
    starts = np.empty((resamples, blocks), np.int32)
    state, bound = seed, np.uint64(n)
    for b in range(resamples):
        for q in range(blocks):
            state, start = _draw(state, bound)
            starts[b, q] = start
    return starts


@njit(cache=True, nogil=True)
def draw_two_stages(n: int, blocks: int, resamples: int, seed: np.uint64) -> Starts:
    """Return starts [resamples, blocks], each drawn from `blocks` starts that were drawn for its resample."""
    starts = np.empty((resamples, blocks), np.int32)
    population = np.empty(blocks, np.int32)
    state, bound, choices = seed, np.uint64(n), np.uint64(blocks)
    for b in range(resamples):
        for q in range(blocks):
            state, start = _draw(state, bound)
            population[q] = start
        for q in range(blocks):
            state, chosen = _draw(state, choices)
            starts[b, q] = population[chosen]
    return starts


@njit(cache=True, nogil=True)
def shuffle_rows(n: int, seed: np.uint64) -> NDArray[np.int64]:
    """Return the numbers 0 to n − 1 in an order drawn from all (Fisher & Yates)."""
    order = np.arange(n)
    state = seed
    for last in range(n - 1, 0, -1):
        state, other = _draw(state, np.uint64(last + 1))
        order[last], order[other] = order[other], order[last]
    return order


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
def resample_sharpe(
    table: Floats, last: Floats, starts: Starts, length: int, mean: float, deviation: float, least: float
) -> SharpeResamples:
    """Return the Sharpe ratio's studentized resamples (Ledoit & Wolf 2008).

    `table` and `last` hold the blocks of `length` bars and the cut last ones (the same where n is a multiple), of
    deviations d from `mean`, which is the mean that the ratio is made of, as `deviation` (n − 1) is. A resample whose
    deviation is not over `least`, or is rounding, has no variance. The errors are those of block sums of ψ.
    """
    n, blocks = table.shape[0], starts.shape[1]
    whole = n // length
    rest = n - whole * length
    sharpe = mean / deviation
    by_sum, by_square, by_bar = _influence(0.0, deviation, sharpe)
    squared = 0.0
    for i in range(n):
        squared += (by_sum * table[i, SUM] + by_square * table[i, SQUARES] + by_bar * length) ** 2
    error = math.sqrt(squared / n / length / n)
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
    return SharpeResamples(sharpe, error, statistics)


@njit(cache=True, nogil=True)
def resample_paths(table: Floats, last: Floats, starts: Starts, length: int) -> PathResamples:
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
    return PathResamples(growths, falls)


def count_blocks(n: int, length: int) -> int:
    """Return how many blocks make a path of n bars, the cut last one included."""
    return -(-n // length)
