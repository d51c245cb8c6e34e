"""Keep lists of rows as columns until the response is written.

GraphQL completes a list value by value: for each row and field it builds a path, finds the resolver, calls it and
checks the outcome, which takes about ten microseconds per value. A `RowColumns` holds the same rows as numpy columns,
and `ColumnExecutor` completes it in one pass over the selected fields. If that pass does not know a case (a field with
its own resolver, a type that differs from its column's, a null that is not allowed), GraphQL completes the list itself,
because a `RowColumns` is also a plain sequence of rows. Both ways give the same response.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Final, cast, overload

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    specified_scalar_types,
)
from graphql.pyutils import AwaitableOrValue, Path
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField

from src.api.graphql.context import FIELDS_PER_ROW, GraphQLContext
from src.api.rows.columns import Column, ColumnList, ColumnTable

_TYPENAME: Final = "__typename"
_JSON: Final = "JSON"


class RowColumns(Sequence[Any]):
    """Rows held as columns, each under the Python name of a field of the rows' GraphQL type.

    As a sequence it has one object per row, with the fields as attributes.

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
        return RowColumns({name: column.part(slice(offset, stop)) for name, column in self.columns.items()})

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


class CompletedRows(ColumnTable, Sequence[dict[str, Any]]):
    """A completed list: `JsonText` writes it from its columns, and as a sequence it has plain dicts."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._rows_as_dicts)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self._rows_as_dicts[index]

    @cached_property
    def _rows_as_dicts(self) -> list[dict[str, Any]]:
        columns = [
            [field] * len(self) if isinstance(field, str) else field.write(field.array)
            for field in self.fields.values()
        ]
        rows = zip(*columns, strict=True) if columns else [()] * len(self)
        return [dict(zip(self.fields, row, strict=True)) for row in rows]


class ListedColumn(ColumnList, Sequence[Any]):
    """One column as a list of values: `JsonText` writes it, and as a sequence it has plain values."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self._values[index]

    @cached_property
    def _values(self) -> list[Any]:
        return self.column.write(self.column.array)


class ColumnExecutor(StrawberryGraphQLCoreExecutionContext):
    """Complete `RowColumns` to `CompletedRows` in one pass over the selected fields, and everything else as GraphQL
    does."""

    def complete_list_value(
        self,
        return_type: GraphQLList[GraphQLOutputType],
        field_details_list: list[Any],
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> AwaitableOrValue[list[Any]]:
        if isinstance(result, ListedColumn) and _is_written_as(return_type.of_type, result.column):
            if isinstance(self.context_value, GraphQLContext):
                self.context_value.claim_rows(math.ceil(len(result) / FIELDS_PER_ROW), (str(path.key),))
            return cast("list[Any]", result)
        if isinstance(result, RowColumns):
            selected = self._select(return_type.of_type, field_details_list, path, result)
            if selected is not None:
                # The executor passes this value on unchanged.
                return cast("list[Any]", CompletedRows(selected, len(result)))
        return super().complete_list_value(return_type, field_details_list, info, path, result, position_context)

    def _select(
        self, item_type: GraphQLOutputType, field_details_list: list[Any], path: Path, rows: RowColumns
    ) -> dict[str, Column | str] | None:
        """Return each selected field's column by response name, or its text if that is the same in every row.

        None if GraphQL must complete the list. Claims the rows of a request in both cases; raises TooLarge.
        """
        row_type = item_type.of_type if isinstance(item_type, GraphQLNonNull) else item_type
        if not isinstance(row_type, GraphQLObjectType):
            return None
        fields = self.collect_subfields(row_type, field_details_list)
        if isinstance(self.context_value, GraphQLContext):
            self.context_value.claim_rows(len(rows), fields.grouped_field_set)
        if (
            row_type.is_type_of is not None
            or fields.new_defer_usages
            or (self.middleware_manager is not None and self.middleware_manager.middlewares)
            or self.get_stream_usage(field_details_list, path) is not None
        ):
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
    """Return the column that holds a field's finished values; None if a resolver or another type overrides it."""
    if field is None or field.args:
        return None
    definition = field.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    if not isinstance(definition, StrawberryField) or not definition.is_basic_field:
        return None
    column = rows.columns.get(definition.python_name)
    if column is None:
        return None
    return column if _is_written_as(field.type, column) else None


def _is_written_as(kind: GraphQLOutputType, column: Column) -> bool:
    """Return whether the values of a column are finished values of a type."""
    is_required = isinstance(kind, GraphQLNonNull)
    leaf = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
    if isinstance(leaf, GraphQLEnumType):
        # The names of our enums of words are the words.
        is_known = column.words is not None and leaf.values.keys() >= {word for word in column.words.values() if word}
    elif column.scalar == _JSON:
        is_known = isinstance(leaf, GraphQLScalarType) and leaf.name == _JSON
    else:
        is_known = leaf is specified_scalar_types[column.scalar]
    return is_known and not (is_required and column.has_nulls)
