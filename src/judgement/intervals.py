"""Compute intervals of the figures of a result, from resampled blocks of bars and from trades.

Coverage in simulations (`tests/benchmarks/judgement_coverage.py`): about 92–96 % for the Sharpe ratio, under
autocorrelation and clustered volatility too. The range of the next path is not a confidence interval: it is the range
in which another path of as many bars of the same strategy would end.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from src.domain.confidence import Confidence, DrawdownRange, Interval, RangeOfNextPath
from src.judgement import resampling
from src.judgement.block_lengths import choose_block_length
from src.judgement.resampling import RESAMPLES, PathResamples, SharpeResamples
from src.metrics.returns import SMALLEST_SPREAD, annual_growth_rate, moments

Floats = NDArray[np.float64]

LEVEL: Final = 0.95
MIN_BARS: Final = 100
MIN_TRADES: Final = 10
MAX_FLAT_SHARE: Final = 0.05
"""Largest share of resamples without variance at which an interval is given."""

METHOD: Final = "circular block bootstrap: studentized and symmetric for the Sharpe ratio, in two stages for paths"

_HALF_WIDTH: Final = float(ndtri((1 + LEVEL) / 2))


class Resampled(NamedTuple):
    """Resamples of one result's bars."""

    block_length: int
    sharpe: SharpeResamples
    paths: PathResamples


def measure_confidence(
    returns: Floats,
    profits: Floats,
    *,
    risk_free_per_bar: float,
    bars_per_year: float,
    elapsed_years: float | None,
) -> Confidence:
    """Return the intervals of a result.

    Parameters
    ----------
    returns
        Returns of equity per bar [n], fractions; −1 or less uses up all equity.
    profits
        Of closed trades after fees [m], quote currency, oldest first; those within rounding are 0.
    elapsed_years
        Years of 365 days from the first open to the last close; None if they are too few for a rate per year.
    """
    seed = resampling.seed_of(returns)
    found = resample(returns, risk_free_per_bar, seed)
    autocorrelation = autocorrelate(profits)
    is_notable = autocorrelation is not None and abs(autocorrelation) > 2 / math.sqrt(profits.size)
    return Confidence(
        level=LEVEL,
        method=METHOD,
        block_length=found.block_length if found else None,
        resamples=RESAMPLES,
        seed=f"{seed:016x}",
        sharpe_ratio=sharpe_interval(found.sharpe, bars_per_year) if found else None,
        sharpe_error=found.sharpe.error if found else None,
        win_rate=win_rate_interval(int(np.count_nonzero(profits > 0)), profits.size),
        profit_factor=profit_factor_interval(profits),
        range_of_next_path=range_of_next_path(found.paths, elapsed_years) if found else None,
        trade_autocorrelation=autocorrelation,
        are_trades_autocorrelated=is_notable,
    )


def resample(returns: Floats, risk_free_per_bar: float, seed: int) -> Resampled | None:
    """Resample the bars' returns [n]; None if an interval cannot be given (see `Confidence`)."""
    n = returns.size
    if n < MIN_BARS or not np.isfinite(returns).all():
        return None
    found = moments(returns, risk_free_per_bar)
    least = SMALLEST_SPREAD * (1.0 + float(np.abs(returns).max()))
    if not found.deviation > least:
        return None
    length = choose_block_length(returns)
    deviations = returns - found.mean
    table = resampling.tabulate_blocks(deviations, returns, length)
    rest = n % length
    last = resampling.tabulate_blocks(deviations, returns, rest) if rest else table
    sharpe = resampling.resample_sharpe(
        table, last, length=length, mean=found.mean_excess, deviation=found.deviation, least=least, seed=seed
    )
    if not sharpe.error > 0 or np.count_nonzero(np.isnan(sharpe.statistics)) > MAX_FLAT_SHARE * RESAMPLES:
        return None
    # A different seed, so that paths and Sharpe ratios are drawn independently.
    paths = resampling.resample_paths(table, last, length=length, seed=(seed + 1) % 2**64)
    return Resampled(length, sharpe, paths)


