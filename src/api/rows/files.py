"""Write tables as files: CSV, Parquet and Arrow, with the names and the values that JSON has.

Times are timestamps in UTC, words are text, and what JSON writes as null is a missing value. The metadata of an Arrow
or Parquet file's schema has its warnings; CSV has no place for them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from src.api.rows.columns import NO_TIME, Column

_PIECE_ROWS: Final = 8_192
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")

WARNINGS_KEY: Final = b"warnings"
"""The key in the metadata of a schema: a JSON list of sentences; absent if there are none."""

FileColumns = Mapping[str, Column | None]
"""Columns by name, all of one length; None for one without values."""


def write_csv(columns: FileColumns, length: int) -> bytes:
    """Return a table as CSV (RFC 4180, UTF-8, with a header); missing values are empty."""
    header = ",".join(map(csv_text, columns)).encode()
    return b"\r\n".join((header, *_csv_rows(columns, length), b""))


def csv_text(text: str) -> str:
    """Return a text as a cell of a CSV file.

    A text that begins as a formula gets an apostrophe before it, because spreadsheets would compute it.
    """
    safe = f"'{text}" if text.startswith(_FORMULA_STARTS) else text
    return '"' + safe.replace('"', '""') + '"' if any(mark in safe for mark in ',"\r\n') else safe


def write_parquet(columns: FileColumns, length: int, warnings: Sequence[str] = ()) -> bytes:
    """Return a table as a Parquet file."""
    target = io.BytesIO()
    pq.write_table(_arrow_table(columns, length, warnings), target)
    return target.getvalue()


def write_arrow(columns: FileColumns, length: int, warnings: Sequence[str] = ()) -> bytes:
    """Return a table as an Arrow IPC file (Feather version 2), not compressed."""
    table = _arrow_table(columns, length, warnings)
    target = io.BytesIO()
    with pa.ipc.new_file(target, table.schema) as writer:
        writer.write_table(table)
    return target.getvalue()


def _csv_rows(columns: FileColumns, length: int) -> Iterator[bytes]:
    # In pieces, so that only some cells exist at the same time, and other threads run between them.
    for start in range(0, length, _PIECE_ROWS):
        rows = slice(start, min(start + _PIECE_ROWS, length))
        empty = [b""] * (rows.stop - rows.start)
        cells = [empty if column is None else _csv_cells(column, column.array[rows]) for column in columns.values()]
        yield b"\r\n".join(map(b",".join, zip(*cells, strict=True)))


def _csv_cells(column: Column, values: NDArray[Any]) -> list[bytes]:
    if column.words is not None:
        texts = {code: b"" if word is None else csv_text(word).encode() for code, word in column.words.items()}
        return list(map(texts.__getitem__, values.tolist()))
    cells = column.cells(values)
    if column.is_time:
        return [b"" if cell == b"null" else cell[1:-1] for cell in cells]
    return [b"" if cell == b"null" else cell for cell in cells] if column.has_nulls else cells


def _arrow_table(columns: FileColumns, length: int, warnings: Sequence[str]) -> Any:
    metadata = {WARNINGS_KEY: json.dumps(warnings, ensure_ascii=False).encode()} if warnings else None
    return pa.table({name: _arrow_array(column, length) for name, column in columns.items()}, metadata=metadata)


def _arrow_array(column: Column | None, length: int) -> Any:
    if column is None:
        return pa.nulls(length, pa.float64())
    if column.is_time:
        nulls = column.array == NO_TIME if column.has_nulls else None
        return pa.array(column.array, pa.int64(), mask=nulls).cast(pa.timestamp("ms", tz="UTC"))
    if column.words is not None:
        return _word_array(column.array, column.words)
    if column.has_nulls:
        return pa.array(column.array, mask=~np.isfinite(column.array))
    return pa.array(column.array)


def _word_array(codes: NDArray[Any], words: Mapping[int, str | None]) -> Any:
    """Return the text that each code stands for, such as buy for 1."""
    order = {code: place for place, code in enumerate(words)}
    known = np.fromiter(order, np.int64)
    sorter = np.argsort(known)
    places = sorter[np.searchsorted(known, codes, sorter=sorter)]
    return pa.array(list(words.values()), pa.string()).take(pa.array(places))
