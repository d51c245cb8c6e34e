"""What a file of candles is read into, and what is said about a file that cannot be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

NUMBER_ROLES = ("open", "high", "low", "close", "volume")
TIME_ROLES = ("time", "close_time")


class Fault(StrEnum):
    """What kind of error a file is answered with."""

    INVALID = "invalid"
    TOO_LARGE = "too_large"
    FORMAT = "format"


class BarFileRejected(Exception):
    """A file that cannot be read as candles; the message names line and column where there are any."""

    def __init__(self, message: str, fault: Fault = Fault.INVALID) -> None:
        super().__init__(message)
        self.message = message
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The most that a file may hold: rows, and bytes once it is unpacked."""

    rows: int
    bytes: int


@dataclass(slots=True)
class Findings:
    """What reading found out on its way.

    `units` are the units of the times, `is_zone_assumed` whether a time without a zone was taken for UTC, `offsets`
    the zone's offsets from UTC in minutes, `unreadable` the first cells that should be numbers, in words, and
    `unreadable_cells` their count.
    """

    units: set[str] = field(default_factory=set)
    is_zone_assumed: bool = False
    offsets: set[int] = field(default_factory=set)
    unreadable: list[str] = field(default_factory=list)
    unreadable_cells: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BarTable:
    """Rows as they stand in the file: times in milliseconds since the epoch, UTC; what is no number is NaN.

    `columns` has `time` and each of `NUMBER_ROLES`, and `close_time` where the file has one.
    """

    columns: dict[str, NDArray[np.int64] | NDArray[np.float64]]
    findings: Findings

    def __len__(self) -> int:
        return len(self.columns["time"])

    @staticmethod
    def joined(blocks: Sequence[dict[str, NDArray[np.int64] | NDArray[np.float64]]], findings: Findings) -> BarTable:
        """Return the rows of all blocks; BarFileRejected where there are none."""
        if not blocks:
            raise BarFileRejected("the file has no rows of candles")
        columns = {role: np.concatenate([block[role] for block in blocks]) for role in blocks[0]}
        return BarTable(columns=columns, findings=findings)


def shown(text: object) -> str:
    """Return a file's text for a message: quoted, printable and not too long."""
    written = str(text)
    return ascii(written if len(written) <= 60 else written[:60] + "...")


def listed(names: Iterable[object], most: int = 20) -> str:
    """Return names for a message, the first `most` of them."""
    found = [shown(name) for name in names]
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")
