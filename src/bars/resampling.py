"""Build coarser bars from finer ones, with the same prices as the exchange's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.bars.grid import bar_numbers, close_times_ms, open_times_ms
from src.domain.bars import MAX_VOLUME, Bars
from src.domain.errors import InvalidInput
from src.domain.intervals import Interval, intervals_inside

_VOLUME_DECIMALS: Final = 8
"""The exchange's own precision; the rounding error of a sum of doubles is less than half of that."""


def resample(bars: Bars, to: Interval, *, start_ms: int | None = None, stop_ms: int | None = None) -> Bars:
    """Return the bars of a coarser interval; weeks open on Monday, months are calendar months.

    1. If the finer bars open later than their grid, so do the coarser ones, so that no bar contains trades after its
    close. 2. Bars without trades repeat the last price. They count only if a coarser bar has no other finer bars, as on
    the exchange. 3. If all finer bars of a coarser one are missing, it is missing too.

    Parameters
    ----------
    start_ms, stop_ms
        The time, stop excluded, that `bars` covers completely; by default from the first bar's open to the last one's
        close. Coarser bars that reach beyond it are left out, as they would be incomplete.

    Raises ValueError if the coarser interval is not made of whole finer ones (see `finer_intervals`); InvalidInput if
    the volume of a coarser bar exceeds the maximum.
    """
    if bars.interval not in finer_intervals(to):
        raise ValueError(f"{to.name} bars cannot be made from {bars.interval.name} bars")
    if not len(bars):
        return _build(bars, to, np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))
    if start_ms is None:
        start_ms = int(bars.open_time_ms[0])
    if stop_ms is None:
        stop_ms = int(close_times_ms(bars.open_time_ms[-1:], bars.interval)[0]) + 1
    offset_ms = _offset_ms(bars)
    numbers = bar_numbers(bars.open_time_ms - offset_ms, to)
    opens, closes = (open_times_ms(numbers + step, to) + offset_ms for step in (0, 1))
    is_whole = (opens >= start_ms) & (closes <= stop_ms)
    rows = np.flatnonzero(is_whole & _counts(bars.volume > 0, numbers))
    numbers = numbers[rows]
    starts = np.flatnonzero(np.concatenate([[True], np.diff(numbers) != 0])[: len(numbers)])
    return _build(bars, to, rows, open_times_ms(numbers[starts], to) + offset_ms, starts)


def finer_intervals(to: Interval) -> Sequence[Interval]:
    """Return the intervals from which bars of `to` can be built, the coarsest first.

    There are none for 3d, because the exchange does not count its days from the epoch.
    """
    return () if to.name == "3d" else intervals_inside(to)


def _offset_ms(bars: Bars) -> int:
    """Return how much later than the grid the finer bars open; it is the same for all bars of a series."""
    first_ms = bars.open_time_ms[:1]
    return int((first_ms - open_times_ms(bar_numbers(first_ms, bars.interval), bars.interval))[0])


def _counts(has_trades: NDArray[np.bool_], numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the finer bars [n] that count: those with trades, and all of a coarser bar without trades."""
    starts = np.flatnonzero(np.concatenate([[True], np.diff(numbers) != 0]))
    any_trades = np.logical_or.reduceat(has_trades, starts)
    counts: NDArray[np.bool_] = has_trades | np.repeat(~any_trades, np.diff(np.append(starts, len(numbers))))
    return counts


def _build(
    bars: Bars, to: Interval, rows: NDArray[np.int64], opens_ms: NDArray[np.int64], starts: NDArray[np.int64]
) -> Bars:
    """Combine the finer bars at `rows`; those from `starts`[i] to the next start form the bar of `opens_ms`[i]."""
    if not len(opens_ms):
        nothing = np.empty(0, np.float64)
        return Bars(
            symbol=bars.symbol, interval=to, open_time_ms=np.empty(0, np.int64),
            open=nothing, high=nothing, low=nothing, close=nothing, volume=nothing,
        )  # fmt: skip
    lasts = np.append(starts[1:], len(rows)) - 1
    volume: NDArray[np.float64] = np.add.reduceat(bars.volume[rows], starts)
    if volume.max() > MAX_VOLUME:
        raise InvalidInput(
            "The volumes of a {interval} bar add up to {got:g}. Allowed: at most {most:g}.",
            field="interval",
            interval=to.name,
            got=volume.max(),
            most=MAX_VOLUME,
        )
    return Bars(
        symbol=bars.symbol,
        interval=to,
        open_time_ms=opens_ms,
        open=bars.open[rows[starts]],
        high=np.maximum.reduceat(bars.high[rows], starts),
        low=np.minimum.reduceat(bars.low[rows], starts),
        close=bars.close[rows[lasts]],
        volume=volume.round(_VOLUME_DECIMALS),
    )
