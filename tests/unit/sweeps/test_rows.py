"""Which rows keep their block sums, and the figures of rows that have none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.sweeps.rows import SAMPLED_ROWS, sampled_rows


@given(st.integers(0, 2**31 - 1), st.integers(0, 3 * 10**7))
def test_sample_has_one_row_of_each_part(seed: int, total: int) -> None:
    rows = sampled_rows(seed, total)
    assert len(rows) == min(total, SAMPLED_ROWS)
    edges = np.arange(SAMPLED_ROWS + 1) * max(total, SAMPLED_ROWS) // SAMPLED_ROWS
    assert (rows >= edges[: len(rows)]).all() and (rows < edges[1 : len(rows) + 1]).all()


def test_sample_follows_from_seed_and_number_of_rows() -> None:
    first = sampled_rows(7, 10**6)
    np.testing.assert_array_equal(first, sampled_rows(7, 10**6))
    assert (first != sampled_rows(8, 10**6)).mean() > 0.9
    # Frozen: rows that are stored were chosen so.
    np.testing.assert_array_equal(first[:4], FIRST_OF_A_MILLION)


def test_sample_takes_all_places_of_its_parts_alike() -> None:
    places = np.concatenate([sampled_rows(seed, 10**6) % 100 for seed in range(20)])
    counts = np.bincount(places, minlength=100)
    # χ² of 99 degrees of freedom: 148 is its 99.9th percentile.
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 148


FIRST_OF_A_MILLION = [56, 137, 291, 341]


@pytest.mark.parametrize("total", [0, 1, SAMPLED_ROWS])
def test_small_sweep_keeps_all_rows(total: int) -> None:
    np.testing.assert_array_equal(sampled_rows(3, total), np.arange(total))
