"""Break the result of a run down by fees, years, market trend, single trades and the last peak."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from src.domain.benchmarks import BestTrades, PartResult
from src.metrics.returns import ROUNDING, moments, ratio

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

TREND_BARS: Final = 100
"""The number of bars whose market return decides whether the market rises or falls."""

RISING: Final = "rising"
FALLING: Final = "falling"
_ROUNDING: Final = 1e-14
"""Relative error of the equity after a fill, at most."""
FEW_TRADES: Final = 5
"""The number of best trades whose share is reported, besides that of the best one."""


def break_even_fee(growth: float, fee_rate: float, *, entries: int, exits: int) -> float | None:
    """Return the fee rate at which a run that is long with all cash would end with its starting cash.

    `growth` is final ÷ starting equity at `fee_rate`. An entry with all cash divides equity by 1 + fee, an exit
    multiplies it by 1 − fee, so no second run is needed: with as many exits as entries m, the fee follows from
    (1 + fee) ÷ (1 − fee) = (1 + f₀) ÷ (1 − f₀) × growth^(1/m). It is negative if the run loses without fees as well.
    None without an entry or if no equity is left.
    """
    if entries == 0 or not growth > 0:
        return None
    target = entries * math.log1p(fee_rate) - exits * math.log1p(-fee_rate) + math.log(growth)
    if abs(target) <= _ROUNDING * (entries + exits):
        return 0.0  # it gained nothing before fees: the rest of the sum is rounding of the equity
    if entries == exits:
        return math.tanh(target / entries / 2)
    if exits == 0:
        return math.expm1(target / entries)
    # The last trade is open: no closed form, but the cost of all fills rises with the fee, from −∞ to ∞.
    low, high = -1.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        cost = entries * math.log1p(middle) - exits * math.log1p(-middle)
        low, high = (low, middle) if cost >= target else (middle, high)
        if high - low < 1e-15:
            break
    return (low + high) / 2


def split_by_year(
    open_time_ms: Times, returns: Floats, entry_bars: NDArray[np.int64], *, bars_per_year: float, risk_free: float = 0.0
) -> tuple[PartResult, ...]:
    """Return the result of each UTC year that has bars, in order.

    Returns of equity are per bar [n]; `entry_bars` are the numbers of the bars in which trades were entered;
    `risk_free` is the rate per bar.
    """
    first, last = (time.astype("datetime64[ms]").astype("datetime64[Y]") for time in open_time_ms[[0, -1]])
    years = np.arange(first, last + 2)
    starts = np.searchsorted(open_time_ms, years.astype("datetime64[ms]").astype(np.int64))
    parts = []
    for place in np.flatnonzero(np.diff(starts)):
        is_in = (entry_bars >= starts[place]) & (entry_bars < starts[place + 1])
        own = returns[starts[place] : starts[place + 1]]
        parts.append(_part(str(years[place]), own, int(np.count_nonzero(is_in)), bars_per_year, risk_free))
    return tuple(parts)


def split_by_trend(
    close: Floats, returns: Floats, entry_bars: NDArray[np.int64], *, bars_per_year: float, risk_free: float = 0.0
) -> tuple[PartResult, ...]:
    """Return the results in the bars of a rising and of a falling market.

    A bar's market is rising if the return of the 100 bars that ended with the bar before it was over 0: the bar itself
    does not decide. The first 101 bars, and bars after a return of exactly 0, belong to neither.
    """
    n = close.size
    trend = np.zeros(n)
    if n > TREND_BARS + 1:
        trend[TREND_BARS + 1 :] = np.sign(close[TREND_BARS:-1] - close[: -TREND_BARS - 1])
    parts = ((RISING, trend > 0), (FALLING, trend < 0))
    return tuple(
        _part(name, returns[is_in], int(np.count_nonzero(is_in[entry_bars])), bars_per_year, risk_free)
        for name, is_in in parts
    )


def measure_best_trades(profits: Floats, *, initial_cash: float, final_equity: float) -> BestTrades:
    """Return the share of the best trades, from the profits after fees of closed trades [m], oldest first."""
    cash = initial_cash + np.concatenate(([0.0], np.cumsum(profits)))
    ranked = np.argsort(-profits, kind="stable")
    total = float(profits.sum())
    has_profit = total > ROUNDING * float(np.abs(profits).sum())

    def share(count: int) -> float | None:
        if profits.size < count or not has_profit:
            return None
        return float(profits[ranked[:count]].sum()) / total * 100

    def return_without(count: int) -> float | None:
        if profits.size < count or not (cash > 0).all():
            return None
        factors = (cash[1:] / cash[:-1])[ranked[:count]]
        return (final_equity / initial_cash / float(np.prod(factors)) - 1) * 100

    return BestTrades(
        share_of_best=share(1),
        share_of_best5=share(FEW_TRADES),
        return_without_best=return_without(1),
        return_without_best5=return_without(FEW_TRADES),
    )


def bars_below_last_peak(equity: Floats, initial_cash: float) -> int:
    """Return how many bars passed since equity [n] was last at its highest, 0 if it is; the start is a peak too.

    Equity that is lower by rounding only is at the peak, as in the maximum drawdown's duration.
    """
    peaks = np.maximum.accumulate(np.concatenate(([initial_cash], equity)))
    is_at_peak = np.concatenate(([initial_cash], equity)) >= peaks * (1 - ROUNDING)
    return int(equity.size - np.flatnonzero(is_at_peak)[-1])


def _part(name: str, returns: Floats, trades: int, bars_per_year: float, risk_free: float) -> PartResult:
    sharpe = math.nan
    if returns.size > 1:
        found = moments(returns, risk_free)
        sharpe = ratio(found.mean_excess, found.deviation) * math.sqrt(bars_per_year)
    return PartResult(
        name=name,
        total_return=(_compound(returns) - 1) * 100,
        sharpe_ratio=sharpe if math.isfinite(sharpe) else None,
        bars=int(returns.size),
        trades=trades,
    )


@njit(cache=True, nogil=True)
def _compound(returns: Floats) -> float:
    """Return Π(1 + r); numpy takes 8 µs for each part of a run."""
    growth = 1.0
    for value in returns:
        growth *= 1.0 + value
    return growth
