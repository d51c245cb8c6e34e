"""PSR, minimum track record and DSR beside the numbers that were printed, ffn and skfolio."""

from __future__ import annotations

import math

import ffn.core
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from skfolio.measures import expected_max_sharpe_ratio, kurtosis, probabilistic_sharpe_ratio, skew

from src.domain.trials import NO_TRIALS, TrialSums
from src.judgement import deflation
from src.judgement.deflation import Deflation, deflate

Floats = NDArray[np.float64]


def fat_tailed(n: int, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).standard_t(5, n) * 0.01 + 0.001


def ledger(trials: int, *, t_values: Floats, correlation: float = 0.0) -> TrialSums:
    """A ledger of so many trials, made without runs: one slot holds what ‖Σu‖² must be."""
    unit = 2**40
    norm = math.sqrt(trials + correlation * trials * (trials - 1))
    whole = [round(t * unit) for t in t_values.tolist()]
    return TrialSums(
        trials=trials,
        slots=np.array([0]),
        directions=np.array([round(norm * unit)]),
        sum_t=sum(whole),
        sum_t_squared=sum(t * t for t in whole),
    )


def found_of(returns: Floats, sums: TrialSums = NO_TRIALS, block_error: float | None = None) -> Deflation:
    return deflate(returns, sums.statistics, risk_free_per_bar=0.0, bars_per_year=365.0, block_error=block_error)


def psr(sharpe: float, hurdle: float, *, skew: float, kurtosis: float, n: int) -> float | None:
    error = deflation.standard_error(sharpe, skew=skew, excess_kurtosis=kurtosis - 3, n=n)
    return deflation.probability_above(sharpe, hurdle, error)


def test_psr_equals_published_values() -> None:
    # Bailey & López de Prado 2012: 24 months with a ratio of 0.458 a month, normal and as the fund's returns were.
    assert psr(0.458, 0.0, skew=0.0, kurtosis=3.0, n=24) == pytest.approx(0.982, abs=5e-4)
    assert psr(0.458, 0.0, skew=-2.448, kurtosis=10.164, n=24) == pytest.approx(0.913, abs=5e-4)


@pytest.mark.parametrize(("per_year", "years"), [(252, 2.73), (52, 2.83), (12, 3.24)])
def test_min_track_record_equals_published_values(per_year: int, years: float) -> None:
    # Ibidem: a yearly ratio of 2 against 1, normal returns, 95 %.
    sharpe, hurdle = 2 / math.sqrt(per_year), 1 / math.sqrt(per_year)
    error = deflation.standard_error(sharpe, skew=0.0, excess_kurtosis=0.0, n=1000)
    found = deflation.min_track_record(sharpe, error=error, n=1000, hurdle=hurdle)
    assert found is not None
    # Whole bars, rounded up; printed with two digits.
    assert -0.005 <= found / per_year - years <= 1 / per_year + 0.005


@pytest.mark.parametrize(("trials", "probability"), [(100, 0.9004), (46, 0.9505)])
def test_dsr_equals_published_values(trials: int, probability: float) -> None:
    # Bailey & López de Prado 2014: 1,250 days, a yearly ratio of 2.5, variance of the trials' yearly ratios 1/2.
    hurdle = math.sqrt(0.5 / 250) * deflation.expected_maximum(trials)
    assert trials != 100 or hurdle == pytest.approx(0.1132, abs=5e-5)
    assert psr(2.5 / math.sqrt(250), hurdle, skew=-3.0, kurtosis=10.0, n=1250) == pytest.approx(probability, abs=2e-4)


@pytest.mark.parametrize("trials", [2, 3, 10, 1000, 10**6])
def test_expected_maximum_equals_skfolio(trials: int) -> None:
    assert deflation.expected_maximum(trials) == pytest.approx(expected_max_sharpe_ratio(trials, 1.0), rel=1e-9)


