"""Lists of rows that stay columns until the answer is written.

GraphQL completes a list value by value: for each row and field it builds a path, looks the resolver up, calls it and
checks the outcome, some ten microseconds a value. A `RowColumns` carries the same rows as numpy columns, and
`ColumnExecutor` completes it in one pass over the selected fields. What the pass does not know (a field with a
resolver of its own, a type that differs from its column's, a null where none may be) goes the ordinary way, for which
a `RowColumns` is a plain sequence of rows; both ways give the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import chain
from types import SimpleNamespace
from typing import Any, Final, Literal, cast, overload

import numpy as np
import orjson
from graphql import (
    GraphQLBoolean,
    GraphQLField,
    GraphQLFloat,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    GraphQLString,
)
from graphql.pyutils import AwaitableOrValue, Path
from numpy.typing import NDArray
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField

from src.api.answers import PendingTable

_TYPENAME: Final = "__typename"
_INT32: Final = np.iinfo(np.int32)

TimeUnit = Literal["ms", "s"]

PENDING_ROWS: Final = 2_000
"""From so many rows on (about a millisecond) a list is left to whoever writes the answer; see `PendingRows`."""

_PIECE_ROWS: Final = 2_048
"""Rows that are objects at the same time: few enough that other threads get their turn every few milliseconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One field of all rows: an array, the GraphQL scalar that its values are, and how to write them as plain values.

    `write` turns the array into a list of JSON's own types, as long as the array; it may hold None where `has_nulls`.
    """

    array: NDArray[Any]
    scalar: GraphQLScalarType
    write: Callable[[NDArray[Any]], list[Any]]
    has_nulls: bool = False


def float_column(values: NDArray[np.float64]) -> Column:
    """Build a Float column; what is not finite becomes null."""
    finite = np.isfinite(values)
    if finite.all():
        return Column(values, GraphQLFloat, _to_list)
    return Column(values, GraphQLFloat, _finite_or_none, has_nulls=True)


def null_column(length: int) -> Column:
    """Build a Float column of nulls only."""
    return Column(np.full(length, np.nan), GraphQLFloat, _finite_or_none, has_nulls=length > 0)


def int_column(values: NDArray[np.integer[Any]]) -> Column:
    """Build an Int column.

    Raises
    ------
    OverflowError
        Where a value does not fit the 32 bits of GraphQL's Int.
    """
    if values.size and not (values.min() >= _INT32.min and values.max() <= _INT32.max):
        raise OverflowError("a value does not fit GraphQL's Int")
    return Column(values, GraphQLInt, _to_list)


def boolean_column(values: NDArray[np.bool_]) -> Column:
    return Column(values, GraphQLBoolean, _to_list)


def time_column(time_ms: NDArray[np.int64]) -> Column:
    """Build a String column of instants, `2017-08-17T00:00:00Z`, from milliseconds since the epoch (UTC).

    All have milliseconds where one of them has a fraction of a second.
    """

    unit = cache(lambda: _time_unit(time_ms))
    return Column(time_ms, GraphQLString, lambda some: iso_times(some, unit()))


def word_column(codes: NDArray[np.integer[Any]], words: Mapping[int, str | None]) -> Column:
    """Build a String column that writes each code as its word; a word None is null."""

    def write(array: NDArray[Any]) -> list[Any]:
        return list(map(words.__getitem__, array.tolist()))

    return Column(codes, GraphQLString, write, has_nulls=None in words.values())


def iso_times(time_ms: NDArray[np.int64], unit: TimeUnit | None = None) -> list[str]:
    """Return instants as ISO 8601 text; `unit` None means milliseconds only where one has a fraction of a second."""
    if unit is None:
        unit = _time_unit(time_ms)
    instants: NDArray[np.datetime64] = time_ms.astype("datetime64[ms]")
    written: list[str] = np.datetime_as_string(instants, unit=unit, timezone="UTC").tolist()
    return written


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


class RowColumns(Sequence[Any]):
    """Rows held as columns, each under the Python name of a field of the rows' GraphQL type.

    As a sequence it gives one object per row, with the fields as attributes.

    Parameters
    ----------
    columns
        At least one; all of one length.
    """

    def __init__(self, columns: Mapping[str, Column]) -> None:
        lengths = {len(column.array) for column in columns.values()}
        if len(lengths) != 1:
            raise ValueError(f"columns have the lengths {sorted(lengths)}")
        self.columns = columns
        self._length = lengths.pop()

    def page(self, first: int | None, offset: int) -> RowColumns:
        """Return `first` rows (None: all) from the row `offset` on; shares memory."""
        stop = self._length if first is None else offset + first
        return RowColumns(
            {
                name: Column(column.array[offset:stop], column.scalar, column.write, column.has_nulls)
                for name, column in self.columns.items()
            }
        )

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self._rows[index]

    @cached_property
    def _rows(self) -> list[SimpleNamespace]:
        names = tuple(self.columns)
        written = [column.write(column.array) for column in self.columns.values()]
        return [SimpleNamespace(**dict(zip(names, values, strict=True))) for values in zip(*written, strict=True)]


class PendingRows(PendingTable, Sequence[dict[str, Any]]):
    """A completed list whose rows are made when they are asked for.

    A million rows as objects would take a third of a gigabyte and hold up every other request: whoever writes the
    answer takes them piece by piece.

    Parameters
    ----------
    selected
        Each field's column by response name, or the text that it is in every row.
    """

    def __init__(self, selected: Mapping[str, Column | str], length: int) -> None:
        self._selected = selected
        self._length = length

    def row_pieces(self) -> Iterator[bytes]:
        return (orjson.dumps(rows)[1:-1] for rows in self._pieces())

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return chain.from_iterable(self._pieces())

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return list(self)[index]

    def _pieces(self) -> Iterator[list[dict[str, Any]]]:
        for start in range(0, self._length, _PIECE_ROWS):
            yield self._rows(slice(start, min(start + _PIECE_ROWS, self._length)))

    def _rows(self, where: slice) -> list[dict[str, Any]]:
        length = where.stop - where.start
        if not self._selected:
            return [{} for _ in range(length)]
        columns = [
            [column] * length if isinstance(column, str) else column.write(column.array[where])
            for column in self._selected.values()
        ]
        return _row_builder(len(columns))(*self._selected, *columns)


class ColumnExecutor(StrawberryGraphQLCoreExecutionContext):
    """Complete `RowColumns` in one pass over the selected fields, and everything else as ever.

    Long lists are completed to `PendingRows`: `answers.AnswerText` knows how to write them.
    """

    def complete_list_value(
        self,
        return_type: GraphQLList[GraphQLOutputType],
        field_details_list: list[Any],
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> AwaitableOrValue[list[Any]]:
        if isinstance(result, RowColumns):
            selected = self._select(return_type.of_type, field_details_list, path, result)
            if selected is not None:
                pending = PendingRows(selected, len(result))
                # The executor only passes on what it is given here.
                return list(pending) if len(result) < PENDING_ROWS else cast("list[Any]", pending)
        return super().complete_list_value(return_type, field_details_list, info, path, result, position_context)

    def _select(
        self, item_type: GraphQLOutputType, field_details_list: list[Any], path: Path, rows: RowColumns
    ) -> dict[str, Column | str] | None:
        """Return each selected field's column by response name, or the text that it is in every row.

        None where the ordinary way must be taken.
        """
        row_type = item_type.of_type if isinstance(item_type, GraphQLNonNull) else item_type
        if (
            not isinstance(row_type, GraphQLObjectType)
            or row_type.is_type_of is not None
            or (self.middleware_manager is not None and self.middleware_manager.middlewares)
            or self.get_stream_usage(field_details_list, path) is not None
        ):
            return None
        fields = self.collect_subfields(row_type, field_details_list)
        if fields.new_defer_usages:
            return None
        selected: dict[str, Column | str] = {}
        for response_name, details in fields.grouped_field_set.items():
            name = details[0].node.name.value
            column = row_type.name if name == _TYPENAME else _column_of(row_type.fields.get(name), rows)
            if column is None:
                return None
            selected[response_name] = column
        return selected


def _column_of(field: GraphQLField | None, rows: RowColumns) -> Column | None:
    """Return the column that holds a field's finished values; None where a resolver or another type says otherwise."""
    if field is None or field.args:
        return None
    definition = field.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    if not isinstance(definition, StrawberryField) or not definition.is_basic_field:
        return None
    column = rows.columns.get(definition.python_name)
    if column is None:
        return None
    is_required = isinstance(field.type, GraphQLNonNull)
    leaf = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
    return None if leaf is not column.scalar or (is_required and column.has_nulls) else column


@lru_cache(maxsize=64)
def _row_builder(width: int) -> Callable[..., list[dict[str, Any]]]:
    """Return a function of `width` keys and as many columns that builds the rows.

    A dict display is three times as fast as `dict(zip(keys, values))`, and a display needs its width in the source.
    """
    if width == 1:
        return lambda key, column: [{key: value} for value in column]
    keys = ", ".join(f"k{index}" for index in range(width))
    columns = ", ".join(f"c{index}" for index in range(width))
    values = ", ".join(f"v{index}" for index in range(width))
    pairs = ", ".join(f"k{index}: v{index}" for index in range(width))
    source = f"lambda {keys}, {columns}: [{{{pairs}}} for {values} in zip({columns}, strict=True)]"
    builder: Callable[..., list[dict[str, Any]]] = eval(source)  # noqa: S307  (made of numbers only)
    return builder
