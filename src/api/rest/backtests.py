"""Serve backtests over REST, except those with a model file: run, list, read, page through tables."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from src.api.dependencies import max_bars_of, max_rows_of, services_of
from src.api.requests.backtests import build_request
from src.api.requests.series import read_range
from src.api.rest import values
from src.api.rest.bodies import read_run_body
from src.api.rest.body_models import check_json
from src.api.rest.caching import NOT_MODIFIED, checked_headers, is_unchanged
from src.api.rest.formats import FORMAT_RESPONSES, FormatParameter, choose_format
from src.api.rest.jobs import STARTED, IdempotencyKey, respond_started
from src.api.rest.paging import PAGE_ROWS, respond_page, respond_rows
from src.api.rest.presenting import present_rerun, present_result, present_summary, respond
from src.api.rest.queries import NamedQueryRoute
from src.api.rest.response_schema import ResponseSchema
from src.api.rest.result_schemas import (
    BarRow,
    CheckEnvelope,
    DeflationSchema,
    FillRow,
    JudgementSchema,
    NeighborsSchema,
    OtherMarketsSchema,
    RerunSchema,
    ResolvedFillsSchema,
    ResultSchema,
    SummaryPage,
    SummarySchema,
    TradeRow,
    UncheckedSchema,
)
from src.api.rest.schemas import (
    BODY_ERRORS,
    MARKET_ERRORS,
    Envelope,
    HasRows,
    Page,
    backtest_body,
    described_by,
    error_responses,
)
from src.api.rest.tables import present_bars
from src.api.rows.row_pages import check_first
from src.api.rows.tables import fill_columns, trade_columns
from src.domain import errors
from src.domain.tearsheet import TradeOrder
from src.domain.verdict import Unchecked
from src.service.tearsheets import fills_between, order_trades

router = APIRouter(prefix="/api/backtests", tags=["backtests"], route_class=NamedQueryRoute)

ResultId = Annotated[str, Path(description="The result's id.")]
_ROWS_TEXT = "Maximum number of rows in a page, up to MAX_ROWS_PER_ANSWER."
First = Annotated[int, Query(ge=1, description=_ROWS_TEXT, json_schema_extra=values.ROWS)]
FirstInFormat = Annotated[
    int | None,
    Query(ge=1, description=f"{_ROWS_TEXT} If absent, {PAGE_ROWS}; in a file all.", json_schema_extra=values.ROWS),
]
FirstResults = Annotated[int, Query(ge=1, le=100, description="Maximum number of results in a page.")]
Offset = Annotated[int, Query(ge=0, le=2**53, description="Index of the first row.")]

Start = Annotated[
    str | None,
    Query(description="First open time, included: a date or an instant, UTC.", json_schema_extra=values.DATE),
]
End = Annotated[
    str | None, Query(description="Last open time, included: a date or an instant, UTC.", json_schema_extra=values.DATE)
]
Order = Annotated[
    TradeOrder, Query(description="entry: in order of entry. worst or best: by profit, the worst or the best first.")
]

_READ_ERRORS = error_responses(errors.InvalidInput, errors.ResultNotFound, errors.StoreUnavailable)
_CHECK_ERRORS = error_responses(errors.InvalidInput, errors.ResultNotFound, errors.Conflict, *MARKET_ERRORS)
_MODEL_CHECK_ERRORS = error_responses(
    errors.InvalidInput,
    errors.ResultNotFound,
    errors.Conflict,
    errors.MissingLibrary,
    errors.SandboxUnavailable,
    *MARKET_ERRORS,
)


@router.post(
    "",
    summary="Backtest a strategy",
    response_model=Envelope[ResultSchema],
    openapi_extra=described_by(backtest_body),
    responses={
        **STARTED,
        **error_responses(
            errors.MalformedRequest,
            errors.InvalidInput,
            errors.Conflict,
            errors.TooLarge,
            errors.UnsupportedFormat,
            *MARKET_ERRORS,
            extra=BODY_ERRORS,
        ),
    },
)
async def run_backtest(request: Request, rows: HasRows = True, idempotency_key: IdempotencyKey = None) -> Response:
    """Backtest a strategy on either engine: the moving-average crossover, or the one that `strategy` names.

    With `async` true it becomes a job: the response is 202 at once, and the job's `result_id` names the stored result.
    Without, an `Idempotency-Key` has no effect: each request is run and stored.
    """
    check_json(request.headers.get("content-type", ""))
    backtest, is_job = read_run_body(await request.body())
    wanted = build_request(*backtest, max_bars=max_bars_of(request))
    if is_job:
        await services_of(request).backtests.check_known(wanted)
        job = await services_of(request).jobs.submit(wanted, idempotency_key=idempotency_key)
        return await respond_started(request, job)
    result = await services_of(request).backtests.run(wanted)
    presented = partial(present_result, result, max_rows=max_rows_of(request), has_rows=rows)
    return await run_in_threadpool(lambda: respond("Backtest completed successfully", presented()))


@router.get("", summary="List stored results", response_model=Envelope[SummaryPage],
            responses=error_responses(errors.InvalidInput, errors.StoreUnavailable))  # fmt: skip
async def list_backtests(
    request: Request,
    user_id: Annotated[str, Query(description="Whose results.", json_schema_extra=values.USER_ID)],
    symbol: Annotated[
        str | None,
        Query(description="Only results of this symbol; if absent, of all.", json_schema_extra=values.SYMBOL),
    ] = None,
    first: FirstResults = 20,
    after: Annotated[
        str | None, Query(description="`next_cursor` of the page before.", json_schema_extra=values.CURSOR)
    ] = None,
) -> Response:
    """List stored results, newest first."""
    page = await services_of(request).results.list(user_id=user_id, symbol=symbol, first=first, after=after)
    items = [present_summary(summary) for summary in page.summaries]
    found = {"items": items, "next_cursor": page.next_cursor, "warnings": page.warnings}
    return respond(f"{len(items)} result(s)", found)


@router.get(
    "/{result_id}",
    summary="Read a stored result",
    response_model=Envelope[ResultSchema],
    responses={**NOT_MODIFIED, **_READ_ERRORS},
)
async def get_backtest(
    request: Request,
    result_id: ResultId,
    rows: HasRows = True,
) -> Response:
    """Read a stored result; clients may keep it, and ask with its tag whether it still exists."""
    headers = checked_headers(result_id, *(() if rows else ("without rows",)))
    if await is_unchanged(request, headers, result_id):
        return Response(status_code=304, headers=headers)
    result = await services_of(request).results.get(result_id)
    presented = partial(present_result, result, max_rows=max_rows_of(request), has_rows=rows)
    return await run_in_threadpool(lambda: respond("Result found", presented(), headers=headers))


@router.get(
    "/{result_id}/judgement",
    summary="Read whether to believe a result",
    response_model=Envelope[JudgementSchema | None],
    responses={**NOT_MODIFIED, **_READ_ERRORS},
)
async def get_judgement(request: Request, result_id: ResultId) -> Response:
    """Read whether to believe a stored result, and why; `data` is null for a result of an earlier version."""
    headers = checked_headers(result_id, "judgement")
    if await is_unchanged(request, headers, result_id):
        return Response(status_code=304, headers=headers)
    judgement = (await services_of(request).results.get(result_id)).judgement
    message = "Judgement found" if judgement else "The result was stored by a version that did not judge"
    return respond(message, None if judgement is None else JudgementSchema.of(judgement), headers=headers)


@router.get(
    "/{result_id}/deflation",
    summary="Deflate a result with all trials so far",
    response_model=CheckEnvelope[DeflationSchema | None],
    responses=_READ_ERRORS,
)
async def get_deflation(request: Request, result_id: ResultId) -> Response:
    """Deflate a stored result with all trials counted so far, not only with those counted when it ran."""
    deflation = await services_of(request).later_checks.deflation_now(result_id)
    return _respond_check("Deflated with all trials by now", deflation, DeflationSchema)


@router.get(
    "/{result_id}/neighbors",
    summary="Run nearby parameters",
    response_model=CheckEnvelope[NeighborsSchema | None],
    responses=_CHECK_ERRORS,
)
async def get_neighbors(request: Request, result_id: ResultId) -> Response:
    """Run a result's strategy with nearby parameters; if `data` is null, `unchecked` says why."""
    neighbors = await services_of(request).later_checks.neighbors(result_id)
    return _respond_check("Nearby parameters run", neighbors, NeighborsSchema)


