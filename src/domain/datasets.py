"""Datasets, the bars and funding rates that users upload: declarations for reading a file, and descriptions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from src.domain.bar_quality import DataQuality
from src.domain.errors import InvalidInput, bad_value
from src.domain.intervals import Interval

DATASET_EXTENSIONS: Final = (".csv", ".csv.gz", ".parquet")

DATASET_NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
"""What `check_dataset_name` allows, as a regular expression of JSON Schema."""

_NAME: Final = re.compile(DATASET_NAME_PATTERN)
_EXTENSION: Final = re.compile(r"(\.(csv|txt|tsv|gz|parquet|pq))+$")


class DatasetKind(StrEnum):
    """What the rows of a dataset are."""

    BARS = "BARS"
    """Bars, which requests name as their source."""
    FUNDING = "FUNDING"
    """Rates of funding, which requests name as their fundingHistory."""


class TimeUnit(StrEnum):
    """The unit of whole numbers in a column of times, counted from 1970-01-01 UTC."""

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
    """The order of year, month and day in the dates of a file, with any separators."""

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
    """The mark before the decimals of the numbers in a file; the other mark may separate thousands."""

    POINT = "."
    COMMA = ","

    @staticmethod
    def named(text: str, *, field: str = "decimal") -> DecimalMark:
        """Return the mark that a client named; raises InvalidInput."""
        mark = text.strip()
        if mark not in list(DecimalMark):
            raise bad_value(field, got=text, allowed='"." or ","')
        return DecimalMark(mark)


@dataclass(frozen=True, slots=True, kw_only=True)
class BarFileDeclaration:
    """A user's declarations about a file of bars; None: find it in the file.

    `timezone` applies to times without a zone: an IANA name or an offset such as +09:00. `date_format` is the order of
    dates that are written in numbers, `decimal` the mark before the decimals of all numbers.
    """

    symbol: str
    interval: Interval | None = None
    timezone: str | None = None
    unit: TimeUnit | None = None
    date_format: DateFormat | None = None
    decimal: DecimalMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """The description of a user's uploaded bars, stored under a name that requests give as their source.

    `size_bytes` and `sha256` are of the uploaded file, `fingerprint` of the bars; `quality` and `warnings` report on
    all rows. One of funding has as many `bars` as rates, and the length of the most common distance as its `interval`.
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
    kind: DatasetKind = DatasetKind.BARS


def check_dataset_name(name: str, *, field: str = "name") -> str:
    """Return a name in lower case, which is safe as the name of a file.

    Raises InvalidInput if it is not 1 to 64 characters of a–z A–Z 0–9 _ . - beginning with a letter or digit.
    """
    if not _NAME.fullmatch(name):
        allowed = "1 to 64 characters of A-Z a-z 0-9 _ . -, the first a letter or digit"
        raise bad_value(field, got=name, allowed=allowed)
    return name.lower()


def dataset_name_of(filename: str) -> str:
    """Derive a dataset's name from a file name: `my_bars_1` from `My Bars (1).csv.gz`.

    Raises InvalidInput if no character of it is allowed.
    """
    stem = _EXTENSION.sub("", filename.replace("\\", "/").rsplit("/", 1)[-1].strip().lower())
    name = re.sub(r"[^a-z0-9_.-]+", "_", stem).strip("_.-")[:64]
    if not name:
        raise InvalidInput("{field} is required: the file's own name suggests none.", field="name")
    return name