def sharpe_interval(found: SharpeResamples, bars_per_year: float) -> Interval:
    """Return SR ± q₉₅|t*| × error, per year (Ledoit & Wolf 2008, section 3.2.2: symmetric, studentized)."""
    distances = np.sort(np.abs(found.statistics[~np.isnan(found.statistics)]))
    reach = float(distances[math.ceil(LEVEL * (distances.size - 1))]) * found.error
    scale = math.sqrt(bars_per_year)
    return Interval(low=(found.sharpe - reach) * scale, high=(found.sharpe + reach) * scale)


def range_of_next_path(paths: PathResamples, elapsed_years: float | None) -> RangeOfNextPath:
    """Return the ranges from paths that were drawn in two stages.

    The ends are single resamples, not means of two, so they stay valid under every rising function of the growth.
    """
    growth, falls = np.sort(paths.growth), np.sort(paths.falls)
    last, tail = growth.size - 1, (1 - LEVEL) / 2
    ends = float(growth[math.floor(tail * last)]), float(growth[math.ceil((1 - tail) * last)])
    median, high = float(falls[last // 2]), float(falls[math.ceil(LEVEL * last)])
    factors = [_exponential(end) for end in ends]
    yearly = [annual_growth_rate(factor, elapsed_years) if elapsed_years else math.nan for factor in factors]
    return RangeOfNextPath(
        total_return=_interval(*((factor - 1) * 100 for factor in factors)),
        cagr=_interval(*(rate * 100 for rate in yearly)),
        max_drawdown=DrawdownRange(median=-math.expm1(-median) * 100, high95=-math.expm1(-high) * 100),
    )


def win_rate_interval(wins: int, trades: int) -> Interval | None:
    """Return Wilson's score interval (1927) of the share of wins, in per cent; None under 10 trades."""
    if trades < MIN_TRADES:
        return None
    z2 = _HALF_WIDTH**2
    share = wins / trades
    center = (share + z2 / (2 * trades)) / (1 + z2 / trades)
    reach = _HALF_WIDTH / (1 + z2 / trades) * math.sqrt(share * (1 - share) / trades + z2 / (4 * trades**2))
    return Interval(low=max(center - reach, 0.0) * 100, high=min(center + reach, 1.0) * 100)


def profit_factor_interval(profits: Floats) -> Interval | None:
    """Return the interval of Σgains ÷ Σlosses, by the delta method on its logarithm.

    The variance is that of g ÷ mean(g) − l ÷ mean(l) over the trades, divided by their number; g and l are a trade's
    gain and loss, one of them 0. None under 10 trades, or without a gain or without a loss.
    """
    trades = profits.size
    gains, losses = float(profits[profits > 0].sum()), -float(profits[profits < 0].sum())
    if trades < MIN_TRADES or not (gains > 0 and losses > 0):
        return None
    # g ÷ mean(g) and l ÷ mean(l) have a mean of 1 each, so the mean of their difference is 0.
    difference = profits * np.where(profits > 0, trades / gains, trades / losses)
    reach = _HALF_WIDTH * math.sqrt(float((difference * difference).sum()) / (trades - 1) / trades)
    center = math.log(gains / losses)
    return Interval(low=_exponential(center - reach), high=_exponential(center + reach))


def autocorrelate(profits: Floats) -> float | None:
    """Return the autocorrelation ρ₁ of neighboring profits; None under 10 trades or if all are equal."""
    if profits.size < MIN_TRADES:
        return None
    deviations = profits - profits.mean()
    squares = float((deviations * deviations).sum())
    if not squares > (SMALLEST_SPREAD * float(np.abs(profits).max())) ** 2:
        return None
    return float((deviations[1:] * deviations[:-1]).sum()) / squares


def _exponential(value: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.exp(value))


def _interval(low: float, high: float) -> Interval | None:
    """Return both ends as an interval, or None if one is not a number."""
    return Interval(low=low, high=high) if math.isfinite(low) and math.isfinite(high) else None