@router.get(
    "/{result_id}/other-markets",
    summary="Run other markets",
    response_model=CheckEnvelope[OtherMarketsSchema | None],
    responses=_MODEL_CHECK_ERRORS,
)
async def get_other_markets(request: Request, result_id: ResultId) -> Response:
    """Run a result's strategy on up to 3 other cached markets; if `data` is null, `unchecked` says why."""
    markets = await services_of(request).later_checks.other_markets(result_id)
    return _respond_check("Other markets run", markets, OtherMarketsSchema)


@router.get(
    "/{result_id}/resolved-fills",
    summary="Settle ambiguous bars",
    response_model=CheckEnvelope[ResolvedFillsSchema | None],
    responses=_CHECK_ERRORS,
)
async def get_resolved_fills(request: Request, result_id: ResultId) -> Response:
    """Settle a result's ambiguous bars by the minutes inside them; if `data` is null, `unchecked` says why."""
    fills = await services_of(request).later_checks.resolved_fills(result_id)
    return _respond_check("Ambiguous bars settled", fills, ResolvedFillsSchema)


@router.delete(
    "/{result_id}",
    summary="Delete a stored result",
    response_model=Envelope[SummarySchema | None],
    responses=_READ_ERRORS,
)
async def delete_backtest(
    request: Request,
    result_id: ResultId,
    user_id: Annotated[str, Query(description="Whose result it is.", json_schema_extra=values.USER_ID)],
) -> Response:
    """Delete a stored result of a user; `data` is null if the result could not be read."""
    summary = await services_of(request).results.delete(result_id, user_id=user_id)
    return respond("Result deleted successfully", None if summary is None else present_summary(summary))


