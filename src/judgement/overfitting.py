"""Measure how often the best row of a sweep is below the median on other bars: the probability of overfitting.

The method is combinatorially symmetric cross-validation (Bailey, Borwein, López de Prado & Zhu 2017): the bars are cut
into S blocks. For every choice of half of the blocks, the best row is chosen on that half and ranked on the other.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DEFAULT_BLOCKS: Final = 12
MAX_BLOCKS: Final = 16
MIN_BARS: Final = 100
MIN_ROWS: Final = 2

_NOISE: Final = (
    (2, 0.01, 0.94), (5, 0.13, 0.96), (10, 0.15, 0.87), (20, 0.17, 0.82), (50, 0.22, 0.79), (100, 0.26, 0.76),
    (200, 0.26, 0.71), (500, 0.29, 0.70), (1000, 0.33, 0.69), (2000, 0.36, 0.68),
)  # fmt: skip
"""Rows, and the 5th and 95th percentile of the probability if none has an edge: simulated with 480 bars of independent
normal returns and 12 blocks, 1,000 times up to 100 rows, 120 to 300 times above. 8 to 16 blocks give about the same."""

FLAT: Final = 1e-12
"""Squares about the mean up to this fraction of the sum of squares are rounding."""


class Criterion(StrEnum):
    """The metric that chooses a row on one half and ranks it on the other; computed from sums over blocks only."""

    SHARPE_RATIO = "sharpe_ratio"
    """Without a risk-free rate."""
    TOTAL_RETURN = "total_return"
    """By the logarithm of growth to the second order, Σr − Σr² ÷ 2, because the sums do not compound."""
    ANNUAL_VOLATILITY = "annual_volatility"


_CODES: Final = {Criterion.SHARPE_RATIO: 0, Criterion.TOTAL_RETURN: 1, Criterion.ANNUAL_VOLATILITY: 2}


class Splits(NamedTuple):
    """Of each split [C]: the chosen row, its relative rank ω on the other half, and its Sharpe ratios on both."""

    chosen: NDArray[np.int64]
    ranks: Floats
    inside: Floats
    outside: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Overfitting:
    """How the chosen row performs on bars on which it was not chosen.

    `pbo` is the share of splits in which the chosen row ranks at or below the median (logit of ω ≤ 0); without any
    edge it lies in `pbo_noise_range`, which depends on the rows, in 90 of 100 sweeps. `probability_of_loss` is the
    share of splits in which it loses. `degradation_slope` is the slope of its Sharpe ratio on the other half over that
    on its own, None if that is always the same. `rows` counts those that moved and are no duplicates; `splits` is
    C(S, S ÷ 2).
    """

    pbo: float
    pbo_noise_range: tuple[float, float]
    probability_of_loss: float
    degradation_slope: float | None
    rows: int
    blocks: int
    splits: int


def measure_overfitting(returns: Floats, *, blocks: int = DEFAULT_BLOCKS) -> Overfitting | None:
    """Return how much the choice among the rows [n, rows], returns per bar, is overfitted.

    `blocks` is even, 2 to 16; bars beyond a multiple of it are left out at the end. Rows that do not move and all but
    the first of equal rows are left out too. None under 100 bars, under two rows, and if a return is not a number.
    """
    if blocks % 2 or not 2 <= blocks <= MAX_BLOCKS:
        raise ValueError(f"blocks is {blocks}. Allowed: an even number from 2 to {MAX_BLOCKS}.")
    if returns.shape[0] < MIN_BARS or not np.isfinite(returns).all():
        return None
    kept = np.ascontiguousarray(returns[:, select_rows(returns)])
    if kept.shape[1] < MIN_ROWS:
        return None
    return _measure(*_sum_blocks(kept, blocks), kept.shape[0] // blocks)


def measure_block_overfitting(
    sums: Floats,
    squares: Floats,
    length: int,
    *,
    criterion: Criterion = Criterion.SHARPE_RATIO,
    prefers_less: bool = False,
) -> Overfitting | None:
    """Do the same from the sums of returns and of their squares over blocks of `length` bars, [rows, S] each.

    Rows whose returns are all the same up to rounding, and all but the first of rows with equal sums, are left out.
    None also if the number of blocks is odd or over the maximum. `criterion` says what chooses and ranks rows, and
    `prefers_less` whether the least of it is best; the chosen rows' losses and slope are of Sharpe ratios anyway.
    """
    blocks = sums.shape[1]
    if blocks % 2 or not 2 <= blocks <= MAX_BLOCKS or blocks * length < MIN_BARS:
        return None
    if not (np.isfinite(sums).all() and np.isfinite(squares).all()):
        return None
    kept = _select_moving(sums, squares, blocks * length)
    if kept.size < MIN_ROWS:
        return None
    columns = np.ascontiguousarray(sums[kept].T), np.ascontiguousarray(squares[kept].T)
    return _measure(*columns, length, criterion, prefers_less=prefers_less)


def _measure(
    sums: Floats,
    squares: Floats,
    length: int,
    criterion: Criterion = Criterion.SHARPE_RATIO,
    *,
    prefers_less: bool = False,
) -> Overfitting:
    """Return how much the choice among rows is overfitted, from the sums [S, rows] of their blocks."""
    blocks, rows = sums.shape
    found = _split_blocks(sums, squares, length, criterion, prefers_less=prefers_less)
    return Overfitting(
        pbo=float(np.count_nonzero(found.ranks <= 0.5)) / found.ranks.size,
        pbo_noise_range=noise_range(rows),
        probability_of_loss=float(np.count_nonzero(found.outside < 0)) / found.ranks.size,
        degradation_slope=_slope(found.inside, found.outside),
        rows=rows,
        blocks=blocks,
        splits=found.ranks.size,
    )


def _select_moving(sums: Floats, squares: Floats, n: int) -> NDArray[np.int64]:
    """Return the numbers of the rows [rows, S] that vary about their mean and whose sums differ from earlier rows'."""
    totals, all_squares = sums.sum(axis=1), squares.sum(axis=1)
    moves = all_squares - totals * totals / n > FLAT * all_squares
    both = np.ascontiguousarray(np.column_stack((sums, squares))) + 0.0
    firsts: dict[bytes, int] = {}
    for row in np.flatnonzero(moves).tolist():
        firsts.setdefault(both[row].tobytes(), row)
    return np.array(list(firsts.values()), np.int64)


