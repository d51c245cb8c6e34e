"""Write tables as columns: arrays until they are written, then JSON text without an object per row.

Both APIs write their tables in this way. GraphQL may also need the rows themselves: `Column.write` makes plain values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final, Literal

import numpy as np
import orjson
from numpy.typing import NDArray

from src.api.json_responses import PendingTable

ScalarName = Literal["Float", "Int", "Boolean", "String", "JSON"]
TimeUnit = Literal["ms", "s"]

NO_TIME: Final = np.iinfo(np.int64).min
"""What a column of instants holds in place of a null; numpy's NaT."""

_INT32: Final = np.iinfo(np.int32)
_PIECE_ROWS: Final = 2_048
"""Rows whose cells exist at the same time: few enough that other threads run every few milliseconds."""

_PIECE_CELLS: Final = 16_384

_ARRAYS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One field of all rows: an array, and the meaning of its values.

    `scalar` is the GraphQL type of the values. `write` turns the array (or a part of it) into a list of JSON's own
    types, as long as the array; it may hold None if `has_nulls`. `cells` returns the same list as JSON texts. The array
    has milliseconds since the epoch if `is_time`, and codes if there are `words` for them.
    """

    array: NDArray[Any]
    scalar: ScalarName
    write: Callable[[NDArray[Any]], list[Any]]
    cells: Callable[[NDArray[Any]], list[bytes]]
    has_nulls: bool = False
    is_time: bool = False
    words: Mapping[int, str | None] | None = None

    def part(self, rows: slice) -> Column:
        """Return the column of some rows; shares memory."""
        return replace(self, array=self.array[rows])


def float_column(values: NDArray[np.float64]) -> Column:
    """Build a column of floats; what is not finite becomes null."""
    if np.isfinite(values).all():
        return Column(values, "Float", _to_list, _number_cells)
    return Column(values, "Float", _finite_or_none, _number_cells, has_nulls=True)


def null_column(length: int) -> Column:
    """Build a column of floats that are all null."""
    return Column(np.full(length, np.nan), "Float", _finite_or_none, _number_cells, has_nulls=length > 0)


def int_column(values: NDArray[np.integer[Any]]) -> Column:
    """Build a column of integers.

    Raises
    ------
    OverflowError
        If a value does not fit the 32 bits of GraphQL's Int.
    """
    if values.size and not (values.min() >= _INT32.min and values.max() <= _INT32.max):
        raise OverflowError("a value does not fit GraphQL's Int")
    return Column(values, "Int", _to_list, _number_cells)


def optional_int_column(values: NDArray[np.integer[Any]]) -> Column:
    """Build a column of integers ≥ 0 that fit GraphQL's Int; a negative one is null."""

    def write(array: NDArray[Any]) -> list[Any]:
        return [None if value < 0 else value for value in array.tolist()]

    def cells(array: NDArray[Any]) -> list[bytes]:
        return [b"null" if value is None else b"%d" % value for value in write(array)]

    return Column(values, "Int", write, cells, has_nulls=bool((values < 0).any()))


def json_column(values: Sequence[object]) -> Column:
    """Build a column of values that JSON can write."""

    def write(places: NDArray[Any]) -> list[Any]:
        return [values[place] for place in places.tolist()]

    def cells(places: NDArray[Any]) -> list[bytes]:
        return [orjson.dumps(value) for value in write(places)]

    return Column(np.arange(len(values)), "JSON", write, cells)


def boolean_column(values: NDArray[np.bool_]) -> Column:
    return Column(values, "Boolean", _to_list, _number_cells)


def time_column(time_ms: NDArray[np.int64]) -> Column:
    """Build a column of instants, `2017-08-17T00:00:00Z`, from milliseconds since the epoch (UTC).

    All have milliseconds if one of them has a fraction of a second.
    """
    unit = cache(lambda: _time_unit(time_ms))
    return Column(
        time_ms, "String", lambda some: iso_times(some, unit()), lambda some: _time_cells(some, unit()),
        is_time=True,
    )  # fmt: skip


