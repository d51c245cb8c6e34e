"""Define the GraphQL schema: queries, mutations, and the services that run them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final

import strawberry
from graphql import GraphQLError, GraphQLSchema
from starlette.datastructures import UploadFile
from strawberry.extensions import DisableIntrospection
from strawberry.file_uploads import Upload
from strawberry.types import ExecutionContext
from strawberry.types.graphql import OperationType

from src.api.graphql.columns import ColumnExecutor
from src.api.graphql.context import Info
from src.api.graphql.conversion import prepare_inputs
from src.api.graphql.datasets import UploadBarsInput, UploadedBars, uploaded_bars_of
from src.api.graphql.documents import DocumentLibrary, PreparedDocuments
from src.api.graphql.errors import drop_tracebacks, explain
from src.api.graphql.inputs import BacktestInput, MLBacktestInput, OHLCVFetchInput, RulesCheckInput, RunBacktestInput
from src.api.graphql.limits import DocumentLimits
from src.api.graphql.models import ModelFile, UploadModelInput, model_file_of
from src.api.graphql.quality import Download, MarketDataQuality, download_of, market_quality_of
from src.api.graphql.reports import RuleReportType, StrategyCatalogType
from src.api.graphql.results import (
    BacktestConnection,
    BacktestResult,
    BacktestSummary,
    Rerun,
    connection_of,
    rerun_of,
    result_of,
    summary_of,
)
from src.api.graphql.rows import bar_rows, feature_table_of, page_of
from src.api.graphql.sweep_operations import JobMutation, JobQuery, JobSubscription
from src.api.graphql.types import Candle, CoinList, FeatureTable, resolved
from src.api.graphql.usage import UsageQuery
from src.api.graphql.users import make_users_optional
from src.api.graphql.warned import ExtensionWarnings
from src.api.requests.backtests import build_market, build_request
from src.api.requests.datasets import build_declaration
from src.api.requests.rules import check_rules
from src.api.requests.uploads import chunks_of, temporary_model
from src.api.rows.row_pages import cut_warnings
from src.domain.bars import Bars
from src.domain.errors import InvalidInput
from src.domain.runs import BacktestRequest
from src.domain.trading import EngineName
from src.strategies.catalog import build_catalog

DEFAULT_PAGE_SIZE: Final = 20
MAX_COMPARED: Final = 100
_FIRST_BARS: Final = (
    "Most bars to return, a count; null: all, up to MAX_ROWS_PER_ANSWER (100,000), which extensions.warnings then says."
)
_WHOSE_SOURCE: Final = "Whose datasets input.source may name."

ResultId = Annotated[strawberry.ID, strawberry.argument(description="The stored result's id.")]
CrossoverArgument = Annotated[BacktestInput, strawberry.argument(description="The backtest: whose, what, how.")]
ModelArgument = Annotated[MLBacktestInput, strawberry.argument(description="The backtest: whose, what, how.")]


@strawberry.type(description="What can be asked: bars, and stored results.")
class Query(JobQuery, UsageQuery):
    @resolved("ok while the service responds.")
    def health(self) -> str | None:
        return "ok"

    @resolved("How far this process's downloads of bars are, oldest first.")
    def downloads(self, info: Info) -> list[Download]:
        return [download_of(progress) for progress in info.context.downloads.snapshot()]

    @resolved(
        "The bars that a backtest of this market would use, oldest first. What to know about them stands in the "
        "response's extensions.warnings, each entry with its message and the path of this field."
    )
    async def fetch_ohlcv(
        self,
        info: Info,
        input: Annotated[OHLCVFetchInput, strawberry.argument(description="Which bars.")],
        user_id: Annotated[str | None, strawberry.argument(description=_WHOSE_SOURCE)] = None,
        first: Annotated[int | None, strawberry.argument(description=_FIRST_BARS)] = None,
        offset: Annotated[int | None, strawberry.argument(description="Bars to skip, a count.")] = 0,
    ) -> Sequence[Candle]:
        market = build_market(input.given(), max_bars=info.context.max_bars)
        info.context.claim_bars(market.limit)
        series = await info.context.markets.fetch_bars(market, user_id=user_id)
        info.context.warn(series.warnings, info.path)
        if first is None:
            info.context.warn(_cut_bars("fetchOhlcv", series.bars, info.context.max_rows), info.path)
        return page_of(bar_rows(series.bars), first, offset or 0, context=info.context)

    @resolved("What is missing or suspicious in the bars that a backtest of this market would use.")
    async def market_data_quality(
        self,
        info: Info,
        input: Annotated[OHLCVFetchInput, strawberry.argument(description="Which bars.")],
        user_id: Annotated[str | None, strawberry.argument(description=_WHOSE_SOURCE)] = None,
    ) -> MarketDataQuality:
        market = build_market(input.given(), max_bars=info.context.max_bars)
        info.context.claim_bars(market.limit)
        return market_quality_of(await info.context.markets.fetch_bars(market, user_id=user_id))

    @resolved("Symbols that bars can be fetched for.")
    async def fetch_coin_list(
        self,
        info: Info,
        quote_asset: Annotated[
            str | None, strawberry.argument(description="Only symbols priced in this asset, such as USDT.")
        ] = None,
        trading_only: Annotated[
            bool | None, strawberry.argument(description="Leave out what does not trade now; so too where null.")
        ] = True,
    ) -> CoinList:
        coins = await info.context.markets.list_symbols(
            quote_asset=quote_asset, is_trading_only=trading_only is not False
        )
        return CoinList(coins=list(coins))

    @resolved("What requests can name, with parameters, units, bounds and defaults: a form can be made of it.")
    def strategies(self) -> StrategyCatalogType:
        return build_catalog()

    @resolved("What rules read, how far they look back, and what is wrong with each: to check while a client types.")
    def describe_rules(
        self, input: Annotated[RulesCheckInput, strawberry.argument(description="The rules, and their interval.")]
    ) -> RuleReportType:
        return check_rules(input.given())

    @resolved("A user's datasets, newest first.")
    async def uploaded_bars(
        self, info: Info, user_id: Annotated[str, strawberry.argument(description="Whose bars.")]
    ) -> list[UploadedBars]:
        return [uploaded_bars_of(dataset) for dataset in await info.context.datasets.list(user_id)]

    @resolved(
        "The features that a model would receive for these bars, to the bit. What to know about the bars stands in the "
        "response's extensions.warnings."
    )
    async def fetch_features(
        self,
        info: Info,
        input: Annotated[OHLCVFetchInput, strawberry.argument(description="Which bars.")],
        user_id: Annotated[str | None, strawberry.argument(description=_WHOSE_SOURCE)] = None,
        first: Annotated[int | None, strawberry.argument(description=_FIRST_BARS)] = None,
        offset: Annotated[int | None, strawberry.argument(description="Bars to skip, a count.")] = 0,
    ) -> FeatureTable:
        market = build_market(input.given(), max_bars=info.context.max_bars)
        info.context.claim_bars(market.limit)
        series, features = await info.context.markets.fetch_features(market, user_id=user_id)
        info.context.warn(series.warnings, info.path)
        if first is None:
            info.context.warn(_cut_bars("fetchFeatures", series.bars, info.context.max_rows), info.path)
        return feature_table_of(series.bars, features, first, offset or 0, context=info.context)

    @resolved("A user's model files.")
    async def models(
        self, info: Info, user_id: Annotated[str, strawberry.argument(description="Whose models.")]
    ) -> list[ModelFile]:
        return [model_file_of(file) for file in await info.context.models.list(user_id)]

    @resolved("A stored result.")
    async def backtest(self, info: Info, id: ResultId) -> BacktestResult | None:
        return await info.context.read_result(id, partial(result_of, max_rows=info.context.max_rows))

    @resolved("A page of a user's stored results, newest first.")
    async def backtests(
        self,
        info: Info,
        user_id: Annotated[str, strawberry.argument(description="Whose results.")],
        symbol: Annotated[str | None, strawberry.argument(description="Only results of this symbol.")] = None,
        first: Annotated[int | None, strawberry.argument(description="Most results, a count.")] = DEFAULT_PAGE_SIZE,
        after: Annotated[str | None, strawberry.argument(description="The endCursor of the page before.")] = None,
    ) -> BacktestConnection:
        size = DEFAULT_PAGE_SIZE if first is None else first
        # The service says what is wrong with a page of another size.
        info.context.claim_summaries(min(max(size, 0), MAX_COMPARED))
        page = await info.context.results.list(user_id=user_id, symbol=symbol, first=size, after=after)
        info.context.warn(page.warnings, info.path)
        return connection_of(page)

    @resolved("Stored results side by side, in the order asked for.")
    async def compare_backtests(
        self,
        info: Info,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description=f"1 to {MAX_COMPARED} ids.")],
    ) -> list[BacktestSummary]:
        if not 1 <= len(ids) <= MAX_COMPARED:
            raise InvalidInput(
                "{field} has {count} entries. Allowed: 1 to {most}.", field="ids", count=len(ids), most=MAX_COMPARED
            )
        info.context.claim_summaries(len(ids))
        return [summary_of(summary) for summary in await info.context.results.compare(ids)]


_NOT_A_FILE: Final = "{field} is not a file. Send it as a part of a multipart request."


@strawberry.type(description="What can be done: run backtests, keep and delete what is a user's own.")
class Mutation(JobMutation):
    @resolved("Trade a moving-average crossover on whole arrays at once.")
    async def run_vectorized_backtest(self, info: Info, input: CrossoverArgument) -> BacktestResult:
        return await _run(info, input.given(), "ma_crossover", input.given_params(), engine=EngineName.VECTORIZED)

    @resolved("Trade a moving-average crossover with orders that wait, gap, stop out and expire.")
    async def run_event_driven_backtest(self, info: Info, input: CrossoverArgument) -> BacktestResult:
        return await _run(info, input.given(), "ma_crossover", input.given_params(), engine=EngineName.EVENT_DRIVEN)

    @resolved("Trade any strategy on either engine.")
    async def run_backtest(
        self,
        info: Info,
        input: Annotated[RunBacktestInput, strawberry.argument(description="The backtest: whose, what, how.")],
    ) -> BacktestResult:
        name, params = input.given_strategy()
        return await _run(info, input.given(), name, params)

    @resolved("Trade the predictions of a stored model.")
    async def run_ml_backtest(self, info: Info, input: ModelArgument) -> BacktestResult:
        return await _run(info, input.given(), "model", input.given_params())

    @resolved("Trade the predictions of a model whose file comes with the request.")
    async def run_ml_backtest_with_file(
        self,
        info: Info,
        ml_model_file: Annotated[Upload, strawberry.argument(description="The model file, a part of the request.")],
        input: ModelArgument,
    ) -> BacktestResult:
        upload: object = ml_model_file
        if not isinstance(upload, UploadFile):
            raise InvalidInput(_NOT_A_FILE, field="mlModelFile")
        info.context.claim_upload()
        request = _request(info, input.given(), "model", input.given_params(), has_model_file=True)
        async with temporary_model(info.context.models, upload, user_id=request.user_id) as model_file:
            result = await info.context.backtests.run(request, model_file)
            return result_of(result, max_rows=info.context.max_rows)

    @resolved("Run a stored backtest again on the bars that it had, and say what differs.")
    async def rerun_backtest(self, info: Info, id: ResultId) -> Rerun:
        await info.context.claim_result(id)
        return rerun_of(await info.context.backtests.rerun(id), max_rows=info.context.max_rows)

    @resolved("Delete a stored result of a user and return what it was; null if it could not be read.")
    async def delete_backtest(
        self,
        info: Info,
        id: ResultId,
        user_id: Annotated[str, strawberry.argument(description="Whose result it is.")],
    ) -> BacktestSummary | None:
        summary = await info.context.results.delete(id, user_id=user_id)
        return None if summary is None else summary_of(summary)

    @resolved("Store a model file of a user, after the sandbox has opened it.")
    async def upload_model(
        self,
        info: Info,
        file: Annotated[Upload, strawberry.argument(description="The model file, a part of the request.")],
        input: Annotated[UploadModelInput, strawberry.argument(description="What is said about the file.")],
    ) -> ModelFile:
        upload: object = file
        if not isinstance(upload, UploadFile):
            raise InvalidInput(_NOT_A_FILE, field="file")
        info.context.claim_upload()
        stored = await info.context.models.upload(
            user_id=input.user_id,
            original_filename=upload.filename or "",
            model_name=input.model_name or None,
            chunks=chunks_of(upload),
            training=input.training(),
        )
        return model_file_of(stored)

    @resolved("Delete a user's model file.")
    async def delete_model(
        self,
        info: Info,
        user_id: Annotated[str, strawberry.argument(description="Whose model.")],
        filename: Annotated[str, strawberry.argument(description="Its filename, as the upload returned it.")],
    ) -> ModelFile:
        return model_file_of(await info.context.models.delete(user_id, filename))

    @resolved("Store a file of bars as a user's dataset; its name is then a source for that user's backtests.")
    async def upload_bars(
        self,
        info: Info,
        file: Annotated[Upload, strawberry.argument(description="The file of bars, a part of the request.")],
        input: Annotated[UploadBarsInput, strawberry.argument(description="What is said about the file.")],
    ) -> UploadedBars:
        upload: object = file
        if not isinstance(upload, UploadFile):
            raise InvalidInput(_NOT_A_FILE, field="file")
        info.context.claim_upload()
        declared = build_declaration(
            symbol=input.symbol,
            interval=input.interval,
            timezone=input.timezone,
            unit=input.unit,
            date_format=input.date_format,
            decimal=input.decimal,
        )
        dataset = await info.context.datasets.upload(
            user_id=input.user_id,
            name=input.name,
            original_filename=upload.filename or "",
            declared=declared,
            chunks=chunks_of(upload),
        )
        return uploaded_bars_of(dataset)

    @resolved("Delete a user's dataset.")
    async def delete_bars(
        self,
        info: Info,
        user_id: Annotated[str, strawberry.argument(description="Whose bars.")],
        name: Annotated[str, strawberry.argument(description="Their name.")],
    ) -> UploadedBars:
        return uploaded_bars_of(await info.context.datasets.delete(user_id, name))


def _cut_bars(name: str, bars: Bars, max_rows: int) -> list[str]:
    tables = {name: len(bars)} if len(bars) > max_rows else {}
    return cut_warnings(tables, max_rows, lambda name: f"{name}(first: {max_rows}, offset: {max_rows})")


def _request(info: Info, *given: Any, **options: Any) -> BacktestRequest:
    """Build a request and claim its bars; see `build_request`."""
    request = build_request(*given, max_bars=info.context.max_bars, **options)
    info.context.claim_bars(request.market.limit)
    return request


async def _run(info: Info, *given: Any, **options: Any) -> BacktestResult:
    result = await info.context.backtests.run(_request(info, *given, **options))
    return result_of(result, max_rows=info.context.max_rows)


class BacktestSchema(strawberry.Schema):
    """The schema, with the service's error codes."""

    @property
    def graphql_schema(self) -> GraphQLSchema:
        return self._schema

    async def execute(self, query: str | None, *arguments: Any, **options: Any) -> Any:
        """Execute a query or a mutation; a subscription raises InvalidOperationTypeError, as `subscribe` serves it."""
        allowed = set(options.get("allowed_operation_types") or OperationType) - {OperationType.SUBSCRIPTION}
        return await super().execute(query, *arguments, **{**options, "allowed_operation_types": allowed})

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        is_executed = execution_context is not None and execution_context.result is not None
        for error in errors:
            explain(error, is_executed=is_executed)
            drop_tracebacks(error)


def build_schema(
    limits: DocumentLimits,
    *,
    has_introspection: bool = True,
    has_columns: bool = True,
    is_user_optional: bool = False,
) -> BacktestSchema:
    """Build the schema.

    Parameters
    ----------
    is_user_optional
        Whether arguments and fields `userId` may be left out, because the sender of each request is known.
    has_columns
        False completes row lists without columns: for measuring what the columns save.
    """
    libraries: list[DocumentLibrary] = []
    extensions: list[Any] = [lambda: PreparedDocuments(libraries[0]), ExtensionWarnings]
    if not has_introspection:
        extensions.append(DisableIntrospection)
    schema = BacktestSchema(
        query=Query,
        mutation=Mutation,
        subscription=JobSubscription,
        extensions=extensions,
        execution_context_class=ColumnExecutor if has_columns else None,
    )
    prepare_inputs(schema)
    if is_user_optional:
        make_users_optional(schema.graphql_schema)
    # The library reads the finished schema, and the extensions of the schema read the library.
    libraries.append(DocumentLibrary(schema.graphql_schema, limits))
    return schema
