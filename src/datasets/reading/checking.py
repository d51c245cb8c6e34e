"""Check the rows of an uploaded file as the exchange's rows are checked, and return the valid bars."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.bars.grid import bar_numbers, close_times_ms, open_times_ms
from src.bars.klines import Klines, clean
from src.bars.quality_warnings import describe_quality
from src.datasets.reading.reader import BarFileRows
from src.domain.bar_quality import DataQuality
from src.domain.bars import Bars, bar_spacing_ms
from src.domain.datasets import BarFileDeclaration
from src.domain.errors import InvalidInput
from src.domain.instants import iso_time
from src.domain.intervals import DAY_MS, INTERVALS, Interval

_FEW_BAD_ROWS: Final = 10
_BAD_SHARE: Final = 0.1
"""A file with more bad rows than both was probably misread, and is rejected."""
_MAX_GAPS: Final = 100_000
_HOUR_MS: Final = 3_600_000
_MONTH: Final = INTERVALS["1M"]


def check_rows(
    rows: BarFileRows, declared: BarFileDeclaration, *, now_ms: int
) -> tuple[Bars, DataQuality, tuple[str, ...]]:
    """Return the valid closed bars, the report on all rows, and the warnings.

    Raises InvalidInput if the interval is unclear or not the declared one, if no bar is left, or if so many rows are
    bad or missing that the file was probably misread.
    """
    times: NDArray[np.int64] = rows.columns["time"]
    distinct = np.unique(times)
    interval = _interval(distinct, declared.interval)
    if len(rows.offsets) > 1 and interval.milliseconds > _HOUR_MS:
        raise InvalidInput(
            "The times are in a zone with daylight-saving time, whose {interval} bars do not lie on one grid. Give the "
            "times in UTC, or {field} as an offset such as +01:00.",
            field="timezone",
            interval=interval.name,
        )
    holes = int(np.count_nonzero(np.diff(bar_numbers(distinct, interval)) > 1))
    if holes > _MAX_GAPS:
        raise InvalidInput(
            "The file has {count:,} gaps between {interval} bars. Maximum: {most:,}. A coarser {field} may be right.",
            field="interval",
            count=holes,
            interval=interval.name,
            most=_MAX_GAPS,
        )
    closes = _close_times(rows, interval)
    klines = Klines(
        open_time_ms=times,
        close_time_ms=close_times_ms(times, interval) if closes is None else closes,
        **{name: rows.columns[name] for name in ("open", "high", "low", "close", "volume")},
    )
    forming = int(np.count_nonzero(klines.close_time_ms > now_ms))
    bars, quality = clean(klines, symbol=declared.symbol, interval=interval, now_ms=now_ms)
    if closes is None:
        quality = replace(quality, irregular_close_times=None)
    warnings = (*describe_quality(quality, bars), *describe_reading(rows, declared.symbol, forming))
    _refuse_misread(quality, warnings, rows=len(times), last_ms=int(distinct[-1]))
    return bars, quality, warnings


def _interval(times: NDArray[np.int64], declared: Interval | None) -> Interval:
    """Return the interval of ascending times [n] from their spacing, which may not be finer than the declared one."""
    spacing = bar_spacing_ms(times)
    if spacing is None:
        if declared is None:
            raise InvalidInput("The file has a single bar, which shows no interval. Give {field}.", field="interval")
        return declared
    is_month_long = 28 * DAY_MS <= spacing <= 31 * DAY_MS
    if declared is not None:
        if spacing < declared.milliseconds and not (declared is _MONTH and is_month_long):
            raise InvalidInput(
                "{field} is {got!r}, but the bars of the file are {length} apart.",
                field="interval", got=declared.name, length=_length(spacing),
            )  # fmt: skip
        return declared
    if is_month_long and (open_times_ms(bar_numbers(times, _MONTH), _MONTH) == times).all():
        return _MONTH
    for interval in INTERVALS.values():
        if spacing == interval.milliseconds and interval is not _MONTH:
            return interval
    raise InvalidInput(
        "The bars of the file are {length} apart, which is no interval. Allowed: {allowed}. If many are missing, give "
        "{field}.",
        field="interval",
        length=_length(spacing),
        allowed=tuple(INTERVALS),
    )


def _close_times(rows: BarFileRows, interval: Interval) -> NDArray[np.int64] | None:
    """Return the file's own closing times; None if it has none, or if most do not fit the interval."""
    closes: NDArray[np.int64] | None = rows.columns.get("close_time")
    if closes is None:
        return None
    regular = np.count_nonzero(closes == close_times_ms(rows.columns["time"], interval))
    return closes if 2 * regular >= len(closes) else None


def describe_reading(rows: BarFileRows, symbol: str, forming: int = 0) -> Iterator[str]:
    """Yield sentences about how the rows were read; `forming` of the rows belong to bars that are not closed."""
    if rows.other_symbol is not None:
        yield f"The file's rows name the symbol {rows.other_symbol}; they were kept as {symbol}, as declared."
    if rows.is_zone_assumed:
        yield "The times name no zone and were taken for UTC; give timezone if they are not."
    if len(rows.units) > 1:
        yield f"The times come in {' and '.join(rows.units)}; each was read by its size."
    if rows.unreadable_cells:
        named = "; ".join(rows.unreadable)
        yield f"{rows.unreadable_cells:,} cells are no numbers, and their rows were left out: {named}."
    if forming:
        yield f"{forming:,} rows were left out because their bars are not closed yet."


def _refuse_misread(quality: DataQuality, warnings: tuple[str, ...], *, rows: int, last_ms: int) -> None:
    bad = len(quality.rejected_rows)
    if not quality.present_bars and not bad:
        raise InvalidInput(
            "No bar of the file is closed: its times end at {last}. Check {field}.",
            field="unit", last=iso_time(last_ms),
        )  # fmt: skip
    if not quality.present_bars or bad > max(_FEW_BAD_ROWS, _BAD_SHARE * rows):
        raise InvalidInput(
            "{bad:,} of the {rows:,} rows of the file are invalid, so it was not stored. {warnings}",
            field="file",
            bad=bad,
            rows=rows,
            warnings=" ".join(warnings),
        )


def _length(spacing_ms: float) -> str:
    for name, length in (("days", DAY_MS), ("hours", _HOUR_MS), ("minutes", 60_000), ("seconds", 1_000)):
        if spacing_ms >= length:
            return f"{spacing_ms / length:g} {name}"
    return f"{spacing_ms:g} milliseconds"