@router.post(
    "/{result_id}/rerun",
    summary="Run a stored backtest again",
    response_model=Envelope[RerunSchema],
    responses=error_responses(
        errors.InvalidInput,
        errors.ResultNotFound,
        errors.ModelNotFound,
        errors.ModelRejected,
        errors.MissingLibrary,
        errors.Conflict,
        errors.TooLarge,
        errors.SandboxUnavailable,
        *MARKET_ERRORS,
    ),
)
async def rerun_backtest(request: Request, result_id: ResultId) -> Response:
    """Run a stored backtest again on the same bars, and return what differs."""
    rerun = await services_of(request).backtests.rerun(result_id)
    message = "The result has been reproduced to the last bit" if not rerun.differences else "The result differs"
    presented = partial(present_rerun, rerun, max_rows=max_rows_of(request))
    return await run_in_threadpool(lambda: respond(message, presented()))


@router.get(
    "/{result_id}/data",
    summary="Page through a result's bars",
    response_model=Envelope[Page[BarRow]],
    responses=_READ_ERRORS,
)
async def list_rows(request: Request, result_id: ResultId, first: First = PAGE_ROWS, offset: Offset = 0) -> Response:
    """Page through the rows of a result: equity and signal at each bar, oldest first."""
    check_first(first, max_rows=max_rows_of(request))
    result = await services_of(request).results.get(result_id)
    items = present_bars(result, slice(offset, offset + first))
    return respond_page(items, total=len(result.time_ms), first=first, offset=offset)


@router.get(
    "/{result_id}/fills",
    summary="Page through a result's fills",
    response_model=Envelope[Page[FillRow]],
    responses={**FORMAT_RESPONSES, **_READ_ERRORS},
)
async def list_fills(
    request: Request,
    result_id: ResultId,
    first: FirstInFormat = None,
    offset: Offset = 0,
    start: Start = None,
    end: End = None,
    format: FormatParameter = None,
) -> Response:
    """Page through the executed orders of a result, in time order, or read them as a file.

    If `start` or `end` is given, only fills of bars that open between them, both included; `total` counts these.
    """
    chosen = choose_format(request, format)
    start_ms, end_ms = read_range(start, end)
    fills = fills_between(await services_of(request).results.get(result_id), start_ms, end_ms)
    return await respond_rows(request, "fills", fill_columns(fills), len(fills), first, offset, chosen)


@router.get(
    "/{result_id}/trades",
    summary="Page through a result's trades",
    response_model=Envelope[Page[TradeRow]],
    responses={**FORMAT_RESPONSES, **_READ_ERRORS},
)
async def list_trades(
    request: Request,
    result_id: ResultId,
    first: FirstInFormat = None,
    offset: Offset = 0,
    order: Order = TradeOrder.ENTRY,
    format: FormatParameter = None,
) -> Response:
    """Page through the trades of a result, or read them as a file."""
    chosen = choose_format(request, format)
    trades = order_trades(await services_of(request).results.get(result_id), order)
    return await respond_rows(request, "trades", trade_columns(trades), len(trades), first, offset, chosen)


def _respond_check(message: str, checked: object, shape: type[ResponseSchema]) -> Response:
    if isinstance(checked, Unchecked):
        return respond(checked.why, None, beside={"unchecked": UncheckedSchema.of(checked)})
    return respond(message, shape.of(checked), beside={"unchecked": None})
