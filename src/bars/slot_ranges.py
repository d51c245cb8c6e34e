"""Sets of bar numbers as ranges, such as the known or the missing bars, and operations on them.

A range is `(start, stop)`, stop excluded; a set is a tuple of ascending ranges that neither touch nor overlap. Bar
numbers are those of `grid.bar_number`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

SlotRange: TypeAlias = tuple[int, int]
SlotRanges: TypeAlias = tuple[SlotRange, ...]


def union(*sets: Iterable[SlotRange]) -> SlotRanges:
    """Return the union of sets, whose ranges may come in any order."""
    merged: list[SlotRange] = []
    for start, stop in sorted(one for ranges in sets for one in ranges if one[0] < one[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return tuple(merged)


def within(ranges: Iterable[SlotRange], start: int, stop: int) -> SlotRanges:
    """Return the part of a set in `start` ≤ number < `stop`."""
    cut = ((max(first, start), min(last, stop)) for first, last in ranges)
    return tuple((first, last) for first, last in cut if first < last)


def without(ranges: Iterable[SlotRange], removed: Iterable[SlotRange]) -> SlotRanges:
    """Return the difference of two sets."""
    left = list(ranges)
    for start, stop in removed:
        left = [
            piece
            for first, last in left
            for piece in ((first, min(last, start)), (max(first, stop), last))
            if piece[0] < piece[1]
        ]
    return tuple(left)


def count(ranges: Iterable[SlotRange]) -> int:
    """Return how many numbers a set holds."""
    return sum(stop - start for start, stop in ranges)


def holes(numbers: NDArray[np.int64], start: int, stop: int) -> SlotRanges:
    """Return the numbers `start` ≤ number < `stop` that are not among the ascending `numbers` [n] of that range."""
    borders = np.concatenate([[start - 1], numbers, [stop]])
    before = np.flatnonzero(np.diff(borders) > 1)
    return tuple((int(borders[row]) + 1, int(borders[row + 1])) for row in before)
