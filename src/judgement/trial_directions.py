"""Measure the direction of a run's returns per slot, and their t, in compiled code.

Sums are added in numpy's order (pairwise, numpy/_core/src/umath/loops_utils.h.src). So directions equal, to the bit,
those in existing ledgers, which were computed with `numpy.sum` and `numpy.mean`.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from src.domain.trials import UNIT

Floats = NDArray[np.float64]

FLAT: Final = 1e-24
"""If ‖x − x̄‖² is at most this × n × max x², it is rounding: such a run did not move, and is not a trial."""

MAX_T: Final = 2.0**22
"""Only made-up bars give returns with a larger t; in units of 2⁻⁴⁰ it would not fit int64."""

_BLOCK: Final = 128
_DEEPEST: Final = 64
"""More than the halvings of the longest array."""


@njit(cache=True, nogil=True)
def _sum_block(values: Floats, first: int, size: int) -> float:
    """Return the sum of at most `_BLOCK` values: one by one under 8 of them, else in eight interleaved sums."""
    if size < 8:
        few: float = -0.0
        for t in range(first, first + size):
            few += float(values[t])
        return few
    a, b, c, d = values[first], values[first + 1], values[first + 2], values[first + 3]
    e, f, g, h = values[first + 4], values[first + 5], values[first + 6], values[first + 7]
    whole = size - size % 8
    for t in range(first + 8, first + whole, 8):
        a += values[t]
        b += values[t + 1]
        c += values[t + 2]
        d += values[t + 3]
        e += values[t + 4]
        f += values[t + 5]
        g += values[t + 6]
        h += values[t + 7]
    total: float = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for t in range(first + whole, first + size):
        total += values[t]
    return total


@njit(cache=True, nogil=True)
def sum_pairwise(values: Floats) -> float:
    """Return the sum of the values [n] in numpy's order, without recursion."""
    firsts, sizes = np.empty(_DEEPEST, np.int64), np.empty(_DEEPEST, np.int64)
    sums, are_left = np.empty(_DEEPEST), np.zeros(_DEEPEST, np.bool_)
    depth = 0
    total: float = 0.0
    firsts[0], sizes[0] = 0, values.size
    while True:
        while sizes[depth] > _BLOCK:
            half = sizes[depth] // 2
            half -= half % 8
            firsts[depth + 1], sizes[depth + 1] = firsts[depth], half
            depth += 1
            are_left[depth] = True
        total = _sum_block(values, firsts[depth], sizes[depth])
        # A finished right half completes the sum above it; a left one is kept until its right half is known.
        while depth > 0 and not are_left[depth]:
            depth -= 1
            total = float(sums[depth]) + total
        if depth == 0:
            return float(0.0 + total)
        sums[depth - 1] = total
        above = depth - 1
        firsts[depth], sizes[depth] = firsts[above] + sizes[depth], sizes[above] - sizes[depth]
        are_left[depth] = False


@njit(cache=True, nogil=True, error_model="numpy")
def measure_direction(values: Floats, directions: NDArray[np.int64]) -> tuple[bool, int]:
    """Return whether a run moved, and t in units of 2⁻⁴⁰, from its returns per slot [n]; write `directions` [n].

    (x − x̄) ÷ ‖x − x̄‖ is written in units of 2⁻⁴⁰ too, and nothing if the run did not move, if there are fewer than two
    slots, or if a return is not a number.
    """
    n = values.size
    if n < 2:
        return False, 0
    mean = sum_pairwise(values) / n
    scratch = np.empty(n)
    for t in range(n):
        deviation = values[t] - mean
        scratch[t] = deviation * deviation
    squares = sum_pairwise(scratch)
    if not squares < math.inf:  # a return, and so the mean, is no finite number
        return False, 0
    # No |x| exceeds |x̄| + ‖x − x̄‖, so few runs need a search for the largest.
    most = abs(mean) + math.sqrt(squares)
    if squares <= FLAT * n * (most * most):
        largest = np.abs(values).max()
        if squares <= FLAT * n * (largest * largest):
            return False, 0
    norm = math.sqrt(squares)
    for t in range(n):
        directions[t] = np.int64(np.rint((values[t] - mean) / norm * UNIT))
    ratio = mean / math.sqrt(squares / (n - 1)) * math.sqrt(n)
    return True, int(np.rint(max(-MAX_T, min(MAX_T, ratio)) * UNIT))
