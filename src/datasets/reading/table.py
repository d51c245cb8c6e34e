"""What a file of candles is read into, and what is said about a file that cannot be."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import tzinfo
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from src.domain.datasets import DateFormat, DecimalMark, TimeUnit
from src.domain.error_text import FieldName, Template

NUMBER_ROLES = ("open", "high", "low", "close", "volume")
TIME_ROLES = ("time", "close_time")
_NAMED = 3

Columns: TypeAlias = dict[str, NDArray[np.int64] | NDArray[np.float64]]


class Fault(StrEnum):
    """What kind of error a file is answered with."""

    INVALID = "invalid"
    TOO_LARGE = "too_large"
    FORMAT = "format"


class BarFileRejected(Exception):
    """A file that cannot be read as bars; the sentence names line and column if there are any.

    Parameters
    ----------
    template, parts
        As in `domain.error_text`.
    field
        What the client should change: the file, or what was declared about it.
    """

    def __init__(self, template: str, fault: Fault = Fault.INVALID, *, field: str = "file", **parts: object) -> None:
        self.text = Template(template, {**parts, "field": FieldName(field)})
        super().__init__(self.text)
        self.fault = fault
        self.field = field

    @property
    def message(self) -> str:
        """The sentence with the fields' declared names."""
        return str(self.text)

    def to_plain(self) -> dict[str, Any]:
        """Return what the child tells the server, for JSON: names of fields as lists of one."""
        pieces = [[piece.name] if isinstance(piece, FieldName) else piece for piece in self.text.pieces()]
        return {"rejected": pieces, "fault": self.fault.value, "field": self.field}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The most that a file may hold: rows, and bytes once it is unpacked."""

    rows: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What was said about the file; None: find it in the file. `symbol` tells which of two volumes is wanted."""

    symbol: str
    unit: TimeUnit | None = None
    zone: tzinfo | None = None
    date_format: DateFormat | None = None
    decimal: DecimalMark | None = None


@dataclass(slots=True)
class Findings:
    """What reading found out on its way.

    `units` are the units of the times, `is_zone_assumed` whether a time without a zone was taken for UTC, `offsets`
    the zone's offsets from UTC in minutes, `unreadable` the first cells that should be numbers, in words, and
    `unreadable_cells` their count. `other_symbol` is the symbol that the rows name, in quotes, if it is not the
    declared one.
    """

    units: set[str] = field(default_factory=set)
    is_zone_assumed: bool = False
    offsets: set[int] = field(default_factory=set)
    unreadable: list[str] = field(default_factory=list)
    unreadable_cells: int = 0
    other_symbol: str | None = None

    def note_unreadable(self, where: str) -> None:
        """Count a cell that should be a number, and keep the words about the first few."""
        self.unreadable_cells += 1
        if len(self.unreadable) < _NAMED:
            self.unreadable.append(where)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BarTable:
    """Rows as they stand in the file: times in milliseconds since the epoch, UTC; what is no number is NaN.

    `columns` has `time` and each of `NUMBER_ROLES`, and `close_time` where the file has one.
    """

    columns: Columns
    findings: Findings

    def __len__(self) -> int:
        return len(self.columns["time"])
