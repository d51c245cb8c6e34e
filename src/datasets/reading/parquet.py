"""Read Parquet files with pyarrow; check the sizes that the footer declares before anything is unpacked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from src.datasets.reading.assembly import Assembly
from src.datasets.reading.header import Layout, find_layout
from src.datasets.reading.numbers import NumberReader
from src.datasets.reading.table import BarFileRejected, BarTable, Bounds, Columns, Declared, Fault
from src.datasets.reading.times import TimeReader
from src.domain.datasets import TimeUnit
from src.domain.error_text import quote

_MAX_COLUMNS: Final = 200
_MAX_GROUPS: Final = 100_000
_BATCH_ROWS: Final = 65_536
_FOOTER_STRINGS: Final = 16 * 1024 * 1024
_FOOTER_ENTRIES: Final = 1_000_000

_UNITS: Final = {
    "s": TimeUnit.SECONDS, "ms": TimeUnit.MILLISECONDS, "us": TimeUnit.MICROSECONDS, "ns": TimeUnit.NANOSECONDS,
}  # fmt: skip


def read_parquet(file: BinaryIO, *, declared: Declared, bounds: Bounds) -> BarTable:
    """Read the columns of bars in a Parquet file; rows count as lines from 1.

    Raises BarFileRejected if it is damaged or beyond the bounds, or lacks a column.
    """
    try:
        return _read(file, declared, bounds)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BarFileRejected(
            "The Parquet file cannot be read: {reason}.", reason=_first_line(error).rstrip(".")
        ) from error


def _read(file: BinaryIO, declared: Declared, bounds: Bounds) -> BarTable:
    parquet = pq.ParquetFile(
        file,
        memory_map=False,
        pre_buffer=False,
        thrift_string_size_limit=_FOOTER_STRINGS,
        thrift_container_size_limit=_FOOTER_ENTRIES,
    )
    footer = parquet.metadata
    if footer.num_rows > bounds.rows:
        raise BarFileRejected(
            "The file has {count:,} rows. Maximum: {most:,}.", Fault.TOO_LARGE, count=footer.num_rows, most=bounds.rows
        )
    if footer.num_columns > _MAX_COLUMNS or footer.num_row_groups > _MAX_GROUPS:
        raise BarFileRejected(
            "The file has too many columns or row groups. Maximum: {columns} and {groups:,}.",
            columns=_MAX_COLUMNS, groups=_MAX_GROUPS,
        )  # fmt: skip
    layout = find_layout([str(name) for name in parquet.schema_arrow.names], symbol=declared.symbol)
    wanted = _wanted_names(layout)
    _check_size(footer, wanted, bounds)
    assembly = Assembly(layout, declared)
    rows = 0
    for batch in parquet.iter_batches(batch_size=_BATCH_ROWS, columns=list(wanted), use_threads=False):
        lines = range(rows + 1, rows + batch.num_rows + 1)
        rows += batch.num_rows
        if rows > bounds.rows:  # the footer may be wrong
            raise BarFileRejected("The file has too many rows. Maximum: {most:,}.", Fault.TOO_LARGE, most=bounds.rows)
        if batch.num_rows:
            _take(batch, lines, layout, assembly)
    return assembly.table()


def _wanted_names(layout: Layout) -> set[str]:
    times = (*layout.times.values(), *layout.again)
    if any(column.clock is not None for column in times):
        raise BarFileRejected("The file has a column for the date and one for the time. Write both as one timestamp.")
    positions = {column.position for column in times} | set(layout.numbers.values())
    if layout.symbol is not None:
        positions.add(layout.symbol)
    return {layout.names[place] for place in positions}


def _take(batch: pa.RecordBatch, lines: Sequence[int], layout: Layout, assembly: Assembly) -> None:
    """Read a batch of rows into arrays."""
    if layout.symbol is not None:
        cells = pc.unique(batch.column(layout.names[layout.symbol])).to_pylist()
        assembly.see_symbols("" if cell is None else str(cell) for cell in cells)
    block: Columns = {
        role: _read_times(batch.column(layout.times[role].name), reader, lines)
        for role, reader in assembly.times.items()
    }
    for role, number_reader in assembly.numbers.items():
        block[role] = _read_numbers(batch.column(number_reader.column), number_reader, lines)
    again = zip(layout.again, assembly.again, strict=True)
    assembly.add(block, [_read_times(batch.column(column.name), reader, lines) for column, reader in again])


def _check_size(footer: Any, wanted: set[str], bounds: Bounds) -> None:
    unpacked = 0
    for group in range(footer.num_row_groups):
        for index in range(footer.num_columns):
            chunk = footer.row_group(group).column(index)
            if chunk.path_in_schema in wanted:
                unpacked += max(0, chunk.total_uncompressed_size)
    if unpacked > bounds.bytes:
        raise BarFileRejected(
            "The columns of the file unpack to {size:,} bytes. Maximum: {most:,}.",
            Fault.TOO_LARGE, size=unpacked, most=bounds.bytes,
        )  # fmt: skip


def _read_times(column: pa.Array, reader: TimeReader, lines: Sequence[int]) -> NDArray[np.int64]:
    kind = column.type
    if column.null_count:
        empty = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise BarFileRejected("Row {line} has no time.", line=lines[empty])
    if pa.types.is_timestamp(kind):
        milliseconds = reader.read_units(column.cast(pa.int64()).to_numpy(), _UNITS[kind.unit], lines)
        return milliseconds if kind.tz else reader.read_naive(milliseconds, lines)
    if pa.types.is_date(kind):
        days = column.cast(pa.timestamp("ms")).cast(pa.int64()).to_numpy()
        return reader.read_naive(reader.read_units(days, TimeUnit.MILLISECONDS, lines), lines)
    if pa.types.is_integer(kind):
        return reader.read_numbers(column.cast(pa.int64()).to_numpy(), lines)
    if pa.types.is_floating(kind):
        return reader.read_numbers(column.cast(pa.float64()).to_numpy(), lines)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return reader.read_cells(column.to_pylist(), lines)
    raise BarFileRejected(
        "The times are of the type {kind!r}. Allowed: timestamps, dates, numbers or text.", kind=str(kind)
    )


def _read_numbers(column: pa.Array, reader: NumberReader, lines: Sequence[int]) -> NDArray[np.float64]:
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return reader.read_cells(pc.fill_null(column, "").to_pylist(), lines)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise BarFileRejected(
            "The column {column!r} is of the type {kind!r}. Allowed: numbers or text.",
            column=reader.column, kind=str(kind),
        )  # fmt: skip
    numbers: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers


def _first_line(error: BaseException) -> str:
    return quote(str(error).split("\n")[0])
