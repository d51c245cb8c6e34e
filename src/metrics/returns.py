"""Figures of the returns of equity per bar: growth, risk, tails, and the market beside it.

Definitions are vectorbt's (`vectorbt.returns.nb`) where it has the figure, otherwise empyrical's. Every function takes
returns r [n] as fractions and answers NaN where the figure does not exist.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

NOISE = 1e-12
"""A deviation this small beside the mean is rounding, not variance."""

ROUNDING = 1e-14
"""A relative change this small is the rounding of cash + position × price, no gain and no loss."""

TAIL_RATE = 0.05
"""Share of the bars in each tail."""


class Moments(NamedTuple):
    """Sums over one pass of the returns, in fractions."""

    mean: float
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
def simple_returns(values: NDArray[np.float64], start: float) -> NDArray[np.float64]:
    """Return value[t] ÷ value[t−1] − 1 for each bar [n], the first against `start`; 0 where both are 0.

    A change up to `ROUNDING` is none.
    """
    returns = np.empty(values.size)
    previous = start
    for t in range(values.size):
        change = values[t] - previous
        returns[t] = 0.0 if abs(change) <= ROUNDING * abs(previous) else change / previous
        previous = values[t]
    return returns


@njit(cache=True, nogil=True)
def moments(returns: NDArray[np.float64]) -> Moments:
    """Return mean, sample deviation (n−1), downside deviation around 0 (n), and bias-corrected skew and kurtosis.

    Skew and kurtosis are the adjusted Fisher–Pearson estimators G1 and G2 (Joanes & Gill 1998), as in pandas.
    """
    n = returns.size
    total = 0.0
    for value in returns:
        total += value
    mean = total / n
    second, third, fourth, below, gains, losses = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for value in returns:
        distance = value - mean
        square = distance * distance
        second += square
        third += square * distance
        fourth += square * square
        if value < 0.0:
            below += value * value
            losses -= value
        else:
            gains += value
    deviation = np.sqrt(second / (n - 1)) if n > 1 else np.nan
    skew, kurtosis = np.nan, np.nan
    if deviation > NOISE * abs(mean):
        if n > 2:
            skew = n * np.sqrt(n - 1.0) / (n - 2) * third / second**1.5
        if n > 3:
            scale = n * (n + 1.0) * (n - 1.0) / ((n - 2.0) * (n - 3.0))
            kurtosis = scale * fourth / (second * second) - 3.0 * (n - 1.0) ** 2 / ((n - 2.0) * (n - 3.0))
    return Moments(mean, deviation, np.sqrt(below / n), skew, kurtosis, gains, losses)


def sharpe_ratio(found: Moments, bars_per_year: float) -> float:
    """Return mean ÷ deviation × √A."""
    return _ratio(found.mean, found.deviation, noise=NOISE * abs(found.mean)) * math.sqrt(bars_per_year)


def sortino_ratio(found: Moments, bars_per_year: float) -> float:
    """Return mean ÷ downside deviation × √A (Sortino & Price 1994, target 0)."""
    return _ratio(found.mean, found.downside_deviation) * math.sqrt(bars_per_year)


def omega_ratio(found: Moments) -> float:
    """Return the sum of gains ÷ the sum of losses around 0 (Keating & Shadwick 2002)."""
    return _ratio(found.gains, found.losses)


def annual_growth_rate(growth: float, n: int, bars_per_year: float) -> float:
    """Return growth^(A/n) − 1, where growth is final ÷ starting equity; inf where that overflows."""
    if growth <= 0.0:
        return -1.0
    with np.errstate(over="ignore"):
        return float(np.power(growth, bars_per_year / n)) - 1.0


def tails(returns: NDArray[np.float64]) -> Tails:
    """Return the 5th and 95th percentile (linear interpolation) and the mean of the worst ⌊0.05 (n−1)⌋ + 1 returns."""
    last = returns.size - 1
    low, high = TAIL_RATE * last, (1 - TAIL_RATE) * last
    worst = int(low)
    places = {worst, min(worst + 1, last), int(high), min(int(high) + 1, last)}
    ordered = np.partition(returns, sorted(places))
    return Tails(_interpolate(ordered, low), _interpolate(ordered, high), float(np.mean(ordered[: worst + 1])))


def tail_ratio(found: Tails) -> float:
    """Return |95th percentile| ÷ |5th percentile|."""
    return _ratio(abs(found.ninety_fifth_percentile), abs(found.fifth_percentile))


def beta(returns: NDArray[np.float64], market: NDArray[np.float64]) -> float:
    """Return covariance(r, b) ÷ variance(b), b the market's returns [n]."""
    if returns.size < 2:
        return np.nan
    centred = market - market.mean()
    variance = float(np.mean(centred * centred))
    return float(np.mean(centred * returns)) / variance if variance > 1e-30 else np.nan


def alpha(mean: float, market_mean: float, beta_of_returns: float, bars_per_year: float) -> float:
    """Return (1 + mean(r) − beta × mean(b))^A − 1."""
    base = 1.0 + mean - beta_of_returns * market_mean
    if not base > 0.0:
        return np.nan
    return annual_growth_rate(base, 1, bars_per_year)


def _ratio(top: float, bottom: float, *, noise: float = 0.0) -> float:
    return top / bottom if bottom > noise else np.nan


def _interpolate(ordered: NDArray[np.float64], place: float) -> float:
    below = int(place)
    above = min(below + 1, ordered.size - 1)
    return float(ordered[below] + (ordered[above] - ordered[below]) * (place - below))
