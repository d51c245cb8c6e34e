"""Encode results as versioned documents, the form in which every result store keeps them, and decode them exactly.

A document has a summary (plain values; lists and comparisons read nothing else) and parts (bytes): a compressed column
for each array of the result, and `details`, the rest of the result as compressed JSON with the columns' dtypes and
shapes. Nothing is pickled.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from src.domain.errors import InvalidInput
from src.domain.parameters import groups_of
from src.domain.runs import BacktestResult, ResultSummary
from src.domain.simulation import FILL_DTYPE, TRADE_DTYPE
from src.stores.plain import KINDS, from_plain, prepare, to_plain
from src.strategies.schedule import ScheduleParams

SCHEMA_VERSION: Final = 1
"""Increased when old documents need more than defaults for missing fields."""

DETAILS: Final = "details"
"""The name of the part that describes the others; no column has it, as columns are named by their path."""

TABLES: Final[Mapping[str, np.dtype[np.void]]] = {"simulation.fills": FILL_DTYPE, "simulation.trades": TRADE_DTYPE}


def _pairs(rows: int) -> NDArray[np.int64]:
    """Return the trades of fills that alternate between entry and exit, as all fills of older documents do."""
    return np.arange(rows) // 2


ADDED_TABLE_FIELDS: Final[Mapping[str, Mapping[str, float | Callable[[int], NDArray[Any]]]]] = {
    "simulation.fills": {"trade": _pairs, "funding": 0.0, "impact": 0.0},
    "simulation.trades": {"funding": 0.0},
}
"""Values of table fields that older documents lack, or functions that return them for a number of rows; all other
fields must be stored."""

_FAULTS: Final = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError, InvalidInput)
"""The exceptions that reading a damaged document can raise."""

_SCALAR_DTYPE: Final = re.compile(r"[<|][biuf][1-8]")
# Level 1 halves curves at 60 to 100 MB/s; higher levels cost several times that for a few per cent.
_ZLIB_LEVEL: Final = 1


class UnreadableDocument(ValueError):
    """A stored document is damaged, or has a version that this build does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultDocument:
    """A result in its stored form: `summary` can be written as JSON, `parts` are bytes by name."""

    summary: Mapping[str, Any]
    parts: Mapping[str, bytes]


def prepare_documents() -> None:
    """Generate the functions that read and write results: 80 ms that the first client would wait for."""
    # cattrs generates the functions of a field that may be None when it first has a value.
    groups = [group for kind in KINDS for group in groups_of(kind).values()]
    # It forgets what it has generated when it first meets a tuple of objects: those classes come first.
    for kind in (ScheduleParams, BacktestResult, ResultSummary, *KINDS, *groups):
        prepare(kind)


def encode(result: BacktestResult) -> ResultDocument:
    """Encode a result as a document.

    Compressing takes about 0.1 s for each million bars and column: call it on a worker thread. zlib releases the GIL.
    """
    columns: dict[str, NDArray[Any]] = {}
    plain = to_plain(result, columns)
    summary = {"schema_version": SCHEMA_VERSION}
    summary |= {field.name: plain.pop(field.name) for field in fields(ResultSummary)}
    layout = {}
    parts = {}
    for path, column in columns.items():
        stored = np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("<"))
        layout[path] = {"dtype": _dtype_to_plain(stored.dtype), "shape": list(stored.shape)}
        parts[path] = zlib.compress(stored.tobytes(), _ZLIB_LEVEL)
    details = {"schema_version": SCHEMA_VERSION, "columns": layout, "result": plain}
    parts[DETAILS] = zlib.compress(_write_json(details), _ZLIB_LEVEL)
    return ResultDocument(summary=summary, parts=parts)


def _write_json(plain: Mapping[str, Any]) -> bytes:
    """Write plain values (`to_plain`) as JSON."""
    try:
        return orjson.dumps(plain)  # 0.02 ms for a small result, where json takes 0.2
    except TypeError:  # a text with half of a surrogate pair, which JSON can hold as an escape and UTF-8 cannot
        return json.dumps(plain, allow_nan=False).encode()


