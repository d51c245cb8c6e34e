"""Turn the rows of a sweep into columns: the row's number, the swept values, and the metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.api.rows.columns import Column, float_column, int_column, word_column
from src.api.rows.tables import Columns
from src.domain.sweeps import ROW_COUNTS, ROW_METRICS
from src.service.sweep_tables import ROW, SweepTable, SweptColumn, column_name

_INT32: Final = np.iinfo(np.int32)


def number_column(table: SweepTable) -> Column:
    """Return the numbers of the rows."""
    return int_column(table.numbers)


def metric_columns(table: SweepTable, spell: Callable[[str], str] = str) -> dict[str, Column]:
    """Return the metrics by name; null where one does not exist."""
    return {spell(name): _metric_column(name, table.figure(name)) for name in ROW_METRICS}


def value_columns(columns: Sequence[SweptColumn], table: SweepTable) -> dict[str, Column]:
    """Return the swept values by the parameters' names."""
    return {column.name: axis_column(column, table.values[:, place]) for place, column in enumerate(columns)}


def axis_column(column: SweptColumn, values: NDArray[np.float64]) -> Column:
    """Return values of a swept parameter as clients write them; those of a closed list by name."""
    if column.words:
        return word_column(values.astype(np.int64), dict(enumerate(column.words)))
    is_exact = column.is_whole and bool(np.all((values == np.floor(values)) & (np.abs(values) <= _INT32.max)))
    return int_column(values.astype(np.int64)) if is_exact else float_column(np.ascontiguousarray(values))


def sweep_columns(columns: Sequence[SweptColumn], table: SweepTable) -> Columns:
    """Return one column for the number, each swept parameter and each metric.

    A rule's own number may have the name of a metric, `row` or `rank`; its column is then named `parameter_` and that
    name.
    """
    values = {column_name(name): column for name, column in value_columns(columns, table).items()}
    return {ROW: number_column(table), **values, **metric_columns(table)}


def _metric_column(name: str, figures: NDArray[np.float64]) -> Column:
    if name in ROW_COUNTS and not np.isnan(figures).any():
        return int_column(figures.astype(np.int64))
    return float_column(np.ascontiguousarray(figures))
