"""Collect what the page of a result shows at first, from a result that was read once."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from src.api.rest.presenting import present_result
from src.api.rest.tables import present_fills, present_series, present_trades
from src.api.rest.tearsheet_schemas import (
    CostBreakdownSchema,
    DrawdownSchema,
    MonthlyReturnsSchema,
    ReturnDistributionSchema,
)
from src.domain.runs import BacktestResult
from src.domain.tearsheet import RANGED_COLUMNS, ResultSeries, SeriesRequest, TradeOrder
from src.service.tearsheets import TearSheets, order_trades

POINTS: Final = 2_000
COLUMNS: Final = ("date", "open", "high", "low", "close", "equity", "buy_and_hold", "drawdown", "probability")
RANGE_COLUMNS: Final = frozenset({"open", "high", "low"})
MAX_RANGED_BARS: Final = 100_000
"""Maximum bars of a result whose points have opens, highs and lows. With more, each point would cover 50 or more bars,
and all bars of the run would have to be fetched for it."""
MAX_FILLS: Final = 1_500
"""If there are more, none is drawn, because some of them would look like all."""
WORST_TRADES: Final = 10
WORST_DRAWDOWNS: Final = 10


def sheet_columns(result: BacktestResult) -> tuple[str, ...]:
    """Return the columns of the charts, without those that need all bars if these are too many."""
    if len(result.time_ms) <= MAX_RANGED_BARS:
        return COLUMNS
    return tuple(name for name in COLUMNS if name not in RANGE_COLUMNS)


async def collect_sheet(
    sheets: TearSheets, result: BacktestResult, asked: SeriesRequest
) -> tuple[ResultSeries, dict[str, object]]:
    """Return the requested rows, and all parts of the page with them, under the names that its script uses."""
    series, months, drawdowns, distribution, costs = await asyncio.gather(
        sheets.series(result, asked),
        sheets.months(result),
        sheets.drawdowns(result, first=WORST_DRAWDOWNS),
        sheets.distribution(result),
        sheets.costs(result),
    )
    fills, trades = result.simulation.fills, order_trades(result, TradeOrder.WORST)
    return series, {
        "run": present_result(result, has_rows=False),
        "overview": _without_ranges(present_series(series)),
        "months": MonthlyReturnsSchema.of(months),
        "drawdowns": {"items": [DrawdownSchema.of(period) for period in drawdowns]},
        "distribution": ReturnDistributionSchema.of(distribution),
        "costs": CostBreakdownSchema.of(costs),
        "trades": {"items": present_trades(trades[:WORST_TRADES]), "total": len(trades)},
        "fills": {"items": present_fills(fills if len(fills) <= MAX_FILLS else fills[:0]), "total": len(fills)},
    }


def _without_ranges(presented: dict[str, Any]) -> dict[str, object]:
    """Leave out the lowest and highest values of points, which the charts do not draw."""
    unused = {f"{name}_{end}" for name in RANGED_COLUMNS for end in ("low", "high")}
    columns = {name: values for name, values in presented["columns"].items() if name not in unused}
    return presented | {"columns": columns}
