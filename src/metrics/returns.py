"""Compute figures from the returns of equity per bar: growth, risk, tails, alpha and beta.

Definitions are vectorbt's (`vectorbt.returns.nb`), or empyrical's if vectorbt lacks the figure. Every function takes
returns r [n] as fractions and returns NaN if the figure does not exist.

Rounding: figures are built from differences of amounts (equity of two bars, a return and the mean), and even a small
difference has the rounding error of its amounts. 1. `without_rounding` sets a difference to 0 if it is within that
error. 2. Any other difference is still uncertain by up to `ROUNDING`. So a denominator (a deviation, the deepest
drawdown) counts as 0 below `SMALLEST_SPREAD`, and `ratio` needs no limit of its own.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

ROUNDING = 1e-14
"""A difference up to this fraction of its amounts is rounding: 45 units in the last place. Cash + position × price, and
the steps to a return, round by 1 to 4 units."""

SMALLEST_SPREAD = 1e-12
"""100 × `ROUNDING`: a spread of a smaller share of its amounts would give ratios with less than two digits. Returns of
1e-13 gave a Sharpe ratio of −0.0163 instead of −0.0148."""

TAIL_RATE = 0.05
"""Share of the bars in each tail."""


class Moments(NamedTuple):
    """Figures of one pass over the returns, in fractions; `mean_excess` is the mean above the risk-free rate."""

    mean: float
    mean_excess: float
    deviation: float
    downside_deviation: float
    skew: float
    excess_kurtosis: float
    gains: float
    losses: float


class Tails(NamedTuple):
    """The ends of the distribution of returns, in fractions."""

    fifth_percentile: float
    ninety_fifth_percentile: float
    mean_of_worst: float


@njit(cache=True, nogil=True)
def without_rounding(difference: float, size: float) -> float:
    """Return a difference, or 0 if it is within the rounding error of amounts of this size."""
    return 0.0 if abs(difference) <= ROUNDING * size else difference


@njit(cache=True, nogil=True)
def known_spread(spread: float, size: float) -> float:
    """Return a spread ≥ 0 of amounts of this size, or 0 if too much of it is rounding error."""
    return spread if spread > SMALLEST_SPREAD * size else 0.0


@njit(cache=True, nogil=True)
def simple_returns(values: NDArray[np.float64], start: float) -> NDArray[np.float64]:
    """Return value[t] ÷ value[t−1] − 1 for each bar [n], the first against `start`; 0 if both are 0."""
    returns = np.empty(values.size)
    previous = start
    for t in range(values.size):
        change = without_rounding(values[t] - previous, abs(previous))
        returns[t] = 0.0 if change == 0.0 else change / previous
        previous = values[t]
    return returns


@njit(cache=True, nogil=True)
def moments(returns: NDArray[np.float64], risk_free: float = 0.0) -> Moments:
    """Return mean, sample deviation (n−1), downside deviation (n), and bias-corrected skew and kurtosis.

    `risk_free` is the rate per bar, below which a return counts as downside; gains and losses are counted around 0.
    Skew and kurtosis are the adjusted Fisher–Pearson estimators G1 and G2 (Joanes & Gill 1998), as in pandas.
    """
    n = returns.size
    total, largest = 0.0, 0.0
    for value in returns:
        total += value
        largest = max(largest, abs(value))
    mean = total / n
    second, third, fourth, below, gains, losses = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for value in returns:
        distance = value - mean
        square = distance * distance
        second += square
        third += square * distance
        fourth += square * square
        excess = without_rounding(value - risk_free, 1.0 + abs(value))
        if excess < 0.0:
            below += excess * excess
        if value < 0.0:
            losses -= value
        else:
            gains += value
    # A return is a quotient near 1, minus 1: it has the rounding error of the quotient.
    deviation = known_spread(np.sqrt(second / (n - 1)), 1.0 + largest) if n > 1 else np.nan
    skew, kurtosis = np.nan, np.nan
    if deviation > 0.0:
        if n > 2:
            skew = n * np.sqrt(n - 1.0) / (n - 2) * third / second**1.5
        if n > 3:
            scale = n * (n + 1.0) * (n - 1.0) / ((n - 2.0) * (n - 3.0))
            kurtosis = scale * fourth / (second * second) - 3.0 * (n - 1.0) ** 2 / ((n - 2.0) * (n - 3.0))
    downside = known_spread(np.sqrt(below / n), 1.0)
    return Moments(mean, mean - risk_free, deviation, downside, skew, kurtosis, gains, losses)


def sharpe_ratio(found: Moments, bars_per_year: float) -> float:
    """Return mean excess ÷ deviation × √A."""
    return ratio(found.mean_excess, found.deviation) * math.sqrt(bars_per_year)


def sortino_ratio(found: Moments, bars_per_year: float) -> float:
    """Return mean excess ÷ downside deviation × √A (Sortino & Price 1994, target: the risk-free rate)."""
    return ratio(found.mean_excess, found.downside_deviation) * math.sqrt(bars_per_year)


def omega_ratio(found: Moments) -> float:
    """Return the sum of gains ÷ the sum of losses around 0 (Keating & Shadwick 2002)."""
    return ratio(found.gains, found.losses)


def annual_growth_rate(growth: float, years: float) -> float:
    """Return growth^(1/years) − 1, with growth = final ÷ starting equity; inf if that overflows."""
    if growth <= 0.0:
        return -1.0
    with np.errstate(over="ignore"):
        return float(np.power(growth, 1.0 / years)) - 1.0


def tails(returns: NDArray[np.float64]) -> Tails:
    """Return the 5th and 95th percentile (linear interpolation) and the mean of the worst ⌊0.05 (n−1)⌋ + 1 returns."""
    last = returns.size - 1
    low, high = TAIL_RATE * last, (1 - TAIL_RATE) * last
    worst = int(low)
    places = {worst, min(worst + 1, last), int(high), min(int(high) + 1, last)}
    return tails_of_ordered(np.partition(returns, sorted(places)))


def tails_of_ordered(ordered: NDArray[np.float64]) -> Tails:
    """Return the `tails` of returns [n] that are sorted, at least at the positions that these figures need."""
    last = ordered.size - 1
    low, high = TAIL_RATE * last, (1 - TAIL_RATE) * last
    worst = float(np.mean(ordered[: int(low) + 1]))
    return Tails(_interpolate(ordered, low), _interpolate(ordered, high), worst)


def tail_ratio(found: Tails) -> float:
    """Return |95th percentile| ÷ |5th percentile|."""
    return ratio(abs(found.ninety_fifth_percentile), abs(found.fifth_percentile))


@njit(cache=True, nogil=True)
def beta(returns: NDArray[np.float64], market: NDArray[np.float64]) -> float:
    """Return covariance(r, b) ÷ variance(b), b the market's returns [n].

    No close precedes the first bar, so b is 0 there (vectorbt). NaN if this 0 contributes more to the variance than all
    measured returns: otherwise the artificial 0 alone would give an evenly growing market a beta.
    """
    n = returns.size
    if n < 2:
        return np.nan
    total, largest = 0.0, 0.0
    for t in range(1, n):
        total += market[t]
        largest = max(largest, abs(market[t]))
    measured_mean, mean = total / (n - 1), (market[0] + total) / n
    measured, variance, covariance = 0.0, 0.0, 0.0
    for t in range(n):
        if t > 0:
            measured += (market[t] - measured_mean) ** 2
        variance += (market[t] - mean) ** 2
        covariance += (market[t] - mean) * returns[t]
    deviation = without_rounding(np.sqrt(measured / (n - 1)), 1.0 + largest)
    # The first bar contributes mean² × (n − 1) ÷ n to the sum of squares.
    if deviation * deviation <= measured_mean * measured_mean / n:
        return np.nan
    return covariance / variance


def alpha(found: Moments, market_mean: float, beta_of_returns: float, risk_free: float, bars_per_year: float) -> float:
    """Return (1 + mean(r − f) − beta × mean(b − f))^A − 1, f the risk-free rate per bar."""
    base = 1.0 + found.mean_excess - beta_of_returns * (market_mean - risk_free)
    if not base > 0.0:
        return np.nan
    return annual_growth_rate(base, 1.0 / bars_per_year)


def ratio(top: float, bottom: float) -> float:
    """Return top ÷ bottom, NaN unless bottom is over 0."""
    return top / bottom if bottom > 0.0 else np.nan


def _interpolate(ordered: NDArray[np.float64], place: float) -> float:
    below = int(place)
    above = min(below + 1, ordered.size - 1)
    low, high = float(ordered[below]), float(ordered[above])
    return float(without_rounding(low + (high - low) * (place - below), abs(low) + abs(high)))
