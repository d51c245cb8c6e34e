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
    """Return a warning for each of the longest gaps that a trade was held through, and one that counts the others."""
    held = sorted(_held_through(quality, simulation), key=lambda gap: -gap.missing_bars)
    sentences = [
        f"A trade was held through the gap of {gap.missing_bars:,} bars between "
        f"{iso_time(gap.after_ms)} and {iso_time(gap.next_ms)}: what stops and signals would have done "
        "in it is not known."
        for gap in held[:_MAX_NAMED]
    ]
    more = len(held) - _MAX_NAMED
    if more > 0:
        gaps = "more long gap was" if more == 1 else "more long gaps were"
        sentences.append(f"{more:,} {gaps} held through likewise, of {held[_MAX_NAMED].missing_bars:,} bars or fewer.")
    return tuple(sentences)


def _held_through(quality: DataQuality, simulation: Simulation) -> list[Gap]:
    long = [gap for gap in quality.gaps if _is_long(gap)]
    if not long or not len(simulation.trades):
        return []
    # Trades come in the order of their entries: of those entered before a gap, the last exit decides.
    latest_exits = np.maximum.accumulate(simulation.trades["exit_time_ms"])
    entered = np.searchsorted(simulation.trades["entry_time_ms"], [gap.after_ms for gap in long], side="right")
    return [
        gap
        for gap, count in zip(long, entered.tolist(), strict=True)
        if count and latest_exits[count - 1] >= gap.next_ms
    ]


def _is_long(gap: Gap) -> bool:
    return gap.missing_bars >= _LONG_BARS or gap.next_ms - gap.after_ms > DAY_MS
