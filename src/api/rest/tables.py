"""Write tables as JSON, under REST's field names."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.api.json_responses import PendingTable
from src.api.rows.columns import ColumnList, ColumnTable
from src.api.rows.tables import Columns, equity_columns, fill_columns, series_columns, trade_columns
from src.domain.runs import BacktestResult
from src.domain.tearsheet import ResultSeries

_NAMES: Final = {"date": "Date", "return_rate": "return"}
"""Fields whose name in REST differs from their name in Python."""


def present_bars(result: BacktestResult, rows: slice = slice(None)) -> PendingTable:
    """Return one row per bar: date, signal, close and the portfolio at that close."""
    columns = {name: column.part(rows) for name, column in equity_columns(result).items()}
    return _table(columns, len(result.time_ms[rows]))


def present_fills(fills: NDArray[np.void]) -> PendingTable:
    """Return one row per fill."""
    return _table(fill_columns(fills), len(fills))


def present_trades(trades: NDArray[np.void]) -> PendingTable:
    """Return one row per trade; `return` is in per cent, and an open trade has no `exit_reason`."""
    return _table(trade_columns(trades), len(trades))


def present_series(series: ResultSeries) -> dict[str, object]:
    """Return rows column by column."""
    columns = series_columns(series)
    return {
        "columns": {name: None if column is None else ColumnList(column) for name, column in columns.items()},
        "total": series.total,
        "bars_per_point": series.bars_per_point,
        "warnings": series.warnings,
    }


def rest_columns(columns: Columns) -> Columns:
    """Return columns under REST's names."""
    return {_NAMES.get(name, name): column for name, column in columns.items()}


def _table(columns: Columns, length: int) -> PendingTable:
    return ColumnTable(rest_columns(columns), length)
