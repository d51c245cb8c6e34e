"""Find the marks of funding, 00:00, 08:00 and 16:00 UTC, at the open of each bar and inside it.

A mark belongs to the bar that has it between its open and its close (the time at which the next bar opens if none is
missing). One in a gap of the bars belongs to the open after it, whose price is the first that is known again.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.funding import FUNDING_MS, Funding, FundingKind
from src.domain.funding_rates import FundingRates

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

AT_OPEN, INSIDE = range(2)
"""Columns of the marks of a bar."""

NO_MARKS: Final[Floats] = np.empty((0, 2))


def marks_of(bars: Bars, funding: Funding) -> Floats:
    """Return what `Plan.funding_rate` multiplies [n, 2]: `AT_OPEN` and `INSIDE` of each bar; without funding [0, 2]."""
    if not funding.is_paid:
        return NO_MARKS
    if funding.kind is FundingKind.HISTORY:
        return place_rates(bars, funding.known_rates)
    return count_marks(bars)


def place_rates(bars: Bars, rates: FundingRates) -> Floats:
    """Return the sums of the rates [n, 2] that are paid at the open of each bar and inside it.

    Each rate is paid at its own time; those before the first bar and after the end of the last one are left out.
    """
    marks = np.zeros((len(bars), 2))
    if not len(bars):
        return marks
    opens, ends = bars.open_time_ms, find_ends(bars)
    first, stop = np.searchsorted(rates.time_ms, [opens[0], ends[-1]])
    times, rate = rates.time_ms[first:stop], rates.rate[first:stop]
    bar = np.searchsorted(opens, times, side="right") - 1
    is_inside = (times > opens[bar]) & (times < ends[bar])
    marks[:, INSIDE] = np.bincount(bar[is_inside], rate[is_inside], len(bars))
    at_open = bar[~is_inside] + (times >= ends[bar])[~is_inside]
    marks[:, AT_OPEN] = np.bincount(at_open, rate[~is_inside], len(bars))
    return marks


def find_missing(bars: Bars, rates: FundingRates) -> tuple[int, int]:
    """Return how many of the eight-hour marks from the first bar to the last have no rate, and how many they are."""
    first, end = int(bars.open_time_ms[0]), int(find_ends(bars)[-1])
    marks = np.arange(-(-first // FUNDING_MS) * FUNDING_MS, end, FUNDING_MS)
    return int(np.count_nonzero(~np.isin(marks, rates.time_ms))), len(marks)


def count_marks(bars: Bars) -> Floats:
    """Return how many marks [n, 2] each bar has: at its open (with those of a gap before it), and inside it.

    Counted in whole milliseconds. A mark at the close is that of the next bar's open.
    """
    opens, ends = bars.open_time_ms, find_ends(bars)
    up_to_open, up_to_end = opens // FUNDING_MS, (ends - 1) // FUNDING_MS
    marks = np.empty((len(bars), 2))
    marks[:, INSIDE] = up_to_end - up_to_open
    marks[1:, AT_OPEN] = up_to_open[1:] - up_to_end[:-1]
    marks[:1, AT_OPEN] = opens[:1] % FUNDING_MS == 0
    return marks


def find_ends(bars: Bars) -> Times:
    """Return when each bar [n] ends, UTC ms; not after the next bar's open."""
    opens = bars.open_time_ms
    ends = bars.interval.next_opens_ms(opens)
    ends[:-1] = np.minimum(ends[:-1], opens[1:])
    return ends
