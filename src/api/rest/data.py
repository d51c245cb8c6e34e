"""Serve bars over REST: the bars, their features, the report on their quality, and the users' datasets."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from src.api.dependencies import max_bars_of, max_rows_of, services_of
from src.api.requests.backtests import build_market
from src.api.requests.datasets import build_declaration
from src.api.requests.uploads import FILE_FIELD, chunks_of, received_form
from src.api.rest import values
from src.api.rest.data_schemas import (
    BarColumnsSchema,
    DatasetSchema,
    DownloadSchema,
    FeatureColumnsSchema,
    MarketQualitySchema,
    QualitySchema,
    upload_bars_body,
)
from src.api.rest.formats import FORMAT_RESPONSES, Format, FormatParameter, choose_format, respond_file
from src.api.rest.presenting import respond
from src.api.rest.queries import NamedQueryRoute
from src.api.rest.schemas import BODY_ERRORS, MARKET_ERRORS, Envelope, UserId, described_by, error_responses
from src.api.rows.columns import ColumnList
from src.api.rows.row_pages import check_first, check_whole
from src.api.rows.tables import Columns, candle_columns, feature_columns
from src.domain import errors
from src.domain.intervals import DEFAULT_INTERVAL
from src.domain.market import LimitOrigin, MarketRequest, MarketSeries
from src.domain.model_files import check_user_id

router = APIRouter(prefix="/api/data", tags=["data"], route_class=NamedQueryRoute)

Name = Annotated[
    str, Path(description="The dataset's name, as the upload returned it.", json_schema_extra=values.DATASET_NAME)
]

_UPLOAD_FIELDS = (FILE_FIELD, "user_id", "name", "symbol", "interval", "timezone", "unit", "date_format", "decimal")


class MarketQuery(NamedTuple):
    """The bars that a query asks for, and whose datasets it may name."""

    market: MarketRequest
    user_id: str | None


async def read_market(
    request: Request,
    symbol: Annotated[
        str, Query(description="Trading symbol, e.g. BTCUSDT or BTC/USDT.", json_schema_extra=values.SYMBOL)
    ],
    interval: Annotated[
        str, Query(description="Bar length, 1s to 1M.", json_schema_extra=values.INTERVAL)
    ] = DEFAULT_INTERVAL,
    limit: Annotated[
        int | None,
        Query(
            description="Maximum number of bars; if absent, every bar between both dates, or 1000. MAX_BARS "
            "asks for every bar there is.",
            json_schema_extra=values.COUNT,
        ),
    ] = None,
    start_date: Annotated[
        str | None, Query(description="First date, as in a backtest.", json_schema_extra=values.DATE)
    ] = None,
    end_date: Annotated[
        str | None, Query(description="Last date, as in a backtest.", json_schema_extra=values.DATE)
    ] = None,
    source: Annotated[str | None, Query(description="Source of the bars; the default if absent.")] = None,
    seed: Annotated[
        int | None,
        Query(ge=-(2**63), le=2**63 - 1, description="Seed of simulated bars; only with the source simulated."),
    ] = None,
    user_id: Annotated[
        str | None, Query(description="Owner of the dataset that source may name.", json_schema_extra=values.USER_ID)
    ] = None,
) -> MarketQuery:
    """Read the query parameters that name bars."""
    given = {
        "symbol": symbol,
        "interval": interval,
        "limit": limit,
        "start_date": start_date,
        "end_date": end_date,
        "source": source,
        "seed": seed,
    }
    max_bars = max_bars_of(request)
    market = build_market(given, max_bars=max_bars)
    if limit == max_bars:
        market = replace(market, limit_origin=LimitOrigin.MAXIMUM)
    return MarketQuery(market=market, user_id=user_id or None)


Market = Annotated[MarketQuery, Depends(read_market)]
First = Annotated[
    int | None,
    Query(
        ge=1,
        description="Maximum number of rows; all if absent. A response holds MAX_ROWS_PER_ANSWER rows at most.",
        json_schema_extra=values.ROWS,
    ),
]
Offset = Annotated[int, Query(ge=0, le=2**53, description="Index of the first row.")]


@router.get(
    "/quality",
    summary="Report on the quality of bars",
    response_model=Envelope[MarketQualitySchema],
    responses=error_responses(errors.InvalidInput, *MARKET_ERRORS),
)
async def get_data_quality(request: Request, query: Market) -> Response:
    """Report on the bars that a backtest would use: how many, and what is missing or suspicious."""
    series = await services_of(request).markets.fetch_bars(query.market, user_id=query.user_id)
    report = {
        "symbol": series.bars.symbol,
        "interval": series.bars.interval.name,
        "origin": series.origin,
        **dict(QualitySchema.of(series.quality)),
        "warnings": series.warnings,
    }
    return respond(f"{len(series.bars)} of {series.quality.expected_bars} bars are present", report)


@router.get(
    "/ohlcv",
    summary="Read bars",
    response_model=Envelope[BarColumnsSchema],
    responses={**FORMAT_RESPONSES, **error_responses(errors.InvalidInput, *MARKET_ERRORS)},
)
async def get_ohlcv(
    request: Request, query: Market, first: First = None, offset: Offset = 0, format: FormatParameter = None
) -> Response:
    """Read the bars that a backtest would use, column by column."""
    chosen = choose_format(request, format)
    series = await services_of(request).markets.fetch_bars(query.market, user_id=query.user_id)
    return await _columns(request, "ohlcv", series, candle_columns(series.bars), first, offset, chosen)


@router.get(
    "/features",
    summary="Read the features of bars",
    response_model=Envelope[FeatureColumnsSchema],
    responses={**FORMAT_RESPONSES, **error_responses(errors.InvalidInput, *MARKET_ERRORS)},
)
async def get_features(
    request: Request, query: Market, first: First = None, offset: Offset = 0, format: FormatParameter = None
) -> Response:
    """Read the features that a model would receive for these bars, to the bit; null with too few bars before."""
    chosen = choose_format(request, format)
    series, features = await services_of(request).markets.fetch_features(query.market, user_id=query.user_id)
    columns = await run_in_threadpool(feature_columns, series.bars, features)
    return await _columns(request, "features", series, columns, first, offset, chosen)


async def _columns(
    request: Request,
    name: str,
    series: MarketSeries,
    columns: Columns,
    first: int | None,
    offset: int,
    chosen: Format,
) -> Response:
    total, most = len(series.bars), max_rows_of(request)
    left = max(0, total - offset)
    size = check_whole(left, max_rows=most) if first is None else check_first(first, max_rows=most)
    page = {field: column.part(slice(offset, offset + size)) for field, column in columns.items()}
    length = min(size, left)
    if chosen is not Format.JSON:
        return await respond_file(name, page, length, chosen, warnings=series.warnings)
    shown = {
        "symbol": series.bars.symbol,
        "interval": series.bars.interval.name,
        "origin": series.origin,
        "columns": {field: ColumnList(column) for field, column in page.items()},
        "total": total,
        "offset": offset,
        "warnings": series.warnings,
    }
    return respond(f"{length} of {total} bar(s)", shown, headers={"Vary": "Accept"})


@router.get("/downloads", summary="List downloads in progress", response_model=Envelope[list[DownloadSchema]])
async def list_downloads(request: Request) -> Response:
    """List this process's downloads of bars and their progress."""
    rows = [DownloadSchema.of(download) for download in services_of(request).downloads.snapshot()]
    return respond(f"{len(rows)} download(s) in progress", rows)


