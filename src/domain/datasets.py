"""Candles that users bring themselves: how their files are to be read, and what is kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from src.domain.errors import InvalidInput, bad_value
from src.domain.market import DataQuality, Interval

DATASET_EXTENSIONS: Final = (".csv", ".csv.gz", ".parquet")

DATASET_NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
"""What `check_dataset_name` allows, as a regular expression of JSON Schema."""

_NAME: Final = re.compile(DATASET_NAME_PATTERN)
_EXTENSION: Final = re.compile(r"(\.(csv|txt|tsv|gz|parquet|pq))+$")


class TimeUnit(StrEnum):
    """What a whole number in a column of times counts, from 1970-01-01 UTC on."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    NANOSECONDS = "ns"

    @staticmethod
    def named(text: str, *, field: str = "unit") -> TimeUnit:
        """Return the unit that a client named: `s`, `ms`, `us` (or `µs`), `ns`; raises InvalidInput."""
        name = text.strip().lower().replace("µ", "u").replace("μ", "u")
        if name not in list(TimeUnit):
            raise bad_value(field, got=text, allowed=TimeUnit)
        return TimeUnit(name)


class DateFormat(StrEnum):
    """The order of year, month and day in the dates of a file, whatever stands between them."""

    YMD = "YMD"
    DMY = "DMY"
    MDY = "MDY"

    @staticmethod
    def named(text: str, *, field: str = "dateFormat") -> DateFormat:
        """Return the order that a client named, in any case; raises InvalidInput."""
        name = text.strip().upper()
        if name not in list(DateFormat):
            raise bad_value(field, got=text, allowed=DateFormat)
        return DateFormat(name)


class DecimalMark(StrEnum):
    """What stands before the decimals of the numbers in a file; the other may stand between thousands."""

    POINT = "."
    COMMA = ","

    @staticmethod
    def named(text: str, *, field: str = "decimal") -> DecimalMark:
        """Return the mark that a client gave; raises InvalidInput."""
        mark = text.strip()
        if mark not in list(DecimalMark):
            raise bad_value(field, got=text, allowed='"." or ","')
        return DecimalMark(mark)


@dataclass(frozen=True, slots=True, kw_only=True)
class BarFileDeclaration:
    """What a user says about a file of candles; None: find it in the file.

    `timezone` is that of times which name none themselves: an IANA name or an offset such as +09:00. `date_format` is
    the order of dates that are written with numbers alone, `decimal` the mark before the decimals of all numbers.
    """

    symbol: str
    interval: Interval | None = None
    timezone: str | None = None
    unit: TimeUnit | None = None
    date_format: DateFormat | None = None
    decimal: DecimalMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A user's own candles, kept under a name that requests give as their source.

    `size_bytes` and `sha256` are of the file that was uploaded, `fingerprint` of the candles; `quality` reports on all
    of them, and `warnings` says the same in sentences.
    """

    name: str
    user_id: str
    symbol: str
    interval: Interval
    bars: int
    original_filename: str
    size_bytes: int
    sha256: str
    fingerprint: str
    uploaded_ms: int
    quality: DataQuality
    warnings: tuple[str, ...] = ()


def check_dataset_name(name: str, *, field: str = "name") -> str:
    """Return a name in lower case where it can safely name a file.

    Raises
    ------
    InvalidInput
        Where it is not 1 to 64 characters of a–z A–Z 0–9 _ . - beginning with a letter or digit.
    """
    if not _NAME.fullmatch(name):
        allowed = "1 to 64 characters of A-Z a-z 0-9 _ . -, the first a letter or digit"
        raise bad_value(field, got=name, allowed=allowed)
    return name.lower()


def dataset_name_of(filename: str) -> str:
    """Return the name that a file's own name suggests: `My Bars (1).csv.gz` is `my_bars_1`.

    Raises
    ------
    InvalidInput
        Where nothing of it can be used.
    """
    stem = _EXTENSION.sub("", filename.replace("\\", "/").rsplit("/", 1)[-1].strip().lower())
    name = re.sub(r"[^a-z0-9_.-]+", "_", stem).strip("_.-")[:64]
    if not name:
        raise InvalidInput("{field} is required: the file's own name suggests none.", field="name")
    return name
