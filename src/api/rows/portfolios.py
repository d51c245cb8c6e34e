"""Turn the rows of a portfolio into columns: its balances, and the fills and trades of all symbols."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from src.api.rows.columns import Column, float_column, int_column, time_column, word_column
from src.api.rows.tables import Columns, fill_columns, trade_columns
from src.service.portfolios import BalanceRows, PortfolioRows


def balance_columns(rows: BalanceRows) -> Columns:
    """Return one row per time, or per `times_per_point` times."""
    time_ms, open_positions = rows.columns["date"], rows.columns["open_positions"]
    others = ("equity", "cash", "drawdown", "buy_and_hold")
    return {
        "time": time_column(time_ms),
        **{name: float_column(np.ascontiguousarray(rows.columns[name])) for name in others},
        "open_positions": int_column(open_positions),
    }


def portfolio_fill_columns(rows: PortfolioRows) -> Columns:
    """Return one row per fill, in time order, with its symbol."""
    return {"symbol": _symbol_column(rows.tables.fill_symbol, rows.symbols), **fill_columns(rows.tables.fills)}


def portfolio_trade_columns(rows: PortfolioRows) -> Columns:
    """Return one row per trade, in order of entry, with its symbol."""
    return {"symbol": _symbol_column(rows.tables.trade_symbol, rows.symbols), **trade_columns(rows.tables.trades)}


def _symbol_column(numbers: NDArray[np.int64], symbols: Sequence[str]) -> Column:
    return word_column(numbers, dict(enumerate(symbols)))
