"""Draw numbers that depend only on a seed and their position.

The generator is Philox-4x64-10 (Salmon, Moraes, Dror & Shaw 2011, "Parallel Random Numbers: As Easy as 1, 2, 3"): the
block at a counter is computed without the blocks before it, so each row of a sweep can be drawn by itself.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

Words = NDArray[np.uint64]

ROUNDS: Final = 10
_LOW: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)
_FIRST: Final = np.uint64(0xD2E7470EE14C6C93)
_SECOND: Final = np.uint64(0xCA5A826395121157)
_WEYL_FIRST: Final = np.uint64(0x9E3779B97F4A7C15)
_WEYL_SECOND: Final = np.uint64(0xBB67AE8584CAA73B)


@njit(cache=True, nogil=True)
def multiply_high(a: np.uint64, b: np.uint64) -> np.uint64:
    """Return the upper 64 bits of a × b."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    middle = a_high * b_low + ((a_low * b_low) >> _HALF)
    other = a_low * b_high + (middle & _LOW)
    return a_high * b_high + (middle >> _HALF) + (other >> _HALF)


@njit(cache=True, nogil=True)
def draw_words(seed: np.uint64, rows: NDArray[np.int64], attempt: np.uint64, words: Words) -> None:
    """Fill `words` [k, p] with 64 random bits each: those of row i depend only on (seed, i, attempt)."""
    for place in range(rows.size):
        for block in range((words.shape[1] + 3) // 4):
            a, b, c, d = np.uint64(rows[place]), np.uint64(block), attempt, np.uint64(0)
            key, other_key = seed, np.uint64(0)
            for _ in range(ROUNDS):
                high, low = multiply_high(_FIRST, a), _FIRST * a
                other_high, other_low = multiply_high(_SECOND, c), _SECOND * c
                a, b, c, d = other_high ^ b ^ key, other_low, high ^ d ^ other_key, low
                key, other_key = key + _WEYL_FIRST, other_key + _WEYL_SECOND
            first = 4 * block
            for column in range(first, min(first + 4, words.shape[1])):
                offset = column - first
                words[place, column] = a if offset == 0 else b if offset == 1 else c if offset == 2 else d


@njit(cache=True, nogil=True)
def to_places(words: Words, count: np.uint64) -> NDArray[np.float64]:
    """Return a whole number from 0 to `count` − 1 for each word."""
    places = np.empty(words.size)
    for i in range(words.size):
        places[i] = multiply_high(words[i], count)
    return places


def to_fractions(words: Words) -> NDArray[np.float64]:
    """Return a number 0 ≤ u < 1 for each word, of its upper 53 bits."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
