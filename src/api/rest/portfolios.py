"""Serve portfolio backtests over REST: run, read, page through their rows."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from src.api.dependencies import job_streams_of, max_bars_of, max_rows_of, services_of
from src.api.requests.portfolios import check_ended, echo_portfolio
from src.api.rest import values
from src.api.rest.backtests import FirstInFormat, Offset
from src.api.rest.body_models import check_json
from src.api.rest.formats import FORMAT_RESPONSES, Format, FormatParameter, choose_format, respond_file
from src.api.rest.jobs import STARTED, IdempotencyKey, choose_key, describe_job, respond_started
from src.api.rest.paging import PAGE_ROWS, respond_rows
from src.api.rest.portfolio_bodies import PortfolioBody, read_portfolio
from src.api.rest.portfolio_schemas import (
    BalancePage,
    PortfolioConclusionSchema,
    PortfolioFillRow,
    PortfolioSchema,
    PortfolioTradeRow,
)
from src.api.rest.presenting import respond
from src.api.rest.queries import NamedQueryRoute
from src.api.rest.schemas import (
    BODY_ERRORS,
    MARKET_ERRORS,
    Envelope,
    Page,
    described_by,
    error_responses,
    json_body,
)
from src.api.rows.columns import ColumnTable
from src.api.rows.portfolios import balance_columns, portfolio_fill_columns, portfolio_trade_columns
from src.api.rows.row_pages import check_first, check_whole
from src.domain import errors
from src.domain.jobs import JobState
from src.service.portfolios import Portfolio, list_balances

router = APIRouter(prefix="/api/portfolios", tags=["portfolios"], route_class=NamedQueryRoute)

PortfolioId = Annotated[str, Path(description="The id of the job that computes it.")]
Points = Annotated[
    int | None,
    Query(
        ge=1,
        description="Maximum number of rows: each then stands for as many times. If absent, a row for each time.",
        json_schema_extra=values.ROWS,
    ),
]

_READ_ERRORS = error_responses(errors.InvalidInput, errors.JobNotFound, errors.StoreUnavailable)
_ROW_ERRORS = error_responses(
    errors.InvalidInput, errors.JobNotFound, errors.Conflict, errors.Busy, errors.StoreUnavailable
)


def _portfolio_body() -> dict[str, object]:
    return json_body(PortfolioBody.model_json_schema())


@router.post(
    "",
    summary="Backtest several symbols with one cash",
    response_model=Envelope[PortfolioSchema],
    openapi_extra=described_by(_portfolio_body),
    responses={
        **STARTED,
        **error_responses(
            errors.MalformedRequest,
            errors.InvalidInput,
            errors.ModelNotFound,
            errors.ModelRejected,
            errors.Conflict,
            errors.TooLarge,
            errors.UnsupportedFormat,
            errors.MissingLibrary,
            errors.SandboxUnavailable,
            errors.ServiceError,
            *MARKET_ERRORS,
            extra=BODY_ERRORS,
        ),
    },
)
async def run_portfolio(request: Request, idempotency_key: IdempotencyKey = None) -> Response:
    """Backtest one strategy over several symbols that share their cash, as a job.

    The response waits for its end for `wait_seconds`. If it has succeeded by then, the status is 200 with the whole
    portfolio; if it goes on, 202 with the job; if it has failed, the error that it failed with; if
    it was cancelled meanwhile, 409.
    """
    check_json(request.headers.get("content-type", ""))
    received = read_portfolio(await request.body(), max_bars=max_bars_of(request))
    services = services_of(request)
    started = await services.portfolios.start(received.request, choose_key(idempotency_key, received.key))
    job = await job_streams_of(request).wait_for_end(services.jobs, started, wait_s=received.wait_s)
    if check_ended(job).state is not JobState.SUCCEEDED:
        return await respond_started(request, job)
    return await _respond(request, await services.portfolios.get(job.id))


@router.get(
    "/{portfolio_id}",
    summary="Read a portfolio and what it did",
    response_model=Envelope[PortfolioSchema],
    responses=_READ_ERRORS,
)
async def get_portfolio(request: Request, portfolio_id: PortfolioId) -> Response:
    """Read a portfolio: its job, what was asked for, its figures, each symbol's share, and their correlations."""
    return await _respond(request, await services_of(request).portfolios.get(portfolio_id))


