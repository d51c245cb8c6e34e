"""Turn tables of the domain into row lists, and page them."""

from __future__ import annotations

from typing import cast

from src.api.graphql.columns import ListedColumn, RowColumns
from src.api.graphql.context import GraphQLContext, Info
from src.api.graphql.types import FeatureColumn, FeatureTable
from src.api.rows.row_pages import check_first, cut_warnings
from src.api.rows.tables import candle_columns, equity_columns, feature_columns, fill_columns, trade_columns
from src.domain.bars import Bars
from src.domain.errors import bad_value
from src.domain.runs import BacktestResult
from src.domain.signals import Features


def bar_rows(bars: Bars) -> RowColumns:
    return RowColumns(candle_columns(bars))


def equity_rows(result: BacktestResult) -> RowColumns:
    return RowColumns(equity_columns(result))


def fill_rows(result: BacktestResult) -> RowColumns:
    return RowColumns(fill_columns(result.simulation.fills))


def trade_rows(result: BacktestResult) -> RowColumns:
    return RowColumns(trade_columns(result.simulation.trades))


def feature_table_of(
    bars: Bars, features: Features, first: int | None, offset: int, *, context: GraphQLContext
) -> FeatureTable:
    """Return a page of the features; see `page_of`."""
    page = page_of(RowColumns(feature_columns(bars, features)), first, offset, context=context)
    dates, *columns = ((name, ListedColumn(column)) for name, column in page.columns.items())
    return FeatureTable(
        dates=cast("list[str]", dates[1]),
        columns=[FeatureColumn(name=name, values=cast("list[float | None]", values)) for name, values in columns],
        total=len(bars),
    )


def page_of(rows: RowColumns, first: int | None, offset: int, *, context: GraphQLContext) -> RowColumns:
    """Return a page of rows; `first` None means all of them, up to the maximum of a response.

    `ColumnExecutor` claims its rows, as it knows the fields that are selected.

    Raises
    ------
    InvalidInput
        If `first` or `offset` is negative, or `first` is above the maximum of a response.
    """
    if offset < 0:
        raise bad_value("offset", got=offset, allowed="a whole number ≥ 0")
    most = context.max_rows
    return rows.page(check_first(min(most, len(rows)) if first is None else first, max_rows=most), offset)


def page_of_table(name: str, rows: RowColumns, first: int | None, offset: int, info: Info) -> RowColumns:
    """Return a page; if the service cut it and not the client, `extensions.warnings` says so, whatever is selected."""
    page, most = page_of(rows, first, offset, context=info.context), info.context.max_rows
    if first is None and offset + len(page) < len(rows):
        info.context.warn(
            cut_warnings({name: len(rows)}, most, lambda table: f"{table}(first: {most}, offset: {offset + most})"),
            info.path,
        )
    return page
