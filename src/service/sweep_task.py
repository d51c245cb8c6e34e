"""Compute a sweep as a job: chunk by chunk, each row counted as a trial, then what the best of them is worth."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from src.domain.errors import Conflict
from src.domain.jobs import ChunkSpan, JobKind, JobOutcome, JobProgress
from src.domain.market import MarketSeries
from src.domain.sweep_rows import SweepInputs
from src.domain.sweeps import (
    Goal,
    KeptRow,
    SearchKind,
    SweepConclusion,
    SweepOverfitting,
    SweepRequest,
    SweepRows,
    SweepSuperiority,
)
from src.judgement.overfitting import DEFAULT_BLOCKS
from src.metrics.returns import simple_returns
from src.ports import JobHandle, OpenSweep, RowExecutor, TrialLedger
from src.service.backtests import BacktestService
from src.service.judging import count_runs, ledger_market
from src.service.sweep_tables import SweepTable, build_table
from src.service.sweep_trials import SweepTrials
from src.sweeps.combinations import apply_values, build_combinations
from src.sweeps.estimating import TESTED_ROWS
from src.sweeps.evaluation import Evaluator
from src.sweeps.overfitting import overfitting_of, superiority_of
from src.sweeps.ranking import column_of, rank_rows
from src.sweeps.row_bytes import from_bytes, to_bytes
from src.sweeps.space import build_space
from src.sweeps.stability import parameter_stability
from src.sweeps.tpe import TpeSearch
from src.sweeps.warm_up import warm_up_bars_of

logger = logging.getLogger(__name__)

CHUNK_SECONDS: Final = 1.0
"""What a chunk takes: a cancelled job stops after the present one, and a killed one loses no more."""
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
    """A sweep that is under way: its request with the model that was found, its bars, and where rows are computed."""

    request: SweepRequest
    series: MarketSeries
    inputs: SweepInputs
    trials: SweepTrials
    rows: OpenSweep
    handle: JobHandle

    @property
    def market(self) -> str:
        """The market of the ledger."""
        return ledger_market(self.series.bars.symbol, self.series.origin)


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
            raise TypeError(f"{type(request).__name__} is no sweep")
        warm_up = await handle.compute(warm_up_bars_of, request)
        backtest, series, predictions = await self.backtests.prepare(request.backtest, warm_up_bars=warm_up)
        request = replace(request, backtest=backtest)
        inputs = SweepInputs(request=request, bars=series.bars, history=series.history, predictions=predictions)
        async with self.executor.open(inputs, handle) as rows:
            sweep = _Sweep(
                request=request,
                series=series,
                inputs=inputs,
                trials=await handle.compute(SweepTrials, request, series, inputs),
                rows=rows,
                handle=handle,
            )
            if request.search.kind is SearchKind.TPE:
                await self._search(sweep)
            else:
                await self._compute_all(sweep)
        conclusion = await self._conclude(sweep)
        return JobOutcome(result_id=handle.job.id, conclusion=conclusion, warnings=conclusion.warnings)

    async def _compute_all(self, sweep: _Sweep) -> None:
        build = functools.partial(build_combinations, max_combinations=self.max_combinations)
        combinations = await sweep.handle.compute(build, sweep.request)
        progress = _Progress(len(combinations))
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
        """Let TPE draw batch after batch; batches of an earlier attempt are told to it in their order."""
        request, handle = sweep.request, sweep.handle
        search = await handle.compute(TpeSearch, request)
        async for content in handle.chunks():
            rows = from_bytes(content)
            await handle.compute(search.tell, rows.values, column_of(rows.figures, request.objective.metric))
        total = request.search.draws or 0
        progress, first = _Progress(total), sum(span.count for span in await handle.spans())
        while first < total:
            values = await handle.compute(search.ask, min(request.search.batch_size, total - first))
            rows = await self._compute(sweep, ChunkSpan(first=first, count=len(values)), values, progress)
            await handle.compute(search.tell, rows.values, column_of(rows.figures, request.objective.metric))
            first += len(values)

    async def _compute(
        self, sweep: _Sweep, span: ChunkSpan, values: NDArray[np.float64], progress: _Progress
    ) -> SweepRows:
        """Compute, count and store the rows of one chunk; what is stored is counted, and nothing twice."""
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

    async def _conclude(self, sweep: _Sweep) -> SweepConclusion:
        request, handle = sweep.request, sweep.handle
        parts = [from_bytes(content) async for content in handle.chunks()]
        table = await handle.compute(build_table, parts, len(request.parameters))
        ranked = await handle.compute(rank_rows, table.figures, request)
        best = [await self._keep(sweep, table, place) for place in _choose_best(table, ranked, request.keep_best)]
        tested = _choose_tested(ranked, len(table), request.search.seed)
        ledger = await self.ledger.state(user_id=request.user_id, symbol=sweep.market)
        place = int(ranked[0]) if len(ranked) else None
        return SweepConclusion(
            bars_fingerprint=sweep.series.fingerprint(),
            bars=len(sweep.series.bars),
            combinations=len(table),
            best=tuple(best),
            overfitting=await handle.compute(_measure_overfitting, parts, len(sweep.series.bars)),
            superiority=await self._compare_with_market(sweep, table.values[tested]),
            stability=await handle.compute(parameter_stability, table.values, table.figures, place, request),
            trials=count_runs(ledger),
            warnings=tuple(_warn(sweep, table, ranked, tested)),
        )

    async def _compare_with_market(self, sweep: _Sweep, values: NDArray[np.float64]) -> SweepSuperiority | None:
        """Test rows with these values [j, p] against buying and holding; a thread stops soon after a cancellation."""
        stopped = threading.Event()
        try:
            return await sweep.handle.compute(_test_superiority, sweep.inputs, values, stopped)
        finally:
            stopped.set()

    async def _keep(self, sweep: _Sweep, table: SweepTable, place: int) -> KeptRow:
        """Run one of the best rows by the ordinary pipeline and store its result; a second attempt finds it there."""
        number = int(table.numbers[place])
        values = build_space(sweep.request).plain_of(table.values[place])
        result_id = str(uuid.uuid5(uuid.UUID(sweep.handle.job.id), str(number)))
        request = apply_values(sweep.request.backtest, values)
        try:
            await self.backtests.run(request, result_id=result_id)
        except Conflict:
            logger.debug("best row is stored already: result=%s", result_id)
        objective = column_of(table.figures, sweep.request.objective.metric)[place]
        return KeptRow(row=number, values=values, objective=float(objective), result_id=result_id)


class _Stopped(Exception):
    """The job was cancelled: nothing waits for the rest."""


def _test_superiority(
    inputs: SweepInputs, values: NDArray[np.float64], stopped: threading.Event
) -> SweepSuperiority | None:
    evaluator, close = Evaluator(inputs), inputs.bars.close

    def returns_of(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        if stopped.is_set():
            raise _Stopped
        return evaluator.returns(values[rows])

    return superiority_of(returns_of, np.arange(len(values)), simple_returns(close, float(close[0])))


def _choose_best(table: SweepTable, ranked: NDArray[np.int64], most: int) -> Sequence[int]:
    """Return the places of the best rows with different values: RANDOM can draw a combination twice."""
    found: dict[bytes, int] = {}
    for place in ranked.tolist():
        if len(found) == most:
            break
        found.setdefault(table.values[place].tobytes(), place)
    return tuple(found.values())


def is_better(one: float, other: float, request: SweepRequest) -> bool:
    """Return whether an objective is better than another one."""
    return one > other if request.objective.goal is Goal.MAXIMIZE else one < other


def _missing_spans(stored: Sequence[ChunkSpan], total: int, pace: _Pace) -> Iterator[ChunkSpan]:
    """Yield what is not stored yet, in pieces as long as the pace says when they are asked for."""
    first = 0
    for span in (*stored, ChunkSpan(first=total, count=0)):
        while first < span.first:
            count = min(pace.rows, span.first - first)
            yield ChunkSpan(first=first, count=count)
            first += count
        first = span.first + span.count


def _choose_tested(ranked: NDArray[np.int64], rows: int, seed: int) -> NDArray[np.int64]:
    """Return the places of the rows that are tested: all, or the best half and a sample of the others."""
    if rows <= TESTED_ROWS:
        return np.arange(rows)
    best = ranked[: TESTED_ROWS // 2]
    others = np.setdiff1d(np.arange(rows), best)
    drawn = np.random.Generator(np.random.Philox(seed)).choice(others, TESTED_ROWS - len(best), replace=False)
    return np.sort(np.concatenate((best, drawn)))


def _measure_overfitting(parts: Sequence[SweepRows], bars: int) -> SweepOverfitting | None:
    sums = np.concatenate([part.block_sums for part in parts])
    squares = np.concatenate([part.block_squares for part in parts])
    return overfitting_of(sums, squares, bars // DEFAULT_BLOCKS)


def _warn(sweep: _Sweep, table: SweepTable, ranked: NDArray[np.int64], tested: NDArray[np.int64]) -> Iterator[str]:
    """Yield what is to be known about the sweep itself; what is to be known about a result stands with it."""
    request = sweep.request
    yield from sweep.series.warnings
    if not len(ranked):
        yield (
            f"No row can be the best: none has {request.objective.metric} and at least "
            f"{request.objective.min_trades} closed trades and meets the constraints on metrics."
        )
    failed = int(np.count_nonzero(np.isnan(table.figure("final_equity"))))
    if failed:
        yield f"{failed} of {len(table)} rows have no figures, because their equity grew beyond what can be counted."
    if len(tested) < len(table):
        yield (
            f"The test against buying and holding took {len(tested)} of {len(table)} rows: the best ones, and a sample "
            "of the others."
        )
    model = request.backtest.strategy.model
    if model is not None and not model.training.is_declared:
        yield "The model's training window is not declared: rows may be chosen on bars that it was trained on."