@router.post(
    "/upload",
    summary="Store a file of bars as a dataset",
    response_model=Envelope[DatasetSchema],
    openapi_extra=described_by(upload_bars_body),
    responses=error_responses(
        errors.MalformedRequest,
        errors.InvalidInput,
        errors.Conflict,
        errors.TooLarge,
        errors.UnsupportedFormat,
        errors.Busy,
        errors.TimedOut,
        errors.StoreUnavailable,
        extra=BODY_ERRORS,
    ),
)
async def upload_bars(request: Request) -> Response:
    """Store a file of bars as a user's dataset; its name is then a source for that user's backtests."""
    async with received_form(request) as form:
        form.refuse_unknown(_UPLOAD_FIELDS)
        user_id = check_user_id(form.required_text("user_id"), field="user_id")
        declared = build_declaration(
            symbol=form.text("symbol"),
            interval=form.text("interval"),
            timezone=form.text("timezone"),
            unit=form.text("unit"),
            date_format=form.text("date_format"),
            decimal=form.text("decimal"),
        )
        file = form.required_file(FILE_FIELD)
        dataset = await services_of(request).datasets.upload(
            user_id=user_id,
            name=form.text("name") or None,
            original_filename=file.filename or "",
            declared=declared,
            chunks=chunks_of(file),
        )
    return await run_in_threadpool(lambda: respond("Dataset uploaded successfully", DatasetSchema.of(dataset)))


@router.get(
    "/user/{user_id}",
    summary="List a user's datasets",
    response_model=Envelope[list[DatasetSchema]],
    responses=error_responses(errors.InvalidInput, errors.StoreUnavailable),
)
async def list_bars(request: Request, user_id: UserId) -> Response:
    """List a user's datasets, newest first."""
    datasets = await services_of(request).datasets.list(check_user_id(user_id, field="user_id"))
    return respond(f"{len(datasets)} dataset(s) found", [DatasetSchema.of(dataset) for dataset in datasets])


@router.delete(
    "/user/{user_id}/{name}",
    summary="Delete a user's dataset",
    response_model=Envelope[DatasetSchema],
    responses=error_responses(errors.InvalidInput, errors.SourceNotFound, errors.StoreUnavailable),
)
async def delete_bars(request: Request, user_id: UserId, name: Name) -> Response:
    """Delete a user's dataset."""
    dataset = await services_of(request).datasets.delete(check_user_id(user_id, field="user_id"), name)
    return respond("Dataset deleted successfully", DatasetSchema.of(dataset))
