"""Count the marks of funding in another way than the engine does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from src.domain.bars import Bars

MINUTE_MS = 60_000
EIGHT_HOURS_MS = 8 * 60 * MINUTE_MS


def count_by_minutes(bars: Bars) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the marks at the open of each bar [n] and inside it [n], by a walk through the minutes of the clock.

    A mark in a gap counts at the open after it; whoever holds a position at the first bar entered it later.
    """
    at_open, inside = np.zeros((2, len(bars)))
    opens = bars.open_time_ms.tolist()
    ends = [bars.interval.next_open_ms(open_ms) for open_ms in opens]
    bar = -1
    minute = opens[0] // MINUTE_MS * MINUTE_MS if opens else 0
    while opens and minute < ends[-1]:
        while bar + 1 < len(opens) and opens[bar + 1] <= minute:
            bar += 1
        if minute % EIGHT_HOURS_MS == 0 and bar >= 0:
            if minute == opens[bar]:
                at_open[bar] += 1
            elif minute < ends[bar]:
                inside[bar] += 1
            else:
                at_open[bar + 1] += 1
        # Half hours are enough where the bars are long.
        minute += MINUTE_MS if bars.interval.milliseconds < 3_600_000 else 30 * MINUTE_MS
    return at_open, inside
