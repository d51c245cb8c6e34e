"""Prepare the arrays that all rows of a sweep share: prices, sums of the close's returns, and slots of trials."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from src.domain.annualization import AnnualizationSettings, annualize
from src.domain.arrays import freeze
from src.domain.bars import Bars
from src.engines.funding_marks import NO_MARKS
from src.judgement.jumps import find_jump_rows, join_closes
from src.judgement.overfitting import DEFAULT_BLOCKS
from src.judgement.trial_ledger import find_slots
from src.metrics.returns import simple_returns, without_rounding

Floats = NDArray[np.float64]

STRETCH: Final = 16
"""Bars whose highest close, lowest close and deepest fall are stored together."""

RETURN, SQUARE, BELOW = range(3)
"""Columns of `MarketArrays.sums`."""

HIGHEST, LOWEST, FALL = range(3)
"""Columns of `MarketArrays.stretches`."""


class MarketArrays(NamedTuple):
    """The bars [n] as compiled code reads them; all arrays are read-only.

    `sums` [n, 3] are sums over the bars up to each one: of the close's returns, of their squares, and of the squares of
    their shortfalls below the risk-free rate. `stretches` [⌈n/16⌉, 3] are the highest and lowest close and the deepest
    fall, a fraction, of each 16 bars. `market` [n] are the returns of the closes without jumps across gaps. Slot s of a
    trial holds the bars from `firsts[s]` to before `firsts[s + 1]`, [d + 1]. `block_bars` is the block length of the
    measure of overfitting, and `risk_free` the rate per bar. `marks` [n, 2] are the funding marks, [0, 2] if no row
    pays funding (`engines.funding_marks`).
    """

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    sums: Floats
    stretches: Floats
    market: Floats
    firsts: NDArray[np.int64]
    block_bars: int
    risk_free: float
    marks: Floats


def build_market_arrays(
    bars: Bars, settings: AnnualizationSettings, marks: Floats = NO_MARKS
) -> tuple[MarketArrays, NDArray[np.int64]]:
    """Return the arrays of these bars with their marks of funding, and the slots [d] of their trials."""
    risk_free = annualize(bars, settings).risk_free_per_bar
    slots, firsts = find_slots(bars.open_time_ms)
    closes = join_closes(bars, find_jump_rows(bars))
    close = bars.close
    arrays = MarketArrays(
        open=bars.open,
        high=bars.high,
        low=bars.low,
        close=close,
        sums=freeze(_add_up(close, risk_free), np.float64),
        stretches=freeze(_measure_stretches(close), np.float64),
        market=freeze(simple_returns(closes, float(closes[0])), np.float64),
        firsts=freeze(np.append(firsts, len(bars)), np.int64),
        block_bars=len(bars) // DEFAULT_BLOCKS,
        risk_free=risk_free,
        marks=freeze(marks, np.float64),
    )
    return arrays, freeze(slots, np.int64)


@njit(cache=True, nogil=True)
def _add_up(close: Floats, risk_free: float) -> Floats:
    """Return the sums [n, 3]; each is rounded once, because the additions carry their error along (Kahan)."""
    sums = np.zeros((close.size, 3))
    lost = np.zeros(3)
    terms = np.zeros(3)
    for t in range(1, close.size):
        change = without_rounding(close[t] - close[t - 1], close[t - 1])
        one = change / close[t - 1]
        excess = without_rounding(one - risk_free, 1.0 + abs(one))
        terms[RETURN], terms[SQUARE], terms[BELOW] = one, one * one, min(excess, 0.0) ** 2
        for column in range(3):
            term = terms[column] - lost[column]
            total = sums[t - 1, column] + term
            lost[column] = (total - sums[t - 1, column]) - term
            sums[t, column] = total
    return sums


@njit(cache=True, nogil=True)
def _measure_stretches(close: Floats) -> Floats:
    count = (close.size + STRETCH - 1) // STRETCH
    found = np.empty((count, 3))
    for number in range(count):
        highest, lowest, fall = 0.0, np.inf, 0.0
        for t in range(number * STRETCH, min(close.size, (number + 1) * STRETCH)):
            highest, lowest = max(highest, close[t]), min(lowest, close[t])
            fall = max(fall, (highest - close[t]) / highest)
        found[number, HIGHEST], found[number, LOWEST], found[number, FALL] = highest, lowest, fall
    return found
