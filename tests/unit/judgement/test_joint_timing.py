"""The joint timing test of many rows beside a rolling of all shifts, what it skips, and how often it is wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from src.domain.benchmarks import TimingTest
from src.judgement import joint_timing, timing
from src.judgement.joint_timing import ROWS_AT_ONCE, JointTimingTest, measure_joint_timing
from src.judgement.timing import measure_timing
from tests.exposures import at_random, counted, market, means_of, rolled

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


class Stream:
    """Computes exposures of rows when they are asked for, and notes how many at once and how often."""

    def __init__(self, rows: Sequence[Floats] | Floats) -> None:
        self.table = np.array(rows)
        self.most = 0
        self.asked: list[int] = []

    def __call__(self, rows: Numbers) -> Floats:
        self.most = max(self.most, rows.size)
        self.asked += rows.tolist()
        return self.table[rows]


def joint(rows: Sequence[Floats] | Floats, returns: Floats) -> JointTimingTest | None:
    return measure_joint_timing(Stream(rows), np.arange(len(rows)), returns)


def time_of(exposure: Floats, returns: Floats) -> TimingTest:
    found = measure_timing(exposure, returns, bars_per_year=365.0)
    assert found is not None
    return found


def joint_by_rolling(rows: list[Floats], returns: Floats) -> list[float]:
    """The p-value of each row against the best at every shift, one shift after the other."""
    longest = max(timing.measure_holding(row).mean_bars for row in rows)
    shifts = counted(returns.size, longest)
    z = []
    for row in rows:
        earnings = rolled(row, returns)
        z.append((earnings - earnings[shifts].mean()) / earnings[shifts].std())
    best_at = np.max(z, axis=0)[shifts]
    return [(1 + int(sum(best_at >= own[0] - 1e-9))) / (1 + len(shifts)) for own in z]


@pytest.mark.parametrize("seed", range(3))
def test_joint_p_values_equal_rolling_of_all_rows(seed: int) -> None:
    returns = market(400, seed)
    rows = [at_random(400, held, 6, held + seed) for held in (2, 5, 9)]
    found = joint(rows, returns)
    assert found is not None
    expected = joint_by_rolling(rows, returns)
    assert found.row_p_values == dict(enumerate(expected))
    assert found.p_value == min(expected) == expected[found.best]


def test_streamed_rows_are_tested_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    returns = market(300)
    rows = [at_random(300, 2 + number % 7, 6, number) for number in range(150)]
    rows[40] = np.ones(300)
    stream = Stream(rows)
    found = measure_joint_timing(stream, np.arange(150), returns)
    assert found is not None
    assert (stream.most, len(found.row_p_values)) == (ROWS_AT_ONCE, 149)
    assert sorted(stream.asked) == sorted([*range(150), *(row for row in range(150) if row != 40)])
    monkeypatch.setattr(joint_timing, "ROWS_AT_ONCE", 1000)
    assert measure_joint_timing(Stream(rows), np.arange(150), returns) == found


def test_rows_keep_their_numbers() -> None:
    returns = market(400)
    rows = [at_random(400, 4, 6, seed) for seed in range(6)]
    rows[4] = (returns > 0).astype(float)
    found = measure_joint_timing(Stream(rows), np.array([1, 4, 5]), returns)
    assert found is not None
    assert (found.best, set(found.row_p_values)) == (4, {1, 4, 5})


def test_joint_test_skips_rows_without_timing() -> None:
    returns, row = market(400), at_random(400, 4, 6, 1)
    found = joint([np.ones(400), row, np.zeros(400)], returns)
    assert found is not None
    assert (found.best, found.row_p_values) == (1, {1: found.p_value})
    assert joint([np.ones(400)], returns) is None
    assert measure_joint_timing(Stream([row]), np.arange(0), returns) is None
    assert joint([row], np.zeros(400)) is None


@pytest.mark.parametrize("seed", range(5))
def test_row_alone_has_the_single_p_value(seed: int) -> None:
    returns, row = market(500, seed), at_random(500, 4, 6, seed)
    found, alone = joint([row], returns), time_of(row, returns)
    assert found is not None
    assert (found.p_value, found.shifts) == (alone.p_value, alone.shifts)


def test_equal_rows_count_as_one() -> None:
    returns, row = market(400), at_random(400, 4, 6, 3)
    found = joint([row] * 70, returns)
    assert found is not None
    assert set(found.row_p_values.values()) == {time_of(row, returns).p_value}


def test_planted_timing_is_found_among_noise() -> None:
    returns = market(1000)
    rows = [at_random(1000, 5, 7, number) for number in range(42)]
    found = joint(rows, returns + 0.006 * (rows[17] - rows[17].mean()))
    assert found is not None
    assert found.best == 17
    assert found.p_value <= 0.01
    assert sum(p_value <= 0.05 for p_value in found.row_p_values.values()) == 1


def test_best_run_without_edge_is_rejected_rarely() -> None:
    plain = rejected = 0
    for seed in range(200):
        returns = market(400, 1000 + seed)
        rows = [at_random(400, 5, 7, 30 * seed + number) for number in range(15)]
        found = joint(rows, returns)
        assert found is not None
        rejected += found.p_value <= 0.05
        plain += time_of(rows[found.best], returns).p_value <= 0.05
    # 200 cases at 5 %: 4–18; without the joint maximum about half of them.
    assert 2 <= rejected <= 20
    assert plain > 60


def test_best_of_42_means_is_rejected_rarely() -> None:
    rejected = 0
    for seed in range(300):
        returns = market(600, 7000 + seed)
        found = joint(means_of(returns), returns)
        assert found is not None
        rejected += found.p_value <= 0.05
    # 300 cases at 5 %: 15 expected, deviation 3.8.
    assert 4 <= rejected <= 27