@router.get(
    "/{portfolio_id}/equity",
    summary="Read a portfolio's balances",
    response_model=Envelope[BalancePage],
    responses={**FORMAT_RESPONSES, **_ROW_ERRORS},
)
async def list_portfolio_equity(
    request: Request,
    portfolio_id: PortfolioId,
    first: FirstInFormat = None,
    offset: Offset = 0,
    points: Points = None,
    format: FormatParameter = None,
) -> Response:
    """Page through the balances of a portfolio, oldest first, or read them as a file, or reduced to points."""
    chosen, most = choose_format(request, format), max_rows_of(request)
    is_paged = points is None and (first is not None or chosen is Format.JSON)
    size = check_first(min(PAGE_ROWS, most) if first is None else first, max_rows=most) if is_paged else first
    rows = await services_of(request).portfolios.rows(portfolio_id)
    if points is None and size is None:
        check_whole(len(rows.tables.time_ms) - offset, max_rows=most)
    found = list_balances(rows, first=size, offset=offset, points=points, max_rows=most)
    columns = balance_columns(found)
    if chosen is not Format.JSON:
        return await respond_file("equity", columns, len(found), chosen, warnings=())
    page = {
        "items": ColumnTable(columns, len(found)),
        "total": found.total,
        "offset": offset,
        "first": points if size is None else size,
        "times_per_point": found.times_per_point,
    }
    return respond(f"{found.total} row(s) in all", page, headers={"Vary": "Accept"})


@router.get(
    "/{portfolio_id}/fills",
    summary="Page through a portfolio's fills",
    response_model=Envelope[Page[PortfolioFillRow]],
    responses={**FORMAT_RESPONSES, **_ROW_ERRORS},
)
async def list_portfolio_fills(
    request: Request,
    portfolio_id: PortfolioId,
    first: FirstInFormat = None,
    offset: Offset = 0,
    format: FormatParameter = None,
) -> Response:
    """Page through the executed orders of all symbols, in time order, or read them as a file."""
    chosen = choose_format(request, format)
    rows = await services_of(request).portfolios.rows(portfolio_id)
    columns, total = portfolio_fill_columns(rows), len(rows.tables.fills)
    return await respond_rows(request, "fills", columns, total, first, offset, chosen)


@router.get(
    "/{portfolio_id}/trades",
    summary="Page through a portfolio's trades",
    response_model=Envelope[Page[PortfolioTradeRow]],
    responses={**FORMAT_RESPONSES, **_ROW_ERRORS},
)
async def list_portfolio_trades(
    request: Request,
    portfolio_id: PortfolioId,
    first: FirstInFormat = None,
    offset: Offset = 0,
    format: FormatParameter = None,
) -> Response:
    """Page through the trades of all symbols, in order of entry, or read them as a file."""
    chosen = choose_format(request, format)
    rows = await services_of(request).portfolios.rows(portfolio_id)
    columns, total = portfolio_trade_columns(rows), len(rows.tables.trades)
    return await respond_rows(request, "trades", columns, total, first, offset, chosen)


async def _respond(request: Request, portfolio: Portfolio) -> Response:
    conclusion = portfolio.conclusion
    found = {
        "job": await describe_job(request, portfolio.job),
        "settings": echo_portfolio(portfolio.request),
        "conclusion": None if conclusion is None else PortfolioConclusionSchema.of(conclusion),
    }
    return await run_in_threadpool(lambda: respond(f"Portfolio {portfolio.job.state.lower()}", found))
