"""Overfitting from block sums, and superiority from streamed returns, beside the functions of whole tables."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from src.domain.sweep_outcomes import SweepOverfitting
from src.domain.sweeps import ROW_METRICS, Goal, Objective
from src.judgement import resampling
from src.judgement.overfitting import measure_block_overfitting, measure_overfitting
from src.judgement.superiority import COLUMNS_AT_ONCE, measure_streamed_superiority, measure_superiority
from src.sweeps.overfitting import follows_from_blocks, overfitting_of, superiority_of

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


def noise(n: int, rows: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal((n, rows)) * 0.01


def blocks_of(returns: Floats, blocks: int) -> tuple[Floats, Floats]:
    """Sums of returns and squares, [rows, S], each added bar by bar."""
    length = returns.shape[0] // blocks
    cut = returns[: length * blocks].T.reshape(returns.shape[1], blocks, length)
    return np.array([cut.sum(axis=2), (cut**2).sum(axis=2)])  # type: ignore[return-value]


def sharpe_of(sums: Floats, squares: Floats, length: int) -> SweepOverfitting | None:
    return overfitting_of(sums, squares, length, Objective())


@pytest.mark.parametrize(("n", "rows", "blocks"), [(480, 40, 12), (250, 7, 4), (330, 2, 16)])
def test_block_sums_judge_as_returns_do(n: int, rows: int, blocks: int) -> None:
    returns = noise(n, rows) + 0.0003
    whole = measure_overfitting(returns, blocks=blocks)
    found = measure_block_overfitting(*blocks_of(returns, blocks), n // blocks)
    assert whole is not None
    assert found is not None
    assert (found.pbo, found.probability_of_loss) == (whole.pbo, whole.probability_of_loss)
    assert found.degradation_slope == pytest.approx(whole.degradation_slope, rel=1e-9)
    assert (found.rows, found.splits, found.pbo_noise_range) == (whole.rows, whole.splits, whole.pbo_noise_range)


def test_blocks_of_flat_and_equal_rows_are_left_out() -> None:
    returns = noise(240, 5)
    padded = np.column_stack((np.zeros(240), returns, returns[:, 1], np.full(240, 0.01)))
    assert sharpe_of(*blocks_of(padded, 8), 30) == sharpe_of(*blocks_of(returns, 8), 30)


def test_sweep_reports_the_noise_range_of_its_rows() -> None:
    found = sharpe_of(*blocks_of(noise(480, 10), 12), 40)
    assert found is not None
    assert (found.pbo_noise_low, found.pbo_noise_high, found.rows, found.blocks) == (0.15, 0.87, 10, 12)


@pytest.mark.parametrize(
    ("sums", "squares", "length"),
    [
        (*blocks_of(noise(96, 5), 8), 12),
        (*blocks_of(noise(480, 1), 8), 60),
        (*blocks_of(np.full((480, 3), np.nan), 8), 60),
        (*blocks_of(noise(480, 3), 3), 160),
        (np.empty((0, 12)), np.empty((0, 12)), 40),
    ],
)
def test_too_little_is_not_judged(sums: Floats, squares: Floats, length: int) -> None:
    assert sharpe_of(sums, squares, length) is None


CRITERIA: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "sharpe_ratio": lambda part: part.mean() / part.std(),
    "total_return": lambda part: (1 + part).prod() - 1,
    "annual_volatility": lambda part: part.std(),
}


def loop_over_splits(returns: Floats, blocks: int, metric: str, goal: Goal) -> tuple[float, float]:
    """PBO and the chosen rows' share of losses of a metric computed from each half's returns, in pandas."""
    length, frame = returns.shape[0] // blocks, pd.DataFrame(returns)
    parts = [frame.iloc[block * length : (block + 1) * length] for block in range(blocks)]
    sign = -1 if goal is Goal.MINIMIZE else 1
    below, losses = [], []
    for half in itertools.combinations(range(blocks), blocks // 2):
        inside = pd.concat([parts[block] for block in half])
        outside = pd.concat([parts[block] for block in range(blocks) if block not in half])
        chosen = (sign * CRITERIA[metric](inside)).idxmax()
        rank = (sign * CRITERIA[metric](outside)).rank()[chosen]
        below.append(rank / (returns.shape[1] + 1) <= 0.5)
        losses.append(outside[chosen].mean() < 0)
    return float(np.mean(below)), float(np.mean(losses))


@pytest.mark.parametrize("goal", Goal)
@pytest.mark.parametrize("metric", CRITERIA)
def test_pbo_chooses_by_the_objective(metric: str, goal: Goal) -> None:
    random = np.random.default_rng(7)
    # Rows that differ in edge and in volatility, so that each criterion has another best.
    returns = noise(320, 12, seed=3) * random.uniform(0.8, 1.25, 12) + random.normal(0, 0.0004, 12)
    found = overfitting_of(*blocks_of(returns, 8), 40, Objective(metric=metric, goal=goal))
    assert found is not None
    assert (found.pbo, found.probability_of_loss) == loop_over_splits(returns, 8, metric, goal)
    assert (found.criterion, found.direction, found.rows) == (metric, goal, 12)


def test_each_criterion_has_a_pbo_of_its_own() -> None:
    returns = noise(320, 12, seed=3) * np.linspace(0.7, 1.4, 12)
    found = [
        overfitting_of(*blocks_of(returns, 8), 40, Objective(metric=metric, goal=goal))
        for metric in CRITERIA
        for goal in Goal
    ]
    assert len({one.pbo for one in found if one is not None}) >= 5


@pytest.mark.parametrize("metric", ROW_METRICS)
def test_criterion_stands_in_for_other_objectives(metric: str) -> None:
    returns = noise(320, 12, seed=3) * np.linspace(0.7, 1.4, 12)
    objective = Objective(metric=metric, goal=Goal.MINIMIZE)
    found = overfitting_of(*blocks_of(returns, 8), 40, objective)
    assert found is not None
    if follows_from_blocks(objective):
        own = {"final_equity": "total_return", "cagr": "total_return"}.get(metric, metric)
        assert (found.criterion, found.direction) == (own, Goal.MINIMIZE)
    else:
        assert found == sharpe_of(*blocks_of(returns, 8), 40)
        assert (found.criterion, found.direction) == ("sharpe_ratio", Goal.MAXIMIZE)


class Stream:
    """Hands out columns of a table, and notes how many at once."""

    def __init__(self, returns: Floats) -> None:
        self.returns = returns
        self.most = 0

    def __call__(self, rows: Numbers) -> Floats:
        self.most = max(self.most, rows.size)
        return self.returns[:, rows]


def with_market(differences: Floats) -> tuple[Floats, Floats]:
    market = np.random.default_rng(99).standard_normal(differences.shape[0]) * 0.02
    return differences + market[:, None], market


def test_streamed_rows_are_tested_as_a_table_is() -> None:
    differences = noise(300, 150, seed=4)
    differences[:, 70] += 0.004
    differences[:, 7] = differences[:, 3]
    returns, market = with_market(differences)
    returns[:, 9] = market
    returns[:, 100] = returns[:, 20]
    whole = measure_superiority(returns, market)
    exact = returns - market[:, None]
    kept = [row for row in range(150) if row not in (7, 9, 100)]
    stream = Stream(returns)
    seed = resampling.seed_of(np.ascontiguousarray(exact[:, kept]).ravel())
    found = measure_streamed_superiority(stream, np.arange(150), market, seed=seed)
    assert found == whole
    assert whole is not None
    assert (whole.rows, whole.best) == (147, 70)
    assert stream.most == COLUMNS_AT_ONCE


def test_own_seed_is_that_of_rows_in_turn() -> None:
    returns, market = with_market(noise(200, 70))
    digest = hashlib.sha256(np.ascontiguousarray((returns - market[:, None]).T).tobytes()).digest()
    expected = measure_streamed_superiority(
        Stream(returns), np.arange(70), market, seed=int.from_bytes(digest[:8], "big")
    )
    assert measure_streamed_superiority(Stream(returns), np.arange(70), market) == expected


def test_superiority_counts_rows_by_their_own_numbers() -> None:
    differences = noise(300, 6, seed=2)
    differences[:, 4] += 0.005
    returns, market = with_market(differences)
    found = measure_streamed_superiority(Stream(returns), np.array([1, 4, 5]), market)
    assert found is not None
    assert (found.best, found.superior_rows) == (4, (4,))
    report = superiority_of(Stream(returns), np.array([1, 4, 5]), market)
    assert report is not None
    assert (report.superior_rows, report.rows, report.p_value) == (1, 3, found.p_value)
    assert report.lower <= report.p_value <= report.upper


@pytest.mark.parametrize("differences", [noise(99, 3), np.zeros((200, 3)), np.full((200, 3), np.nan)])
def test_streamed_superiority_needs_bars_that_differ(differences: Floats) -> None:
    returns, market = with_market(differences)
    assert superiority_of(Stream(returns), np.arange(3), market) is None
    assert superiority_of(Stream(returns), np.arange(0), market) is None


def test_single_row_is_tested() -> None:
    returns, market = with_market(noise(150, 1))
    found = superiority_of(Stream(returns), np.arange(1), market)
    assert found is not None
    assert found.rows == 1
