"""The report on the quality of a source's bars: gaps, rejected rows, jumps of price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Missing bars: `missing_bars` of them between the bar that opens at `after_ms` and the one at `next_ms`."""

    after_ms: int
    next_ms: int
    missing_bars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRow:
    """A row of the source that was rejected, and why."""

    open_time_ms: int
    reason: str


JUMP_RATIO: Final = 3.0
"""A price change across a gap by this factor means a halt, a split or another coin under the same name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """A large change of price across a gap: `ratio` is the first open after it ÷ the last close before it."""

    after_ms: int
    next_ms: int
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DataQuality:
    """The report on the rows of a source; invalid rows are rejected and reported, never repaired.

    `expected_bars` is the number of slots from the first to the last bar. A zero-volume run is a range of consecutive
    bars without trades, its length in bars. `irregular_close_times` counts the bars that closed at another time than
    their interval says. None means not known: the source does not tell, or an earlier version stored the report.
    """

    expected_bars: int
    present_bars: int
    gaps: tuple[Gap, ...] = ()
    duplicate_rows: int = 0
    disordered_rows: int = 0
    rejected_rows: tuple[RejectedRow, ...] = ()
    zero_volume_bars: int | None = None
    zero_volume_runs: int | None = None
    longest_zero_volume_run: int | None = None
    jumps: tuple[Jump, ...] = ()
    irregular_close_times: int | None = None
    first_open_ms: int | None = None
    last_close_ms: int | None = None

    @property
    def missing_bars(self) -> int:
        """Number of bars missing in all gaps."""
        return sum(gap.missing_bars for gap in self.gaps)
