"""Divide a series into calendar periods (UTC): the bar cache has one file for each complete one.

A period is a year, a month or a day: the longest that has at most `MAX_PERIOD_BARS` bars. So 1s bars are divided into
days, 1m to 5m bars into months, as the exchange's bulk archive is, and all others into years. A bar belongs to the
period in which it opens, so weeks and 3d bars need not fit into one.
"""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.bars.grid import bar_numbers, open_time_ms, open_times_ms
from src.bars.slot_ranges import SlotRange, SlotRanges, union, within, without
from src.domain.intervals import DAY_MS, Interval

MAX_PERIOD_BARS: Final = 100_000
"""A file with this many bars has 5 MB. Adding to an incomplete period writes its file again."""
_LONGEST_MS: Final = {"Y": 366 * DAY_MS, "M": 31 * DAY_MS, "D": DAY_MS}


def periods_between(start: int, stop: int, interval: Interval, unit: str) -> dict[str, SlotRange]:
    """Return the ranges of the periods that `start` ≤ number < `stop` touches, oldest first, by their ISO 8601 names.

    `unit` is NumPy's letter for a year, a month or a day.
    """
    first_ms, last_ms = open_time_ms(start, interval), open_time_ms(stop, interval) - 1
    borders = np.array([first_ms, last_ms], dtype="datetime64[ms]").astype(f"datetime64[{unit}]")
    starts = np.arange(borders[0], borders[1] + 2)
    # The first bar that opens at or after each border.
    numbers = (bar_numbers(starts.astype("datetime64[ms]").astype(np.int64) - 1, interval) + 1).tolist()
    return dict(zip(map(str, starts), itertools.pairwise(numbers), strict=False))


def period_of(number: int, interval: Interval) -> SlotRange:
    """Return the range of the period in which a bar opens."""
    return next(iter(periods_between(number, number + 1, interval, _unit(interval)).values()))


def split(start: int, stop: int, present: NDArray[np.int64], interval: Interval) -> SlotRanges:
    """Divide `start` ≤ number < `stop` so that no part with a bar reaches beyond one period.

    `present` [n] are the ascending numbers of the bars in the range. The ranges
    between periods with bars are not divided, so that a gap of years is one file.
    """
    periods = open_times_ms(present, interval).astype("datetime64[ms]").astype(f"datetime64[{_unit(interval)}]")
    firsts = present[np.unique(periods, return_index=True)[1]].tolist()
    parts = [part for first in firsts for part in within([(start, stop)], *period_of(first, interval))]
    rest = without([(start, stop)], union(parts)) if start < stop else ()
    return tuple(sorted([*parts, *rest]))


def _unit(interval: Interval) -> str:
    return next(
        unit for unit, longest_ms in _LONGEST_MS.items() if longest_ms <= MAX_PERIOD_BARS * interval.milliseconds
    )
