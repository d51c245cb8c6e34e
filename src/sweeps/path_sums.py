"""Measure the equity of one row from its balances, and skip bars if possible.

While a row holds units and no cash, its returns are those of the close: their sums come from sums over all bars, and
the deepest fall from the highest and lowest close of each 16 bars. If it also holds cash, or is short, it visits each
bar.
"""

from __future__ import annotations

import math
from typing import Final, get_type_hints

import numpy as np
from numpy.typing import NDArray

from src.domain.simulation import MAX_EQUITY
from src.engines.compiled import compiled_arithmetic
from src.metrics.returns import ROUNDING, known_spread, moments, without_rounding
from src.sweeps.market_arrays import BELOW, FALL, HIGHEST, LOWEST, RETURN, SQUARE, STRETCH, MarketArrays

Floats = NDArray[np.float64]

SUM_ROUNDING: Final = 2e-15
"""The error of a difference of two sums over all bars, or of a row's own sum: a fraction of the whole sum."""

MAX_ERROR: Final = 1e-11
"""The allowed error, a fraction of a deviation or mean: rows agree with single runs to 1e-9."""


class PathSums:
    """The measures of a row's equity; the layout of `PATH_SUMS_DTYPE`.

    Mean and deviations are of returns per bar, as in `metrics.returns.Moments`. `fall` is the deepest drawdown, a
    fraction; `exposed_bars` counts bars that end with a position; `lowest` is the lowest equity over 0, at most the
    initial cash.
    """

    final_equity: float
    mean_excess: float
    deviation: float
    downside_deviation: float
    fall: float
    exposed_bars: int
    lowest: float
    highest: float
    is_bounded: int
    """0 if the equity grows beyond `MAX_EQUITY`, or is no number."""
    is_exact: int
    """0 if rounding of the sums may affect mean and deviations: then `measure_returns` is needed."""


PATH_SUMS_DTYPE: Final = np.dtype(
    [(name, np.float64 if kind is float else np.int64) for name, kind in get_type_hints(PathSums).items()]
)


@compiled_arithmetic
def to_return(value: float, before: float) -> float:
    """Return value ÷ before − 1 as `metrics.returns.simple_returns` rounds it."""
    change = without_rounding(value - before, abs(before))
    return 0.0 if change == 0.0 else change / before


@compiled_arithmetic
def square_below(value: float, risk_free: float) -> float:
    """Return the square of a return's shortfall below the risk-free rate; 0 above it."""
    excess = without_rounding(value - risk_free, 1.0 + abs(value))
    return float(min(excess, 0.0) ** 2)


@compiled_arithmetic
def mark(found: PathSums, value: float) -> None:
    """Count the equity at a bar: the peak, the fall from it and the lowest equity over 0."""
    if value >= found.highest * (1.0 - ROUNDING):
        found.highest = max(found.highest, value)
    else:
        found.fall = max(found.fall, (found.highest - value) / found.highest)
        if 0.0 < value < found.lowest:
            found.lowest = value


@compiled_arithmetic
def mark_closes(found: PathSums, close: Floats, stretches: Floats, first: int, stop: int, units: float) -> None:
    """Count the equity units × close at the bars from `first` to before `stop`, 16 bars at a time where possible."""
    peak, fall, lowest = found.highest / units, found.fall, np.inf
    highest = 0.0
    t = first
    while t < stop:
        if t % STRETCH == 0 and t + STRETCH <= stop:
            number = t // STRETCH
            high, low, fall_inside = stretches[number, HIGHEST], stretches[number, LOWEST], stretches[number, FALL]
            t += STRETCH
        else:
            high = low = close[t]
            fall_inside = 0.0
            t += 1
        fall = max(fall, fall_inside)
        lowest = min(lowest, low)
        if low < peak * (1.0 - fall):
            fall = (peak - low) / peak
        if high > peak:
            peak = highest = high
    found.fall = fall
    found.highest = max(found.highest, highest * units)
    found.lowest = min(found.lowest, lowest * units)


@compiled_arithmetic
def measure_path(
    market: MarketArrays, initial_cash: float, balances: NDArray[np.void], count: int, found: PathSums
) -> None:
    """Measure the equity that the first `count` of `balances` give."""
    close, sums, stretches, risk_free = market.close, market.sums, market.stretches, market.risk_free
    n = close.size
    total, squares, below = 0.0, 0.0, 0.0
    cash, position = initial_cash, 0.0
    counted, exposed, summed = 0, 0, 0
    found.fall, found.lowest, found.highest = 0.0, initial_cash, initial_cash
    for number in range(count):
        balance = balances[number]
        first = balance.bar
        stop = balances[number + 1].bar if number + 1 < count else n
        before = initial_cash if first == 0 else cash + position * close[first - 1]
        cash, position = balance.cash, balance.position
        value = cash + position * close[first]
        one = to_return(value, before)
        total += one
        squares += one * one
        below += square_below(one, risk_free)
        mark(found, value)
        counted += 1
        if position == 0.0:
            continue
        exposed += stop - first
        counted += stop - first - 1
        if cash == 0.0 and position > 0.0:
            total += sums[stop - 1, RETURN] - sums[first, RETURN]
            squares += sums[stop - 1, SQUARE] - sums[first, SQUARE]
            below += sums[stop - 1, BELOW] - sums[first, BELOW]
            summed += 1
            mark_closes(found, close, stretches, first, stop, position)
        else:
            for t in range(first + 1, stop):
                before, value = value, cash + position * close[t]
                one = to_return(value, before)
                total += one
                squares += one * one
                below += square_below(one, risk_free)
                mark(found, value)
    below += (n - counted) * square_below(0.0, risk_free)
    found.final_equity = cash + position * close[n - 1]
    found.exposed_bars = exposed
    found.is_bounded = 1 if found.highest <= MAX_EQUITY and found.final_equity <= MAX_EQUITY else 0
    if found.fall <= ROUNDING:
        found.fall = 0.0
    mean = total / n
    spread = squares - total * mean
    found.mean_excess = mean - risk_free
    found.deviation = known_spread(math.sqrt(max(spread, 0.0) / (n - 1)), 1.0) if n > 1 else np.nan
    found.downside_deviation = known_spread(math.sqrt(below / n), 1.0)
    noise = SUM_ROUNDING * (squares + (sums[n - 1, SQUARE] if summed else 0.0))
    noise_below = SUM_ROUNDING * sums[n - 1, BELOW] if summed else 0.0
    found.is_exact = 1 if count == 0 or (noise <= MAX_ERROR * spread and noise_below <= MAX_ERROR * below) else 0


@compiled_arithmetic
def measure_returns(returns: Floats, risk_free: float, found: PathSums) -> None:
    """Measure mean and deviations from the returns themselves [n], as `metrics.summary` does."""
    exact = moments(returns, risk_free)
    found.mean_excess, found.deviation = exact.mean_excess, exact.deviation
    found.downside_deviation = exact.downside_deviation
