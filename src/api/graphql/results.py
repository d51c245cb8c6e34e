"""Define the result of a backtest as clients read it, whole and in lists."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import strawberry

from src.api.graphql.context import Info
from src.api.graphql.enums import EngineName, RunStatus
from src.api.graphql.quality import DataQuality, quality_of
from src.api.graphql.reports import (
    DeflationType,
    JudgementType,
    NeighborsType,
    OtherMarketsType,
    ResolvedFillsType,
    SampleType,
    UncheckedType,
    VerdictLevelType,
)
from src.api.graphql.rows import equity_rows, fill_rows, page_of_table, trade_rows
from src.api.graphql.tearsheets import (
    CostBreakdownType,
    DrawdownType,
    MonthlyReturnsType,
    ResultSeriesType,
    ReturnDistributionType,
    read_series,
    with_bar_columns,
)
from src.api.graphql.types import (
    DataPoint,
    Fill,
    MetricsType,
    Settings,
    Strategy,
    Trade,
    described,
    metrics_of,
    resolved,
    settings_of,
    strategy_of,
)
from src.api.rows.row_pages import cut_warnings, long_tables
from src.domain import runs
from src.domain.instants import format_instant
from src.domain.performance import HEAD_METRICS
from src.domain.signals import StrategyDescription
from src.domain.tearsheet import DEFAULT_DRAWDOWNS, MAX_DRAWDOWNS
from src.domain.verdict import Unchecked

Checked = TypeVar("Checked")

_FIRST = (
    "Maximum number of rows; null: all, up to MAX_ROWS_PER_ANSWER (100,000). If rows are cut, `warnings` and the "
    "response's extensions.warnings say so."
)
_POINTS = "Maximum number of rows: each then stands for as many bars; null: a row for each bar."
_OFFSET = "Rows to skip, a count."


@strawberry.type(description="A fill in which the engines differ; null if that engine has none.")
class FillDifference:
    index: int = described("Index of the fill, from 0.")
    vectorized: str | None = described("The vectorized engine's fill, in words.")
    event_driven: str | None = described("The event-driven engine's fill, in words.")


@strawberry.type(description="The same request through both engines with the same fill.")
class CrossCheck:
    differences: list[FillDifference] = described("The first fills that differ; empty when all agree.")
    left_out: list[str] = described("Settings left out, because only the event-driven engine has them.")
    largest_equity_difference: float = described("Largest relative difference of equity, a ratio.")


@strawberry.type(description="What bars shorter than the interval settled, beside the run without them.")
class Detail:
    interval: str = described("Length of the shorter bars.")
    resolved_bars: int = described("Bars that were traded by the shorter bars inside them, a count.")
    unresolved_bars: int = described("Bars whose shorter bars are missing or do not make up the bar, a count.")
    ambiguous_bars_without: int = described("Bars in which `intrabar` decides without the shorter bars, a count.")
    total_return_without: float = described("Total return without the shorter bars, in per cent.")
    fingerprint: str | None = described("SHA-256 of the shorter bars that were read; null if there were none.")


@strawberry.type(description="The version of a part that the numbers depend on.")
class Version:
    name: str = described("Name of the program or library.")
    version: str = described("Its version.")


@strawberry.type(description="How long a step took.")
class Timing:
    step: str = described("Name of the step.")
    milliseconds: float = described("Wall time, in milliseconds.")


@strawberry.type
class Run:
    """The fields of a result in lists and alone."""

    id: strawberry.ID = described("The result's id.")
    symbol: str = described("Trading symbol.")
    interval: str = described("Bar length, such as 1d: no GraphQL enum, because their names begin with a letter.")
    status: RunStatus = described("Always success: a backtest that fails is an error and has no result.")
    created_at: str = described("When the backtest ran (ISO 8601, UTC).")
    user_id: str = described("Whose backtest it is.")
    engine: EngineName = described("The engine that simulated it.")
    origin: str = described("Source of the bars.")
    strategy: Strategy = described("The strategy that gave the signals.")
    settings: Settings = described("Requested settings, with defaults filled in.")
    metrics: MetricsType = described("Every metric.")
    warnings: list[str] = described("Reasons to doubt the figures, in full sentences.")
    data_fingerprint: str = described("SHA-256 of the bars, warm-up included.")
    model_sha256: str | None = described("SHA-256 of the model file.")
    funding_fingerprint: str | None = described("SHA-256 of the rates of the funding history; null without one.")
    versions: list[Version] = described("Versions of what the numbers depend on.")
    verdict_level: VerdictLevelType | None = described(
        "Whether to believe it: the level of the judgement's verdict; null for results of earlier versions."
    )
    out_of_sample_level: VerdictLevelType | None = described(
        "The level of the part after the model's training window; null without such a part, and for results of earlier "
        "versions."
    )
    total_return: float = described("(final equity ÷ starting cash − 1) × 100, per cent.")
    sharpe_ratio: float | None = described("Mean return per bar above the risk-free rate ÷ deviation × √A, a ratio.")
    max_drawdown: float = described("Largest fall of equity from its peak, per cent, positive.")
    win_rate: float | None = described("Winning ÷ closed trades × 100, per cent.")
    profit_factor: float | None = described("Profits ÷ losses of closed trades, a ratio; null without a loss.")
    total_trades: int = described("Closed trades, a count.")
    open_trades: int = described("Trades still open at the last bar, a count.")
    winning_trades: int = described("Closed trades with a profit, a count.")
    losing_trades: int = described("Closed trades with a loss, a count.")


@strawberry.type(description="A stored backtest in lists and comparisons: without its tables.")
class BacktestSummary(Run):
    pass


@strawberry.type(description="One finished backtest.")
class BacktestResult(Run):
    total_fills: int = described("Orders executed, a count.")
    reduced_entries: int = described("Entries cut to what the cash or `maxVolumeShare` allowed, a count.")
    dropped_entries: int = described(
        "Entries too small for the exchange, without their exits, without a size or without volume, a count."
    )
    ambiguous_bars: int = described("Bars in which `intrabar` decided what was hit, a count.")
    liquidations: int = described("Positions that were liquidated, a count.")
    is_liquidated: bool = described("Whether equity reached zero, which ended the trading.")
    timings: list[Timing] = described("How long each step took.")
    cross_check: CrossCheck | None = described("Comparison of both engines; null if it was not requested.")
    detail: Detail | None = described("What `detailInterval` settled; null if it was not given.")
    data_quality: DataQuality = described("Quality of the bars.")
    judgement: JudgementType | None = described(
        "Whether to believe the result, and why; null for results of earlier versions."
    )
    in_sample: SampleType | None = described(
        "The bars up to the end of the model's training window; null if none was declared, or it ends before them."
    )
    out_of_sample: SampleType | None = described(
        "A fresh run on the bars after the training window; null without a window, and if no bars are left."
    )
    result: strawberry.Private[runs.BacktestResult]

    # The bars of a result count when it is read or run, and the aliases of a document share each check.
    @resolved("The run with nearby parameters, computed when asked; null if `neighborsUnchecked` says why not.")
    async def neighbors(self, info: Info) -> NeighborsType | None:
        return _found(await info.context.later_checks.neighbors(self.id))

    @resolved("Why `neighbors` is null; null if it is not. Asking for both makes the check once.")
    async def neighbors_unchecked(self, info: Info) -> UncheckedType | None:
        return _cause(await info.context.later_checks.neighbors(self.id))

    @resolved(
        "The run on up to 3 other markets that are cached, when asked; null if `otherMarketsUnchecked` says why not."
    )
    async def other_markets(self, info: Info) -> OtherMarketsType | None:
        return _found(await info.context.later_checks.other_markets(self.id))

    @resolved("Why `otherMarkets` is null; null if it is not. Asking for both makes the check once.")
    async def other_markets_unchecked(self, info: Info) -> UncheckedType | None:
        return _cause(await info.context.later_checks.other_markets(self.id))

    @resolved(
        "Ambiguous bars settled by the minutes inside them, when asked; null if `resolvedFillsUnchecked` says why not."
    )
    async def resolved_fills(self, info: Info) -> ResolvedFillsType | None:
        return _found(await info.context.later_checks.resolved_fills(self.id))

    @resolved("Why `resolvedFills` is null; null if it is not. Asking for both makes the check once.")
    async def resolved_fills_unchecked(self, info: Info) -> UncheckedType | None:
        return _cause(await info.context.later_checks.resolved_fills(self.id))

    @resolved("The judgement's deflation with all trials counted so far; null if `deflationNowUnchecked` says why not.")
    async def deflation_now(self, info: Info) -> DeflationType | None:
        return _found(await info.context.later_checks.deflation_now(self.id))

    @resolved("Why `deflationNow` is null; null if it is not. Asking for both makes the check once.")
    async def deflation_now_unchecked(self, info: Info) -> UncheckedType | None:
        return _cause(await info.context.later_checks.deflation_now(self.id))

    @resolved("Equity and signal at each bar, oldest first.")
    async def data(
        self,
        info: Info,
        first: Annotated[int | None, strawberry.argument(description=_FIRST)] = None,
        offset: Annotated[int | None, strawberry.argument(description=_OFFSET)] = 0,
    ) -> Sequence[DataPoint]:
        page = page_of_table("data", equity_rows(self.result), first, offset or 0, info)
        return await with_bar_columns(info, self.result, page, offset or 0)

    @resolved("Orders executed, oldest first.")
    def fills(
        self,
        info: Info,
        first: Annotated[int | None, strawberry.argument(description=_FIRST)] = None,
        offset: Annotated[int | None, strawberry.argument(description=_OFFSET)] = 0,
    ) -> Sequence[Fill]:
        return page_of_table("fills", fill_rows(self.result), first, offset or 0, info)

    @resolved("Positions in order of entry, including one still open at the end.")
    def trades(
        self,
        info: Info,
        first: Annotated[int | None, strawberry.argument(description=_FIRST)] = None,
        offset: Annotated[int | None, strawberry.argument(description=_OFFSET)] = 0,
    ) -> Sequence[Trade]:
        return page_of_table("trades", trade_rows(self.result), first, offset or 0, info)

    @resolved("Rows as columns, reduced to points if asked; only the columns that are selected are read.")
    async def series(
        self,
        info: Info,
        points: Annotated[int | None, strawberry.argument(description=_POINTS)] = None,
        start: Annotated[
            str | None, strawberry.argument(description="First open time, included: a date or an instant, UTC.")
        ] = None,
        end: Annotated[
            str | None, strawberry.argument(description="Last open time, included: a date or an instant, UTC.")
        ] = None,
    ) -> ResultSeriesType:
        return await read_series(info, self.result, points=points, start=start, end=end)

    @resolved("Returns by calendar month and year (UTC).")
    async def months(self, info: Info) -> MonthlyReturnsType:
        return await info.context.tearsheets.months(self.result)

    @resolved("The deepest drawdowns of equity, the deepest first.")
    async def drawdowns(
        self,
        info: Info,
        first: Annotated[
            int | None, strawberry.argument(description=f"Most drawdowns, a count up to {MAX_DRAWDOWNS}.")
        ] = DEFAULT_DRAWDOWNS,
    ) -> list[DrawdownType]:
        most = DEFAULT_DRAWDOWNS if first is None else first
        return list(await info.context.tearsheets.drawdowns(self.result, first=most))

    @resolved("The distribution of the returns per bar.")
    async def distribution(self, info: Info) -> ReturnDistributionType:
        return await info.context.tearsheets.distribution(self.result)

    @resolved("The profit before and after costs.")
    async def costs(self, info: Info) -> CostBreakdownType:
        return await info.context.tearsheets.costs(self.result)


@strawberry.type(description="A stored backtest run again on the same bars.")
class Rerun:
    original_id: strawberry.ID = described("The stored result's id.")
    is_reproduced: bool = described("Whether the new result equals the old one to the last bit.")
    differences: list[str] = described("What differs, causes first; empty if nothing differs.")
    result: BacktestResult = described("The new result, which is stored too.")


@strawberry.type(description="A result and its position in the list.")
class BacktestEdge:
    cursor: str | None = described("`after` for the page that begins after this result; null within a page.")
    node: BacktestSummary = described("The result.")


@strawberry.type(description="Where a page ends.")
class PageInfo:
    has_next_page: bool = described("Whether there are more results.")
    end_cursor: str | None = described("`after` for the next page; null on the last page.")


@strawberry.type(description="A page of stored results, newest first.")
class BacktestConnection:
    edges: list[BacktestEdge] = described("The results with their cursors.")
    nodes: list[BacktestSummary] = described("The results.")
    page_info: PageInfo = described("Where the page ends.")
    warnings: list[str] = described("Results of this page that cannot be read, in full sentences.")


def result_of(result: runs.BacktestResult, *, max_rows: int | None = None) -> BacktestResult:
    """Build the GraphQL type of a finished backtest; rows stay columns, and a response holds `max_rows` of a table."""
    simulation = result.simulation
    shared = _shared(result, result.signals.strategy)
    shared["warnings"] += cut_warnings(
        long_tables(result, max_rows), max_rows, lambda name: f"{name}(first: {max_rows}, offset: {max_rows})"
    )
    return BacktestResult(
        **shared,
        total_fills=len(simulation.fills),
        reduced_entries=simulation.reduced_entries,
        dropped_entries=simulation.dropped_entries,
        ambiguous_bars=simulation.ambiguous_bars,
        liquidations=simulation.liquidations,
        is_liquidated=simulation.is_liquidated,
        timings=[Timing(step=step, milliseconds=elapsed) for step, elapsed in result.timings_ms.items()],
        cross_check=None if result.cross_check is None else _cross_check_of(result.cross_check),
        detail=None if result.detail is None else Detail(**dataclasses.asdict(result.detail)),
        data_quality=quality_of(result.quality),
        judgement=result.judgement,
        in_sample=result.in_sample,
        out_of_sample=result.out_of_sample,
        result=result,
    )


def rerun_of(rerun: runs.Rerun, *, max_rows: int | None = None) -> Rerun:
    return Rerun(
        original_id=strawberry.ID(rerun.original_id),
        is_reproduced=not rerun.differences,
        differences=list(rerun.differences),
        result=result_of(rerun.result, max_rows=max_rows),
    )


def summary_of(summary: runs.ResultSummary) -> BacktestSummary:
    return BacktestSummary(**_shared(summary, None))


def connection_of(page: runs.ResultPage) -> BacktestConnection:
    nodes = [summary_of(summary) for summary in page.summaries]
    last = len(nodes) - 1
    return BacktestConnection(
        nodes=nodes,
        edges=[
            BacktestEdge(node=node, cursor=page.next_cursor if index == last else None)
            for index, node in enumerate(nodes)
        ],
        page_info=PageInfo(has_next_page=page.next_cursor is not None, end_cursor=page.next_cursor),
        warnings=list(page.warnings),
    )


def _found(checked: Checked | Unchecked) -> Checked | None:
    return None if isinstance(checked, Unchecked) else checked


def _cause(checked: object) -> Unchecked | None:
    return checked if isinstance(checked, Unchecked) else None


def _shared(run: runs.BacktestResult | runs.ResultSummary, description: StrategyDescription | None) -> dict[str, Any]:
    request, metrics, prints = run.request, run.metrics, run.fingerprints
    return {
        "id": strawberry.ID(run.id),
        "symbol": request.market.symbol,
        "interval": request.market.interval.name,
        "status": "success",
        "created_at": format_instant(run.created_ms),
        "user_id": request.user_id,
        "engine": request.engine,
        "origin": run.origin,
        "strategy": strategy_of(request.strategy, metrics.strategy_name, description, warm_up_bars=run.warm_up_bars),
        "settings": settings_of(request),
        "metrics": metrics_of(metrics),
        "warnings": list(run.warnings),
        "data_fingerprint": prints.bars,
        "verdict_level": run.verdict_level,
        "out_of_sample_level": run.out_of_sample_level,
        "model_sha256": prints.model,
        "funding_fingerprint": prints.funding,
        "versions": [Version(name=name, version=version) for name, version in prints.versions.items()],
        **{name: getattr(metrics, name) for name in HEAD_METRICS},
    }


def _cross_check_of(check: runs.CrossCheck) -> CrossCheck:
    return CrossCheck(
        differences=[
            FillDifference(index=item.index, vectorized=item.vectorized, event_driven=item.event_driven)
            for item in check.differences
        ],
        left_out=list(check.left_out),
        largest_equity_difference=check.largest_equity_difference,
    )
