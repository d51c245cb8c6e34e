"""Rows predicted in parts: how they are parted and compared."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from src.judgement import leaks, row_order
from src.judgement.leaks import compare_rows

Floats = NDArray[np.float64]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 1000])
def test_parts_are_every_row_once(n: int) -> None:
    parts = row_order.draw_parts(np.random.default_rng(n).standard_normal(n), 5)
    sizes = [part.size for part in parts]
    assert len(parts) == 4
    assert max(sizes) - min(sizes) <= 1
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))


def test_parts_are_earlier_and_later_lower_and_higher() -> None:
    outputs = np.random.default_rng(3).standard_normal(1000)
    parts = row_order.draw_parts(outputs, 5)
    assert [(part.min() // 500, part.max() // 500) for part in parts] == [(0, 0), (0, 0), (1, 1), (1, 1)]
    for lower, higher in (parts[:2], parts[2:]):
        assert outputs[lower].max() < outputs[higher].min()


def test_parts_are_shuffled_and_from_their_seed() -> None:
    outputs = np.random.default_rng(4).integers(0, 2, 1000).astype(float)
    parts = row_order.draw_parts(outputs, 5)
    assert all(map(np.array_equal, parts, row_order.draw_parts(outputs, 5)))
    assert not np.array_equal(parts[0], row_order.draw_parts(outputs, 6)[0])
    for part in parts:
        rising = np.count_nonzero(np.diff(part) > 0) / (part.size - 1)
        assert rising == pytest.approx(0.5, abs=0.1)


def test_equal_outputs_fall_into_parts_by_chance() -> None:
    lower = row_order.draw_parts(np.ones(2000), 5)[0]
    assert np.count_nonzero(lower < 500) / lower.size == pytest.approx(0.5, abs=0.1)


def test_every_order_of_rows_is_as_likely() -> None:
    counts: dict[tuple[int, ...], int] = {}
    for seed in range(2400):
        order = tuple(row_order.shuffle_rows(4, seed).tolist())
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 24
    # Chi-square of 23 degrees: above 49.7 once in a thousand.
    assert sum((count - 100) ** 2 / 100 for count in counts.values()) < 49.7


@pytest.mark.parametrize("shape", [(11,), (11, 3)])
def test_joined_parts_stand_in_the_order_of_rows(shape: tuple[int, ...]) -> None:
    outputs = np.random.default_rng(1).standard_normal(shape)
    parts = row_order.draw_parts(outputs.reshape(11, -1)[:, 0], 3)
    np.testing.assert_array_equal(row_order.join_parts(parts, [outputs[part] for part in parts]), outputs)


@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_rows_are_equal_within_value_and_deviation(factor: float) -> None:
    outputs = np.array([4.0, -2.0, 0.0, 1.0, 2.0])
    for row in range(5):
        others = outputs.copy()
        others[row] -= factor * (1e-5 * abs(outputs[row]) + 1e-3 * outputs.std())
        found = compare_rows(outputs, others)
        assert found.largest == pytest.approx(factor, rel=1e-6)
        assert (found.differing, found.first, found.are_equal) == ((1, row, False) if factor > 1 else (0, None, True))
        assert found.rows == 5


def test_direction_of_differences_is_told() -> None:
    found = compare_rows(np.array([1.0, 2.0, 3.0, math.nan]), np.array([2.0, 2.0, 1.0, 1.0]))
    assert (found.lower.tolist(), found.higher.tolist(), found.first, found.differing) == ([0], [2, 3], 0, 3)


def compare_turned(step: float, *, spread: float = 0.0, has_turned: bool = True, dtype: type = np.float64) -> bool:
    """Return whether a signal counts as turned if its output moves by so many steps of its precision."""
    outputs = np.array([0.5, 0.5 + spread, 0.5 - spread], dtype).astype(np.float64)
    others = outputs.copy()
    others[0] += step * 0.5 * float(np.finfo(dtype).eps)
    return not compare_rows(outputs, others, has_turned=np.array([has_turned, False, False])).are_equal


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_turned_signal_may_differ_by_rounding_only(dtype: type) -> None:
    assert not compare_turned(8, dtype=dtype)
    assert compare_turned(10, dtype=dtype)
    assert not compare_turned(10, dtype=dtype, has_turned=False)
    # Under 1e-3 of the deviation, as sums of prices and volumes in float32 do.
    assert not compare_turned(10, spread=0.25, dtype=dtype)


def test_turned_signal_is_compared_by_deviation() -> None:
    outputs = np.array([1000.0, 1002.0])
    assert not compare_rows(outputs, outputs + 2e-3, has_turned=np.array([True, False])).are_equal
    assert compare_rows(outputs, outputs + 2e-3, has_turned=np.array([False, False])).are_equal
    assert compare_rows(outputs, outputs + 0.99e-3, has_turned=np.array([True, True])).are_equal


def test_sides_keep_the_last_signal() -> None:
    action = np.array([0, 1, 0, -1, 0, 1], np.int8)
    assert leaks.find_sides(action).tolist() == [0, 1, 1, -1, -1, 1]
    assert leaks.find_sides(action[:0]).size == 0


def test_difference_of_the_whole_tolerance_is_none() -> None:
    # Deviation 1, value 0.
    assert compare_rows(np.array([0.0, 2.0]), np.array([1e-3, 2.0])).are_equal


def test_constant_outputs_are_compared_by_value() -> None:
    zeros = np.zeros(4)
    assert compare_rows(zeros, zeros).are_equal
    assert compare_rows(zeros, np.array([0, 0, 1e-300, 0])).first == 2
    assert compare_rows(zeros + 5, zeros + 5 + 4e-5).are_equal


@pytest.mark.parametrize("same", [math.nan, math.inf, -math.inf])
def test_values_that_are_no_numbers_equal_themselves_only(same: float) -> None:
    outputs = np.array([1.0, same, 2.0])
    assert compare_rows(outputs, outputs.copy()).are_equal
    for other in {math.nan, math.inf, -math.inf, 1.5} - {same}:
        if not (math.isnan(other) and math.isnan(same)):
            found = compare_rows(outputs, np.array([1.0, other, 2.0]))
            assert (found.first, found.largest) == (1, math.inf)


def test_classes_are_compared_as_numbers() -> None:
    found = compare_rows(np.array([0.0, 1.0, 2.0]), np.array([0.0, 2.0, 2.0]))
    assert (found.differing, found.first) == (1, 1)


def test_empty_rows_are_equal_other_shapes_rejected() -> None:
    assert compare_rows(np.empty(0), np.empty(0)).are_equal
    with pytest.raises(ValueError, match="shape"):
        compare_rows(np.zeros(3), np.zeros((3, 2)))


def predict_scaled(rows: Floats) -> Floats:
    """A model that divides by the largest of the rows that it is given."""
    scaled: Floats = rows / np.abs(rows).max()
    return scaled


def test_parts_find_scaling_by_largest_row() -> None:
    rows, found_by_one = np.random.default_rng(2).standard_normal(300), 0
    outputs = predict_scaled(rows)
    for seed in range(40):
        parts = row_order.draw_parts(outputs, seed)
        predicted = [predict_scaled(rows[part]) for part in parts]
        assert not compare_rows(outputs, row_order.join_parts(parts, predicted)).are_equal
        found_by_one += sum(not compare_rows(outputs[parts[k]], predicted[k]).are_equal for k in range(4))
    # The part that holds the largest row shows nothing.
    assert found_by_one == 3 * 40


def test_parts_find_statistic_that_random_halves_keep() -> None:
    """A rule that is on if the mean of all rows is over 0: random halves have about the same mean."""
    rows = np.random.default_rng(5).standard_normal(1000) + 0.2

    def predict(chosen: Floats) -> Floats:
        on: Floats = np.where(chosen.mean() > 0, chosen, -1.0)
        return on

    outputs = predict(rows)
    for seed in range(20):
        order = row_order.shuffle_rows(1000, seed)
        halves = (order[:500], order[500:])
        assert compare_rows(outputs, row_order.join_parts(halves, [predict(rows[half]) for half in halves])).are_equal
        parts = row_order.draw_parts(outputs, seed)
        joined = row_order.join_parts(parts, [predict(rows[part]) for part in parts])
        assert not compare_rows(outputs, joined).are_equal
