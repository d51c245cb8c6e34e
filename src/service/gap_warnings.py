"""Warn about trades that were held through a gap, in which stops and signals could not act."""

from __future__ import annotations

from typing import Final

import numpy as np

from src.domain.instants import iso_time
from src.domain.market import DAY_MS, DataQuality, Gap
from src.domain.trading import Simulation

_LONG_BARS: Final = 10
"""A gap of so many bars, or of a whole day, is long: a stop might have acted inside it."""
_MAX_NAMED: Final = 3


def gap_warnings(quality: DataQuality, simulation: Simulation) -> tuple[str, ...]:
    """Return a warning for each long gap that a trade was held through, the longest ones first."""
    entries, exits = simulation.trades["entry_time_ms"], simulation.trades["exit_time_ms"]
    sentences = []
    for gap in sorted(filter(_is_long, quality.gaps), key=lambda gap: -gap.missing_bars):
        held = int(np.count_nonzero((entries <= gap.after_ms) & (exits >= gap.next_ms)))
        if held:
            sentences.append(
                f"A trade was held through the gap of {gap.missing_bars:,} bars between "
                f"{iso_time(gap.after_ms)} and {iso_time(gap.next_ms)}: what stops and signals would have done "
                "in it is not known."
            )
        if len(sentences) == _MAX_NAMED:
            break
    return tuple(sentences)


def _is_long(gap: Gap) -> bool:
    return gap.missing_bars >= _LONG_BARS or gap.next_ms - gap.after_ms > DAY_MS
