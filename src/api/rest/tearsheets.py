"""Serve tear sheets of stored results over REST: rows as columns, months, drawdowns, returns, costs."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from src.api.dependencies import max_rows_of, services_of
from src.api.requests.series import build_series_request
from src.api.rest import values
from src.api.rest.caching import NOT_MODIFIED, checked_headers, is_unchanged
from src.api.rest.formats import FORMAT_RESPONSES, Format, FormatParameter, choose_format, respond_file
from src.api.rest.presenting import respond
from src.api.rest.queries import NamedQueryRoute
from src.api.rest.schemas import MARKET_ERRORS, Envelope, error_responses
from src.api.rest.sheet_parts import POINTS, collect_sheet, sheet_columns
from src.api.rest.tables import present_series
from src.api.rest.tearsheet_schemas import (
    CostBreakdownSchema,
    DrawdownSchema,
    DrawdownsSchema,
    MonthlyReturnsSchema,
    ReturnDistributionSchema,
    SeriesSchema,
    TearSheetSchema,
)
from src.api.rows.tables import drawdown_columns, month_columns, series_columns
from src.api.spelling import camel_case
from src.domain import errors
from src.domain.tearsheet import DEFAULT_DRAWDOWNS, MAX_DRAWDOWNS, SERIES_COLUMNS, SeriesRequest

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
    response_model=Envelope[SeriesSchema],
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
    names = (result_id, "series", chosen, *map(str, (columns, points, start, end)))
    headers = _headers(*names)
    if await is_unchanged(request, headers, result_id):
        return Response(status_code=304, headers=headers)
    services = services_of(request)
    series = await services.tearsheets.series(await services.results.get(result_id), asked)
    if series.warnings:
        headers = {"Vary": "Accept"}
    if chosen is not Format.JSON:
        columns_of_file = series_columns(series)
        return await respond_file("series", columns_of_file, series.length, chosen, headers, warnings=series.warnings)
    return await run_in_threadpool(lambda: respond(f"{series.length} row(s)", present_series(series), headers=headers))


@router.get(
    "/{result_id}/months",
    summary="Read monthly returns",
    response_model=Envelope[MonthlyReturnsSchema],
    responses={**FORMAT_RESPONSES, **NOT_MODIFIED, **_ERRORS},
)
async def get_months(request: Request, result_id: ResultId, format: FormatParameter = None) -> Response:
    """Read the returns of a result by calendar month and year (UTC).

    A file has a row per year: `year`, `january` to `december`, `total`.
    """
    chosen = choose_format(request, format)
    headers = _headers(result_id, "months", chosen)
    if await is_unchanged(request, headers, result_id):
        return Response(status_code=304, headers=headers)
    services = services_of(request)
    found = await services.tearsheets.months(await services.results.get(result_id))
    if chosen is not Format.JSON:
        return await respond_file("months", month_columns(found), len(found.years), chosen, headers, warnings=())
    return respond("Months found", MonthlyReturnsSchema.of(found), headers=headers)


@router.get(
    "/{result_id}/drawdowns",
    summary="Read the deepest drawdowns",
    response_model=Envelope[DrawdownsSchema],
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
    headers = _headers(result_id, "drawdowns", str(first), chosen)
    if await is_unchanged(request, headers, result_id):
        return Response(status_code=304, headers=headers)
    services = services_of(request)
    found = await services.tearsheets.drawdowns(await services.results.get(result_id), first=first)
    if chosen is not Format.JSON:
        return await respond_file("drawdowns", drawdown_columns(found), len(found), chosen, headers, warnings=())
    items = [DrawdownSchema.of(period) for period in found]
    return respond(f"{len(items)} drawdown(s)", {"items": items}, headers=headers)


@router.get(
    "/{result_id}/distribution",
    summary="Read the distribution of returns",
    response_model=Envelope[ReturnDistributionSchema],
    responses={**NOT_MODIFIED, **_ERRORS},
)
async def get_distribution(request: Request, result_id: ResultId) -> Response:
    """Read the distribution of a result's returns per bar, with value at risk and expected shortfall."""
    headers = _headers(result_id, "distribution")
    if await is_unchanged(request, headers, result_id):
        return Response(status_code=304, headers=headers)
    services = services_of(request)
    found = await services.tearsheets.distribution(await services.results.get(result_id))
    return respond("Distribution found", ReturnDistributionSchema.of(found), headers=headers)


@router.get(
    "/{result_id}/costs",
    summary="Read what costs took",
    response_model=Envelope[CostBreakdownSchema],
    responses={**NOT_MODIFIED, **_ERRORS},
)
async def get_costs(request: Request, result_id: ResultId) -> Response:
    """Read what a result gained before costs, and what slippage and fees took."""
    headers = _headers(result_id, "costs")
    if await is_unchanged(request, headers, result_id):
        return Response(status_code=304, headers=headers)
    services = services_of(request)
    found = await services.tearsheets.costs(await services.results.get(result_id))
    return respond("Costs found", CostBreakdownSchema.of(found), headers=headers)


@router.get(
    "/{result_id}/tearsheet",
    summary="Read what a run's page shows at first",
    response_model=Envelope[TearSheetSchema],
    responses={**NOT_MODIFIED, **_BAR_ERRORS},
)
async def get_tear_sheet(request: Request, result_id: ResultId, points: Points = None) -> Response:
    """Read at once all that the page of a result shows first: the result is read a single time.

    Rows are reduced to 2,000 points if `points` is absent. Fills are all or none: more than 1,500 cannot be drawn.
    `open`, `high` and `low` are left out if the result has more than 100,000 bars: all of them would be fetched for
    points of 50 bars and more. Ranges of `series` have them.
    """
    most = max_rows_of(request)
    headers = checked_headers(result_id, "tearsheet", str(points))
    if await is_unchanged(request, headers, result_id):
        return Response(status_code=304, headers=headers)
    services = services_of(request)
    result = await services.results.get(result_id)
    names = sheet_columns(result)
    asked = SeriesRequest(columns=names, points=min(POINTS, most) if points is None else points, max_rows=most)
    series, data = await collect_sheet(services.tearsheets, result, asked)
    if series.warnings:
        headers = {}
    return await run_in_threadpool(lambda: respond("Tear sheet found", data, headers=headers))


def _headers(*names: str) -> dict[str, str]:
    return {"Vary": "Accept", **checked_headers(*names)}
