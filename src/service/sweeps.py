"""Estimate, start and read sweeps and walk-forwards; the work itself is a job's."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from typing import TypeVar

from src.domain.errors import InvalidInput, UnreadableResult, bad_value, job_not_found
from src.domain.jobs import KIND_OF, Job
from src.domain.sweeps import (
    SearchKind,
    SweepConclusion,
    SweepEstimate,
    SweepRequest,
)
from src.domain.walk_forward import Fold, WalkForwardConclusion, WalkForwardRequest
from src.service.computing import ComputeQueue
from src.service.jobs import JobService
from src.service.sweep_tables import SweepTable, read_table, sort_rows
from src.service.walk_forward_folds import fold_from_bytes
from src.sweeps.combinations import sweepable
from src.sweeps.estimating import estimate_sweep
from src.sweeps.heat_map import HeatMap, Reduce, heat_map

Request = TypeVar("Request", SweepRequest, WalkForwardRequest)
Conclusion = TypeVar("Conclusion", SweepConclusion, WalkForwardConclusion)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A sweep: its job, what was asked for, and what it found; None while it has not succeeded."""

    job: Job
    request: SweepRequest
    conclusion: SweepConclusion | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForward:
    """A walk-forward: its job, what was asked for, the folds that are done, and what it found once all are."""

    job: Job
    request: WalkForwardRequest
    folds: tuple[Fold, ...]
    conclusion: WalkForwardConclusion | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SweepPage:
    """Some rows of a sweep, sorted: `total` is the number of rows that are computed, or that can be the best."""

    request: SweepRequest
    rows: SweepTable
    total: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepService:
    """The use cases of sweeps and walk-forwards; an id is that of the job."""

    jobs: JobService
    computing: ComputeQueue
    max_combinations: int

    async def estimate(self, request: SweepRequest) -> SweepEstimate:
        """Return what a sweep will cost; raises InvalidInput as `start` does."""
        async with self.computing.slot(request.user_id):
            return await self.computing.run(estimate_sweep, request, self.max_combinations)

    async def start(self, request: SweepRequest, idempotency_key: str | None = None) -> Job:
        """Queue a sweep; raises InvalidInput, Conflict (an idempotency key of another request), Busy."""
        async with self.computing.slot(request.user_id):
            await self.computing.run(estimate_sweep, request, self.max_combinations)
        return await self.jobs.submit(request, idempotency_key=idempotency_key)

    async def start_walk_forward(self, request: WalkForwardRequest, idempotency_key: str | None = None) -> Job:
        """Queue a walk-forward; raises what `start` raises. Its folds are known once its bars are there."""
        _check_walk_forward(request)
        async with self.computing.slot(request.user_id):
            await self.computing.run(estimate_sweep, request.sweep, self.max_combinations)
        return await self.jobs.submit(request, idempotency_key=idempotency_key)

    async def get(self, sweep_id: str) -> Sweep:
        """Return a sweep; raises JobNotFound if there is none of that id."""
        job, request, conclusion = await self._read(sweep_id, SweepRequest, SweepConclusion)
        return Sweep(job=job, request=request, conclusion=conclusion)

    async def get_walk_forward(self, job_id: str) -> WalkForward:
        """Return a walk-forward; raises JobNotFound if there is none of that id."""
        job, request, conclusion = await self._read(job_id, WalkForwardRequest, WalkForwardConclusion)
        folds = tuple([fold_from_bytes(content) async for content in self.jobs.chunks(job_id)])
        return WalkForward(job=job, request=request, folds=folds, conclusion=conclusion)

    async def rows(self, sweep_id: str, *, sort_by: str, descending: bool, first: int | None, offset: int) -> SweepPage:
        """Return rows that are computed by now, sorted; `first` None for all.

        `sort_by` is `rank` (the best first; only rows that can be the best), `row`, a metric or a swept parameter.
        """
        request, table = await self._table(sweep_id)
        places = await asyncio.to_thread(sort_rows, table, request, by=sort_by, descending=descending)
        some = places[offset:] if first is None else places[offset : offset + first]
        return SweepPage(request=request, rows=table.take(some), total=len(places), offset=offset)

    async def heat_map(self, sweep_id: str, *, x: str, y: str, metric: str | None, reduce: Reduce) -> HeatMap:
        """Return a metric over two swept parameters, reduced over the others; None is the objective's metric."""
        request, table = await self._table(sweep_id)
        chosen = request.objective.metric if metric is None else metric
        names = [item.name for item in request.parameters]
        build = functools.partial(heat_map, goal=request.objective.goal, search=request.search.kind)
        return await asyncio.to_thread(build, table.values, table.figures, x, y, chosen, reduce, names)

    async def _table(self, sweep_id: str) -> tuple[SweepRequest, SweepTable]:
        _, request, _ = await self._read(sweep_id, SweepRequest, SweepConclusion)
        return request, await read_table(self.jobs.chunks(sweep_id), len(request.parameters))

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


def _check_walk_forward(request: WalkForwardRequest) -> None:
    """Raise InvalidInput if a trading rule is swept (the tests share one account, and so their rules), or for TPE."""
    if request.sweep.search.kind is SearchKind.TPE:
        allowed = (SearchKind.GRID, SearchKind.LIST, SearchKind.RANDOM)
        raise bad_value("kind", got=SearchKind.TPE.value, allowed=(kind.value for kind in allowed))
    base = request.sweep.backtest
    known = sweepable(base)
    for item in request.sweep.parameters:
        found = known.get(item.name)
        if found is not None and found.path[0] != "strategy":
            raise InvalidInput(
                "{field} has {got!r}, a trading rule. A walk-forward allows parameters of the strategy only: {known}.",
                field="parameters", got=item.name,
                known=tuple(name for name, each in known.items() if each.path[0] == "strategy"),
            )  # fmt: skip
