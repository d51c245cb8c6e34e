"""Serve the tear sheet of a result as one HTML file that can be opened without the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, Response

from src.api.dependencies import max_rows_of, report_writer_of, services_of
from src.api.json_responses import JsonText
from src.api.rest.caching import NOT_MODIFIED, checked_headers, is_unchanged
from src.api.rest.queries import NamedQueryRoute
from src.api.rest.schemas import MARKET_ERRORS, error_responses
from src.api.rest.sheet_parts import COLUMNS, POINTS, collect_sheet
from src.api.rest.tearsheets import ResultId
from src.domain import errors
from src.domain.tearsheet import SeriesRequest

router = APIRouter(prefix="/api/backtests", tags=["backtests"], route_class=NamedQueryRoute)

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
    headers = checked_headers(result_id, "report", writer.policy())
    if await is_unchanged(request, headers, result_id):
        return Response(status_code=304, headers=headers)
    result = await services.results.get(result_id)
    asked = SeriesRequest(columns=COLUMNS, points=min(POINTS, max_rows_of(request)), max_rows=max_rows_of(request))
    series, data = await collect_sheet(services.tearsheets, result, asked)
    if series.warnings:
        headers = {"Cache-Control": "no-store"}
    title = f"{result.metrics.strategy_name} · {result.request.market.symbol}"
    page = await run_in_threadpool(lambda: writer.render(JsonText(data).whole(), title))
    return HTMLResponse(page, headers={**headers, "Content-Security-Policy": writer.policy()})
