"""Serve tear sheets of stored results over REST: rows as columns, months, drawdowns, returns, costs."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from src.api.dependencies import max_rows_of, services_of
from src.api.requests.series import build_series_request
from src.api.rest import values
from src.api.rest.caching import NOT_MODIFIED, has_already, immutable_headers
from src.api.rest.formats import FORMAT_RESPONSES, Format, FormatParameter, choose_format, respond_file
from src.api.rest.presenting import respond
from src.api.rest.queries import NamedQueryRoute
from src.api.rest.schemas import MARKET_ERRORS, Envelope, error_responses
from src.api.rest.tables import present_series
from src.api.rest.tearsheet_schemas import (
    CostBreakdownAnswer,
    DrawdownAnswer,
    DrawdownsAnswer,
    MonthlyReturnsAnswer,
    ReturnDistributionAnswer,
    SeriesAnswer,
)
from src.api.rows.tables import Columns, drawdown_columns, month_columns, series_columns
from src.api.spelling import camel_case
from src.domain import errors
from src.domain.tearsheet import DEFAULT_DRAWDOWNS, MAX_DRAWDOWNS, SERIES_COLUMNS

router = APIRouter(prefix="/api/backtests", tags=["backtests"], route_class=NamedQueryRoute)

ResultId = Annotated[str, Path(description="The result's id.")]
_COLUMN: Final = "|".join(dict.fromkeys(text for name in SERIES_COLUMNS for text in (name, camel_case(name))))
ColumnNames = Annotated[
    str | None,
    Query(
        description=f"Names with commas between them; all if absent: {', '.join(SERIES_COLUMNS)}.",
        json_schema_extra={
            "pattern": rf"^({_COLUMN})(\s*,\s*({_COLUMN}))*$",
            "examples": ["date,equity,drawdown"],
        },
    ),
]
Points = Annotated[
    int | None,
    Query(
        ge=1,
        description="Maximum number of rows: each then stands for as many bars. If absent, a row for each bar.",
        json_schema_extra=values.ROWS,
    ),
]
Start = Annotated[
    str | None,
    Query(description="First open time, included: a date or an instant, UTC.", json_schema_extra=values.DATE),
]
End = Annotated[
    str | None, Query(description="Last open time, included: a date or an instant, UTC.", json_schema_extra=values.DATE)
]
FirstDrawdowns = Annotated[int, Query(ge=1, le=MAX_DRAWDOWNS, description="Maximum number of drawdowns.")]

_ERRORS = error_responses(errors.InvalidInput, errors.ResultNotFound, errors.StoreUnavailable, errors.TimedOut)
_BAR_ERRORS = error_responses(errors.InvalidInput, errors.ResultNotFound, errors.Conflict, *MARKET_ERRORS)


@router.get(
    "/{result_id}/series",
    summary="Read rows of a result as columns",
    response_model=Envelope[SeriesAnswer],
    responses={**FORMAT_RESPONSES, **NOT_MODIFIED, **_BAR_ERRORS},
)
async def get_series(
    request: Request,
    result_id: ResultId,
    columns: ColumnNames = None,
    points: Points = None,
    start: Start = None,
    end: End = None,
    format: FormatParameter = None,
) -> Response:
    """Read rows of a result as columns, reduced to points if asked.

    The bars of the run are fetched again if a column needs them. If they have changed or are gone, such a column is
    null and `warnings` says why; the response is an error if no other column but `date` is asked for, and in files,
    whose readers expect the columns that they asked for.
    """
    chosen = choose_format(request, format)
    asked = build_series_request(
        columns=columns,
        points=points,
        start=start,
        end=end,
        max_rows=max_rows_of(request),
        allows_nulls=chosen is Format.JSON,
    )
    services = services_of(request)
    series = await services.tearsheets.series(await services.backtests.get(result_id), asked)
    names = (result_id, "series", chosen, *map(str, (columns, points, start, end)))
    headers = {"Vary": "Accept", **({} if series.warnings else immutable_headers(*names))}
    if has_already(request, headers):
        return Response(status_code=304, headers=headers)
    if chosen is not Format.JSON:
        columns_of_file = series_columns(series)
        return await respond_file("series", columns_of_file, series.length, chosen, headers, warnings=series.warnings)
    return await run_in_threadpool(lambda: respond(f"{series.length} row(s)", present_series(series), headers=headers))


@router.get(
    "/{result_id}/months",
    summary="Read monthly returns",
    response_model=Envelope[MonthlyReturnsAnswer],
    responses={**FORMAT_RESPONSES, **NOT_MODIFIED, **_ERRORS},
)
async def get_months(request: Request, result_id: ResultId, format: FormatParameter = None) -> Response:
    """Read the returns of a result by calendar month and year (UTC).

    A file has a row per year: `year`, `january` to `december`, `total`.
    """
    chosen = choose_format(request, format)
    services = services_of(request)
    found = await services.tearsheets.months(await services.backtests.get(result_id))
    names = (result_id, "months", chosen)
    if chosen is not Format.JSON:
        return await _respond_file(request, month_columns(found), len(found.years), chosen, *names)
    return _respond(request, "Months found", MonthlyReturnsAnswer.of(found), *names)


@router.get(
    "/{result_id}/drawdowns",
    summary="Read the deepest drawdowns",
    response_model=Envelope[DrawdownsAnswer],
    responses={**FORMAT_RESPONSES, **NOT_MODIFIED, **_ERRORS},
)
async def get_drawdowns(
    request: Request,
    result_id: ResultId,
    first: FirstDrawdowns = DEFAULT_DRAWDOWNS,
    format: FormatParameter = None,
) -> Response:
    """Read the deepest drawdowns of a result, the deepest first."""
    chosen = choose_format(request, format)
    services = services_of(request)
    found = await services.tearsheets.drawdowns(await services.backtests.get(result_id), first=first)
    names = (result_id, "drawdowns", str(first), chosen)
    if chosen is not Format.JSON:
        return await _respond_file(request, drawdown_columns(found), len(found), chosen, *names)
    items = [DrawdownAnswer.of(period) for period in found]
    return _respond(request, f"{len(items)} drawdown(s)", {"items": items}, *names)


@router.get(
    "/{result_id}/distribution",
    summary="Read the distribution of returns",
    response_model=Envelope[ReturnDistributionAnswer],
    responses={**NOT_MODIFIED, **_ERRORS},
)
async def get_distribution(request: Request, result_id: ResultId) -> Response:
    """Read the distribution of a result's returns per bar, with value at risk and expected shortfall."""
    services = services_of(request)
    found = await services.tearsheets.distribution(await services.backtests.get(result_id))
    return _respond(request, "Distribution found", ReturnDistributionAnswer.of(found), result_id, "distribution")


@router.get(
    "/{result_id}/costs",
    summary="Read what costs took",
    response_model=Envelope[CostBreakdownAnswer],
    responses={**NOT_MODIFIED, **_ERRORS},
)
async def get_costs(request: Request, result_id: ResultId) -> Response:
    """Read what a result gained before costs, and what slippage and fees took."""
    services = services_of(request)
    found = await services.tearsheets.costs(await services.backtests.get(result_id))
    return _respond(request, "Costs found", CostBreakdownAnswer.of(found), result_id, "costs")


async def _respond_file(request: Request, columns: Columns, length: int, chosen: Format, *names: str) -> Response:
    """Return a table as a file that is named after its path."""
    headers = {"Vary": "Accept", **immutable_headers(*names)}
    if has_already(request, headers):
        return Response(status_code=304, headers=headers)
    return await respond_file(names[1], columns, length, chosen, headers, warnings=())


def _respond(request: Request, message: str, data: object, *names: str) -> Response:
    headers = {"Vary": "Accept", **immutable_headers(*names)}
    if has_already(request, headers):
        return Response(status_code=304, headers=headers)
    return respond(message, data, headers=headers)
