"""Coarser candles from finer ones, equal to the exchange's own in every price."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.bars.grid import bar_numbers, close_times_ms, open_times_ms
from src.domain.errors import InvalidInput
from src.domain.market import DAY_MS, INTERVALS, MAX_VOLUME, Bars, Interval

_VOLUME_DECIMALS: Final = 8
"""The exchange's own precision; a sum of doubles is off by less than half of that."""


def resample(bars: Bars, to: Interval, *, start_ms: int | None = None, stop_ms: int | None = None) -> Bars:
    """Return the candles of a coarser interval; weeks open on Monday, months are calendar months.

    Where the finer candles open later than their grid, so do the coarser ones: none holds what happens after its close.
    Candles without trades repeat the price of the last trade before: they count only where a coarser candle has no
    other, as on the exchange. Where all of a coarser candle's finer ones are missing, it is missing too.

    Parameters
    ----------
    start_ms, stop_ms
        The time, stop excluded, of which `bars` has everything there is; from the first candle's open to the last one's
        close where not given. Coarser candles that reach beyond it are left out, as they would be incomplete.

    Raises
    ------
    ValueError
        Where the coarser interval's candles are not made of whole finer ones (see `finer_intervals`).
    InvalidInput
        If the volumes of a coarser candle add up to more than a candle may have.
    """
    if bars.interval not in finer_intervals(to):
        raise ValueError(f"{to.name} candles cannot be made from {bars.interval.name} candles")
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
    """Return the intervals from whose candles those of `to` can be made, the coarsest first.

    None for 3d, whose days the exchange counts from another day than the epoch.
    """
    if to.name == "3d":
        return ()
    # Weeks and months begin at midnight, so anything that divides a day divides them.
    whole_ms = DAY_MS if to.milliseconds > DAY_MS else to.milliseconds
    return [
        finer
        for finer in sorted(INTERVALS.values(), key=lambda one: -one.milliseconds)
        if finer.milliseconds < to.milliseconds and whole_ms % finer.milliseconds == 0
    ]


def _offset_ms(bars: Bars) -> int:
    """Return how much later than the grid the finer candles open; all of a series do so alike."""
    first_ms = bars.open_time_ms[:1]
    return int((first_ms - open_times_ms(bar_numbers(first_ms, bars.interval), bars.interval))[0])


def _counts(has_trades: NDArray[np.bool_], numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the finer candles [n] that count: those with trades, and all of a coarser candle without any."""
    starts = np.flatnonzero(np.concatenate([[True], np.diff(numbers) != 0]))
    any_trades = np.logical_or.reduceat(has_trades, starts)
    counts: NDArray[np.bool_] = has_trades | np.repeat(~any_trades, np.diff(np.append(starts, len(numbers))))
    return counts


def _build(
    bars: Bars, to: Interval, rows: NDArray[np.int64], opens_ms: NDArray[np.int64], starts: NDArray[np.int64]
) -> Bars:
    """Combine the finer candles at `rows`; those from `starts`[i] to the next one make the candle of `opens_ms`[i]."""
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
