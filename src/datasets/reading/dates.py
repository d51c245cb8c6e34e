"""Parse dates in common styles: 2024.01.31, 31.01.2024, 01/31/2024, 20240131, with or without a time of day.

If the year comes first, the month follows. Otherwise the dates of the whole file decide whether day or month comes
first: a part above 12 is a day. If no date decides it, the client must declare it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from src.datasets.reading.table import BarFileRejected
from src.domain.datasets import DateFormat
from src.domain.error_text import Template
from src.domain.intervals import DAY_MS

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2199
_MONTHS: Final = 12
_HALF_DAY_HOURS: Final = 12
_DATE: Final = re.compile(r"(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})(?:(?:[T,]\s*|\s+)(\S.*))?", re.ASCII | re.DOTALL)
_COMPACT_DATE: Final = re.compile(r"(\d{4})(\d{2})(\d{2})(?:(?:T|\s+)(\S.*))?", re.ASCII | re.DOTALL)
_CLOCK: Final = re.compile(
    r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(?:\s*([AaPp])[Mm])?(?:\s*(UTC|GMT|Z))?", re.ASCII
)
_COMPACT_CLOCK: Final = re.compile(r"(\d{2})(\d{2})(\d{2})?", re.ASCII)


class WrittenDate(NamedTuple):
    """A date and a time of day; `parts` are month and day if `is_year_first`, else the first and the second number."""

    year: int
    parts: tuple[int, int]
    is_year_first: bool
    day_ms: int
    has_clock: bool
    is_utc: bool


def parse_date(text: str) -> WrittenDate | None:
    """Parse a text in one of the styles of this module; return None if no style fits or the date is impossible."""
    if found := _DATE.fullmatch(text):
        first, second, third = found[1], found[3], found[4]
        is_year_first = len(first) == 4 and len(third) <= 2
        if not is_year_first and (len(first) > 2 or len(third) != 4):
            return None
        year, parts = (first, (second, third)) if is_year_first else (third, (first, second))
        clock_text = found[5]
    elif found := _COMPACT_DATE.fullmatch(text):
        is_year_first, year, parts, clock_text = True, found[1], (found[2], found[3]), found[4]
    else:
        return None
    clock = (0, False) if clock_text is None else _parse_clock(clock_text.strip())
    if clock is None or not FIRST_YEAR <= int(year) <= LAST_YEAR:
        return None
    return WrittenDate(
        year=int(year),
        parts=(int(parts[0]), int(parts[1])),
        is_year_first=is_year_first,
        day_ms=clock[0],
        has_clock=clock_text is not None,
        is_utc=clock[1],
    )


@lru_cache(maxsize=4096)
def _parse_clock(text: str) -> tuple[int, bool] | None:
    """Return the milliseconds since midnight, and whether the text ends in UTC; None if it is not a time of day."""
    if found := _CLOCK.fullmatch(text):
        hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
        if found[5]:
            if not 1 <= hour <= _HALF_DAY_HOURS:
                return None
            hour = hour % _HALF_DAY_HOURS + (_HALF_DAY_HOURS if found[5] in "Pp" else 0)
        fraction_ms, is_utc = int((found[4] or "0").ljust(3, "0")[:3]), found[6] is not None
    elif found := _COMPACT_CLOCK.fullmatch(text):
        hour, minute, second, fraction_ms, is_utc = int(found[1]), int(found[2]), int(found[3] or 0), 0, False
    else:
        return None
    if hour > 23 or minute > 59 or second > 59:
        return None
    return ((hour * 60 + minute) * 60 + second) * 1000 + fraction_ms, is_utc


class DateOrder:
    """Decides whether day or month comes first in a file: as declared, or as all its dates together show."""

    def __init__(self, declared: DateFormat | None) -> None:
        self._declared = declared
        self._possible = {DateFormat.DMY, DateFormat.MDY} if declared is None else {declared}
        self._first_seen: tuple[int, str, str] | None = None

    def allows_year_first(self) -> bool:
        return self._declared in (None, DateFormat.YMD)

    def see(self, date: WrittenDate, line: int, column: str, text: str) -> None:
        """Use a date whose year is last as evidence; line, column and text are for messages.

        Raises BarFileRejected if it contradicts the declared order or an earlier date.
        """
        first, second = date.parts
        self._possible.discard(DateFormat.YMD)
        if first > _MONTHS:
            self._possible.discard(DateFormat.MDY)
        if second > _MONTHS:
            self._possible.discard(DateFormat.DMY)
        if self._possible:
            self._first_seen = self._first_seen or (line, column, text)
        elif self._declared is not None:
            raise not_declared(line, column, text, self._declared)
        else:
            raise BarFileRejected(
                "{where}, and with the dates before it neither day nor month can come first.",
                where=_where(line, column, text),
            )

    def chosen(self) -> DateFormat:
        """Return the order; raises BarFileRejected if it was not declared and no date shows it."""
        if len(self._possible) > 1:
            raise BarFileRejected(
                "{where}, and no date of the file shows whether its day or its month comes first. Give {field}: DMY or "
                "MDY.",
                field="dateFormat",
                where="" if self._first_seen is None else _where(*self._first_seen),
            )
        (only,) = self._possible
        return only


def not_declared(line: int, column: str, text: str, declared: DateFormat | None) -> BarFileRejected:
    """Return the error of a date in another order than the declared one."""
    return BarFileRejected(
        "{where}, but the declared {field} is {declared}.",
        field="dateFormat",
        where=_where(line, column, text),
        declared=declared,
    )


def _where(line: int, column: str, text: str) -> Template:
    return Template("Line {line}: {column} is {got!r}", {"line": line, "column": column, "got": text})


def pack(date: WrittenDate) -> int:
    """Encode a date whose order is not known yet as a negative number; times are never negative."""
    first, second = date.parts
    return -1 - (((date.year * 100 + first) * 100 + second) * DAY_MS + date.day_ms)


def unpack(packed: NDArray[np.int64], order: DateFormat, column: str) -> NDArray[np.int64]:
    """Decode packed dates [n] to wall-clock times in milliseconds [n]; raises BarFileRejected if one does not exist."""
    whole, day_ms = np.divmod(-1 - packed, DAY_MS)
    first, second, year = whole // 100 % 100, whole % 100, whole // 10_000
    day, month = (first, second) if order is DateFormat.DMY else (second, first)
    possible = (month >= 1) & (month <= _MONTHS) & (day >= 1)
    months = ((year - FIRST_YEAR) * _MONTHS + np.where(possible, month, 1) - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1)
    possible &= days.astype("datetime64[M]") == months
    if not possible.all():
        row = int(np.argmin(possible))
        written = f"{first[row]:02d}/{second[row]:02d}/{year[row]}"
        raise BarFileRejected(
            "The {column} is {got!r} in one row, which as {order} is not in the calendar.",
            column=column, got=written, order=order,
        )  # fmt: skip
    milliseconds: NDArray[np.int64] = days.astype("datetime64[ms]").astype(np.int64) + day_ms
    return milliseconds