def optional_time_column(times_ms: Sequence[int | None]) -> Column:
    """Build a column of instants, as `time_column`, some of which are null: `NO_TIME` in the array."""
    array = np.array([NO_TIME if time_ms is None else time_ms for time_ms in times_ms], dtype=np.int64)
    unit = _time_unit(array[array != NO_TIME])

    def write(some: NDArray[Any]) -> list[Any]:
        texts = iso_times(some, unit)
        return [None if is_null else text for text, is_null in zip(texts, some == NO_TIME, strict=True)]

    def cells(some: NDArray[Any]) -> list[bytes]:
        return [orjson.dumps(text) for text in write(some)]

    return Column(array, "String", write, cells, has_nulls=bool((array == NO_TIME).any()), is_time=True)


def word_column(codes: NDArray[np.integer[Any]], words: Mapping[int, str | None]) -> Column:
    """Build a column that writes each code as its word; a word None is null."""
    texts = {code: orjson.dumps(word) for code, word in words.items()}

    def write(array: NDArray[Any]) -> list[Any]:
        return list(map(words.__getitem__, array.tolist()))

    def cells(array: NDArray[Any]) -> list[bytes]:
        return list(map(texts.__getitem__, array.tolist()))

    return Column(codes, "String", write, cells, has_nulls=None in words.values(), words=words)


def iso_times(time_ms: NDArray[np.int64], unit: TimeUnit | None = None) -> list[str]:
    """Return instants as ISO 8601 text; `unit` None means milliseconds only if one has a fraction of a second."""
    instants: NDArray[np.datetime64] = time_ms.astype("datetime64[ms]")
    written: list[str] = np.datetime_as_string(instants, unit=unit or _time_unit(time_ms), timezone="UTC").tolist()
    return written


class ColumnTable(PendingTable):
    """A list of objects that is written, in pieces, when the response is sent.

    A dict for each of some hundred thousand rows would take more time than the backtest did, and memory that delays
    every other request.

    Parameters
    ----------
    fields
        Each field's column by its name in JSON, or the text that it is in every row.
    """

    def __init__(self, fields: Mapping[str, Column | str], length: int) -> None:
        self.fields = fields
        self._length = length
        names = (orjson.dumps(name).replace(b"%", b"%%") + b":%b" for name in fields)
        self._template = b"{" + b",".join(names) + b"}"

    def __len__(self) -> int:
        return self._length

    def row_pieces(self) -> Iterator[bytes]:
        for start in range(0, self._length, _PIECE_ROWS):
            yield b",".join(self._rows(slice(start, min(start + _PIECE_ROWS, self._length))))

    def _rows(self, rows: slice) -> Iterator[bytes]:
        length = rows.stop - rows.start
        if not self.fields:
            return iter([self._template] * length)
        cells = (
            [orjson.dumps(field)] * length if isinstance(field, str) else field.cells(field.array[rows])
            for field in self.fields.values()
        )
        return map(self._template.__mod__, zip(*cells, strict=True))


class ColumnList(PendingTable):
    """A list with one column's values, written when the response is sent."""

    def __init__(self, column: Column) -> None:
        self.column = column

    def __len__(self) -> int:
        return len(self.column.array)

    def row_pieces(self) -> Iterator[bytes]:
        array = self.column.array
        for start in range(0, len(array), _PIECE_CELLS):
            yield b",".join(self.column.cells(array[start : start + _PIECE_CELLS]))


def _time_unit(time_ms: NDArray[np.int64]) -> TimeUnit:
    return "ms" if np.any(time_ms % 1000) else "s"


def _to_list(array: NDArray[Any]) -> list[Any]:
    values: list[Any] = array.tolist()
    return values


def _finite_or_none(array: NDArray[Any]) -> list[Any]:
    values: list[Any] = array.tolist()
    for index in np.flatnonzero(~np.isfinite(array)).tolist():
        values[index] = None
    return values


def _number_cells(array: NDArray[Any]) -> list[bytes]:
    # No JSON number, instant or true/false has a comma inside, so the list can be cut at its commas.
    text = orjson.dumps(np.ascontiguousarray(array), option=_ARRAYS)[1:-1]
    return text.split(b",") if text else []


def _time_cells(time_ms: NDArray[np.int64], unit: TimeUnit) -> list[bytes]:
    if unit == "s":
        return _number_cells(np.ascontiguousarray(time_ms).astype("datetime64[ms]"))
    return [b'"%b"' % text.encode() for text in iso_times(time_ms, unit)]
