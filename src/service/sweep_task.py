"""Compute a sweep as a job: chunk by chunk, each row counted as a trial, and then its conclusion."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from src.domain.jobs import ChunkSpan, JobKind, JobOutcome, JobProgress
from src.domain.sweep_outcomes import SweepRows
from src.domain.sweep_rows import SweepInputs
from src.domain.sweeps import Goal, SearchKind, SweepRequest
from src.ports.jobs import JobHandle, OpenSweep, RowExecutor
from src.ports.stores import TrialLedger
from src.service.backtests import BacktestService
from src.service.job_attempts import prepare_pinned
from src.service.judging import ledger_market
from src.service.sweep_conclusion import SweepFinish
from src.service.sweep_trials import SweepTrials
from src.sweeps.combinations import build_combinations
from src.sweeps.ranking import column_of, rank_rows
from src.sweeps.row_bytes import from_bytes, to_bytes
from src.sweeps.tpe import TpeSearch
from src.sweeps.warm_up import warm_up_bars_of

logger = logging.getLogger(__name__)

CHUNK_SECONDS: Final = 1.0
"""Time that a chunk should take: a cancelled job stops after the present chunk, and a killed one loses only that."""
FIRST_CHUNK: Final = 64
MAX_CHUNK: Final = 2_000
"""Rows of a chunk: their trials are in memory at once, and one transaction of the ledger counts them."""


@dataclass(slots=True)
class _Pace:
    """How many rows a chunk has, so that it takes about a second, and how fast rows are done."""

    rows: int = FIRST_CHUNK
    started: float = field(default_factory=time.monotonic)
    done: int = 0

    def learn(self, count: int, seconds: float) -> None:
        self.done += count
        wanted = round(count * CHUNK_SECONDS / max(seconds, 1e-3))
        # At most four times as many as the last chunk, which may have been an easy one.
        self.rows = max(1, min(wanted, 4 * count, MAX_CHUNK))

    @property
    def rate(self) -> float:
        return self.done / max(time.monotonic() - self.started, 1e-3)


@dataclass(slots=True)
class _Progress:
    """What clients see while the job runs."""

    total: int
    pace: _Pace = field(default_factory=_Pace)
    best: float | None = None

    def see(self, rows: SweepRows, request: SweepRequest) -> None:
        """Keep the best objective of these rows if it is better."""
        ranked = rank_rows(rows.figures, request)
        if not len(ranked):
            return
        found = column_of(rows.figures, request.objective.metric)[ranked[0]]
        if self.best is None or is_better(float(found), self.best, request):
            self.best = float(found)

    def to_store(self) -> JobProgress:
        return JobProgress(total=self.total, rate=self.pace.rate, best_so_far=self.best)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sweep:
    """A running sweep: its completed request, and where rows are computed and counted."""

    request: SweepRequest
    market: str
    """The market of the ledger."""
    trials: SweepTrials
    rows: OpenSweep
    handle: JobHandle


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepTask:
    """The `JobTask` of sweeps; `executor` computes rows, in threads of this process or on a cluster."""

    kind: ClassVar = JobKind.SWEEP

    backtests: BacktestService
    ledger: TrialLedger
    executor: RowExecutor
    max_combinations: int

    async def run(self, handle: JobHandle) -> JobOutcome:
        """Compute the rows that are missing, then conclude; raises any ServiceError."""
        request = handle.request
        if not isinstance(request, SweepRequest):
            raise TypeError(f"{type(request).__name__} is not a sweep")
        warm_up = await handle.compute(warm_up_bars_of, request)
        backtest, series, predictions = await prepare_pinned(
            self.backtests, handle, request.backtest, warm_up_bars=warm_up
        )
        request = replace(request, backtest=backtest)
        inputs = SweepInputs(request=request, bars=series.bars, history=series.history, predictions=predictions)
        async with self.executor.open(inputs, handle) as rows:
            sweep = _Sweep(
                request=request,
                market=ledger_market(series.bars.symbol, series.origin),
                trials=await handle.compute(SweepTrials, request, series, inputs),
                rows=rows,
                handle=handle,
            )
            if request.search.kind is SearchKind.TPE:
                await self._search(sweep)
            else:
                await self._compute_all(sweep)
        finish = SweepFinish(
            request=request,
            series=series,
            inputs=inputs,
            handle=handle,
            backtests=self.backtests,
            ledger=self.ledger,
        )
        conclusion = await finish.conclude()
        return JobOutcome(result_id=handle.job.id, conclusion=conclusion, warnings=conclusion.warnings)

    async def _compute_all(self, sweep: _Sweep) -> None:
        build = functools.partial(build_combinations, max_combinations=self.max_combinations)
        combinations = await sweep.handle.compute(build, sweep.request)
        progress = _Progress(len(combinations), best=sweep.handle.job.best_so_far)
        spans = _missing_spans(await sweep.handle.spans(), len(combinations), progress.pace)

        async def work() -> None:
            for span in spans:
                values = combinations.values[span.first : span.first + span.count]
                await self._compute(sweep, span, values, progress)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(sweep.rows.width):
                    group.create_task(work())
        except ExceptionGroup as failed:  # the first failure cancelled the others, and says why the job stops
            raise failed.exceptions[0] from failed

    async def _search(self, sweep: _Sweep) -> None:
        """Let TPE draw batch after batch; it is first given the batches of an earlier attempt, in their order."""
        request, handle = sweep.request, sweep.handle
        search = await handle.compute(TpeSearch, request)
        async for content in handle.chunks():
            rows = from_bytes(content)
            await handle.compute(search.tell, rows.values, column_of(rows.figures, request.objective.metric))
        total = request.search.draws or 0
        progress = _Progress(total, best=handle.job.best_so_far)
        first = sum(span.count for span in await handle.spans())
        while first < total:
            values = await handle.compute(search.ask, min(request.search.batch_size, total - first))
            rows = await self._compute(sweep, ChunkSpan(first=first, count=len(values)), values, progress)
            await handle.compute(search.tell, rows.values, column_of(rows.figures, request.objective.metric))
            first += len(values)

    async def _compute(
        self, sweep: _Sweep, span: ChunkSpan, values: NDArray[np.float64], progress: _Progress
    ) -> SweepRows:
        """Compute, count and store the rows of one chunk; every stored row is counted, and none twice."""
        started = time.monotonic()
        found = await sweep.rows.evaluate(values, first=span.first, total=progress.total)
        build = functools.partial(sweep.trials.build, total=progress.total)
        for batch in await sweep.handle.compute(lambda: list(build(values, found))):
            await self.ledger.record_batch(batch, user_id=sweep.request.user_id, symbol=sweep.market)
        progress.pace.learn(span.count, time.monotonic() - started)
        progress.see(found.rows, sweep.request)
        content = await sweep.handle.compute(to_bytes, found.rows)
        await sweep.handle.commit(span, content, progress.to_store())
        return found.rows


def is_better(one: float, other: float, request: SweepRequest) -> bool:
    """Return whether an objective is better than another one."""
    return one > other if request.objective.goal is Goal.MAXIMIZE else one < other


def _missing_spans(stored: Sequence[ChunkSpan], total: int, pace: _Pace) -> Iterator[ChunkSpan]:
    """Yield the spans that are not stored yet; each is as long as the pace says when it is requested."""
    first = 0
    for span in (*stored, ChunkSpan(first=total, count=0)):
        while first < span.first:
            count = min(pace.rows, span.first - first)
            yield ChunkSpan(first=first, count=count)
            first += count
        first = span.first + span.count
