"""Philox beside numpy's, and rounding beside Python's formatting."""

from __future__ import annotations

import numpy as np
import pytest

from src.sweeps.columns import round_values
from src.sweeps.draws import draw_words, multiply_high, to_fractions, to_places


@pytest.mark.parametrize("seed", [0, 7, 2**31 - 1])
@pytest.mark.parametrize("attempt", [0, 3])
def test_words_equal_those_of_numpy(seed: int, attempt: int) -> None:
    rows = np.array([0, 1, 65_536, 10**9])
    words = np.empty((rows.size, 6), np.uint64)
    draw_words(np.uint64(seed), rows, np.uint64(attempt), words)
    for place, row in enumerate(rows.tolist()):
        for block in range(2):
            # numpy counts up before it computes a block.
            counter = (row + (block << 64) + (attempt << 128) - 1) % 2**256
            theirs = np.random.Philox(key=seed, counter=counter).random_raw(4)
            ours = words[place, 4 * block : 4 * block + 4]
            np.testing.assert_array_equal(ours, theirs[: ours.size])


def test_upper_half_of_product_is_exact() -> None:
    rng = np.random.default_rng(1)
    for a, b in rng.integers(0, 2**64, (200, 2), dtype=np.uint64, endpoint=False):
        assert int(multiply_high(a, b)) == int(a) * int(b) >> 64


def test_places_and_fractions_lie_in_their_ranges() -> None:
    words = np.array([0, 2**63, 2**64 - 1], np.uint64)
    assert to_places(words, np.uint64(10)).tolist() == [0, 5, 9]
    fractions = to_fractions(words)
    assert fractions[:2].tolist() == [0.0, 0.5]
    assert fractions[2] == 1 - 2.0**-53


def test_rounded_values_equal_formatted_ones() -> None:
    rng = np.random.default_rng(0)
    # Under 1e-11 the power of ten is not exact, and the last bit may differ.
    values = rng.choice([-1, 1], 5_000) * rng.uniform(0.1, 1, 5_000) * 10.0 ** rng.integers(-9, 15, 5_000)
    given = np.concatenate((values, [0.0, -0.0, 0.1 + 0.2, 1e15, 1 - 1e-16, 0.07 * 3]))
    assert round_values(given).tolist() == [float(f"{value:.12g}") for value in given.tolist()]
