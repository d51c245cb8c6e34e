"""Convert between open times and bar numbers on an interval's grid.

Bar 0 opens at the epoch, 1970-01-01; weeks open on Monday, so week 0 opens on 1970-01-05; months are calendar months.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.intervals import DAY_MS, Interval

_FIRST_MONDAY_MS: Final = 4 * DAY_MS
_MIN_MONTH_MS: Final = 28 * DAY_MS


def _anchor_ms(interval: Interval) -> int:
    return _FIRST_MONDAY_MS if interval.name == "1w" else 0


def bar_numbers(times_ms: NDArray[np.int64], interval: Interval) -> NDArray[np.int64]:
    """Return the number [n] of the bar that contains each time [n]."""
    if interval.is_calendar_month:
        return times_ms.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    return (times_ms - _anchor_ms(interval)) // interval.milliseconds


def open_times_ms(numbers: NDArray[np.int64], interval: Interval) -> NDArray[np.int64]:
    """Return when the bars with these numbers [n] open."""
    if interval.is_calendar_month:
        return numbers.astype("datetime64[M]").astype("datetime64[ms]").astype(np.int64)
    return numbers * interval.milliseconds + _anchor_ms(interval)


def bar_number(time_ms: int, interval: Interval) -> int:
    """Return the number of the bar that contains a time."""
    return int(bar_numbers(np.array([time_ms], dtype=np.int64), interval)[0])


def open_time_ms(number: int, interval: Interval) -> int:
    """Return when the bar with this number opens."""
    return int(open_times_ms(np.array([number], dtype=np.int64), interval)[0])


def close_times_ms(times_ms: NDArray[np.int64], interval: Interval) -> NDArray[np.int64]:
    """Return the last millisecond [n] of the bars that open at these times [n]."""
    if interval.is_calendar_month:
        return open_times_ms(bar_numbers(times_ms, interval) + 1, interval) - 1
    return times_ms + (interval.milliseconds - 1)


def last_closed_open_ms(now_ms: int, interval: Interval) -> int:
    """Return the latest possible open time of a bar that is closed by now."""
    if interval.is_calendar_month:
        return open_time_ms(bar_number(now_ms + 1, interval), interval) - 1
    # Counted from now, not on the grid, because the exchange's own grid may have an offset.
    return now_ms + 1 - interval.milliseconds


def page_span_ms(bars: int, interval: Interval) -> int:
    """Return the longest span of time in which at most `bars` bars can open."""
    return bars * (_MIN_MONTH_MS if interval.is_calendar_month else interval.milliseconds)


def closed_slots(now_ms: int, interval: Interval, offset_ms: int | None) -> int:
    """Return the number of the first bar that is not closed yet."""
    if offset_ms is None:
        # The exchange may count 3d from another day than the epoch: until a bar shows it, the last one may be open.
        return bar_number(last_closed_open_ms(now_ms, interval), interval) + (interval.name != "3d")
    return bar_number(last_closed_open_ms(now_ms, interval) - offset_ms, interval) + 1
