"""Test the timing of the best of many runs on the same bars: the maximum over all runs at each circular shift.

Among many runs, one has good timing by luck. So a run's earnings, in deviations of its own shifts, are compared with
those of the best run at each shift, the same shift for all (Westfall & Young 1993). This accounts for the similarity of
the runs: a thousand equal runs count as one. The p-value holds whichever run is chosen, and by any criterion.

The shifts that count are those outside the zone of the run that holds longest. That run is known only after all runs
were seen, so each run is requested twice, some at a time: no array of runs × bars is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from src.judgement.timing import ROUNDING, count_shifts, earn_shifted, find_norm, measure_holding

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

ROWS_AT_ONCE: Final = 64
"""Runs whose exposures are in memory at once: 5 MB of 10,000 bars."""

STUDENTIZED_ROUNDING: Final = 1e-9
"""Two earnings are equal below this many deviations; `ROUNDING` is far below it if there is any deviation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JointTimingTest:
    """The result of comparing the best of many runs with the best at every shift.

    `p_value` is that of the run whose timing stands out most, `best`. `row_p_values` has that of each run that can be
    tested (see `measure_timing`), by its number: the probability that any of them stands out as much by luck.
    """

    p_value: float
    best: int
    shifts: int
    row_p_values: dict[int, float]


def measure_joint_timing(
    exposures_of: Callable[[Numbers], Floats], rows: Numbers, market: Floats
) -> JointTimingTest | None:
    """Test the timing of the best of many runs; None if no run can be tested.

    Parameters
    ----------
    exposures_of
        Returns the signed fractions of equity that up to 64 runs hold over each bar's return of the market [j, n]; it
        is called twice for each run that can be tested, and once for others.
    rows
        The numbers of the runs.
    market
        Returns of the close per bar [n].
    """
    tested: list[int] = []
    counted: Numbers | None = None
    for some in _cut(rows):
        for row, exposure in zip(some.tolist(), exposures_of(some), strict=True):
            allowed = count_shifts(market.size, measure_holding(exposure))
            if allowed is None:
                continue
            tested.append(row)
            counted = allowed if counted is None or allowed.size < counted.size else counted
    return None if counted is None else _compare(exposures_of, np.array(tested, np.int64), market, counted)


def _compare(
    exposures_of: Callable[[Numbers], Floats], rows: Numbers, market: Floats, counted: Numbers
) -> JointTimingTest | None:
    transformed, market_norm = fft.rfft(market), find_norm(market)
    own: dict[int, float] = {}
    best_at = np.full(counted.size, -np.inf)
    for some in _cut(rows):
        for row, exposure in zip(some.tolist(), exposures_of(some), strict=True):
            earnings = earn_shifted(exposure, transformed, market.size)
            others = earnings[counted]
            mean, deviation = float(others.mean()), float(others.std())
            if not deviation > ROUNDING * find_norm(exposure) * market_norm:
                continue
            own[row] = (float(earnings[0]) - mean) / deviation
            np.maximum(best_at, (others - mean) / deviation, out=best_at)
    if not own:
        return None
    best_at.sort()
    reached = best_at.size - np.searchsorted(best_at, np.fromiter(own.values(), np.float64) - STUDENTIZED_ROUNDING)
    p_values = dict(zip(own, ((1 + reached) / (1 + best_at.size)).tolist(), strict=True))
    best = max(own, key=lambda row: own[row])
    return JointTimingTest(p_value=p_values[best], best=best, shifts=int(best_at.size), row_p_values=p_values)


def _cut(rows: Numbers) -> Iterator[Numbers]:
    return (rows[first : first + ROWS_AT_ONCE] for first in range(0, rows.size, ROWS_AT_ONCE))
