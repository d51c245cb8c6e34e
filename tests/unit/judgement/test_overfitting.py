"""The probability of backtest overfitting beside ffn's, and what it says of noise, of an edge, and of duplicates."""

from __future__ import annotations

import itertools
import math

import ffn.core
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from src.judgement import overfitting
from src.judgement.overfitting import Overfitting, measure_overfitting

Floats = NDArray[np.float64]


def noise(n: int, rows: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal((n, rows)) * 0.01


def found_of(returns: Floats, blocks: int = 8) -> Overfitting:
    found = measure_overfitting(returns, blocks=blocks)
    assert found is not None
    return found


def loop_over_splits(returns: Floats, blocks: int) -> list[tuple[float, float]]:
    """The chosen row's Sharpe ratios inside and outside of each split, in pandas."""
    length, frame = returns.shape[0] // blocks, pd.DataFrame(returns)
    parts = [frame.iloc[block * length : (block + 1) * length] for block in range(blocks)]
    found = []
    for half in itertools.combinations(range(blocks), blocks // 2):
        inside = pd.concat([parts[block] for block in half])
        outside = pd.concat([parts[block] for block in range(blocks) if block not in half])
        ratios, others = inside.mean() / inside.std(), outside.mean() / outside.std()
        found.append((float(ratios.max()), float(others[ratios.idxmax()])))
    return found


@pytest.mark.parametrize(("n", "rows", "blocks"), [(320, 20, 8), (205, 3, 4), (100, 7, 2), (330, 6, 6)])
def test_pbo_equals_value_of_ffn(n: int, rows: int, blocks: int) -> None:
    returns = noise(n, rows, seed=n)
    theirs = ffn.core.calc_prob_backtest_overfitting(pd.DataFrame(returns), n_blocks=blocks, full_output=True)
    ours = overfitting.split_symmetrically(returns, blocks)
    logits = np.log(ours.ranks / (1 - ours.ranks))
    np.testing.assert_allclose(np.sort(logits), np.sort(theirs["logits"]), rtol=0, atol=1e-12)
    found = found_of(returns, blocks)
    assert found.pbo == pytest.approx(theirs["pbo"], abs=1e-12)
    assert (found.rows, found.blocks, found.splits) == (rows, blocks, len(theirs["logits"]))


def test_losses_and_slope_equal_those_of_a_loop() -> None:
    returns = noise(240, 9, seed=5) + 0.0005
    expected = np.array(loop_over_splits(returns, 6))
    found = found_of(returns, 6)
    assert found.probability_of_loss == float((expected[:, 1] < 0).mean())
    assert found.degradation_slope == pytest.approx(np.polyfit(expected[:, 0], expected[:, 1], 1)[0], rel=1e-9)
    splits = overfitting.split_symmetrically(returns, 6)
    np.testing.assert_allclose(np.sort(splits.inside), np.sort(expected[:, 0]), rtol=1e-9)
    np.testing.assert_allclose(np.sort(splits.outside), np.sort(expected[:, 1]), rtol=1e-9)


def test_equal_ratios_share_their_mean_rank() -> None:
    # Ten equal rows would leave the first one chosen, at the mean rank of 1 to 10.
    returns = np.repeat(noise(120, 1), 10, axis=1)
    splits = overfitting.split_symmetrically(returns, 4)
    assert splits.chosen.tolist() == [0] * 6
    np.testing.assert_allclose(splits.ranks, 0.5)


def test_row_with_an_edge_is_not_overfitted() -> None:
    returns = noise(1000, 30)
    returns[:, 7] += 0.004
    found = found_of(returns, 12)
    assert found.pbo < 0.01
    assert found.probability_of_loss == 0.0
    assert set(overfitting.split_symmetrically(returns, 12).chosen.tolist()) == {7}


@pytest.mark.parametrize("rows", [10, 100])
def test_noise_lies_in_its_range(rows: int) -> None:
    found = [found_of(noise(240, rows, seed), 10) for seed in range(100)]
    values = np.array([one.pbo for one in found])
    low, high = found[0].pbo_noise_range
    assert values.mean() == pytest.approx(0.5, abs=0.07)
    # 90 expected, deviation 3.
    assert 80 <= np.count_nonzero((values >= low) & (values <= high)) <= 98


def test_noise_range_lies_around_the_median() -> None:
    ranges = [overfitting.noise_range(rows) for rows in (2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)]
    assert all(0 < low < 0.5 < high < 1 for low, high in ranges)
    lows = [low for low, _ in ranges]
    assert lows == sorted(lows)
    highs = [high for _, high in ranges[1:]]
    assert highs == sorted(highs, reverse=True)


def test_noise_range_narrows_with_rows() -> None:
    ranges = [overfitting.noise_range(rows) for rows in (2, 10, 30, 100, 2000, 5000)]
    assert ranges[0] == (0.01, 0.94)
    assert ranges[3] == (0.26, 0.76)
    assert ranges[4] == ranges[5] == (0.36, 0.68)
    widths = [high - low for low, high in ranges]
    assert widths == sorted(widths, reverse=True)
    between = (math.log(30) - math.log(20)) / (math.log(50) - math.log(20))
    assert ranges[2] == (pytest.approx(0.17 + 0.05 * between), pytest.approx(0.82 - 0.03 * between))


def test_flat_and_duplicate_rows_are_left_out() -> None:
    returns = noise(200, 4)
    padded = np.column_stack((returns[:, 0], np.zeros(200), returns, returns[:, 2], np.full(200, 0.01)))
    assert overfitting.select_rows(padded).tolist() == [0, 3, 4, 5]
    assert found_of(padded) == found_of(returns)


def test_rows_with_zeros_of_other_sign_are_duplicates() -> None:
    row = noise(100, 1)[:, 0]
    row[5] = 0.0
    other = row.copy()
    other[5] = -0.0
    assert overfitting.select_rows(np.column_stack((row, other))).tolist() == [0]


def test_half_without_variance_counts_as_ratio_zero() -> None:
    returns = noise(200, 2) - 0.02
    returns[100:, 0] = 0.0
    # In the second half the first row stands still: 0 is better than the loss of the other.
    splits = overfitting.split_symmetrically(returns, 2)
    first_half_best = int(np.argmax(returns[:100].mean(axis=0) / returns[:100].std(axis=0)))
    assert splits.chosen.tolist() == [first_half_best, 0]
    assert splits.inside[1] == 0.0


@pytest.mark.parametrize(
    "returns",
    [noise(99, 5), noise(200, 1), np.repeat(noise(200, 1), 3, axis=1), np.zeros((200, 5)), np.full((200, 5), np.nan)],
)
def test_overfitting_needs_bars_and_rows(returns: Floats) -> None:
    assert measure_overfitting(returns) is None


def test_100_bars_and_two_rows_are_enough() -> None:
    assert found_of(noise(100, 2)).rows == 2


@pytest.mark.parametrize("blocks", [0, 3, 18])
def test_odd_or_too_many_blocks_are_refused(blocks: int) -> None:
    with pytest.raises(ValueError, match=f"blocks is {blocks}. Allowed: an even number from 2 to 16."):
        measure_overfitting(noise(200, 3), blocks=blocks)


def test_choice_that_never_varies_has_no_slope() -> None:
    assert overfitting._slope(np.full(6, 0.3), np.arange(6.0)) is None
