"""Report the quality of bars of any source: their number, gaps, jumps and bars without volume."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from src.bars.grid import bar_numbers, close_times_ms
from src.domain.bar_quality import JUMP_RATIO, DataQuality, Gap, Jump, RejectedRow
from src.domain.bars import Bars
from src.domain.intervals import Interval


def assess(
    bars: Bars,
    *,
    duplicate_rows: int = 0,
    disordered_rows: int = 0,
    rejected_rows: tuple[RejectedRow, ...] = (),
    irregular_close_times: int | None = None,
) -> DataQuality:
    """Report on bars and on the rows that they come from.

    Parameters
    ----------
    duplicate_rows, disordered_rows, rejected_rows
        Rows that were repeated, out of order, or rejected.
    irregular_close_times
        Bars that closed at another time than their interval says; None if the source gives no closing times.
    """
    if not len(bars):
        return DataQuality(
            expected_bars=0,
            present_bars=0,
            duplicate_rows=duplicate_rows,
            disordered_rows=disordered_rows,
            rejected_rows=rejected_rows,
        )
    times = bars.open_time_ms
    ends = bar_numbers(times[[0, -1]], bars.interval)
    expected = int(ends[1] - ends[0]) + 1
    gaps = find_gaps(times, bars.interval) if expected > len(bars) else ()
    silent, runs, longest = _zero_volume(bars)
    return DataQuality(
        expected_bars=expected,
        present_bars=len(bars),
        gaps=gaps,
        duplicate_rows=duplicate_rows,
        disordered_rows=disordered_rows,
        rejected_rows=rejected_rows,
        zero_volume_bars=silent,
        zero_volume_runs=runs,
        longest_zero_volume_run=longest,
        jumps=find_jumps(bars, gaps),
        irregular_close_times=irregular_close_times,
        first_open_ms=int(times[0]),
        last_close_ms=int(close_times_ms(times[-1:], bars.interval)[0]),
    )


def find_gaps(open_time_ms: NDArray[np.int64], interval: Interval) -> tuple[Gap, ...]:
    """Return the gaps between ascending open times [n], counted in bars of the interval."""
    missing = np.diff(bar_numbers(open_time_ms, interval)) - 1
    return tuple(
        Gap(after_ms=int(open_time_ms[row]), next_ms=int(open_time_ms[row + 1]), missing_bars=int(missing[row]))
        for row in np.flatnonzero(missing > 0)
    )


def find_jumps(bars: Bars, gaps: Sequence[Gap]) -> tuple[Jump, ...]:
    """Return the gaps of `bars` across which the price changes by `JUMP_RATIO` or more, up or down, oldest first."""
    if not gaps:
        return ()
    after = np.searchsorted(bars.open_time_ms, [gap.after_ms for gap in gaps])
    ratios = bars.open[after + 1] / bars.close[after]
    return tuple(
        Jump(after_ms=gaps[index].after_ms, next_ms=gaps[index].next_ms, ratio=float(ratios[index]))
        for index in np.flatnonzero(np.maximum(ratios, 1 / ratios) >= JUMP_RATIO).tolist()
    )


def _zero_volume(bars: Bars) -> tuple[int, int, int]:
    """Count the bars without volume, their runs, and the bars of the longest run; a gap ends a run."""
    rows = np.flatnonzero(bars.volume == 0)
    if not len(rows):
        return 0, 0, 0
    numbers = bar_numbers(bars.open_time_ms[rows], bars.interval)
    starts = np.flatnonzero(np.concatenate([[True], np.diff(numbers) != 1]))
    lengths = np.diff(np.append(starts, len(rows)))
    return len(rows), len(starts), int(lengths.max())