def test_expected_maximum_is_straight_below_two_trials() -> None:
    two = deflation.expected_maximum(2)
    values = [deflation.expected_maximum(trials) for trials in (0.0, 1.0, 1.25, 1.5, 2.0)]
    assert values == [0.0, 0.0, pytest.approx(two / 4), pytest.approx(two / 2), two]
    assert two > 0


@pytest.mark.parametrize("seed", range(5))
def test_psr_equals_value_of_skfolio(seed: int) -> None:
    returns = fat_tailed(300, seed)
    sharpe = float(returns.mean() / returns.std(ddof=1))
    ours = psr(sharpe, 0.02, skew=float(skew(returns)), kurtosis=float(kurtosis(returns)), n=300)
    assert ours == pytest.approx(probabilistic_sharpe_ratio(returns, 0.02), rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_psr_and_dsr_equal_ffn(seed: int) -> None:
    rng, returns = np.random.default_rng(seed), fat_tailed(300, seed)
    t_values = rng.standard_normal(25) * 0.7
    found = found_of(returns, ledger(25, t_values=t_values))
    series = pd.Series(returns)
    single = ffn.core.calc_deflated_sharpe_ratio(series, [0.1], nperiods=1, annualized_trials=False)
    assert found.psr == pytest.approx(single, rel=1e-10)
    many = ffn.core.calc_deflated_sharpe_ratio(series, t_values / math.sqrt(300), nperiods=1, annualized_trials=False)
    assert found.dsr == pytest.approx(many, rel=1e-10)
    assert found.trial_sharpe_variance == pytest.approx(float(t_values.var(ddof=1)), rel=1e-10)


def test_excess_over_risk_free_rate_counts() -> None:
    returns = fat_tailed(300)
    found = deflate(returns, NO_TRIALS.statistics, risk_free_per_bar=0.0004, bars_per_year=365.0, block_error=0.05)
    shifted = found_of(returns - 0.0004, block_error=0.05)
    assert found.psr == pytest.approx(shifted.psr)
    assert found.psr_dependent == pytest.approx(shifted.psr_dependent)


def test_hurdle_counts_effective_trials() -> None:
    t_values = np.array([0.9, -0.9] * 10)
    found = found_of(fat_tailed(400), ledger(20, t_values=t_values, correlation=0.5))
    effective = 0.5 + 0.5 * 20
    assert (found.trials, found.trials_effective) == (20, pytest.approx(effective))
    assert found.average_correlation == pytest.approx(0.5)
    hurdle = math.sqrt(float(t_values.var(ddof=1))) * deflation.expected_maximum(effective) / math.sqrt(400)
    assert found.sharpe_hurdle == pytest.approx(hurdle * math.sqrt(365))


def test_losing_trials_leave_the_hurdle_of_luck() -> None:
    honest, ruinous = found_of(fat_tailed(400), ledger(2, t_values=np.array([2.0, -26.0]))), np.array([1.0, -1.0])
    luck = found_of(fat_tailed(400), ledger(2, t_values=ruinous / math.sqrt(2)))
    assert honest.trial_sharpe_variance == 1.0
    assert honest.dsr == pytest.approx(luck.dsr)


def test_near_duplicates_keep_a_variance() -> None:
    found = found_of(fat_tailed(400), ledger(20, t_values=np.full(20, 1.5), correlation=0.9))
    assert found.trial_sharpe_variance == 0.25
    effective = 0.9 + 0.1 * 20
    hurdle = 0.5 * deflation.expected_maximum(effective) / math.sqrt(400)
    assert found.sharpe_hurdle == pytest.approx(hurdle * math.sqrt(365))


@pytest.mark.parametrize("sums", [NO_TRIALS, ledger(1, t_values=np.array([3.0]))])
def test_single_trial_has_no_sharpe_hurdle(sums: TrialSums) -> None:
    found = found_of(fat_tailed(300), sums, block_error=0.06)
    assert (found.sharpe_hurdle, found.trial_sharpe_variance, found.average_correlation) == (0.0, None, None)
    assert (found.trials, found.trials_effective, found.min_backtest_bars) == (sums.trials, 1.0, None)
    assert (found.dsr, found.dsr_dependent) == (found.psr, found.psr_dependent)


def test_dependent_probabilities_take_the_error_of_blocks() -> None:
    returns = fat_tailed(300)
    sharpe = float(returns.mean() / returns.std(ddof=1))
    found = found_of(returns, ledger(9, t_values=np.arange(9.0)), block_error=sharpe / 1.5)
    assert found.psr_dependent == pytest.approx(0.9331927987)  # Φ(1.5)
    hurdle = found.sharpe_hurdle / math.sqrt(365)
    assert found.dsr_dependent == pytest.approx(deflation.probability_above(sharpe, hurdle, sharpe / 1.5))
    assert found.dsr_dependent != found.dsr
    assert found_of(returns).psr_dependent is None


def test_min_track_record_reaches_95_per_cent() -> None:
    returns = fat_tailed(300)
    found = found_of(returns)
    values = pd.Series(returns)
    needed = found.min_track_record_bars
    assert needed is not None
    given = {"skew": float(values.skew()), "kurtosis": float(values.kurt()) + 3}
    sharpe = float(returns.mean() / returns.std(ddof=1))
    assert psr(sharpe, 0.0, n=needed, **given) >= 0.95 > psr(sharpe, 0.0, n=needed - 1, **given)  # type: ignore[operator]
    assert found_of(-returns).min_track_record_bars is None


def test_lengths_that_clients_cannot_read_are_none() -> None:
    noise = fat_tailed(1000) - fat_tailed(1000).mean()
    found = found_of(noise + 1e-8, ledger(9, t_values=np.array([1.0, -1.0])))
    assert found.psr == pytest.approx(0.5, abs=1e-3)
    assert (found.min_track_record_bars, found.min_backtest_bars) == (None, None)
    found = found_of(noise + 1e-6, ledger(9, t_values=np.array([1.0, -1.0])))
    assert 10**8 < (found.min_track_record_bars or 0) < 2**31


@pytest.mark.parametrize("returns", [np.zeros(50), np.full(50, 0.001), fat_tailed(3)])
def test_probabilities_need_variance_and_bars(returns: Floats) -> None:
    found = found_of(returns, block_error=0.1)
    assert (found.psr, found.psr_dependent, found.dsr, found.min_track_record_bars) == (None, None, None, None)
    assert found_of(fat_tailed(4)).psr is not None


def test_closed_form_without_positive_variance_is_none() -> None:
    assert deflation.standard_error(1.0, skew=3.0, excess_kurtosis=-2.0, n=100) is None


@pytest.mark.parametrize("trials", [2.0, 37.0, 5000.0])
def test_equivalent_trials_undo_expected_maximum(trials: float) -> None:
    sharpe = deflation.expected_maximum(trials) / math.sqrt(500)
    assert deflation.equivalent_trials(sharpe, 500) == pytest.approx(trials, rel=1e-6)


def test_equivalent_trials_have_bounds() -> None:
    assert deflation.equivalent_trials(-0.1, 500) == pytest.approx(1.0)
    assert deflation.equivalent_trials(2.0, 500) is None


def test_min_backtest_length_equals_published_values() -> None:
    # Bailey et al. 2014: after 45 trials, five years of data are expected to show a yearly ratio of 1.
    found = deflation.min_backtest_bars(1.0, 45, 252)
    assert found is not None
    assert found / 252 == pytest.approx(5, abs=0.1)
    assert deflation.min_backtest_bars(0.0, 45, 252) is None
    assert deflation.min_backtest_bars(1.0, 1.0, 252) is None
    assert deflation.min_backtest_bars(1.0, 1.5, 252) is not None
