"""Find the long gaps that a trade was held through, in which stops and signals could not act."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from src.domain.bar_quality import Gap
from src.domain.intervals import DAY_MS

MIN_LONG_GAP_BARS: Final = 10
"""A gap of this many bars, or of more than a day, is long: a stop might have acted inside it."""


def find_traded_gaps(gaps: tuple[Gap, ...], trades: NDArray[Any]) -> tuple[Gap, ...]:
    """Return the long gaps that a trade was held through, in their order.

    `trades` is a structured array (`TRADE_DTYPE`) in the order of the entries.
    """
    long = [gap for gap in gaps if _is_long(gap)]
    if not long or not len(trades):
        return ()
    # Trades are ordered by entry, so the latest exit among those entered before a gap decides.
    latest_exits = np.maximum.accumulate(trades["exit_time_ms"])
    entered = np.searchsorted(trades["entry_time_ms"], [gap.after_ms for gap in long], side="right")
    return tuple(
        gap
        for gap, count in zip(long, entered.tolist(), strict=True)
        if count and latest_exits[count - 1] >= gap.next_ms
    )


def _is_long(gap: Gap) -> bool:
    return gap.missing_bars >= MIN_LONG_GAP_BARS or gap.next_ms - gap.after_ms > DAY_MS
