"""Intervals of a result: bounds, what has none, and trades beside statsmodels."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from statsmodels.stats.proportion import proportion_confint

from src.domain.confidence import Confidence, Interval
from src.judgement import intervals, resampling
from src.judgement.block_lengths import choose_block_length
from src.judgement.intervals import measure_confidence
from src.judgement.resampling import PathResamples, SharpeResamples
from tests.judgement_paths import KINDS

Floats = NDArray[np.float64]

NO_TRADES = np.empty(0)


def noise(n: int, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).standard_normal(n) * 0.01 + 0.001


def confidence(returns: Floats, profits: Floats = NO_TRADES, risk_free: float = 0.0) -> Confidence:
    return measure_confidence(
        returns, profits, risk_free_per_bar=risk_free, bars_per_year=365.0, elapsed_years=returns.size / 365
    )


def test_equal_returns_give_equal_intervals() -> None:
    found = confidence(noise(200))
    assert found == confidence(noise(200))
    assert found.seed == f"{resampling.seed_of(noise(200)):016x}"
    assert found != confidence(noise(200, seed=2))
    assert (found.level, found.resamples, found.block_length) == (
        0.95,
        1000,
        choose_block_length(noise(200)),
    )


def test_sharpe_interval_is_symmetric_and_a_years() -> None:
    found = confidence(noise(400), risk_free=0.0004)
    assert found.sharpe_ratio is not None
    returns = noise(400)
    sharpe = float((returns.mean() - 0.0004) / returns.std(ddof=1)) * math.sqrt(365)
    assert (found.sharpe_ratio.low + found.sharpe_ratio.high) / 2 == pytest.approx(sharpe)
    # Lo's error of independent normal returns is √((1 + SR²/2) ÷ n).
    assert found.sharpe_error == pytest.approx(1 / math.sqrt(400), rel=0.25)


def test_sharpe_interval_reaches_95th_percentile_of_distances() -> None:
    statistics = np.concatenate((np.arange(-100.0, 0.0), np.arange(1.0, 101.0), [math.nan] * 5))
    found = intervals.sharpe_interval(SharpeResamples(0.5, 0.01, statistics), 4.0)
    # Of 200 distances 1, 1, 2, 2, ... the one at place ⌈0.95 × 199⌉ = 190 is 96.
    assert found == Interval(low=pytest.approx(2 * (0.5 - 0.96)), high=pytest.approx(2 * (0.5 + 0.96)))


@pytest.mark.parametrize("n", [99, 100])
def test_bars_under_100_have_no_interval(n: int) -> None:
    found = confidence(noise(n))
    missing = (found.sharpe_ratio, found.sharpe_error, found.block_length, found.range_of_next_path)
    assert [item is None for item in missing] == [n == 99] * 4


@pytest.mark.parametrize("returns", [np.zeros(200), np.full(200, 0.001), np.full(200, np.nan)])
def test_returns_without_variance_have_no_interval(returns: Floats) -> None:
    found = confidence(returns)
    assert (found.sharpe_ratio, found.range_of_next_path, found.block_length) == (None, None, None)


@pytest.mark.parametrize(("moves", "has_interval"), [(1, False), (2, False), (5, True)])
def test_too_many_flat_resamples_leave_no_interval(moves: int, has_interval: bool) -> None:
    # One move is missing in 1 ÷ e of the resamples, two in 1 ÷ e², five in 1 ÷ 148.
    returns = np.zeros(300)
    returns[:: 300 // moves] = np.linspace(0.01, 0.02, len(returns[:: 300 // moves]))
    assert (confidence(returns).sharpe_ratio is not None) == has_interval


def test_used_up_equity_is_in_next_path_range() -> None:
    returns = noise(200)
    returns[100] = -1.2
    found = confidence(returns).range_of_next_path
    assert found is not None and found.total_return is not None and found.cagr is not None
    assert (found.total_return.low, found.cagr.low, found.max_drawdown.high95) == (-100.0, -100.0, 100.0)


def test_range_takes_single_resamples() -> None:
    growth, falls = np.arange(1000.0)[::-1] / 1000, np.arange(1000.0) / 1000
    found = intervals.range_of_next_path(PathResamples(growth, falls), 2.0)
    assert found.total_return is not None and found.cagr is not None
    # Places ⌊0.025 × 999⌋ = 24 and ⌈0.975 × 999⌉ = 975; of the falls ⌊999 ÷ 2⌋ = 499 and ⌈0.95 × 999⌉ = 950.
    assert found.total_return.low == pytest.approx(100 * math.expm1(0.024))
    assert found.total_return.high == pytest.approx(100 * math.expm1(0.975))
    assert found.cagr.low == pytest.approx(100 * math.expm1(0.012))
    assert found.cagr.high == pytest.approx(100 * math.expm1(0.975 / 2))
    assert found.max_drawdown.median == pytest.approx(-100 * math.expm1(-0.499))
    assert found.max_drawdown.high95 == pytest.approx(-100 * math.expm1(-0.950))


def test_short_time_has_no_yearly_range() -> None:
    paths = PathResamples(np.zeros(1000), np.zeros(1000))
    found = intervals.range_of_next_path(paths, None)
    assert found.cagr is None
    assert found.total_return == Interval(low=0.0, high=0.0)


def test_growth_beyond_numbers_has_no_range() -> None:
    paths = PathResamples(np.full(1000, 800.0), np.zeros(1000))
    assert intervals.range_of_next_path(paths, 1.0).total_return is None


def test_two_stages_spread_wider_than_one() -> None:
    returns = noise(500)
    length = choose_block_length(returns)
    table = resampling.tabulate_blocks(returns, returns, length)
    last = resampling.tabulate_blocks(returns, returns, 500 % length)
    blocks = resampling.count_blocks(500, length)
    starts = resampling.draw_starts(500, blocks, 1000, np.uint64(3))
    one = [resampling.compose_path(table, last, row, length)[0] for row in starts]
    two = resampling.resample_paths(table, last, length=length, seed=3).growth
    # A population drawn first doubles the variance of the mean.
    assert two.std() / np.std(one) == pytest.approx(math.sqrt(2), rel=0.08)


@pytest.mark.parametrize("kind", KINDS)
def test_range_of_next_path_comes_from_two_stages(kind: str) -> None:
    returns = KINDS[kind](np.random.default_rng(4), 1, 400).returns[0]
    found = confidence(returns)
    assert found.range_of_next_path is not None and found.block_length is not None
    seed, length = resampling.seed_of(returns), found.block_length
    table = resampling.tabulate_blocks(returns, returns, length)
    last = resampling.tabulate_blocks(returns, returns, 400 % length) if 400 % length else table
    paths = resampling.resample_paths(table, last, length=length, seed=seed + 1)
    assert found.range_of_next_path == intervals.range_of_next_path(paths, 400 / 365)


@pytest.mark.parametrize(("wins", "trades"), [(0, 10), (3, 10), (10, 10), (7, 25), (400, 1000)])
def test_win_rate_equals_statsmodels(wins: int, trades: int) -> None:
    found = intervals.win_rate_interval(wins, trades)
    low, high = proportion_confint(wins, trades, alpha=0.05, method="wilson")
    assert found == Interval(low=pytest.approx(low * 100, abs=1e-12), high=pytest.approx(high * 100))


def trades(n: int, seed: int = 1) -> Floats:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(n) < 0.45, rng.gamma(2.0, 30.0, n), -rng.gamma(2.0, 20.0, n))


def test_profit_factor_interval_equals_hand_computation() -> None:
    profits = trades(60)
    gain, loss = np.maximum(profits, 0), np.maximum(-profits, 0)
    covariance = np.cov(gain, loss)
    variance = covariance[0, 0] / gain.mean() ** 2 + covariance[1, 1] / loss.mean() ** 2
    variance -= 2 * covariance[0, 1] / gain.mean() / loss.mean()
    reach = 1.959963984540054 * math.sqrt(variance / 60)
    found = intervals.profit_factor_interval(profits)
    factor = gain.sum() / loss.sum()
    assert found == Interval(low=pytest.approx(factor * math.exp(-reach)), high=pytest.approx(factor * math.exp(reach)))


def test_profit_factor_interval_holds_the_truth() -> None:
    truth = (0.45 * 60) / (0.55 * 40)
    held = 0
    for seed in range(400):
        found = intervals.profit_factor_interval(trades(80, seed))
        assert found is not None
        held += found.low <= truth <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_trades_under_10_have_no_interval() -> None:
    nine, ten = trades(9), trades(10)
    assert intervals.win_rate_interval(3, 9) is None
    assert intervals.profit_factor_interval(nine) is None
    assert intervals.autocorrelate(nine) is None
    assert intervals.profit_factor_interval(ten) is not None
    assert intervals.autocorrelate(ten) is not None


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_profit_factor_needs_gains_and_losses(sign: float) -> None:
    assert intervals.profit_factor_interval(sign * np.arange(1.0, 20.0)) is None


def test_win_rate_counts_profits_above_zero() -> None:
    profits = np.array([1.0] * 4 + [0.0] * 3 + [-1.0] * 5)
    assert confidence(noise(100), profits).win_rate == intervals.win_rate_interval(4, 12)


def test_autocorrelated_trades_are_noted() -> None:
    clustered = np.repeat(trades(20), 5)
    found, independent = confidence(noise(100), clustered), confidence(noise(100), trades(100))
    lagged = np.corrcoef(clustered[1:], clustered[:-1])[0, 1]
    assert found.trade_autocorrelation == pytest.approx(lagged, abs=0.02)
    assert found.are_trades_autocorrelated
    assert not independent.are_trades_autocorrelated


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_autocorrelation_is_notable_from_two_errors_on(sign: float, monkeypatch: pytest.MonkeyPatch) -> None:
    for value, is_noted in ((0.199, False), (0.201, True)):
        monkeypatch.setattr(intervals, "autocorrelate", lambda profits, value=value: sign * value)
        assert confidence(noise(100), trades(100)).are_trades_autocorrelated == is_noted


def test_equal_profits_have_no_autocorrelation() -> None:
    assert intervals.autocorrelate(np.full(20, 0.1)) is None


def test_confidence_refuses_assigned_fields() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        confidence(noise(100)).level = 0.9  # type: ignore[misc]
