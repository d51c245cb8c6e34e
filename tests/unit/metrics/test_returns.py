"""Figures of returns by hand, and beside pandas, empyrical and numpy."""

from __future__ import annotations

import math
from fractions import Fraction

import empyrical
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from src.metrics import returns as figures

RISK_FREE = 0.0004


def fat_tailed(n: int, seed: int = 1) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_t(4, n) * 0.02 + 0.001


@pytest.mark.parametrize(
    ("difference", "size", "left"),
    [(1e-14, 1.0, 0.0), (-1e-14, 1.0, 0.0), (1.1e-14, 1.0, 1.1e-14), (-1.1e-14, 1.0, -1.1e-14), (5e-14, 10.0, 0.0)],
)
def test_difference_within_rounding_of_its_amounts_is_none(difference: float, size: float, left: float) -> None:
    assert figures.without_rounding(difference, size) == left


def test_simple_returns_by_hand() -> None:
    found = figures.simple_returns(np.array([110.0, 99, 99 * (1 + 1e-15), 0, 0]), 100.0)
    assert found.tolist() == [pytest.approx(0.1), pytest.approx(-0.1), 0.0, -1.0, 0.0]


@pytest.mark.parametrize("n", [5, 50, 1000])
def test_moments_agree_with_pandas(n: int) -> None:
    values = fat_tailed(n)
    found, series = figures.moments(values, RISK_FREE), pd.Series(values)
    assert found.mean == pytest.approx(series.mean())
    assert found.mean_excess == pytest.approx(series.mean() - RISK_FREE)
    assert found.deviation == pytest.approx(series.std())
    assert found.skew == pytest.approx(series.skew())
    assert found.excess_kurtosis == pytest.approx(series.kurt())
    assert found.gains == pytest.approx(series[series > 0].sum())
    assert found.losses == pytest.approx(-series[series < 0].sum())
    assert found.downside_deviation == pytest.approx(empyrical.downside_risk(series, RISK_FREE, annualization=1))


@pytest.mark.parametrize(("n", "known"), [(1, ""), (2, "deviation"), (3, "deviation skew"), (4, "deviation skew kurt")])
def test_moments_exist_from_their_number_of_bars_on(n: int, known: str) -> None:
    found = figures.moments(np.array([0.1, 0.7, 0.2, 0.05])[:n])
    moments = {"deviation": found.deviation, "skew": found.skew, "kurt": found.excess_kurtosis}
    assert [name for name, value in moments.items() if not math.isnan(value)] == known.split()


def test_few_moments_agree_with_pandas() -> None:
    three, four = np.array([0.1, -0.1, 0.3]), np.array([0.1, -0.1, 0.3, 0.02])
    assert figures.moments(three).skew == pytest.approx(pd.Series(three).skew())
    assert figures.moments(four).excess_kurtosis == pytest.approx(pd.Series(four).kurt())


def test_rounding_of_large_returns_is_no_deviation() -> None:
    found = figures.moments(np.array([1000.0, np.nextafter(1000.0, 2000.0), 1000.0, 1000.0]))
    assert found.deviation == 0.0
    assert math.isnan(found.skew)


def test_return_equal_to_the_risk_free_rate_is_no_downside() -> None:
    assert figures.moments(np.array([0.01 - 1e-17, 0.01 - 2e-15]), 0.01).downside_deviation == 0.0
    assert figures.moments(np.array([0.01, 0.008]), 0.01).downside_deviation == pytest.approx(math.sqrt(4e-6 / 2))


@pytest.mark.parametrize(
    ("value", "excess", "downside"),
    [(0.0, -1.5e-14, 1.5e-14), (-0.5, -1.2e-14, 0.0), (-0.5, -1.8e-14, 1.8e-14)],
)
def test_return_below_the_risk_free_rate_is_downside_beyond_its_rounding(
    value: float, excess: float, downside: float
) -> None:
    found = figures.moments(np.array([value]), value - excess)
    # Near 0.5 the rate itself is rounded to 6e-17.
    assert found.downside_deviation == pytest.approx(downside, rel=0.01)


@pytest.mark.parametrize(("distance", "deviation"), [(4e-13, 0.0), (4e-12, math.sqrt(2) * 4e-12)])
def test_deviation_of_small_returns_is_known_beyond_the_rounding_of_their_quotients(
    distance: float, deviation: float
) -> None:
    found = figures.moments(np.array([1e-3 - distance, 1e-3 + distance]))
    assert found.deviation == pytest.approx(deviation, rel=1e-4)


def test_ratios_agree_with_empyrical() -> None:
    values = fat_tailed(300, seed=2)
    found = figures.moments(values, RISK_FREE)
    assert figures.sharpe_ratio(found, 252) == pytest.approx(
        empyrical.sharpe_ratio(values, RISK_FREE, annualization=252)
    )
    assert figures.sortino_ratio(found, 252) == pytest.approx(
        empyrical.sortino_ratio(values, RISK_FREE, annualization=252)
    )
    assert figures.omega_ratio(found) == pytest.approx(empyrical.omega_ratio(values, annualization=1))


