"""Find the long gaps in the bars that a trade was held through, in which stops and signals could not act."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.market import DAY_MS, DataQuality, Gap

_LONG_BARS: Final = 10
"""A gap of so many bars, or of a whole day, is long: a stop might have acted inside it."""


def find_traded_gaps(quality: DataQuality, trades: NDArray[np.void]) -> tuple[Gap, ...]:
    """Return the long gaps that a trade was held through, the longest first."""
    long = [gap for gap in quality.gaps if _is_long(gap)]
    if not long or not len(trades):
        return ()
    # Trades come in the order of their entries: of those entered before a gap, the last exit decides.
    latest_exits = np.maximum.accumulate(trades["exit_time_ms"])
    entered = np.searchsorted(trades["entry_time_ms"], [gap.after_ms for gap in long], side="right")
    held = [
        gap
        for gap, count in zip(long, entered.tolist(), strict=True)
        if count and latest_exits[count - 1] >= gap.next_ms
    ]
    return tuple(sorted(held, key=lambda gap: -gap.missing_bars))


def _is_long(gap: Gap) -> bool:
    return gap.missing_bars >= _LONG_BARS or gap.next_ms - gap.after_ms > DAY_MS
