"""The child process that reads one uploaded file: set limits, parse, write the reply.

A large C++ library unpacks and parses an untrusted file. So this runs in a process of its own, without an environment,
with limits on memory, time and written bytes, and its reply has only numbers and short texts.

The file is standard input. The reply, on standard output, is one line of JSON and then the columns of the table, one
after the other, as little-endian 64-bit numbers.
"""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from src.datasets.reading.table import BarFileRejected, BarTable, Bounds, Declared, Fault
from src.datasets.reading.text import read_text
from src.datasets.reading.times import parse_zone
from src.domain.datasets import DateFormat, DecimalMark, TimeUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The task of the child, sent as JSON."""

    symbol: str
    unit: str | None
    timezone: str | None
    date_format: str | None
    decimal: str | None
    max_rows: int
    max_bytes: int
    memory_bytes: int
    cpu_seconds: int
    answer_bytes: int


def main() -> None:
    """Read the file on standard input as the first argument describes, and write the reply to standard output."""
    task = Task(**json.loads(sys.argv[1]))
    _bound(task)
    try:
        table = read(sys.stdin.buffer, task)
    except BarFileRejected as rejection:
        _answer(rejection.to_plain())
    except MemoryError:
        needs_memory = "Reading the file takes too much memory. Maximum: {most:,} bytes."
        _answer(BarFileRejected(needs_memory, Fault.TOO_LARGE, most=task.memory_bytes).to_plain())
    else:
        _answer(_describe(table))
        for column in table.columns.values():
            sys.stdout.buffer.write(np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("<")).data)
    sys.stdout.buffer.flush()


def read(file: BinaryIO, task: Task) -> BarTable:
    """Read a file in the format that its first bytes show; its name does not matter."""
    start = file.read(4)
    file.seek(0)
    if start.startswith(b"PK"):
        raise BarFileRejected("The file is a zip or spreadsheet. Allowed: CSV, CSV.gz or Parquet.", Fault.FORMAT)
    declared = Declared(
        symbol=task.symbol,
        unit=TimeUnit(task.unit) if task.unit else None,
        zone=parse_zone(task.timezone),
        date_format=DateFormat(task.date_format) if task.date_format else None,
        decimal=DecimalMark(task.decimal) if task.decimal else None,
    )
    bounds = Bounds(rows=task.max_rows, bytes=task.max_bytes)
    if start == b"PAR1":
        # Imported only if needed, because the import takes as long as everything else.
        from src.datasets.reading.parquet import read_parquet  # noqa: PLC0415

        return read_parquet(file, declared=declared, bounds=bounds)
    return read_text(file, declared=declared, bounds=bounds)


def _bound(task: Task) -> None:
    limits = {
        resource.RLIMIT_AS: task.memory_bytes,
        resource.RLIMIT_CPU: task.cpu_seconds,
        resource.RLIMIT_FSIZE: task.answer_bytes,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in limits.items():
        resource.setrlimit(kind, (value, value))


def _describe(table: BarTable) -> dict[str, Any]:
    findings = table.findings
    return {
        "rows": len(table),
        "columns": {role: column.dtype.kind for role, column in table.columns.items()},
        "units": sorted(findings.units),
        "is_zone_assumed": findings.is_zone_assumed,
        "offsets": sorted(findings.offsets),
        "unreadable": findings.unreadable,
        "unreadable_cells": findings.unreadable_cells,
        "other_symbol": findings.other_symbol,
    }


def _answer(head: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n")
