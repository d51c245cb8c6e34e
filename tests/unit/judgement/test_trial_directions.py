"""The compiled measure of a run's direction is numpy's, to the bit: ledgers that exist go on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.domain.trials import UNIT
from src.judgement.trial_directions import MAX_T, measure_direction, sum_pairwise


def measure(values: np.ndarray) -> tuple[bool, int, np.ndarray]:
    directions = np.zeros(values.size, np.int64)
    moves, t = measure_direction(values, directions)
    return moves, t, directions


@given(st.integers(0, 5000), st.integers(0, 2**32 - 1), st.sampled_from([1e-9, 1.0, 1e20]))
def test_sum_is_added_in_order_of_numpy(n: int, seed: int, scale: float) -> None:
    values = scale * np.random.default_rng(seed).standard_normal(n)
    assert sum_pairwise(values) == values.sum()


@pytest.mark.parametrize("n", [127, 128, 129, 136, 255, 256, 257, 1023, 1025, 100_003, 1_000_001])
def test_sum_of_many_values_is_that_of_numpy(n: int) -> None:
    values = np.random.default_rng(n).standard_normal(n)
    assert sum_pairwise(values) == values.sum()


@given(st.integers(2, 3000), st.integers(0, 2**32 - 1))
def test_direction_is_that_of_numpy(n: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(1e-4, 0.01, n)
    deviations = values - values.mean()
    squares = float((deviations * deviations).sum())
    moves, t, directions = measure(values)
    assert moves
    np.testing.assert_array_equal(directions, np.rint(deviations / math.sqrt(squares) * UNIT).astype(np.int64))
    assert t == round(float(values.mean()) / math.sqrt(squares / (n - 1)) * math.sqrt(n) * UNIT)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [0.5],
        [0.0, 0.0],
        [0.01] * 50,
        [0.01, 0.01 + 1e-15] * 20,
        [0.1, np.nan],
        [np.inf, 0.1],
        [0.1, -np.inf, np.inf],
    ],
    ids=["none", "one", "zeros", "even", "rounding", "NaN", "infinite", "both infinities"],
)
def test_run_without_direction_does_not_move(values: list[float]) -> None:
    moves, t, directions = measure(np.array(values))
    assert (moves, t) == (False, 0) and not directions.any()


def test_smallest_spread_that_counts_moves() -> None:
    assert measure(np.array([1.0, 1.0 + 1e-11] * 20))[0]


def test_t_of_made_up_returns_is_bounded() -> None:
    values = 0.01 + 1e-11 * np.resize([0.01, -0.01], 100_000)
    moves, t, _ = measure(np.concatenate((values, [0.01 + 1e-11])))
    assert moves and t == int(MAX_T * UNIT)
