"""Convert klines, the exchange's rows, to bars: invalid rows are left out and counted, never repaired.

A kline is a twelve-element array of `GET /api/v3/klines` (and of the bulk archive's files). The first seven elements
are read: open time, open, high, low, close, volume, close time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from src.bars.grid import bar_numbers, close_times_ms, open_times_ms
from src.bars.quality import assess
from src.domain.bar_quality import DataQuality, RejectedRow
from src.domain.bars import MAX_PRICE, MAX_VOLUME, MIN_PRICE, MIN_VOLUME, Bars, impossible_rows, is_possible_volume
from src.domain.intervals import Interval

_Column: TypeAlias = Sequence[object] | NDArray[np.int64] | NDArray[np.float64]
_COLUMNS_READ: Final = 7
_MICROSECONDS_FROM: Final = 100_000_000_000_000
"""Times at or above this are microseconds: as milliseconds they would be after the year 5138."""
_YEAR_10000_MS: Final = 253_402_300_800_000
_NO_COLUMN: Final = np.empty((0, 0), np.float64)

_REASONS: Final = (
    "a number is missing or not finite",
    "a price is not above 0",
    f"a price is not within {MIN_PRICE:g} and {MAX_PRICE:g}",
    "the volume is negative",
    f"the volume is neither 0 nor within {MIN_VOLUME:g} and {MAX_VOLUME:g}",
    "high is below low",
    "the open lies outside low and high",
    "the close lies outside low and high",
    "it closes before it opens",
    "it does not open where bars of this interval open",
    "two different bars came for the same time",
)


class MalformedKlines(ValueError):
    """The data is not a table of klines."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Klines:
    """Unchecked rows in any order, column by column [n], with times in milliseconds."""

    open_time_ms: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    close_time_ms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.open_time_ms)

    def pick(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Klines:
        """Return the rows that a mask or an index array selects."""
        return Klines(**{column.name: getattr(self, column.name)[rows] for column in fields(self)})

    def closed(self, now_ms: int) -> Klines:
        """Return the rows of closed bars."""
        return self.pick(self.close_time_ms <= now_ms)

    def oldest(self, limit: int) -> Klines:
        """Return the rows of the `limit` earliest bars, repeated rows included."""
        times = np.unique(self.open_time_ms)
        return self if len(times) <= limit else self.pick(self.open_time_ms <= times[limit - 1])

    def newest(self, limit: int) -> Klines:
        """Return the rows of the `limit` latest bars, repeated rows included."""
        times = np.unique(self.open_time_ms)
        return self if len(times) <= limit else self.pick(self.open_time_ms >= times[-limit])

    @staticmethod
    def joined(pages: Iterable[Klines]) -> Klines:
        """Return the rows of all pages, in the order of the pages."""
        kept = [page for page in pages if len(page)] or [NO_KLINES]
        return Klines(
            **{column.name: np.concatenate([getattr(page, column.name) for page in kept]) for column in fields(Klines)}
        )


def _no_klines() -> Klines:
    times, numbers = np.empty(0, np.int64), np.empty(0, np.float64)
    return Klines(
        open_time_ms=times, open=numbers, high=numbers, low=numbers, close=numbers, volume=numbers, close_time_ms=times
    )


NO_KLINES: Final = _no_klines()


def parse_rows(rows: object) -> Klines:
    """Parse the exchange's rows; a price or volume that is not a number becomes NaN, so that its row is rejected later.

    Raises MalformedKlines if this is not a list of equally long rows of at least seven elements that begin with a time.
    """
    if not isinstance(rows, list | tuple):
        raise MalformedKlines("the page is not a list of rows")
    if not rows:
        return NO_KLINES
    if not all(isinstance(row, list | tuple) for row in rows):
        raise MalformedKlines("a row is not a list")
    try:
        columns = list(zip(*rows, strict=True))
    except ValueError as error:
        raise MalformedKlines("rows differ in length") from error
    if len(columns) < _COLUMNS_READ:
        raise MalformedKlines(f"rows have {len(columns)} elements, expected at least {_COLUMNS_READ}")
    return klines_of(columns)


def klines_of(columns: Sequence[_Column]) -> Klines:
    """Parse the first seven columns of a nonempty table of klines [7][n]; raises as `parse_rows` does."""
    return Klines(
        open_time_ms=_times(columns[0]),
        open=_numbers(columns[1]),
        high=_numbers(columns[2]),
        low=_numbers(columns[3]),
        close=_numbers(columns[4]),
        volume=_numbers(columns[5]),
        close_time_ms=_times(columns[6]),
    )


def _times(column: _Column) -> NDArray[np.int64]:
    try:
        times = np.array(column, dtype=np.int64)
    except (ValueError, TypeError, OverflowError) as error:
        raise MalformedKlines("a time is not a whole number") from error
    if times.ndim != 1:
        raise MalformedKlines("a time is not a whole number")
    times = np.where(times >= _MICROSECONDS_FROM, times // 1000, times)
    if times.min() < 0 or times.max() >= _YEAR_10000_MS:
        raise MalformedKlines("a time lies outside 1970 to 9999")
    return times


def _numbers(column: _Column) -> NDArray[np.float64]:
    try:
        numbers = np.array(column, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        numbers = _NO_COLUMN
    # Cells that are lists of equal length give a 2-D array.
    return numbers if numbers.ndim == 1 else np.array([_number(value) for value in column], dtype=np.float64)


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (ValueError, TypeError, OverflowError):
        return float("nan")


def clean(klines: Klines, *, symbol: str, interval: Interval, now_ms: int) -> tuple[Bars, DataQuality]:
    """Return the valid closed bars (possibly none), oldest first, and the report on all rows.

    1. Rows are sorted by time. 2. An exact repetition is dropped. 3. Different rows of the same time are all rejected,
    since none is known to be right. 4. Invalid rows are rejected (see `_REASONS`).
    """
    klines = klines.closed(now_ms)
    disordered = int(np.count_nonzero(np.diff(klines.open_time_ms) < 0))
    if disordered:
        klines = klines.pick(np.argsort(klines.open_time_ms, kind="stable"))
    klines, duplicates, contradicted = _without_repeats(klines)
    codes = _reason_codes(klines, contradicted, interval)
    rejected = tuple(
        RejectedRow(open_time_ms=int(klines.open_time_ms[row]), reason=_REASONS[codes[row]])
        for row in np.flatnonzero(codes >= 0)
    )
    if rejected:
        klines = klines.pick(codes < 0)
    bars = Bars(
        symbol=symbol,
        interval=interval,
        open_time_ms=klines.open_time_ms,
        open=klines.open,
        high=klines.high,
        low=klines.low,
        close=klines.close,
        volume=klines.volume,
    )
    irregular = np.count_nonzero(klines.close_time_ms != close_times_ms(klines.open_time_ms, interval))
    return bars, assess(
        bars,
        duplicate_rows=duplicates,
        disordered_rows=disordered,
        rejected_rows=rejected,
        irregular_close_times=int(irregular),
    )


def believable(klines: Klines, interval: Interval) -> NDArray[np.bool_]:
    """Mark the rows [n] that `clean` keeps, or that repeat one that it keeps."""
    ordered = klines.pick(np.argsort(klines.open_time_ms, kind="stable"))
    single, _, contradicted = _without_repeats(ordered)
    kept_ms = single.open_time_ms[_reason_codes(single, contradicted, interval) < 0]
    return np.isin(klines.open_time_ms, kept_ms)


def _without_repeats(klines: Klines) -> tuple[Klines, int, NDArray[np.bool_]]:
    """Keep one row for each time of sorted rows; also return the number of exact repeats, and the contradicted rows."""
    is_repeat = np.concatenate([[False], np.diff(klines.open_time_ms) == 0])[: len(klines)]
    if not is_repeat.any():
        return klines, 0, is_repeat
    first_row = np.maximum.accumulate(np.where(is_repeat, 0, np.arange(len(klines))))
    differs = np.zeros(len(klines), dtype=np.bool_)
    for name in ("open", "high", "low", "close", "volume"):
        column = getattr(klines, name)
        differs |= is_repeat & (column != column[first_row])
    contradicted = np.zeros(len(klines), dtype=np.bool_)
    contradicted[first_row[differs]] = True
    identical = int(np.count_nonzero(is_repeat & ~differs))
    return klines.pick(~is_repeat), identical, contradicted[~is_repeat]


def _reason_codes(klines: Klines, contradicted: NDArray[np.bool_], interval: Interval) -> NDArray[np.int64]:
    """Return for each row [n] the first reason to reject it, as an index of `_REASONS`; −1 if there is none."""
    open, high, low, close, volume = klines.open, klines.high, klines.low, klines.close, klines.volume
    off_grid = _off_grid(klines.open_time_ms, interval)
    backwards = klines.close_time_ms < klines.open_time_ms
    suspect = impossible_rows(open, high, low, close, volume) | off_grid | backwards | contradicted
    if not suspect.any():
        return np.full(len(klines), -1, dtype=np.int64)
    finite = np.isfinite(open) & np.isfinite(high) & np.isfinite(low) & np.isfinite(close) & np.isfinite(volume)
    lowest = np.minimum(np.minimum(open, high), np.minimum(low, close))
    highest = np.maximum(np.maximum(open, high), np.maximum(low, close))
    conditions = [
        ~finite,
        lowest <= 0,
        (lowest < MIN_PRICE) | (highest > MAX_PRICE),
        volume < 0,
        ~is_possible_volume(volume),
        high < low,
        (open < low) | (open > high),
        (close < low) | (close > high),
        backwards,
        off_grid,
        contradicted,
    ]
    return np.select(conditions, [np.int64(code) for code in range(len(_REASONS))], default=np.int64(-1))


def _off_grid(times_ms: NDArray[np.int64], interval: Interval) -> NDArray[np.bool_]:
    """Mark the rows [n] that open at another offset from the grid than most rows."""
    offsets = times_ms - open_times_ms(bar_numbers(times_ms, interval), interval)
    if len(offsets) == 0 or (offsets == offsets[0]).all():
        return np.zeros(len(offsets), dtype=np.bool_)
    values, counts = np.unique(offsets, return_counts=True)
    off_grid: NDArray[np.bool_] = offsets != values[np.argmax(counts)]
    return off_grid
