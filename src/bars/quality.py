"""The report on candles: how many there are, where they are missing, and what about them is suspicious.

Pure, and the same for every source: candles in, report out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.bars.grid import bar_numbers, close_times_ms
from src.domain.market import Bars, DataQuality, Gap, Interval, Jump, RejectedRow

JUMP_RATIO: Final = 3.0
"""A price that differs by this factor across a gap is a halt, a split or another coin under the same name."""


def assess(
    bars: Bars,
    *,
    duplicate_rows: int = 0,
    disordered_rows: int = 0,
    rejected_rows: tuple[RejectedRow, ...] = (),
    irregular_close_times: int | None = None,
) -> DataQuality:
    """Report on candles, together with what happened to the rows that they come from.

    Parameters
    ----------
    duplicate_rows, disordered_rows, rejected_rows
        Rows that came twice, out of order, or were left out.
    irregular_close_times
        Candles that closed at another time than their interval says; None where the source gives no closing times.
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
    """Return the holes between ascending open times [n], counted at the interval's own spacing."""
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
    """Count the candles without a trade, the runs that they form, and the candles of the longest run.

    A gap ends a run: what happened inside it is not known.
    """
    rows = np.flatnonzero(bars.volume == 0)
    if not len(rows):
        return 0, 0, 0
    numbers = bar_numbers(bars.open_time_ms[rows], bars.interval)
    starts = np.flatnonzero(np.concatenate([[True], np.diff(numbers) != 1]))
    lengths = np.diff(np.append(starts, len(rows)))
    return len(rows), len(starts), int(lengths.max())
