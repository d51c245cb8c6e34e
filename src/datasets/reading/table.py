"""The table that a file of bars is read into, and the error for a file that cannot be read."""

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
"""The number columns of a file of bars."""
RATE = "rate"
"""The only number column of a file of funding rates."""
_MAX_NAMED = 3

Columns: TypeAlias = dict[str, NDArray[np.int64] | NDArray[np.float64]]


class Fault(StrEnum):
    """The kind of error of a rejected file."""

    INVALID = "invalid"
    TOO_LARGE = "too_large"
    FORMAT = "format"


class BarFileRejected(Exception):
    """A file that cannot be read as bars; the message names the line and the column, if there are any.

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
    """The maximum size of a file: rows, and bytes after unpacking."""

    rows: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The client's declarations; None: find it in the file. `symbol` decides which of two volumes is read."""

    symbol: str
    unit: TimeUnit | None = None
    zone: tzinfo | None = None
    date_format: DateFormat | None = None
    decimal: DecimalMark | None = None


@dataclass(slots=True)
class Findings:
    """Facts for warnings, found while reading.

    `units` are the units of the times, `is_zone_assumed` whether a time without a zone was read as UTC, `offsets` the
    zone's offsets from UTC in minutes, `unreadable` descriptions of the first cells that are not numbers, and
    `unreadable_cells` their count. `other_symbol` is the quoted symbol of the rows, if it is not the declared one.
    """

    units: set[str] = field(default_factory=set)
    is_zone_assumed: bool = False
    offsets: set[int] = field(default_factory=set)
    unreadable: list[str] = field(default_factory=list)
    unreadable_cells: int = 0
    other_symbol: str | None = None

    def note_unreadable(self, where: str) -> None:
        """Count a cell that is not a number, and keep the descriptions of the first few."""
        self.unreadable_cells += 1
        if len(self.unreadable) < _MAX_NAMED:
            self.unreadable.append(where)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BarTable:
    """The rows of a file, in its order: times in ms since the epoch, UTC; NaN for cells that are not numbers.

    `columns` has `time` and each of `NUMBER_ROLES`, and `close_time` if the file has it; or `time` and `RATE`.
    """

    columns: Columns
    findings: Findings

    def __len__(self) -> int:
        return len(self.columns["time"])
