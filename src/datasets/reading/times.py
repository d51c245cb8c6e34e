"""Read times: numbers in some unit, ISO 8601 text in some zone, or dates in the styles of `dates`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final, TypeAlias, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from src.datasets.reading.dates import DateOrder, WrittenDate, not_declared, pack, parse_date, unpack
from src.datasets.reading.table import BarFileRejected, Declared, Findings
from src.domain.datasets import TimeUnit
from src.domain.errors import bad_value

_PER_SECOND: Final = {
    TimeUnit.SECONDS: 1,
    TimeUnit.MILLISECONDS: 1_000,
    TimeUnit.MICROSECONDS: 1_000_000,
    TimeUnit.NANOSECONDS: 1_000_000_000,
}
_YEAR_1990_S: Final = 631_152_000
_YEAR_2200_S: Final = 7_258_118_400
"""A number gives a time between these years in just one unit, which must then be its unit."""
Numbers: TypeAlias = NDArray[np.int64] | NDArray[np.float64]
Number = TypeVar("Number", np.int64, np.float64)
_MS: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime(1970, 1, 1)
_UTC_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(2200, 1, 1)
_DAY_S: Final = 86_400
_FIRST_COMPACT_DATE: Final = 1970_01_01
_LAST_COMPACT_DATE: Final = 2199_12_31
_OFFSET: Final = re.compile(r"([+-])(\d{2}):?(\d{2})")
_ZONE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]{0,63}")


def parse_zone(text: str | None, *, field: str = "timezone") -> tzinfo | None:
    """Parse a zone: an IANA name (`Asia/Seoul`), `UTC`, or an offset (`+09:00`); raises InvalidInput."""
    if not text:
        return None
    name = text.strip()
    if name.upper() in {"UTC", "Z", "GMT"}:
        return UTC
    if offset := _OFFSET.fullmatch(name):
        hours, minutes = int(offset[2]), int(offset[3])
        if hours < 15 and minutes < 60:
            span = timedelta(hours=hours, minutes=minutes)
            return timezone(-span if offset[1] == "-" else span)
    elif _ZONE_NAME.fullmatch(name):
        try:
            return ZoneInfo(name)
        except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError; a folder of zones an OSError
            pass
    raise bad_value(field, got=text, allowed="UTC, an IANA name such as Asia/Seoul, or an offset such as +09:00")


class TimeReader:
    """Reads one column of times, block by block; all cells must be in the same style.

    Parameters
    ----------
    column
        The column's name, for messages.
    declared
        If it has no unit, the size of the numbers decides the unit. If it has no zone, times are read as UTC.
    order
        The order of dates, which all columns of a file share.
    """

    def __init__(self, column: str, *, declared: Declared, findings: Findings, order: DateOrder) -> None:
        self.column = column
        self.has_clock = False
        self._unit = declared.unit
        self._zone = declared.zone
        self._date_format = declared.date_format
        self._findings = findings
        self._order = order
        self._last_ms: int | None = None
        self._falls = False
        self._packed_lines: list[int] = []
        self._packed_in_utc: set[bool] = set()

    def read_cells(self, cells: Sequence[str], lines: Sequence[int]) -> NDArray[np.int64]:
        """Parse texts [n] to milliseconds since the epoch (UTC); `lines` are their lines in the file.

        Dates whose order only the whole file can show become negative numbers, which `finish` converts.
        """
        if (whole := _numbers(cells, np.int64)) is not None:
            return self.read_numbers(whole, lines)
        if (fractional := _numbers(cells, np.float64)) is not None:
            return self.read_numbers(fractional, lines)
        return np.array([self._cell(cell.strip(), line) for cell, line in zip(cells, lines, strict=True)], np.int64)

    def read_numbers(self, numbers: Numbers, lines: Sequence[int]) -> NDArray[np.int64]:
        """Convert numbers [n] to milliseconds since the epoch; if no unit is declared, each has its own.

        The exchange's own files change from milliseconds to microseconds on 2025-01-01.
        """
        if (days := self._compact_dates(numbers, lines)) is not None:
            return days
        self.has_clock = True
        result = np.full(len(numbers), -1, dtype=np.int64)
        if numbers.dtype != np.int64:
            numbers = np.where(np.isfinite(numbers), numbers, -1.0)
        for unit in [self._unit] if self._unit else TimeUnit:
            scale = _PER_SECOND[unit]
            first_s = 0 if self._unit else _YEAR_1990_S
            rows = (numbers >= first_s * scale) & (numbers < _YEAR_2200_S * scale)
            if rows.any():
                self._findings.units.add(unit.value)
                result[rows] = _to_ms(numbers[rows], scale)
        wrong = np.flatnonzero(result < 0)
        if len(wrong):
            allowed = (
                f"in {self._unit.value} from 1970 to 2200" if self._unit else "from 1990 to 2200 in s, ms, us or ns"
            )
            raise BarFileRejected(
                "Line {line}: {column} is {got}. Allowed: times {allowed}.",
                line=lines[wrong[0]], column=self.column, got=numbers[wrong[0]], allowed=allowed,
            )  # fmt: skip
        return result

    def read_units(self, numbers: NDArray[np.int64], unit: TimeUnit, lines: Sequence[int]) -> NDArray[np.int64]:
        """Convert numbers [n], whose unit the file declares, to milliseconds since the epoch."""
        scale = _PER_SECOND[unit]
        self.has_clock |= bool((numbers % (_DAY_S * scale)).any())
        wrong = np.flatnonzero((numbers < 0) | (numbers >= _YEAR_2200_S * scale))
        if len(wrong):
            raise BarFileRejected(
                "Row {line}: {column} is {got} {unit} since 1970. Allowed: times from 1970 to 2199.",
                line=lines[wrong[0]], column=self.column, got=numbers[wrong[0]], unit=unit.value,
            )  # fmt: skip
        return _to_ms(numbers, scale)

    def read_naive(self, local_ms: NDArray[np.int64], lines: Sequence[int]) -> NDArray[np.int64]:
        """Convert wall-clock times [n] without a zone to instants."""
        if self._zone is None or self._zone is UTC:
            self._findings.is_zone_assumed |= self._zone is None
            return local_ms
        moments = (_EPOCH + timedelta(milliseconds=moment) for moment in local_ms.tolist())
        return np.array([self._local(moment, line) for moment, line in zip(moments, lines, strict=True)], np.int64)

    def finish(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the whole column [n]; convert dates whose order the whole file has shown.

        Raises BarFileRejected if the order is still not known, or the column has dates of several styles.
        """
        packed = times < 0
        if not packed.any():
            return times
        if not packed.all() or len(self._packed_in_utc) > 1:
            raise BarFileRejected(
                "Line {line}: {column} has a date in another style than other rows have.",
                line=self._packed_lines[0], column=self.column,
            )  # fmt: skip
        wall_ms = unpack(times, self._order.chosen(), self.column)
        return wall_ms if self._packed_in_utc == {True} else self.read_naive(wall_ms, self._packed_lines)

    def _compact_dates(self, numbers: Numbers, lines: Sequence[int]) -> NDArray[np.int64] | None:
        """Return the times if all numbers are days such as 20240131, which are too small for times in any unit."""
        if self._unit is not None or numbers.dtype != np.int64 or not len(numbers):
            return None
        if numbers.min() < _FIRST_COMPACT_DATE or numbers.max() > _LAST_COMPACT_DATE:
            return None
        return np.array([self._cell(str(number), line) for number, line in zip(numbers, lines, strict=True)], np.int64)

    def _cell(self, text: str, line: int) -> int:
        # ISO 8601 first if it is likely, because Python parses it several times as fast.
        if text[4:5] != "-" and (date := parse_date(text)) is not None:
            return self._date(date, text, line)
        try:
            moment = datetime.fromisoformat(text.removesuffix(" UTC"))
        except ValueError:
            date = parse_date(text)
            return self._number(text, line) if date is None else self._date(date, text, line)
        if not self._order.allows_year_first():
            raise not_declared(line, self.column, text, self._date_format)
        self.has_clock |= len(text) > len("2021-01-31")
        # Python also accepts weeks such as 2021-W01-1, which are not dates of bars.
        if text.isdigit() or "W" in text.upper():
            raise self._no_time(text, line)
        if not _EPOCH.year <= moment.year < _LAST.year:
            raise self._no_time(text, line)
        if moment.tzinfo is not None:
            self._findings.offsets.add(_minutes(moment))
            return (moment - _UTC_EPOCH) // _MS
        if text.endswith(" UTC"):
            return (moment - _EPOCH) // _MS
        return self._local(moment, line)

    def _date(self, date: WrittenDate, text: str, line: int) -> int:
        """Return the instant of a date that begins with its year; pack any other date."""
        self.has_clock |= date.has_clock
        if not date.is_year_first:
            self._order.see(date, line, self.column, text)
            self._packed_lines.append(line)
            self._packed_in_utc.add(date.is_utc)
            return pack(date)
        if not self._order.allows_year_first():
            raise not_declared(line, self.column, text, self._date_format)
        try:
            moment = datetime(date.year, *date.parts) + date.day_ms * _MS
        except ValueError:
            raise self._no_time(text, line) from None
        if not date.is_utc:
            return self._local(moment, line)
        self._findings.offsets.add(0)
        return (moment - _EPOCH) // _MS

    def _number(self, text: str, line: int) -> int:
        try:
            number = float(text)
        except ValueError:
            raise self._no_time(text, line) from None
        return int(self.read_numbers(np.array([number]), [line])[0])

    def _local(self, moment: datetime, line: int) -> int:
        """Return the instant of a wall-clock time; if it occurs twice, the one that keeps the rows in order."""
        if self._zone is None or self._zone is UTC:
            self._findings.is_zone_assumed |= self._zone is None
            return (moment - _EPOCH) // _MS
        chosen, second = (moment.replace(tzinfo=self._zone, fold=fold) for fold in (0, 1))
        if chosen.utcoffset() != second.utcoffset():
            if chosen.astimezone(UTC).astimezone(self._zone).replace(tzinfo=None) != moment:
                raise BarFileRejected(
                    "Line {line}: {column} is {got!r}, which the clocks of the declared {@timezone} skip.",
                    line=line, column=self.column, got=str(moment),
                )  # fmt: skip
            chosen = self._in_order(chosen, second)
        instant_ms = (chosen - _UTC_EPOCH) // _MS
        if self._last_ms is not None and instant_ms != self._last_ms:
            self._falls = instant_ms < self._last_ms
        self._last_ms = instant_ms
        self._findings.offsets.add(_minutes(chosen))
        return instant_ms

    def _in_order(self, first: datetime, second: datetime) -> datetime:
        """Choose between the two instants of a time that occurs twice, depending on the order of the file's rows."""
        if self._last_ms is None:
            return first
        first_ms, second_ms = ((moment - _UTC_EPOCH) // _MS for moment in (first, second))
        if self._falls:
            return second if second_ms < self._last_ms else first
        return first if first_ms > self._last_ms else second

    def _no_time(self, text: str, line: int) -> BarFileRejected:
        return BarFileRejected(
            "Line {line}: {column} is {got!r}. Allowed: an ISO 8601 time from 1970 to 2199 (2021-01-31 or "
            "2021-01-31T12:00:00+00:00), a date with four digits of the year (2021.01.31, 31.01.2021, 01/31/2021) and "
            "a time of day (12:00:00), or a number of s, ms, us or ns since 1970.",
            line=line, column=self.column, got=str(text),
        )  # fmt: skip


def _numbers(cells: Sequence[str], kind: type[Number]) -> NDArray[Number] | None:
    try:
        return np.array(cells, dtype=kind)
    except (ValueError, OverflowError):
        return None


def _to_ms(numbers: Numbers, scale: int) -> NDArray[np.int64]:
    """Convert to whole milliseconds, rounding down: a bar that closes at …999 999 µs closes at …999 ms."""
    if numbers.dtype != np.int64:
        return np.floor(numbers * (1000 / scale) + 1e-6).astype(np.int64)
    whole = numbers.astype(np.int64)
    return whole * (1000 // scale) if scale <= 1000 else whole // (scale // 1000)


def _minutes(moment: datetime) -> int:
    return round((moment.utcoffset() or timedelta()).total_seconds() / 60)
