"""Estimate, start and read sweeps and walk-forwards; the work itself is a job's."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from src.domain.confidence import Deflation
from src.domain.errors import InvalidInput, ResultNotFound, UnreadableResult, bad_value, job_not_found
from src.domain.jobs import KIND_OF, Job
from src.domain.runs import BacktestResult
from src.domain.sweep_outcomes import SweepConclusion, SweepEstimate
from src.domain.sweeps import ROW_METRICS, Reduce, SearchKind, SweepRequest
from src.domain.walk_forward import Fold, WalkForwardConclusion, WalkForwardRequest, inside_walk_forward
from src.service.backtests import BacktestService
from src.service.computing import ComputeQueue
from src.service.job_attempts import pin_request, run_once
from src.service.jobs import JobService
from src.service.results import ResultService, is_stored
from src.service.sweep_conclusion import choice_of, p_value_of, read_timing, result_id_of
from src.service.sweep_tables import SweepTable, SweptColumn, find_name, read_columns, read_table, sort_rows
from src.service.walk_forward_folds import fold_from_bytes
from src.sweeps.combinations import apply_values, sweepable
from src.sweeps.estimating import estimate_sweep
from src.sweeps.folds import check_fold_fits, check_rows_of_all_folds
from src.sweeps.heat_map import HeatMap, heat_map
from src.sweeps.parameters import find_sweepable
from src.sweeps.ranking import find_standing
from src.sweeps.space import build_space
from src.sweeps.warm_up import warm_up_bars_of, window_warm_up_of

Request = TypeVar("Request", SweepRequest, WalkForwardRequest)
Conclusion = TypeVar("Conclusion", SweepConclusion, WalkForwardConclusion)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A sweep: its job, its request, and its conclusion, None until it has succeeded."""

    job: Job
    request: SweepRequest
    conclusion: SweepConclusion | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForward:
    """A walk-forward: its job, its request, the finished folds, and its conclusion, None until all are finished."""

    job: Job
    request: WalkForwardRequest
    folds: tuple[Fold, ...]
    conclusion: WalkForwardConclusion | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SweepPage:
    """Some rows of a sweep, sorted: `total` is the number of rows that are computed, or that can be the best."""

    columns: tuple[SweptColumn, ...]
    rows: SweepTable
    total: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SweepMap:
    """A metric of a sweep over two of its parameters, reduced over the others."""

    x: SweptColumn
    y: SweptColumn
    metric: str
    reduce: Reduce
    cells: HeatMap


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepService:
    """The use cases of sweeps and walk-forwards; the id of their job is their id.

    Rows are read in a slot of the queue that backtests use, so that few tables are in memory at the same time. The cost
    of a sweep is estimated in a separate queue, because that can take many seconds and no backtest should wait for it.
    """

    jobs: JobService
    backtests: BacktestService
    results: ResultService
    computing: ComputeQueue
    estimating: ComputeQueue
    max_combinations: int

    async def estimate(self, request: SweepRequest) -> SweepEstimate:
        """Return what a sweep will cost; raises what `start` raises about the request."""
        await self.backtests.check_known(request.backtest)
        async with self.estimating.slot(request.user_id):
            return await self.estimating.run(estimate_sweep, request, self.max_combinations)

    async def start(self, request: SweepRequest, idempotency_key: str | None = None) -> Job:
        """Queue a sweep.

        Raises InvalidInput; ModelNotFound or SourceNotFound if what it names is not stored; Conflict (an idempotency
        key of another request); Busy.
        """
        await self.estimate(request)
        return await self.jobs.submit(_name_parameters(request), idempotency_key=idempotency_key)

    async def start_walk_forward(self, request: WalkForwardRequest, idempotency_key: str | None = None) -> Job:
        """Queue a walk-forward; raises what `start` raises, and InvalidInput if all folds have too many rows.

        Its folds are known once its bars are fetched.
        """
        with inside_walk_forward():
            _check_walk_forward(request)
            await self.backtests.check_known(request.sweep.backtest)
            async with self.estimating.slot(request.user_id):
                fold = await self.estimating.run(_estimate_fold, request.sweep, self.max_combinations)
            check_rows_of_all_folds(request, fold.combinations, most=self.max_combinations)
            request = replace(request, sweep=_name_parameters(request.sweep))
        return await self.jobs.submit(request, idempotency_key=idempotency_key)

    async def get(self, sweep_id: str) -> Sweep:
        """Return a sweep; raises JobNotFound if there is none of that id."""
        job, request, conclusion = await self._read(sweep_id, SweepRequest, SweepConclusion)
        if conclusion is not None:
            stored = await asyncio.gather(*(is_stored(self.results.store, kept.result_id) for kept in conclusion.best))
            pairs = zip(conclusion.best, stored, strict=True)
            conclusion = replace(conclusion, best=tuple(replace(kept, is_stored=found) for kept, found in pairs))
        return Sweep(job=job, request=request, conclusion=conclusion)

    async def get_walk_forward(self, job_id: str) -> WalkForward:
        """Return a walk-forward; raises JobNotFound if there is none of that id."""
        job, request, conclusion = await self._read(job_id, WalkForwardRequest, WalkForwardConclusion)
        folds = tuple([fold_from_bytes(content) async for content in self.jobs.chunks(job_id)])
        if conclusion is not None:
            conclusion = replace(conclusion, is_stored=await is_stored(self.results.store, conclusion.result_id))
        return WalkForward(job=job, request=request, folds=folds, conclusion=conclusion)

    async def rows(self, sweep_id: str, *, sort_by: str, descending: bool, first: int | None, offset: int) -> SweepPage:
        """Return rows that are computed by now, sorted; `first` None for all.

        `sort_by` is `rank` (the best first; only rows that can be the best), `row`, a metric or a swept parameter.
        """
        async with self._table(sweep_id) as (request, table):
            columns = await asyncio.to_thread(read_columns, request)
            places = await asyncio.to_thread(sort_rows, table, request, by=sort_by, descending=descending)
            some = places[offset:] if first is None else places[offset : offset + first]
            return SweepPage(columns=columns, rows=table.take(some), total=len(places), offset=offset)

    async def run_row(self, sweep_id: str, row: int, *, user_id: str) -> BacktestResult:
        """Return the stored result of a row; if there is none, run the row on the sweep's bars and store it.

        Its verdict reads what the sweep found about the choice, if the sweep has ended. Raises JobNotFound if there is
        no such sweep, or it belongs to another user; InvalidInput if the row is not computed; Conflict if the bars have
        changed; what `BacktestService.run` raises.
        """
        async with self._table(sweep_id) as (request, table):
            if request.user_id != user_id:
                raise job_not_found(sweep_id)
            places = np.flatnonzero(table.numbers == row)
            if not places.size:
                raise bad_value("row", got=row, allowed=f"a row that is computed; there are {len(table):,} by now")
            values = await asyncio.to_thread(lambda: build_space(request).plain_of(table.values[places[0]]))
            warm_up = await asyncio.to_thread(warm_up_bars_of, request)
        result_id = result_id_of(sweep_id, row)
        if not await is_stored(self.results.store, result_id):
            parts = await self.jobs.parts(sweep_id)
            pinned = await pin_request(self.backtests, parts, request.backtest, warm_up_bars=warm_up, job_id=sweep_id)
            _, _, found = await self._read(sweep_id, SweepRequest, SweepConclusion)
            own = None if found is None else p_value_of(read_timing(parts), row)
            choice = None if found is None else choice_of(found.overfitting, found.superiority, own)
            await run_once(self.backtests, apply_values(pinned, values), result_id, choice=choice)
        return await self.results.get(result_id)

    async def heat_map(self, sweep_id: str, *, x: str, y: str, metric: str | None, reduce: Reduce) -> SweepMap:
        """Return a metric over two swept parameters, reduced over the others; None is the objective's metric.

        Raises InvalidInput on `x`, `y` or `metric`, also if it has too many cells.
        """
        async with self._table(sweep_id) as (request, table):
            columns = {column.name: column for column in await asyncio.to_thread(read_columns, request)}
            names = list(columns)
            x = find_name(x, names, field="x")
            y = find_name(y, [name for name in names if name != x], field="y")
            chosen = request.objective.metric if metric is None else find_name(metric, ROW_METRICS, field="metric")
            standing = await asyncio.to_thread(find_standing, table.figures, request)
            build = functools.partial(heat_map, standing=standing, search=request.search.kind)
            found = await asyncio.to_thread(build, table.values, table.figures, x, y, chosen, reduce, names)
            # The table has gaps while the sweep runs: a row's place in it need not be its number.
            numbers = np.append(table.numbers, -1)[found.best_rows]
            cells = replace(found, best_rows=numbers)
            return SweepMap(x=columns[x], y=columns[y], metric=chosen, reduce=reduce, cells=cells)

    async def deflation(self, conclusion: SweepConclusion) -> Deflation | None:
        """Return the deflation of the best row after all rows were counted.

        None if no row can be the best, or its result was deleted.
        """
        if not conclusion.best:
            return None
        try:
            result = await self.results.get(conclusion.best[0].result_id)
        except ResultNotFound:
            return None
        return None if result.judgement is None else result.judgement.deflation

    @asynccontextmanager
    async def _table(self, sweep_id: str) -> AsyncIterator[tuple[SweepRequest, SweepTable]]:
        """Read the rows that are computed, and hold a slot of the queue meanwhile."""
        job, request, _ = await self._read(sweep_id, SweepRequest, SweepConclusion)
        async with self.computing.slot(job.user_id, is_reading=True):
            yield request, await read_table(self.jobs.chunks(sweep_id), len(request.parameters))

    async def _read(
        self, job_id: str, request_kind: type[Request], conclusion_kind: type[Conclusion]
    ) -> tuple[Job, Request, Conclusion | None]:
        """Return a job of one kind, its request and its conclusion; raises JobNotFound."""
        job = await self.jobs.get(job_id)
        if KIND_OF[request_kind] is not job.kind:
            raise job_not_found(job_id)
        request, conclusion = await self.jobs.read_request(job_id), await self.jobs.read_conclusion(job_id)
        if not isinstance(request, request_kind) or not isinstance(conclusion, conclusion_kind | None):
            raise UnreadableResult("Job {id!r} cannot be read: it is not what it says it is.", id=job_id)
        return job, request, conclusion


