"""Shuffle rows, and cut them into parts that are predicted separately; light enough for the sandbox's child."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_MIXERS: Final = ((30, np.uint64(0xBF58476D1CE4E5B9)), (27, np.uint64(0x94D049BB133111EB)))


def shuffle_rows(n: int, seed: int) -> Rows:
    """Return the numbers 0 to n − 1 in the order of their splitmix64 values (Steele, Lea & Flood 2014).

    Our own generator, because numpy does not promise that its generators give the same numbers in later versions.
    """
    mixed = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * _STEP
    for shift, factor in _MIXERS:
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * factor
    return np.argsort(mixed ^ (mixed >> np.uint64(31)), kind="stable")


def draw_parts(outputs: NDArray[Any], seed: int) -> tuple[Rows, ...]:
    """Return four disjoint parts of the rows of some outputs [n], each in shuffled order.

    The rows are cut in time, and each half by its outputs: the lower ones, and the higher ones. Statistics over all
    rows (a mean, a deviation, a quantile) differ more among such parts than among random ones.
    """
    order = shuffle_rows(len(outputs), seed)
    rank = np.empty(len(outputs), np.int64)
    rank[order] = np.arange(len(outputs))
    halves = np.array_split(np.arange(len(outputs)), 2)
    # Equal outputs, such as labels, are assigned by chance.
    by_output = (half[np.lexsort((rank[half], outputs[half]))] for half in halves)
    return tuple(part[np.argsort(rank[part])] for half in by_output for part in np.array_split(half, 2))


def join_parts(parts: Sequence[Rows], outputs: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return the outputs [n] or [n, k] of all parts in the rows' own order."""
    stacked = np.concatenate(outputs)
    joined = np.empty_like(stacked)
    joined[np.concatenate(parts)] = stacked
    return joined
