"""Serve the tear sheet of a result as one HTML file that can be opened without the service."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, Response

from src.api.answers import JsonText
from src.api.dependencies import max_rows_of, report_writer_of, services_of
from src.api.rest.caching import NOT_MODIFIED, checked_headers, has_already
from src.api.rest.presenting import present_result
from src.api.rest.queries import NamedQueryRoute
from src.api.rest.schemas import MARKET_ERRORS, error_responses
from src.api.rest.tables import present_fills, present_series, present_trades
from src.api.rest.tearsheet_schemas import (
    CostBreakdownAnswer,
    DrawdownAnswer,
    MonthlyReturnsAnswer,
    ReturnDistributionAnswer,
)
from src.api.rest.tearsheets import ResultId
from src.domain import errors
from src.domain.runs import BacktestResult
from src.domain.tearsheet import RANGED_COLUMNS, ResultSeries, SeriesRequest, TradeOrder
from src.service.tearsheets import TearSheets, order_trades

router = APIRouter(prefix="/api/backtests", tags=["backtests"], route_class=NamedQueryRoute)

POINTS: Final = 2_000
COLUMNS: Final = ("date", "open", "high", "low", "close", "equity", "buy_and_hold", "drawdown", "probability")
MAX_FILLS: Final = 1_500
"""More are not drawn: some of them would look like all."""
WORST_TRADES: Final = 10
WORST_DRAWDOWNS: Final = 10

_HTML: Final[Mapping[int | str, Any]] = {
    200: {"description": "The file.", "content": {"text/html": {"schema": {"type": "string"}}}}
}
_ERRORS = error_responses(errors.InvalidInput, errors.ResultNotFound, errors.Conflict, *MARKET_ERRORS)


@router.get(
    "/{result_id}/report.html",
    summary="Read the tear sheet as one HTML file",
    response_class=HTMLResponse,
    responses={**_HTML, **NOT_MODIFIED, **_ERRORS},
)
async def get_report(request: Request, result_id: ResultId) -> Response:
    """Read the tear sheet of a result as one HTML file of at most 1 MB: scripts, styles and data are in it.

    It opens from disk and contacts no host. Charts have up to 2,000 points, each of as many bars as needed.
    """
    services, writer = services_of(request), report_writer_of(request)
    result = await services.backtests.get(result_id)
    asked = SeriesRequest(columns=COLUMNS, points=min(POINTS, max_rows_of(request)), max_rows=max_rows_of(request))
    series = await services.tearsheets.series(result, asked)
    headers = (
        {"Cache-Control": "no-store"} if series.warnings else checked_headers(result_id, "report", writer.policy())
    )
    if has_already(request, headers):
        return Response(status_code=304, headers=headers)
    data = await _collect(services.tearsheets, result, series)
    title = f"{result.metrics.strategy_name} · {result.request.market.symbol}"
    page = await run_in_threadpool(lambda: writer.render(JsonText(data).whole(), title))
    return HTMLResponse(page, headers={**headers, "Content-Security-Policy": writer.policy()})


async def _collect(sheets: TearSheets, result: BacktestResult, series: ResultSeries) -> dict[str, object]:
    """Return what the page of a run asks the service for, under the names of its script."""
    months, drawdowns, distribution, costs = await asyncio.gather(
        sheets.months(result),
        sheets.drawdowns(result, first=WORST_DRAWDOWNS),
        sheets.distribution(result),
        sheets.costs(result),
    )
    fills, trades = result.simulation.fills, order_trades(result, TradeOrder.WORST)
    return {
        "run": present_result(result, has_rows=False),
        "overview": _without_ranges(present_series(series)),
        "months": MonthlyReturnsAnswer.of(months),
        "drawdowns": {"items": [DrawdownAnswer.of(period) for period in drawdowns]},
        "distribution": ReturnDistributionAnswer.of(distribution),
        "costs": CostBreakdownAnswer.of(costs),
        "trades": {"items": present_trades(trades[:WORST_TRADES]), "total": len(trades)},
        "fills": {"items": present_fills(fills if len(fills) <= MAX_FILLS else fills[:0]), "total": len(fills)},
    }


def _without_ranges(presented: dict[str, Any]) -> dict[str, object]:
    """Leave out the lowest and highest values of points, which the charts do not draw."""
    unused = {f"{name}_{end}" for name in RANGED_COLUMNS for end in ("low", "high")}
    columns = {name: values for name, values in presented["columns"].items() if name not in unused}
    return presented | {"columns": columns}