def _name_parameters(request: SweepRequest) -> SweepRequest:
    """Return the request with its parameters under their public names, in whichever spelling they came."""
    known = sweepable(request.backtest)
    parameters = tuple(
        replace(item, name=find_sweepable(known, item.name, field=f"parameters.{place}.name").name)
        for place, item in enumerate(request.parameters)
    )
    return replace(request, parameters=parameters)


def _estimate_fold(sweep: SweepRequest, max_combinations: int) -> SweepEstimate:
    """Return what a walk-forward's sweep costs, with the bars before the first training window that its rows read."""
    backtest = replace(sweep.backtest, pinned_warm_up_bars=window_warm_up_of(sweep))
    return estimate_sweep(replace(sweep, backtest=backtest), max_combinations)


def _check_walk_forward(request: WalkForwardRequest) -> None:
    """Raise InvalidInput if a trading rule is swept, if the search is TPE, or if no fold fits into the requested bars.

    The tests are one run on one account, which has one set of trading rules; and TPE draws by earlier rows,
    while each fold tries the same combinations.
    """
    if request.sweep.search.kind is SearchKind.TPE:
        raise InvalidInput(
            "{field} is {got!r}. Allowed in a walk-forward, whose folds all try the same combinations: {allowed}.",
            field="search.kind", got=SearchKind.TPE.value,
            allowed=tuple(kind.value for kind in SearchKind if kind is not SearchKind.TPE),
        )  # fmt: skip
    known = sweepable(request.sweep.backtest)
    for place, item in enumerate(request.sweep.parameters):
        field = f"parameters.{place}.name"
        if find_sweepable(known, item.name, field=field).path[0] != "strategy":
            raise InvalidInput(
                "{field} is {got!r}, a trading rule. Allowed in a walk-forward, whose tests share one account with "
                "one set of rules: parameters of the strategy: {known}.",
                field=field, got=item.name,
                known=tuple(name for name, each in known.items() if each.path[0] == "strategy"),
            )  # fmt: skip
    check_fold_fits(request, request.sweep.backtest.market.limit)
