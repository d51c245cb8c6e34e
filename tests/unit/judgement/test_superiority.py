"""The test of superior predictive ability beside arch's, a loop over resampled bars, and its rate of false finds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from arch.bootstrap import SPA, StepM
from numpy.typing import NDArray

from src.judgement import resampling, superiority
from src.judgement.superiority import Superiority, measure_superiority

Floats = NDArray[np.float64]


def market(n: int, seed: int = 99) -> Floats:
    return np.random.default_rng(seed).standard_normal(n) * 0.02


def noise(n: int, rows: int, seed: int = 0, deviation: float = 0.01) -> Floats:
    return np.random.default_rng(seed).standard_normal((n, rows)) * deviation


def found_of(differences: Floats) -> Superiority:
    returns = market(differences.shape[0])
    found = measure_superiority(differences + returns[:, None], returns)
    assert found is not None
    return found


@pytest.mark.parametrize(("n", "length"), [(120, 10), (125, 8)])
def test_resampled_means_equal_those_of_bars(n: int, length: int) -> None:
    differences = noise(n, 70)
    starts = resampling.draw_starts(n, resampling.count_blocks(n, length), 15, np.uint64(3))
    found = superiority.resample_means(differences, starts, length)
    for b in range(15):
        bars = np.concatenate([np.arange(start, start + length) % n for start in starts[b]])[:n]
        np.testing.assert_allclose(found[b], differences[bars].mean(axis=0), atol=1e-15)


def loop_over_resamples(differences: Floats, resampled: Floats) -> tuple[float, float, float]:
    """Hansen's three p-values as in the paper, resample by resample."""
    n, rows = differences.shape
    means, omega = differences.mean(axis=0), math.sqrt(n) * resampled.std(axis=0)
    observed = max(0.0, *(math.sqrt(n) * means[k] / omega[k] for k in range(rows)))
    counts = [0, 0, 0]
    for row in resampled:
        for kind in range(3):
            largest = 0.0
            for k in range(rows):
                is_near = math.sqrt(n) * means[k] / omega[k] >= -math.sqrt(2 * math.log(math.log(n)))
                center = (max(means[k], 0.0), means[k] if is_near else 0.0, means[k])[kind]
                largest = max(largest, math.sqrt(n) * (row[k] - center) / omega[k])
            counts[kind] += largest > observed
    return counts[0] / len(resampled), counts[1] / len(resampled), counts[2] / len(resampled)


@pytest.mark.parametrize("edge", [-0.0005, 0.0, 0.0015])
def test_p_values_equal_those_of_a_loop(edge: float) -> None:
    differences = noise(200, 6, seed=4) + edge
    differences[:, 5] -= 0.01  # far below: the consistent p-value leaves it at 0
    resampled = superiority.resample_means(differences, resampling.draw_starts(200, 25, 300, np.uint64(8)), 8)
    found = superiority.find_p_values(differences.mean(axis=0), resampled, resampled.std(axis=0), 200)
    assert tuple(found) == loop_over_resamples(differences, resampled)
    assert found.lower <= found.consistent <= found.upper


@pytest.mark.parametrize("edge", [0.0, 0.0008, 0.0015])
def test_p_values_agree_with_arch(edge: float) -> None:
    n = 400
    differences = noise(n, 8, seed=2)
    differences[:, 3] += edge
    differences[:, 6] -= 0.004
    found = found_of(differences)
    # arch does not divide by the deviations, so that its rows must have equal ones.
    length = found.block_length
    starts = resampling.draw_starts(n, resampling.count_blocks(n, length), 1000, np.uint64(1))
    deviations = superiority.resample_means(differences, starts, length).std(axis=0)
    scaled = differences / deviations
    theirs = SPA(np.zeros(n), -scaled, block_size=length, reps=4000, bootstrap="circular", seed=5)
    theirs.compute()
    # Two samples of 1,000 and 4,000: three errors are 3 √(p (1 − p) ÷ 800).
    for ours, name in ((found.lower, "lower"), (found.p_value, "consistent"), (found.upper, "upper")):
        p = float(theirs.pvalues[name])
        assert ours == pytest.approx(p, abs=3 * math.sqrt(p * (1 - p) / 800) + 0.003)


def test_superior_rows_equal_those_of_arch() -> None:
    n, differences = 500, noise(500, 10, seed=6)
    differences -= differences.mean(axis=0)
    differences[:, [1, 4]] += 0.003
    differences[:, 8] += 0.0016
    found = found_of(differences)
    deviations = differences.std(axis=0)
    theirs = StepM(np.zeros(n), -differences / deviations, block_size=found.block_length, reps=2000,
                   bootstrap="circular", seed=3)  # fmt: skip
    theirs.compute()
    assert list(found.superior_rows) == list(theirs.superior_models) == [1, 4, 8]
    assert found.best in (1, 4)
    assert found.p_value < 0.01


def test_later_steps_find_more_than_the_first() -> None:
    rng, rows = np.random.default_rng(2), 12
    resampled = rng.standard_normal((4000, rows))
    own = np.concatenate(([10.0] * 11, [2.0]))
    deviations = np.ones(rows)
    first = np.quantile((resampled.max(axis=1)), 0.95)
    assert own[11] < first
    # After eleven rows are found, the last one is alone, and 2.0 is over its 95 % of 1.64.
    assert superiority.find_superior(own, resampled + own, deviations).tolist() == list(range(12))
    own[11] = 1.4
    assert superiority.find_superior(own, resampled + own, deviations).tolist() == list(range(11))
    assert superiority.find_superior(own * 0, resampled, deviations).tolist() == []


def test_rows_without_an_edge_are_rarely_found() -> None:
    found = [found_of(noise(200, 5, seed)) for seed in range(200)]
    # 10 expected of 200, deviation 3.1; rows of equal quality are the worst case of the test.
    assert 2 <= sum(one.p_value <= 0.05 for one in found) <= 21
    assert sum(bool(one.superior_rows) for one in found) <= 21


def test_equal_sweeps_have_equal_results() -> None:
    assert found_of(noise(200, 5)) == found_of(noise(200, 5))


def test_rows_are_numbered_as_they_came() -> None:
    rows = noise(300, 3)
    rows[:, 2] += 0.005
    returns = market(300)
    given = np.column_stack((returns, rows[:, 0] + returns, rows[:, 0] + returns, rows[:, 1:] + returns[:, None]))
    found = measure_superiority(given, returns)
    assert found is not None
    assert (found.best, found.superior_rows, found.rows) == (4, (4,), 3)


@pytest.mark.parametrize("differences", [noise(99, 3), np.zeros((200, 3)), np.full((200, 3), np.nan)])
def test_superiority_needs_bars_that_differ(differences: Floats) -> None:
    returns = market(differences.shape[0])
    assert measure_superiority(differences + returns[:, None], returns) is None


def test_100_bars_are_enough() -> None:
    assert found_of(noise(100, 1)).rows == 1
