"""Define jobs, sweeps and walk-forwards as clients read them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, cast

import numpy as np
import strawberry
from strawberry.scalars import JSON

from src.api.graphql.columns import ListedColumn, RowColumns
from src.api.graphql.context import Info
from src.api.graphql.enums import Reduce
from src.api.graphql.portfolios import PortfolioType, portfolio_of
from src.api.graphql.reports import DeflationType, declare_type, report_type
from src.api.graphql.results import BacktestResult, PageInfo, result_of
from src.api.graphql.types import described, resolved
from src.api.requests.sweeps import echo_sweep, echo_walk_forward
from src.api.rows.columns import Column, boolean_column, float_column, int_column, json_column, optional_int_column
from src.api.rows.row_pages import check_first
from src.api.rows.sweeps import axis_column, metric_columns, number_column, value_columns
from src.domain.confidence import Deflation
from src.domain.errors import ResultNotFound, bad_value
from src.domain.jobs import Job, JobKind, JobPage, JobSubject
from src.domain.performance import METRIC_DEFINITIONS
from src.domain.sweep_outcomes import KeptRow, SweepConclusion, SweepEstimate
from src.domain.sweeps import ROW_COUNTS, ROW_METRICS
from src.domain.walk_forward import Fold, WalkForwardConclusion
from src.service.sweep_tables import RANK, SweptColumn
from src.service.sweeps import Sweep, SweepMap, SweepPage, WalkForward

PAGE_ROWS = 100

if TYPE_CHECKING:
    JobType = Job
    JobSubjectType = JobSubject
    KeptRowType = KeptRow
    SweepEstimateType = SweepEstimate
    SweepConclusionType = SweepConclusion
    FoldType = Fold
    WalkForwardConclusionType = WalkForwardConclusion
    SweepRow = Any
else:
    JobSubjectType = report_type(JobSubject)

    @declare_type(Job)
    class JobType(report_type(Job)):
        eta_seconds: float | None = described(
            "Seconds until it is done at its present rate; null if that is not known. Unit: seconds."
        )

        @resolved("What it is about; null if its request cannot be read.")
        async def subject(self, info: Info) -> JobSubjectType | None:
            return await info.context.jobs.subject(self.id)

        @resolved("The portfolio that it computes; null if it does something else.")
        async def portfolio(self, info: Info) -> PortfolioType | None:
            if self.kind is not JobKind.PORTFOLIO:
                return None
            info.context.claim_summaries(1)
            return portfolio_of(await info.context.portfolios.get(self.id))

    @declare_type(KeptRow)
    class KeptRowType(report_type(KeptRow)):
        @resolved("Its stored result; null if that was deleted.")
        async def result(self, info: Info) -> BacktestResult | None:
            dress = partial(result_of, max_rows=info.context.max_rows)
            try:
                return await info.context.read_result(self.result_id, dress)
            except ResultNotFound:
                return None

    SweepEstimateType = report_type(SweepEstimate)
    SweepConclusionType = report_type(SweepConclusion)
    FoldType = report_type(Fold)
    WalkForwardConclusionType = report_type(WalkForwardConclusion)

    def _row_type() -> Any:
        """Make the type of a row from the domain's table of metrics."""
        namespace: dict[str, Any] = {
            "__module__": __name__,
            "__annotations__": {"row": int, "values": JSON},
            "row": described("Its number, from 0, a count."),
            "values": described("Values of the swept parameters, by name."),
        }
        known = {item.name: item for item in METRIC_DEFINITIONS}
        for name in ROW_METRICS:
            namespace["__annotations__"][name] = (int if name in ROW_COUNTS else float) | None
            namespace[name] = described(f"{known[name].definition} Unit: {known[name].unit}.")
        kind = type("SweepRow", (), namespace)
        return strawberry.type(kind, description="A row of a sweep; a metric is null if it does not exist.")

    SweepRow = _row_type()


@strawberry.type(description="A page of jobs, newest first.")
class JobConnection:
    nodes: list[JobType] = described("The jobs.")
    page_info: PageInfo = described("Where the page ends.")
    warnings: list[str] = described("Jobs of this page that cannot be read, in full sentences.")


@strawberry.type(description="Some rows of a sweep.")
class SweepRows:
    items: list[SweepRow] = described("The rows of this page.")
    total: int = described("Rows on all pages: those computed by now, or of them those that can be the best. A count.")


@strawberry.type(description="One axis of a heat map.")
class HeatMapAxis:
    name: str = described("The swept parameter.")
    values: list[JSON] = described("Its values in rising order; the middles of bins if it was drawn.")


@strawberry.type(description="A metric over two swept parameters.")
class SweepHeatMap:
    x: HeatMapAxis = described("The parameter of the columns.")
    y: HeatMapAxis = described("The parameter of the rows.")
    metric: str = described("The metric in the cells.")
    reduce: Reduce = described("How the rows of a cell became one number.")
    cells: list[list[float | None]] = described("A list for each value of y, in the metric's unit; null without a row.")
    counts: list[list[int]] = described("Rows of each cell that have the metric, a count.")
    best_rows: list[list[int | None]] = described(
        "Number of the row of each cell that is best by the objective, of those that can be the best if there is one, "
        "a count; null without a row."
    )
    can_be_best: list[list[bool]] = described(
        "Whether that row can be the best of the sweep: false if it has too few trades, or a constraint on metrics "
        "leaves it out."
    )


