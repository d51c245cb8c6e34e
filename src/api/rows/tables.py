"""Turn the domain's tables into columns, by their GraphQL fields' Python names: bars, equity, fills, trades, gaps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from src.api.rows.columns import (
    Column,
    boolean_column,
    float_column,
    int_column,
    null_column,
    optional_time_column,
    time_column,
    word_column,
)
from src.domain.bar_quality import Gap, Jump, RejectedRow
from src.domain.bars import Bars
from src.domain.runs import BacktestResult
from src.domain.signals import Action, Features
from src.domain.simulation import FillReason, Side
from src.domain.tearsheet import DrawdownPeriod, MonthlyReturns, ResultSeries
from src.domain.trading import Direction

Columns = Mapping[str, Column]

MONTHS: Final = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip

_ACTIONS: Final[Mapping[int, str | None]] = {action.value: action.word for action in Action}
_SIDES: Final[Mapping[int, str | None]] = {side.value: side.word for side in Side}
_REASONS: Final[Mapping[int, str | None]] = {reason.value: reason.word for reason in FillReason}
_EXIT_REASONS: Final = {**_REASONS, -1: None}
_DIRECTIONS: Final[Mapping[int, str | None]] = {1: Direction.LONG.lower(), -1: Direction.SHORT.lower()}


def candle_columns(bars: Bars) -> Columns:
    return {
        "date": time_column(bars.open_time_ms),
        "open": float_column(bars.open),
        "high": float_column(bars.high),
        "low": float_column(bars.low),
        "close": float_column(bars.close),
        "volume": float_column(bars.volume),
    }


def feature_columns(bars: Bars, features: Features) -> Columns:
    """Return the table that a model receives, with the bars' times; a missing value is null."""
    columns = {name: float_column(features.values[:, place]) for place, name in enumerate(features.names)}
    return {"date": time_column(bars.open_time_ms), **columns}


def equity_columns(result: BacktestResult) -> Columns:
    """Return one row per bar: signal, close, and the portfolio at it; no `probability` if the strategy has none."""
    probability = result.signals.probability
    return {
        "date": time_column(result.time_ms),
        "portfolio_value": float_column(result.simulation.equity),
        "signal": word_column(result.signals.action, _ACTIONS),
        "close": float_column(result.close),
        "cash": float_column(result.simulation.cash),
        "position": float_column(result.simulation.position),
        "probability": null_column(len(result.time_ms)) if probability is None else float_column(probability),
    }


def series_columns(series: ResultSeries) -> dict[str, Column | None]:
    """Return the columns of a result's rows; None if one has no values."""
    return {name: None if values is None else _series_column(name, values) for name, values in series.columns.items()}


def _series_column(name: str, values: NDArray[Any]) -> Column:
    if name == "date":
        return time_column(values)
    return word_column(values, _ACTIONS) if name == "signal" else float_column(values)


def month_columns(months: MonthlyReturns) -> Columns:
    """Return one row per year: the return of each month under its English name, and `total`; per cent."""
    returns = np.array([year.months for year in months.years], dtype=np.float64).reshape(len(months.years), 12)
    totals = np.array([year.total for year in months.years], dtype=np.float64)
    return {
        "year": int_column(np.array([year.year for year in months.years], dtype=np.int64)),
        **{name: float_column(returns[:, place]) for place, name in enumerate(MONTHS)},
        "total": float_column(totals),
    }


def drawdown_columns(periods: Sequence[DrawdownPeriod]) -> Columns:
    """Return one row per drawdown; `end` is null if it lasts to the last bar."""
    return {
        "start": _times(period.start_ms for period in periods),
        "bottom": _times(period.bottom_ms for period in periods),
        "end": optional_time_column([period.end_ms for period in periods]),
        "depth": float_column(np.array([period.depth for period in periods], dtype=np.float64)),
        "bars": int_column(np.array([period.bars for period in periods], dtype=np.int64)),
    }


def gap_columns(gaps: Sequence[Gap]) -> Columns:
    return {
        "after": _times(gap.after_ms for gap in gaps),
        "next": _times(gap.next_ms for gap in gaps),
        "missing_bars": int_column(np.fromiter((gap.missing_bars for gap in gaps), np.int64)),
    }


def jump_columns(jumps: Sequence[Jump]) -> Columns:
    return {
        "after": _times(jump.after_ms for jump in jumps),
        "next": _times(jump.next_ms for jump in jumps),
        "ratio": float_column(np.fromiter((jump.ratio for jump in jumps), np.float64)),
    }


def rejected_columns(rows: Sequence[RejectedRow]) -> Columns:
    codes = {reason: code for code, reason in enumerate(dict.fromkeys(row.reason for row in rows))}
    reasons = np.fromiter((codes[row.reason] for row in rows), np.int64)
    return {
        "date": _times(row.open_time_ms for row in rows),
        "reason": word_column(reasons, {code: reason for reason, code in codes.items()}),
    }


def _times(times_ms: Iterable[int]) -> Column:
    return time_column(np.fromiter(times_ms, np.int64))


def fill_columns(fills: NDArray[np.void]) -> Columns:
    """Return one row per fill; `fills` has `FILL_DTYPE`."""
    return {
        "bar": int_column(fills["bar"]),
        "time": time_column(fills["time_ms"]),
        "side": word_column(fills["side"], _SIDES),
        "quantity": float_column(fills["quantity"]),
        "price": float_column(fills["price"]),
        "fee": float_column(fills["fee"]),
        "reason": word_column(fills["reason"], _REASONS),
        "trade": int_column(fills["trade"]),
    }


def trade_columns(trades: NDArray[np.void]) -> Columns:
    """Return one row per trade (`TRADE_DTYPE`); its return in per cent, and no `exit_reason` while it is open."""
    return {
        "direction": word_column(trades["direction"], _DIRECTIONS),
        "quantity": float_column(trades["quantity"]),
        "entry_bar": int_column(trades["entry_bar"]),
        "entry_time": time_column(trades["entry_time_ms"]),
        "entry_price": float_column(trades["entry_price"]),
        "entry_fee": float_column(trades["entry_fee"]),
        "exit_bar": int_column(trades["exit_bar"]),
        "exit_time": time_column(trades["exit_time_ms"]),
        "exit_price": float_column(trades["exit_price"]),
        "exit_fee": float_column(trades["exit_fee"]),
        "funding": float_column(trades["funding"]),
        "profit": float_column(trades["profit"]),
        "return_rate": float_column(trades["return"] * 100),
        "bars_held": int_column(trades["bars_held"]),
        "is_open": boolean_column(trades["is_open"]),
        "exit_reason": word_column(trades["exit_reason"], _EXIT_REASONS),
    }
