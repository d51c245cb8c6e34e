"""Shuffle rows, and cut them into halves that are predicted apart; light enough for the sandbox's child."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_MIXERS: Final = ((30, np.uint64(0xBF58476D1CE4E5B9)), (27, np.uint64(0x94D049BB133111EB)))


class Halves(NamedTuple):
    """Numbers of rows: both halves together are every row once, each in shuffled order."""

    first: Rows
    second: Rows


def shuffle_rows(n: int, seed: int) -> Rows:
    """Return the numbers 0 to n − 1 in the order of their splitmix64 values (Steele, Lea & Flood 2014).

    A rule of our own, because numpy does not promise that its generators give the same numbers in later versions.
    """
    mixed = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * _STEP
    for shift, factor in _MIXERS:
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * factor
    return np.argsort(mixed ^ (mixed >> np.uint64(31)), kind="stable")


def draw_halves(n: int, seed: int) -> Halves:
    """Return two complementary random halves of n rows, both shuffled; the first has the odd row."""
    order = shuffle_rows(n, seed)
    return Halves(order[: (n + 1) // 2], order[(n + 1) // 2 :])


def join_halves(halves: Halves, first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """Return the outputs [n] or [n, k] of both halves in the rows' own order."""
    joined = np.empty((halves.first.size + halves.second.size, *first.shape[1:]), np.result_type(first, second))
    joined[halves.first] = first
    joined[halves.second] = second
    return joined
