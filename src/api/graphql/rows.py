"""Tables of the domain as row lists, and their pages."""

from __future__ import annotations

from src.api.graphql.columns import RowColumns
from src.api.rows.row_pages import check_first
from src.api.rows.tables import candle_columns, equity_columns, fill_columns, trade_columns
from src.domain.errors import InvalidInput
from src.domain.market import Bars
from src.domain.runs import BacktestResult


def candle_rows(bars: Bars) -> RowColumns:
    return RowColumns(candle_columns(bars))


def equity_rows(result: BacktestResult) -> RowColumns:
    return RowColumns(equity_columns(result))


def fill_rows(result: BacktestResult) -> RowColumns:
    return RowColumns(fill_columns(result.simulation.fills))


def trade_rows(result: BacktestResult) -> RowColumns:
    return RowColumns(trade_columns(result.simulation.trades))


def page_of(rows: RowColumns, first: int | None, offset: int, *, max_rows: int | None = None) -> RowColumns:
    """Return a page of rows; for `first` None all of them, but no more than `max_rows`.

    Raises
    ------
    InvalidInput
        If `first` or `offset` is negative, or `first` more than `max_rows`.
    """
    if max_rows is not None:
        first = check_first(min(max_rows, len(rows)) if first is None else first, max_rows=max_rows)
    for field, value in (("first", first), ("offset", offset)):
        if value is not None and value < 0:
            raise InvalidInput(f"{field} is {value}; allowed: a whole number ≥ 0", field=field)
    return rows if first is None and offset == 0 else rows.page(first, offset)