def noise_range(rows: int) -> tuple[float, float]:
    """Return the range of 90 of 100 probabilities if no row has an edge, between simulated numbers of rows.

    It holds for independent rows; groups of similar rows act like fewer rows.
    """
    counts, lows, highs = (np.array(column, np.float64) for column in zip(*_NOISE, strict=True))
    place = math.log(rows)
    return float(np.interp(place, np.log(counts), lows)), float(np.interp(place, np.log(counts), highs))


def select_rows(returns: Floats) -> NDArray[np.int64]:
    """Return the numbers of the rows [n, rows] that move and are not equal to an earlier one."""
    # −0 as 0, so that equal numbers have equal bytes.
    rows = np.ascontiguousarray(returns.T) + 0.0
    moves = rows.max(axis=1) > rows.min(axis=1)
    firsts: dict[bytes, int] = {}
    for row in np.flatnonzero(moves).tolist():
        firsts.setdefault(rows[row].tobytes(), row)
    return np.array(list(firsts.values()), np.int64)


def split_symmetrically(returns: Floats, blocks: int) -> Splits:
    """Choose and rank a row at each of the C(S, S ÷ 2) splits; complements follow each other.

    A row without variance in a half has the ratio 0 there. Equal ratios share their mean rank, and the first row of
    equal best ratios is chosen.
    """
    return _split_blocks(*_sum_blocks(returns, blocks), returns.shape[0] // blocks)


def _sum_blocks(returns: Floats, blocks: int) -> tuple[Floats, Floats]:
    """Return the sums of returns and of their squares over each block, [S, rows] both."""
    length = returns.shape[0] // blocks
    cut = returns[: length * blocks].reshape(blocks, length, returns.shape[1])
    return cut.sum(axis=1), (cut * cut).sum(axis=1)


def _split_blocks(
    sums: Floats,
    squares: Floats,
    length: int,
    criterion: Criterion = Criterion.SHARPE_RATIO,
    *,
    prefers_less: bool = False,
) -> Splits:
    blocks = sums.shape[0]
    halves = np.array([(0, *rest) for rest in itertools.combinations(range(1, blocks), blocks // 2 - 1)], np.int64)
    return Splits(*_rank_splits(sums, squares, halves, length, _CODES[criterion], -1.0 if prefers_less else 1.0))


@njit(cache=True, nogil=True)
def _score(total: float, squares: float, n: int) -> float:
    """Return sign(m) m² ÷ (n × squares about the mean), which rises with the Sharpe ratio; 0 without variance."""
    spread = squares - total * total / n
    if spread <= FLAT * squares:
        return 0.0
    return math.copysign(total * total / (n * spread), total)


@njit(cache=True, nogil=True)
def _score_by(code: int, total: float, squares: float, n: int) -> float:
    """Return a number that rises with the criterion of this code."""
    found: float = _score(total, squares, n)
    if code == 1:
        found = total - 0.5 * squares
    elif code == 2:
        spread = squares - total * total / n
        found = spread if spread > FLAT * squares else 0.0
    return found


@njit(cache=True, nogil=True)
def _sharpe(score: float, n: int) -> float:
    return math.copysign(math.sqrt(abs(score) * (n - 1) / n), score)


@njit(cache=True, nogil=True)
def _rank(scores: Floats, row: int) -> float:
    """Return the mean rank of a row from the lowest, 1 to N, divided by N + 1."""
    below, equal = 0, 0
    own = scores[row]
    for j in range(scores.size):
        below += scores[j] < own
        equal += scores[j] == own
    return (below + 0.5 * (equal + 1)) / (scores.size + 1)


@njit(cache=True, nogil=True)
def _rank_splits(
    sums: Floats, squares: Floats, halves: NDArray[np.int64], length: int, code: int, sign: float
) -> tuple[NDArray[np.int64], Floats, Floats, Floats]:
    """Choose and rank at both directions of each half; `sums` and `squares` of the blocks are [S, rows].

    `code` is the criterion's, and `sign` −1 if the least of it is best.
    """
    rows, half = sums.shape[1], halves.shape[1]
    n = half * length
    chosen, ranks = np.empty(2 * halves.shape[0], np.int64), np.empty(2 * halves.shape[0])
    inside, outside = np.empty_like(ranks), np.empty_like(ranks)
    all_sums, all_squares = np.zeros(rows), np.zeros(rows)
    for block in range(sums.shape[0]):
        all_sums += sums[block]
        all_squares += squares[block]
    one_sums, one_squares = np.empty(rows), np.empty(rows)
    scores = np.empty((2, rows))
    for c in range(halves.shape[0]):
        one_sums[:] = 0.0
        one_squares[:] = 0.0
        for place in range(half):
            one_sums += sums[halves[c, place]]
            one_squares += squares[halves[c, place]]
        for j in range(rows):
            scores[0, j] = sign * _score_by(code, one_sums[j], one_squares[j], n)
            scores[1, j] = sign * _score_by(code, all_sums[j] - one_sums[j], all_squares[j] - one_squares[j], n)
        for side in range(2):
            row = np.argmax(scores[side])
            chosen[2 * c + side] = row
            ranks[2 * c + side] = _rank(scores[1 - side], row)
            one = _sharpe(_score(one_sums[row], one_squares[row], n), n)
            other = _sharpe(_score(all_sums[row] - one_sums[row], all_squares[row] - one_squares[row], n), n)
            inside[2 * c + side] = one if side == 0 else other
            outside[2 * c + side] = other if side == 0 else one
    return chosen, ranks, inside, outside


def _slope(x: Floats, y: Floats) -> float | None:
    deviations = x - x.mean()
    squares = float((deviations * deviations).sum())
    if not squares > FLAT * float((x * x).sum()):
        return None
    return float((deviations * (y - y.mean())).sum()) / squares
