"""Tables and resamples of blocks beside loops over single bars."""

from __future__ import annotations

import math

import numpy as np
import pytest
from arch.bootstrap import CircularBlockBootstrap
from numpy.typing import NDArray

from src.judgement import resampling
from tests.judgement_paths import fat_tailed_autoregressive as autoregressive

Floats = NDArray[np.float64]


def studentize(table: Floats, last: Floats, starts: resampling.Starts, *others: float) -> Floats:
    own = np.empty((starts.shape[1], 2))
    return np.array([resampling.studentize_sharpe(table, last, row, *others, own) for row in starts])


def compose(table: Floats, last: Floats, starts: resampling.Starts, length: int) -> Floats:
    return np.transpose([resampling.compose_path(table, last, row, length) for row in starts])


def draw_stages(n: int, blocks: int, resamples: int, seed: int) -> resampling.Starts:
    starts, state = np.empty((resamples, blocks), np.uint32), np.uint64(seed)
    for row in starts:
        state = np.uint64(resampling.draw_two_stages(n, state, np.empty(blocks, np.uint32), row))
    return starts


def figures_of_block(deviations: Floats, returns: Floats, start: int, length: int) -> list[float]:
    """The row of the table, bar by bar."""
    total = squares = growth = highest = lowest = fall = 0.0
    for place in range(start, start + length):
        t = place % returns.size
        total += deviations[t]
        squares += deviations[t] ** 2
        growth += math.log1p(returns[t])
        highest, lowest = max(highest, growth), min(lowest, growth)
        fall = max(fall, highest - growth)
    return [total, squares, growth, highest, lowest, fall]


