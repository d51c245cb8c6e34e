"""Serve sweeps and walk-forwards over REST: estimate, start, read, rows, heat maps."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Query, Request
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from src.api.dependencies import max_bars_of, max_rows_of, services_of
from src.api.requests.sweeps import echo_sweep, echo_walk_forward
from src.api.rest.backtests import FirstInFormat, Offset
from src.api.rest.body_models import check_json
from src.api.rest.formats import FORMAT_RESPONSES, Format, FormatParameter, choose_format, respond_file
from src.api.rest.job_schemas import (
    EstimateSchema,
    FoldSchema,
    HeatMapSchema,
    JobSchema,
    SweepConclusionSchema,
    SweepRowSchema,
    SweepSchema,
    WalkForwardConclusionSchema,
    WalkForwardSchema,
)
from src.api.rest.jobs import STARTED, IdempotencyKey, JobUser, choose_key, describe_job, respond_started
from src.api.rest.paging import PAGE_ROWS
from src.api.rest.presenting import present_result, respond
from src.api.rest.queries import NamedQueryRoute
from src.api.rest.result_schemas import DeflationSchema, ResultSchema
from src.api.rest.schemas import (
    BODY_ERRORS,
    MARKET_ERRORS,
    Envelope,
    HasRows,
    Page,
    described_by,
    error_responses,
    json_body,
)
from src.api.rest.sweep_bodies import (
    StartSweepBody,
    StartWalkForwardBody,
    read_sweep,
    read_walk_forward,
)
from src.api.rows.columns import ColumnTable, float_column
from src.api.rows.row_pages import check_first, check_whole
from src.api.rows.sweeps import axis_column, sweep_columns
from src.domain import errors
from src.domain.parameters import MAX_COUNT
from src.domain.sweeps import Reduce
from src.service.sweep_tables import RANK, SweptColumn
from src.service.sweeps import SweepMap

router = APIRouter(prefix="/api", tags=["sweeps"], route_class=NamedQueryRoute)

SweepId = Annotated[str, Path(description="The id of the job that computes it.")]
ParameterName = Annotated[str, Query(description="A swept parameter, in either spelling.", min_length=1, max_length=64)]

_START_ERRORS = error_responses(
    errors.MalformedRequest,
    errors.InvalidInput,
    errors.ModelNotFound,
    errors.SourceNotFound,
    errors.Conflict,
    errors.TooLarge,
    errors.UnsupportedFormat,
    errors.MissingLibrary,
    errors.Busy,
    errors.StoreUnavailable,
    extra=BODY_ERRORS,
)
_READ_ERRORS = error_responses(errors.InvalidInput, errors.JobNotFound, errors.Busy, errors.StoreUnavailable)


def _sweep_body() -> dict[str, Any]:
    return json_body(StartSweepBody.model_json_schema())


def _walk_forward_body() -> dict[str, Any]:
    return json_body(StartWalkForwardBody.model_json_schema())


@router.post(
    "/sweeps",
    summary="Start a sweep of parameters",
    status_code=202,
    response_model=Envelope[JobSchema],
    openapi_extra=described_by(_sweep_body),
    responses={**STARTED, **_START_ERRORS},
)
async def start_sweep(request: Request, idempotency_key: IdempotencyKey = None) -> Response:
    """Start a sweep: a job that runs one backtest with many combinations of its parameters."""
    check_json(request.headers.get("content-type", ""))
    wanted, key = read_sweep(await request.body(), max_bars=max_bars_of(request))
    job = await services_of(request).sweeps.start(wanted, choose_key(idempotency_key, key))
    return await respond_started(request, job)


@router.post(
    "/sweeps/estimate",
    summary="Estimate what a sweep costs",
    response_model=Envelope[EstimateSchema],
    openapi_extra=described_by(_sweep_body),
    responses=_START_ERRORS,
)
async def estimate_sweep(request: Request) -> Response:
    """Estimate what a sweep costs, without starting it or fetching bars."""
    check_json(request.headers.get("content-type", ""))
    wanted, _ = read_sweep(await request.body(), max_bars=max_bars_of(request))
    estimate = await services_of(request).sweeps.estimate(wanted)
    return respond(f"{estimate.combinations} combination(s)", EstimateSchema.of(estimate))


@router.get(
    "/sweeps/{sweep_id}",
    summary="Read a sweep and what it found",
    response_model=Envelope[SweepSchema],
    responses=_READ_ERRORS,
)
async def get_sweep(request: Request, sweep_id: SweepId) -> Response:
    """Read a sweep: its job, what was asked for, and what it found."""
    sweeps = services_of(request).sweeps
    sweep = await sweeps.get(sweep_id)
    conclusion = sweep.conclusion
    deflation = None if conclusion is None else await sweeps.deflation(conclusion)
    found = {
        "job": await describe_job(request, sweep.job),
        "settings": echo_sweep(sweep.request),
        "conclusion": None if conclusion is None else SweepConclusionSchema.of(conclusion),
        "deflation": None if deflation is None else DeflationSchema.of(deflation),
    }
    return respond(f"Sweep {sweep.job.state.lower()}", found)


@router.get(
    "/sweeps/{sweep_id}/rows",
    summary="List rows of a sweep",
    response_model=Envelope[Page[SweepRowSchema]],
    responses={**FORMAT_RESPONSES, **_READ_ERRORS},
)
async def list_sweep_rows(
    request: Request,
    sweep_id: SweepId,
    sort_by: Annotated[
        str,
        Query(
            description="rank (the best first, only rows that can be the best), row, a swept parameter or a metric.",
            min_length=1,
            max_length=64,
        ),
    ] = RANK,
    descending: Annotated[
        bool, Query(description="Whether the order is reversed; rows without a figure stay last.")
    ] = False,
    first: FirstInFormat = None,
    offset: Offset = 0,
    format: FormatParameter = None,
) -> Response:
    """Page through the rows of a sweep that are computed by now, or read them as a file."""
    chosen, most = choose_format(request, format), max_rows_of(request)
    size = first if first is not None else min(PAGE_ROWS, most) if chosen is Format.JSON else None
    if size is not None:
        check_first(size, max_rows=most)
    page = await services_of(request).sweeps.rows(
        sweep_id, sort_by=sort_by, descending=descending, first=size, offset=offset
    )
    if size is None:
        check_whole(len(page.rows), max_rows=most)
    columns = sweep_columns(page.columns, page.rows)
    if chosen is not Format.JSON:
        return await respond_file("rows", columns, len(page.rows), chosen, warnings=())
    found = {
        "items": ColumnTable(columns, len(page.rows)), "total": page.total, "offset": page.offset, "first": size
    }  # fmt: skip
    return respond(f"{page.total} row(s) in all", found, headers={"Vary": "Accept"})


@router.post(
    "/sweeps/{sweep_id}/rows/{row}/run",
    summary="Run a row of a sweep and store its result",
    response_model=Envelope[ResultSchema],
    responses=error_responses(
        errors.InvalidInput,
        errors.JobNotFound,
        errors.ModelNotFound,
        errors.ModelRejected,
        errors.MissingLibrary,
        errors.Conflict,
        errors.TooLarge,
        errors.SandboxUnavailable,
        *MARKET_ERRORS,
    ),
)
async def run_sweep_row(
    request: Request,
    sweep_id: SweepId,
    row: Annotated[int, Path(description="The row's number, from 0.", ge=0, le=MAX_COUNT)],
    user_id: JobUser,
    rows: HasRows = True,
) -> Response:
    """Run a row of a sweep on the sweep's bars and store its result, unless that is stored.

    A result that was deleted has the same id again.
    """
    result = await services_of(request).sweeps.run_row(sweep_id, row, user_id=user_id)
    presented = partial(present_result, result, max_rows=max_rows_of(request), has_rows=rows)
    return await run_in_threadpool(lambda: respond("The row is stored as a result", presented()))


@router.get(
    "/sweeps/{sweep_id}/heat-map",
    summary="Read a metric over two parameters",
    response_model=Envelope[HeatMapSchema],
    responses=_READ_ERRORS,
)
async def get_heat_map(
    request: Request,
    sweep_id: SweepId,
    x: ParameterName,
    y: ParameterName,
    metric: Annotated[
        str | None, Query(description="A metric of the rows; the objective's if absent.", min_length=1, max_length=64)
    ] = None,
    reduce: Annotated[
        Reduce,
        Query(
            description="How the rows of a cell become one number: BEST (the metric of the row that is best by the "
            "objective), MEAN or MEDIAN."
        ),
    ] = Reduce.BEST,
) -> Response:
    """Read a metric of a sweep over two of its parameters, reduced over the others."""
    found = await services_of(request).sweeps.heat_map(sweep_id, x=x, y=y, metric=metric, reduce=reduce)
    return await run_in_threadpool(lambda: respond("Heat map found", _present_map(found)))


@router.post(
    "/walk-forwards",
    summary="Start a walk-forward",
    status_code=202,
    response_model=Envelope[JobSchema],
    openapi_extra=described_by(_walk_forward_body),
    responses={**STARTED, **_START_ERRORS},
)
async def start_walk_forward(request: Request, idempotency_key: IdempotencyKey = None) -> Response:
    """Start a walk-forward: a job that repeats a sweep on one training window after another and trades its choices."""
    check_json(request.headers.get("content-type", ""))
    wanted, key = read_walk_forward(await request.body(), max_bars=max_bars_of(request))
    job = await services_of(request).sweeps.start_walk_forward(wanted, choose_key(idempotency_key, key))
    return await respond_started(request, job)


@router.get(
    "/walk-forwards/{walk_forward_id}",
    summary="Read a walk-forward and its folds",
    response_model=Envelope[WalkForwardSchema],
    responses=_READ_ERRORS,
)
async def get_walk_forward(request: Request, walk_forward_id: SweepId) -> Response:
    """Read a walk-forward: its job, what was asked for, the folds that are done, and what it found."""
    walk = await services_of(request).sweeps.get_walk_forward(walk_forward_id)
    found = {
        "job": await describe_job(request, walk.job),
        "settings": echo_walk_forward(walk.request),
        "folds": [FoldSchema.of(fold) for fold in walk.folds],
        "conclusion": None if walk.conclusion is None else WalkForwardConclusionSchema.of(walk.conclusion),
    }
    return respond(f"Walk-forward {walk.job.state.lower()}", found)


def _present_map(found: SweepMap) -> dict[str, object]:
    cells = found.cells
    return {
        "x": _present_axis(found.x, cells.x),
        "y": _present_axis(found.y, cells.y),
        "metric": found.metric,
        "reduce": found.reduce,
        "cells": [float_column(row).write(row) for row in cells.cells],
        "counts": cells.counts.tolist(),
        "best_rows": [[None if row < 0 else row for row in rows] for rows in cells.best_rows.tolist()],
        "can_be_best": cells.can_be_best.tolist(),
    }


def _present_axis(column: SweptColumn, axis: NDArray[np.float64]) -> dict[str, object]:
    shown = axis_column(column, axis)
    return {"name": column.name, "values": shown.write(shown.array)}