def decode(document: ResultDocument) -> BacktestResult:
    """Decode a document to the result that it was made from; arrays are read-only.

    Raises UnreadableDocument if a part is missing, cut or altered, or the document's version is unknown.
    """
    _check_version(document.summary)
    details = _read_details(document.parts)
    _check_version(details)
    try:
        columns = {
            path: _read_column(path, layout, document.parts.get(path)) for path, layout in details["columns"].items()
        }
        plain = {**details["result"], **document.summary}
        result: BacktestResult = from_plain(BacktestResult, plain, columns)
    except UnreadableDocument:
        raise
    except _FAULTS as error:
        raise UnreadableDocument(f"the document does not describe a result: {error}") from error
    return result


def decode_summary(summary: Mapping[str, Any] | None) -> ResultSummary:
    """Decode the summary of a document, which lists show; raises UnreadableDocument."""
    _check_version(summary)
    try:
        read: ResultSummary = from_plain(ResultSummary, summary, {})
    except _FAULTS as error:
        raise UnreadableDocument(f"the document does not describe a result: {error}") from error
    return read


def read_summary(text: str | bytes) -> Any:
    """Parse the JSON of a document's summary; raises UnreadableDocument."""
    try:
        return json.loads(text)
    except _FAULTS as error:
        raise UnreadableDocument("its summary is damaged") from error


def _check_version(plain: Mapping[str, Any] | None) -> None:
    version = plain.get("schema_version") if isinstance(plain, Mapping) else None
    if version != SCHEMA_VERSION:
        raise UnreadableDocument(f"the document has schema version {version!r}; this build reads {SCHEMA_VERSION}")


def _read_details(parts: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        details = json.loads(zlib.decompress(parts[DETAILS]))
    except (*_FAULTS, zlib.error) as error:
        raise UnreadableDocument(f"the part {DETAILS!r} is missing or damaged") from error
    if not isinstance(details, dict):
        raise UnreadableDocument(f"the part {DETAILS!r} is a {type(details).__name__}")
    return details


def _read_column(path: str, layout: Mapping[str, Any], part: bytes | None) -> NDArray[Any]:
    if part is None:
        raise UnreadableDocument(f"the column {path!r} is missing")
    dtype, shape = _dtype_from_plain(layout["dtype"]), tuple(layout["shape"])
    if not all(type(length) is int and length >= 0 for length in shape):
        raise UnreadableDocument(f"the column {path!r} has the shape {shape}")
    expected = math.prod(shape) * dtype.itemsize
    unpacker = zlib.decompressobj()
    try:
        # One byte more than expected, so that a part that unpacks to more is found without filling the memory.
        content = unpacker.decompress(part, expected + 1)
    except (zlib.error, OverflowError) as error:
        raise UnreadableDocument(f"the column {path!r} is damaged") from error
    if len(content) != expected or not unpacker.eof or unpacker.unused_data:
        raise UnreadableDocument(f"the column {path!r} does not unpack to the {expected} bytes that it should have")
    column = np.frombuffer(content, dtype=dtype).reshape(shape)
    return _conform_table(path, column, TABLES[path]) if path in TABLES else column


def _conform_table(path: str, table: NDArray[Any], dtype: np.dtype[np.void]) -> NDArray[Any]:
    """Convert a stored table to today's fields by name; numpy would match them by position."""
    if table.dtype == dtype:
        return table
    conformed = np.empty(table.shape, dtype=dtype)
    for name in dtype.names or ():
        if name in (table.dtype.names or ()):
            conformed[name] = table[name]
        elif name in ADDED_TABLE_FIELDS[path]:
            added = ADDED_TABLE_FIELDS[path][name]
            conformed[name] = added(len(table)) if callable(added) else added
        else:
            raise UnreadableDocument(f"the table {path!r} lacks the field {name!r}")
    return conformed


def _dtype_to_plain(dtype: np.dtype[Any]) -> str | list[list[str]]:
    if dtype.names is None:
        return dtype.str
    return [[name, dtype[name].str] for name in dtype.names]


def _dtype_from_plain(plain: Any) -> np.dtype[Any]:
    """Build a dtype of numbers; reject anything else, objects above all, before numpy sees it."""
    names = [("", plain)] if isinstance(plain, str) else [(name, code) for name, code in plain]
    for _, code in names:
        if not isinstance(code, str) or not _SCALAR_DTYPE.fullmatch(code):
            raise UnreadableDocument(f"a column has the dtype {code!r}")
    return np.dtype(plain if isinstance(plain, str) else names)
