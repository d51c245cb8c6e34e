"""Find the marks of funding, 00:00, 08:00 and 16:00 UTC, at the open of each bar and inside it.

A mark belongs to the bar that it falls into, from its open to its close (the time at which the next bar opens if none
is missing). A mark in a gap belongs to the open after the gap, whose price is the first known one.
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
    """Return the factors of `Plan.funding_rate` [n, 2]: `AT_OPEN` and `INSIDE` of each bar; without funding [0, 2]."""
    if not funding.is_paid:
        return NO_MARKS
    if funding.kind is FundingKind.HISTORY:
        return place_rates(bars, funding.known_rates)
    return count_marks(bars)


def place_rates(bars: Bars, rates: FundingRates) -> Floats:
    """Return the sums of the rates [n, 2] that are paid at the open of each bar and inside it.

    Each rate is paid at its own time; those before the first bar and after the end of the last one are left out.
    """
    return _place(bars, rates.time_ms, rates.rate)


def count_marks(bars: Bars) -> Floats:
    """Return how many marks [n, 2] each bar has: at its open (with those of a gap before it), and inside it.

    A mark at the close is that of the next bar's open.
    """
    times = _mark_times(bars)
    return _place(bars, times, np.ones(len(times)))


def find_missing(bars: Bars, rates: FundingRates) -> tuple[int, int]:
    """Return how many of the eight-hour marks from the first bar to the last have no rate, and how many there are."""
    marks = _mark_times(bars)
    return int(np.count_nonzero(~np.isin(marks, rates.time_ms))), len(marks)


def find_ends(bars: Bars, numbers: NDArray[np.intp]) -> Times:
    """Return when the bars of these numbers end, UTC ms; not after the next bar's open."""
    opens = bars.open_time_ms
    ends = bars.interval.next_opens_ms(opens[numbers])
    has_next = numbers + 1 < len(opens)
    ends[has_next] = np.minimum(ends[has_next], opens[numbers[has_next] + 1])
    return ends


def _mark_times(bars: Bars) -> Times:
    """Return the eight-hour marks from the first bar's open to before the last one's end, UTC ms."""
    if not len(bars):
        return np.empty(0, dtype=np.int64)
    [end] = find_ends(bars, np.array([len(bars) - 1]))
    return np.arange(-(-int(bars.open_time_ms[0]) // FUNDING_MS) * FUNDING_MS, end, FUNDING_MS)


def _place(bars: Bars, times: Times, amounts: Floats) -> Floats:
    """Return the sums of the amounts [n, 2] at the open of each bar and inside it, by their times."""
    marks = np.zeros((len(bars), 2))
    if not len(bars):
        return marks
    opens = bars.open_time_ms
    [end] = find_ends(bars, np.array([len(bars) - 1]))
    first, stop = np.searchsorted(times, [opens[0], end])
    times, amounts = times[first:stop], amounts[first:stop]
    bar = np.searchsorted(opens, times, side="right") - 1
    ends = find_ends(bars, bar)
    is_inside = (times > opens[bar]) & (times < ends)
    np.add.at(marks[:, INSIDE], bar[is_inside], amounts[is_inside])
    at_open = bar + (times >= ends)
    np.add.at(marks[:, AT_OPEN], at_open[~is_inside], amounts[~is_inside])
    return marks
