"""Test whether the timing of entries and exits matters, by circular shifts of the exposure.

The exposure of a run is moved along the bars by every possible number of bars, around the end; the number and length of
its trades do not change. If many of the moved runs earn as much from the market before costs, the timing of the run is
no better than chance. No random numbers are drawn.

Shifts by less than twice the mean holding time are not counted: they hold nearly the same bars as the run itself, and
with them a slow rule without an edge is rejected in 0–3 % of cases instead of 5 %.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.special import ndtri

from src.domain.benchmarks import TimingTest
from src.judgement.lengths import whole_bars

Floats = NDArray[np.float64]

MIN_TRADES: Final = 10
MIN_SHIFTS: Final = 100
LEVEL: Final = 0.95
POWER: Final = 0.80
ZONE: Final = 2
"""Shifts of fewer than this many mean holding times, in either direction, are not counted."""

ROUNDING: Final = 1e-12
"""Part of ‖exposure‖ ‖market‖ below which two earnings are the same: the Fourier transform rounds by 1e-15 of it."""

_POWER_DEVIATIONS: Final = float(ndtri(POWER))


class Holding(NamedTuple):
    """Runs of bars with one side of exposure, and the mean number of bars of such a run; NaN without one."""

    trades: int
    mean_bars: float


class DeflatedPower(NamedTuple):
    """The smallest edge that is found in 80 of 100 cases, in per cent a year, and the bars for the measured one."""

    smallest_edge: float | None
    bars_needed: int | None


def measure_timing(exposure: Floats, market: Floats, *, bars_per_year: float) -> TimingTest | None:
    """Test the timing of one run.

    Parameters
    ----------
    exposure
        Signed fraction of equity [n] that was held over each bar's return of the market.
    market
        Returns of the close per bar [n].

    None under 10 trades (runs of bars with one side; so also if always or never in the market), if under 100 shifts are
    counted, and if all earn the same.
    """
    holding = measure_holding(exposure)
    counted = count_shifts(exposure.size, holding)
    if counted is None:
        return None
    earnings = earn_shifted(exposure, fft.rfft(market), market.size)
    others = earnings[counted]
    rounding = ROUNDING * find_norm(exposure) * find_norm(market)
    mean, deviation = float(others.mean()), float(others.std())
    if not deviation > rounding:
        return None
    reached = int(np.count_nonzero(others >= earnings[0] - rounding))
    smallest = _upper_quantile(others) - mean + _POWER_DEVIATIONS * deviation
    edge, n = float(earnings[0]) - mean, exposure.size
    per_cent_a_year = 100 * bars_per_year / n
    return TimingTest(
        p_value=(1 + reached) / (1 + others.size),
        shifts=others.size,
        edge=edge * per_cent_a_year,
        smallest_visible_edge=smallest * per_cent_a_year,
        # The spread of a mean over n bars falls with √n.
        bars_needed=whole_bars(n * (smallest / edge) ** 2) if edge > rounding else None,
        deviation=deviation * per_cent_a_year,
    )


def earn_shifted(exposure: Floats, transformed_market: NDArray[np.complex128], n: int) -> Floats:
    """Return Σ exposure[t] × market[t + k], around the end, for every shift k [n], from the market's `rfft`."""
    shifted: Floats = fft.irfft(transformed_market * np.conj(fft.rfft(exposure)), n)
    return shifted


def measure_holding(exposure: Floats) -> Holding:
    """Return how many runs of bars with one side an exposure [n] has, and their mean length in bars."""
    side = np.sign(exposure)
    is_start = side != 0
    held = np.count_nonzero(is_start)
    is_start[1:] &= side[1:] != side[:-1]
    trades = int(np.count_nonzero(is_start))
    return Holding(trades, held / trades if trades else math.nan)


def count_shifts(n: int, holding: Holding) -> NDArray[np.int64] | None:
    """Return the shifts that are counted: min(k, n − k) ≥ 2 mean holding times; None if the test cannot be made."""
    if holding.trades < MIN_TRADES:
        return None
    shifts = np.arange(1, n)
    counted = shifts[np.minimum(shifts, n - shifts) >= ZONE * holding.mean_bars]
    return counted if counted.size >= MIN_SHIFTS else None


def hold_exposure(position: Floats, close: Floats, equity: Floats, *, is_filled_at_close: bool) -> Floats:
    """Return the signed fraction of equity held over each bar's return [n], from positions at the closes.

    An order that is filled at the close of its bar earns from the next bar on; one that was filled at the open, or
    inside the bar, earns over most of its own bar. `position` is in units, `close` and `equity` in quote currency.
    """
    held = np.divide(position * close, equity, out=np.zeros(equity.size), where=equity > 0)
    return np.concatenate(([0.0], held[:-1])) if is_filled_at_close else held


def deflate_p_value(p_value: float, effective_trials: float) -> float:
    """Return 1 − (1 − p)^N, Šidák's p-value (1967) of the best of N independent trials, N at least 1."""
    if p_value >= 1:
        return 1.0
    return -math.expm1(max(effective_trials, 1.0) * math.log1p(-p_value))


def deflate_power(test: TimingTest, bars: int, effective_trials: float) -> DeflatedPower:
    """Return the power of the test on its `bars` bars if its p-value counts as that of the best of N trials.

    N is at least 1. Each test then has the level α = 1 − 0.95^(1/N). The p-value moves in steps of 1 ÷ (1 + shifts): if
    one step is over α, no edge is found. The quantile of the shifts at α is often beyond all of them, so their earnings
    are assumed to be normal beyond their 95 % quantile.
    """
    trials, deviation = max(effective_trials, 1.0), test.deviation
    if trials == 1 or deviation is None:
        return DeflatedPower(test.smallest_visible_edge, test.bars_needed)
    level = -math.expm1(math.log(LEVEL) / trials)
    steps, least_steps = 1 + test.shifts, math.ceil(1 / level)

    def find_smallest(steps: int) -> float:
        used = max(math.floor(level * steps), 1) / steps
        return test.smallest_visible_edge - (float(ndtri(used)) + float(ndtri(LEVEL))) * deviation

    # One more bar gives one more step, because the zone keeps its length.
    needed = None if test.bars_needed is None else bars + least_steps - steps
    while needed is not None:
        wanted = bars * (find_smallest(steps + needed - bars) / test.edge) ** 2
        if wanted <= needed:
            break
        needed = whole_bars(wanted)
    return DeflatedPower(find_smallest(steps) if steps >= least_steps else None, needed)


def find_norm(values: Floats) -> float:
    """Return √Σ values²."""
    return math.sqrt(float((values * values).sum()))


def _upper_quantile(values: Floats) -> float:
    """Return the quantile at `LEVEL`; `np.quantile` gives the same, but takes a quarter of the whole test's time."""
    place = LEVEL * (values.size - 1)
    low = int(place)
    ordered = np.partition(values, (low, min(low + 1, values.size - 1)))
    below, above = float(ordered[low]), float(ordered[min(low + 1, values.size - 1)])
    return below + (above - below) * (place - low)
