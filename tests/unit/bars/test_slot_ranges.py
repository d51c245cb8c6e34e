"""Sets of numbers as ranges behave as sets do."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from src.bars.slot_ranges import SlotRanges, count, holes, union, within, without

RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=6)


def numbers(ranges: SlotRanges | list[tuple[int, int]]) -> set[int]:
    return {number for start, stop in ranges for number in range(start, stop)}


def is_tidy(ranges: SlotRanges) -> bool:
    flat = [border for one in ranges for border in one]
    return all(before < after for before, after in pairwise(flat))


@given(RANGES, RANGES, st.integers(0, 60), st.integers(0, 60))
def test_range_operations_equal_sets(
    first: list[tuple[int, int]], second: list[tuple[int, int]], start: int, stop: int
) -> None:
    one, other = union(first), union(second)
    assert numbers(one) == numbers(first)
    assert numbers(union(one, other)) == numbers(one) | numbers(other)
    assert numbers(without(one, other)) == numbers(one) - numbers(other)
    assert numbers(within(one, start, stop)) == numbers(one) & set(range(start, stop))
    assert count(one) == len(numbers(one))
    assert all(is_tidy(ranges) for ranges in (one, union(one, other), without(one, other), within(one, start, stop)))


@given(st.sets(st.integers(10, 50)), st.integers(10, 30), st.integers(30, 51))
def test_holes_are_the_absent_numbers(present: set[int], start: int, stop: int) -> None:
    inside = sorted(number for number in present if start <= number < stop)
    found = holes(np.array(inside, dtype=np.int64), start, stop)
    assert numbers(found) == set(range(start, stop)) - present
    assert is_tidy(found)