def test_omega_by_hand() -> None:
    assert figures.omega_ratio(figures.moments(np.array([0.2, -0.1, 0.0, -0.3]))) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("growth", "years", "rate"),
    [
        (1.21, 2.0, 0.1),
        (1.1, 0.5, 0.21),
        (0.0, 3.0, -1.0),
        (-0.5, 3.0, -1.0),
        (0.25, 2.0, -0.5),
        (1e300, 1e-3, math.inf),
    ],
)
def test_annual_growth_rate_by_hand(growth: float, years: float, rate: float) -> None:
    assert figures.annual_growth_rate(growth, years) == pytest.approx(rate)


@pytest.mark.parametrize("n", [1, 2, 3, 19, 20, 21, 22, 41, 42, 100, 1000, 3000])
def test_tails_agree_with_numpy_and_empyrical(n: int) -> None:
    values = fat_tailed(n, seed=n)
    found = figures.tails(values)
    assert found.fifth_percentile == pytest.approx(np.percentile(values, 5), rel=1e-12)
    assert found.ninety_fifth_percentile == pytest.approx(np.percentile(values, 95), rel=1e-12)
    assert found.mean_of_worst == pytest.approx(empyrical.conditional_value_at_risk(values, 0.05))
    assert figures.tail_ratio(found) == pytest.approx(empyrical.tail_ratio(values))


def test_percentile_within_the_rounding_of_its_neighbors_is_zero() -> None:
    # Of 11 returns the 5th percentile is half way between the lowest two.
    values = np.array([-0.1, 0.1 + 1e-15, *[0.2] * 9])
    assert figures.tails(values).fifth_percentile == 0.0
    assert figures.tails(np.array([-0.1, 0.1 + 1e-13, *[0.2] * 9])).fifth_percentile != 0.0


def test_beta_agrees_with_empyrical() -> None:
    market = np.concatenate(([0.0], fat_tailed(200, seed=3)))
    values = 0.7 * market + fat_tailed(201, seed=4)
    assert figures.beta(values, market) == pytest.approx(empyrical.beta(values, market))


def test_beta_of_three_bars_by_hand() -> None:
    # Mean of the market 1/6: variance 0.26/3, covariance 0.01.
    found = figures.beta(np.array([0.0, 0.2, 0.1]), np.array([0.0, 0.1, 0.4]))
    assert found == pytest.approx(float(Fraction(3, 26)))


def test_beta_exists_where_the_first_bar_contributes_a_little_less_than_the_others() -> None:
    values, market = np.array([0.0, 0.1, 0.3, 0.2]), np.array([0.0, 0.1, 0.1, 0.28])
    assert figures.beta(values, market) == pytest.approx(empyrical.beta(values, market))


@pytest.mark.parametrize(
    "market",
    [
        [0.0],
        [0.0, 0.1],
        [0.0, 0.1, 0.1, 0.1],
        [0.0, 0.1, 0.3],
        [0.0, 1e3, np.nextafter(1e3, 2e3)],
        [0.0, 5e-15, -5e-15],
    ],
    ids=str,
)
def test_beta_to_a_market_that_grows_evenly_does_not_exist(market: list[float]) -> None:
    assert math.isnan(figures.beta(np.arange(len(market), dtype=float), np.array(market)))


def test_alpha_agrees_with_empyrical() -> None:
    market, values = fat_tailed(300, seed=5), fat_tailed(300, seed=6)
    found = figures.alpha(figures.moments(values, RISK_FREE), float(market.mean()), 0.4, RISK_FREE, 365.0)
    assert found == pytest.approx(
        empyrical.alpha_aligned(values, market, risk_free=RISK_FREE, annualization=365, _beta=0.4)
    )


def test_alpha_by_hand() -> None:
    # 0.1 a bar, of which 2 × 0.02 are the market's: 1.06² − 1.
    excess = figures.moments(np.array([0.1, 0.1]), 0.0)
    assert figures.alpha(excess, 0.02, 2.0, 0.0, 2.0) == pytest.approx(0.1236)
    assert math.isnan(figures.alpha(excess, 1.1, 1.0, 0.0, 2.0))
    assert math.isnan(figures.alpha(excess, 2.0, 1.0, 0.0, 2.0))
    assert math.isnan(figures.alpha(excess, math.nan, 1.0, 0.0, 2.0))


def test_ratio_without_a_denominator_does_not_exist() -> None:
    assert figures.ratio(3.0, 2.0) == 1.5
    assert math.isnan(figures.ratio(1.0, 0.0))
    assert math.isnan(figures.ratio(1.0, -1.0))