@pytest.mark.parametrize("length", [*range(1, 17), 31])
def test_table_holds_figures_of_every_block(length: int) -> None:
    returns = autoregressive(37, 0.3) * 5
    deviations = returns - 0.01
    table = resampling.tabulate_blocks(deviations, returns, length)
    expected = [figures_of_block(deviations, returns, start, length) for start in range(37)]
    np.testing.assert_allclose(table, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("ruin", [-1.0, -1.5])
def test_used_up_equity_ends_every_path(ruin: float) -> None:
    returns = np.array([0.1, 0.1, ruin, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    table = resampling.tabulate_blocks(returns, returns, 3)
    starts = np.array([[0, 3, 6], [3, 3, 6]], np.uint32)
    growth, falls = compose(table, table, starts, 3)
    assert growth[0] == -np.inf
    assert falls[0] == np.inf
    assert growth[1] == pytest.approx(9 * math.log(1.1))
    assert falls[1] == 0.0


SPLITMIX_1234567 = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
"""The first numbers of the published generator with the seed 1234567."""


def test_starts_come_from_published_generator() -> None:
    n = 1_000_003
    expected = [[(number >> 32) * n >> 32 for number in row] for row in (SPLITMIX_1234567[:2], SPLITMIX_1234567[2:])]
    assert resampling.draw_starts(n, 2, 2, np.uint64(1234567)).tolist() == expected


def test_second_stage_draws_from_the_first() -> None:
    n = 1_000_003
    found = draw_stages(n, 2, 1, 1234567)
    population = [(number >> 32) * n >> 32 for number in SPLITMIX_1234567[:2]]
    assert found.tolist() == [[population[(number >> 32) * 2 >> 32] for number in SPLITMIX_1234567[2:]]]


def test_starts_are_spread_over_all_bars() -> None:
    counts = np.bincount(resampling.draw_starts(50, 10, 1000, np.uint64(9)).ravel(), minlength=50)
    assert counts.size == 50
    # Chi-square of 49 degrees: above 85.35 once in a thousand.
    assert float(((counts - 200) ** 2 / 200).sum()) < 85.35


def bars_of(starts: NDArray[np.uint32], n: int, length: int) -> NDArray[np.int64]:
    """The bars of one resample."""
    return np.concatenate([np.arange(start, start + length) % n for start in starts])[:n]


@pytest.mark.parametrize("n", [120, 125])
def test_resamples_equal_paths_bar_by_bar(n: int) -> None:
    length, returns = 8, autoregressive(n, 0.2)
    mean, deviation = float(returns.mean()), float(returns.std(ddof=1))
    table = resampling.tabulate_blocks(returns - mean, returns, length)
    rest = n % length
    last = resampling.tabulate_blocks(returns - mean, returns, rest) if rest else table
    starts = resampling.draw_starts(n, resampling.count_blocks(n, length), 20, np.uint64(5))
    statistics = studentize(table, last, starts, length, mean, deviation, 1e-12)
    growth, falls = compose(table, last, starts, length)
    for b in range(20):
        path = returns[bars_of(starts[b], n, length)]
        statistic = studentized(path, length, mean / deviation)
        assert statistics[b] == pytest.approx(statistic, rel=1e-9)
        equity = np.concatenate(([1.0], np.cumprod(1 + path)))
        assert growth[b] == pytest.approx(math.log(equity[-1]), abs=1e-12)
        fall = float((1 - equity / np.maximum.accumulate(equity)).max())
        assert -math.expm1(-falls[b]) == pytest.approx(fall, abs=1e-12)


def influence(path: Floats) -> Floats:
    z = (path - path.mean()) / path.std(ddof=1)
    return z - 0.5 * path.mean() / path.std(ddof=1) * (z**2 - 1)


def studentized(path: Floats, length: int, sharpe: float) -> float:
    sums = [influence(path)[first : first + length].sum() for first in range(0, path.size, length)]
    error = math.sqrt(sum(total**2 for total in sums)) / path.size
    return float((path.mean() / path.std(ddof=1) - sharpe) / error)


def test_error_of_sharpe_comes_from_all_circular_blocks() -> None:
    n, length, returns = 130, 7, autoregressive(130, 0.4)
    psi = np.concatenate((influence(returns), influence(returns)))
    sums = np.array([psi[first : first + length].sum() for first in range(n)])
    mean, deviation = float(returns.mean()), float(returns.std(ddof=1))
    table = resampling.tabulate_blocks(returns - mean, returns, length)
    error = resampling.block_error(table, length, mean, deviation)
    assert error == pytest.approx(math.sqrt(float((sums**2).mean()) / length / n), rel=1e-10)


def test_resampled_sharpe_ratios_agree_with_arch() -> None:
    n, length, returns = 120, 8, autoregressive(120, 0.2)
    theirs = CircularBlockBootstrap(length, returns, seed=1)
    sharpes, starts = [], []
    for data, _ in theirs.bootstrap(50):
        starts.append(np.asarray(theirs.index)[::length])
        sharpes.append(float(data[0].mean() / data[0].std(ddof=1)))
    mean, deviation = float(returns.mean()), float(returns.std(ddof=1))
    table = resampling.tabulate_blocks(returns - mean, returns, length)
    given = np.array(starts, np.uint32)
    statistics = studentize(table, table, given, length, mean, deviation, 1e-12)
    for b, theirs_sharpe in enumerate(sharpes):
        path = returns[bars_of(given[b], n, length)]
        sums = influence(path).reshape(-1, length).sum(axis=1)
        error = math.sqrt(float((sums**2).sum())) / n
        assert statistics[b] * error + mean / deviation == pytest.approx(theirs_sharpe, rel=1e-9)


def test_all_resamples_continue_one_random_sequence() -> None:
    n, length, returns = 130, 8, autoregressive(130, 0.2)
    mean, deviation = float(returns.mean()), float(returns.std(ddof=1))
    table = resampling.tabulate_blocks(returns - mean, returns, length)
    last = resampling.tabulate_blocks(returns - mean, returns, n % length)
    starts = resampling.draw_starts(n, 17, 1000, np.uint64(77))
    found = resampling.resample_sharpe(table, last, length=length, mean=mean, deviation=deviation, least=1e-12, seed=77)
    at_once = studentize(table, last, starts, length, mean, deviation, 1e-12)
    np.testing.assert_array_equal(found.statistics, at_once)
    assert found.sharpe == mean / deviation
    assert found.error == resampling.block_error(table, length, mean, deviation)
    stages = draw_stages(n, 17, 1000, 77)
    paths = resampling.resample_paths(table, last, length=length, seed=77)
    np.testing.assert_array_equal(paths, compose(table, last, stages, length))


def test_resample_without_variance_has_no_statistic() -> None:
    returns = np.array([0.0] * 90 + [0.01, -0.02, 0.03, 0.01, 0.02, -0.01, 0.01, 0.02, 0.01, 0.02])
    mean, deviation = float(returns.mean()), float(returns.std(ddof=1))
    table = resampling.tabulate_blocks(returns - mean, returns, 10)
    starts = np.array([[0] * 10, [90] * 10], np.uint32)
    found = studentize(table, table, starts, 10, mean, deviation, 1e-12)
    assert np.isnan(found).tolist() == [True, False]


def test_seed_depends_on_numbers_not_memory_layout() -> None:
    returns = autoregressive(120, 0.0)
    seed = resampling.seed_of(returns)
    assert seed == resampling.seed_of(np.repeat(returns, 2)[::2])
    assert 0 <= seed < 2**64
    assert seed != resampling.seed_of(returns + 1e-9)


def test_seed_is_start_of_published_hash() -> None:
    # SHA-256 of 16 bytes 0.
    assert f"{resampling.seed_of(np.zeros(2)):016x}" == "374708fff7719dd5"
    assert resampling.seed_of(np.array([-0.0, 0.0])) == resampling.seed_of(np.zeros(2))