SortBy = Annotated[
    str | None,
    strawberry.argument(description="rank (the best first), row, a swept parameter, or a metric of the rows."),
]
Descending = Annotated[
    bool | None, strawberry.argument(description="The order reversed; rows without a figure stay last.")
]
First = Annotated[int | None, strawberry.argument(description="Most rows, a count, up to MAX_ROWS_PER_ANSWER.")]
Offset = Annotated[int | None, strawberry.argument(description="Rows to skip, a count.")]
Axis = Annotated[str, strawberry.argument(description="A swept parameter.")]
MetricName = Annotated[str | None, strawberry.argument(description="A metric of the rows; the objective's if null.")]
ReduceBy = Annotated[
    Reduce | None,
    strawberry.argument(
        description="How the rows of a cell become one number; BEST is the metric of the row that is best by the "
        "objective."
    ),
]


@strawberry.type(name="Sweep", description="One backtest with many combinations of its parameters.")
class SweepType:
    id: strawberry.ID = described("The id of the job that computes it.")
    job: JobType = described("That job.")
    settings: JSON = described("What was asked for, defaults filled in, as REST names it.")
    conclusion: SweepConclusionType | None = described("What it found; null while it has not succeeded.")

    @resolved("The best row's Sharpe ratio after all trials; null without one, or if its result was deleted.")
    async def deflation(self, info: Info) -> DeflationType | None:
        if self.conclusion is None:
            return None
        found: Deflation | None = await info.context.sweeps.deflation(self.conclusion)
        return found

    @resolved("Rows that are computed by now.")
    async def rows(
        self,
        info: Info,
        sort_by: SortBy = RANK,
        descending: Descending = False,
        first: First = PAGE_ROWS,
        offset: Offset = 0,
    ) -> SweepRows:
        start, most = offset or 0, info.context.max_rows
        if start < 0:
            raise bad_value("offset", got=offset, allowed="a whole number ≥ 0")
        page = await info.context.sweeps.rows(
            self.id,
            sort_by=sort_by or RANK,
            descending=bool(descending),
            first=check_first(min(PAGE_ROWS, most) if first is None else first, max_rows=most),
            offset=start,
        )
        return SweepRows(items=cast("list[Any]", _rows_of(page)), total=page.total)

    @resolved("A metric over two swept parameters, reduced over the others.")
    async def heat_map(
        self, info: Info, x: Axis, y: Axis, metric: MetricName = None, reduce: ReduceBy = Reduce.BEST
    ) -> SweepHeatMap:
        chosen = reduce or Reduce.BEST
        return _map_of(await info.context.sweeps.heat_map(self.id, x=x, y=y, metric=metric, reduce=chosen))


@strawberry.type(
    name="WalkForward", description="A sweep repeated on one training window after another, each choice traded."
)
class WalkForwardType:
    id: strawberry.ID = described("The id of the job that computes it.")
    job: JobType = described("That job.")
    settings: JSON = described("What was asked for, defaults filled in, as REST names it.")
    folds: list[FoldType] = described("The folds that are done, in order.")
    conclusion: WalkForwardConclusionType | None = described("What it found; null while it has not succeeded.")

    @resolved("The stored result of all tests, one after another; null before, or if it was deleted.")
    async def result(self, info: Info) -> BacktestResult | None:
        if self.conclusion is None:
            return None
        try:
            return await info.context.read_result(
                self.conclusion.result_id, partial(result_of, max_rows=info.context.max_rows)
            )
        except ResultNotFound:
            return None


def sweep_of(sweep: Sweep) -> SweepType:
    return SweepType(
        id=strawberry.ID(sweep.job.id),
        job=sweep.job,
        settings=JSON(echo_sweep(sweep.request)),
        conclusion=sweep.conclusion,
    )


def walk_forward_of(walk: WalkForward) -> WalkForwardType:
    return WalkForwardType(
        id=strawberry.ID(walk.job.id),
        job=walk.job,
        settings=JSON(echo_walk_forward(walk.request)),
        folds=list(walk.folds),
        conclusion=walk.conclusion,
    )


def jobs_of(page: JobPage) -> JobConnection:
    return JobConnection(
        nodes=list(page.jobs),
        page_info=PageInfo(has_next_page=page.next_cursor is not None, end_cursor=page.next_cursor),
        warnings=list(page.warnings),
    )


def _rows_of(page: SweepPage) -> RowColumns:
    values = value_columns(page.columns, page.rows)
    written = [column.write(column.array) for column in values.values()]
    objects = [dict(zip(values, row, strict=True)) for row in zip(*written, strict=True)]
    return RowColumns({"row": number_column(page.rows), "values": json_column(objects), **metric_columns(page.rows)})


def _map_of(found: SweepMap) -> SweepHeatMap:
    cells = found.cells
    return SweepHeatMap(
        x=_axis_of(found.x, cells.x),
        y=_axis_of(found.y, cells.y),
        metric=found.metric,
        reduce=found.reduce,
        cells=cast("list[list[float | None]]", _listed([float_column(row) for row in cells.cells])),
        counts=cast("list[list[int]]", _listed([int_column(row) for row in cells.counts])),
        best_rows=cast("list[list[int | None]]", _listed([optional_int_column(row) for row in cells.best_rows])),
        can_be_best=cast("list[list[bool]]", _listed([boolean_column(row) for row in cells.can_be_best])),
    )


def _listed(columns: Sequence[Column]) -> list[ListedColumn]:
    return [ListedColumn(column) for column in columns]


def _axis_of(column: SweptColumn, axis: np.ndarray[Any, np.dtype[np.float64]]) -> HeatMapAxis:
    shown = axis_column(column, axis)
    return HeatMapAxis(name=column.name, values=shown.write(shown.array))
