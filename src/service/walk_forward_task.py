"""Compute a walk-forward as a job: fold by fold, then the tests one after another as an ordinary result."""

from __future__ import annotations

import asyncio
import functools
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from src.domain.jobs import ChunkSpan, JobKind, JobOutcome, JobPart, JobProgress, JobStage, StageName
from src.domain.market import LimitOrigin, MarketSeries
from src.domain.performance import Metrics
from src.domain.runs import BacktestRequest
from src.domain.signals import ParameterValue
from src.domain.sweep_rows import EvaluatedRows, SweepInputs
from src.domain.training import DEFAULT_LABEL_HORIZON
from src.domain.trials import TrialBatch
from src.domain.walk_forward import Fold, FoldBars, WalkForwardConclusion, WalkForwardRequest
from src.ports.jobs import JobHandle, RowExecutor
from src.ports.stores import TrialLedger
from src.service.backtests import BacktestService
from src.service.job_attempts import prepare_pinned, run_once
from src.service.judging import compute_part, ledger_market
from src.service.sweep_trials import SweepTrials
from src.service.walk_forward_folds import fold_from_bytes, fold_to_bytes
from src.strategies.schedule import ScheduledPart, ScheduleParams
from src.sweeps.combinations import Combinations, apply_values, build_combinations, warn_of_excluded
from src.sweeps.folds import cut_window, efficiency, plan_folds
from src.sweeps.ranking import column_of, rank_rows
from src.sweeps.warm_up import window_warm_up_of

MAX_ROWS_AT_ONCE: Final = 2_000
"""Rows of a chunk: a cancelled job stops after the present ones."""
RESULT_PART: Final = "result"
SHOW_S: Final = 1.0
"""Between two reports of a fold's progress."""

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    """A running walk-forward."""

    request: WalkForwardRequest
    series: MarketSeries
    inputs: SweepInputs
    warm_up_bars: int
    combinations: Combinations
    handle: JobHandle


@dataclass(slots=True, kw_only=True)
class _Pace:
    """The progress of this attempt, shown while a long fold is computed; `rows` is the number of rows in a fold."""

    handle: JobHandle
    folds: int
    rows: int
    started: float = field(default_factory=time.monotonic)
    folds_done: int = 0
    rows_done: int = 0
    """Those of the present fold."""

    @property
    def progress(self) -> JobProgress:
        rate = (self.folds_done + self.rows_done / self.rows) / max(time.monotonic() - self.started, 1e-3)
        return JobProgress(total=self.folds, rate=rate or None, best_so_far=None)

    async def show_until(self, working: asyncio.Future[Found]) -> Found:
        """Wait for the rows of a fold; show once a second how many are done."""
        try:
            while not (await asyncio.wait([working], timeout=SHOW_S))[0]:
                stage = JobStage(name=StageName.TRAINING, done=self.rows_done, total=self.rows)
                await self.handle.note(stage, progress=self.progress)
            return working.result()
        finally:
            working.cancel()

    def end_fold(self) -> None:
        self.folds_done += 1
        self.rows_done = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForwardTask:
    """The `JobTask` of walk-forwards; a chunk is a fold."""

    kind: ClassVar = JobKind.WALK_FORWARD

    backtests: BacktestService
    ledger: TrialLedger
    executor: RowExecutor
    max_combinations: int

    async def run(self, handle: JobHandle) -> JobOutcome:
        """Compute the folds that are missing, then conclude; raises any ServiceError."""
        request = handle.request
        if not isinstance(request, WalkForwardRequest):
            raise TypeError(f"{type(request).__name__} is not a walk-forward")
        walk = await self._prepare(request, handle)
        plans = plan_folds(request, len(walk.series.bars))
        done = {span.first for span in await handle.spans()}
        pace = _Pace(handle=handle, folds=len(plans), rows=len(walk.combinations))
        for number, plan in enumerate(plans):
            if number in done:
                continue
            fold = await self._compute(walk, number, plan, pace)
            pace.end_fold()
            await handle.commit(ChunkSpan(first=number, count=1), fold_to_bytes(fold), pace.progress)
        conclusion = await self._conclude(walk, plans, [fold_from_bytes(content) async for content in handle.chunks()])
        return JobOutcome(result_id=conclusion.result_id, conclusion=conclusion, warnings=conclusion.warnings)

    async def _prepare(self, request: WalkForwardRequest, handle: JobHandle) -> _Walk:
        sweep = request.sweep
        warm_up = await handle.compute(window_warm_up_of, sweep)
        backtest, series, predictions = await prepare_pinned(
            self.backtests, handle, sweep.backtest, warm_up_bars=warm_up
        )
        # Pinned, because training windows have bars before them, as tests do.
        sweep = replace(sweep, backtest=replace(backtest, pinned_warm_up_bars=warm_up))
        build = functools.partial(build_combinations, max_combinations=self.max_combinations)
        combinations = await handle.compute(build, sweep)
        return _Walk(
            request=replace(request, sweep=sweep),
            series=series,
            inputs=SweepInputs(request=sweep, bars=series.bars, history=series.history, predictions=predictions),
            warm_up_bars=warm_up,
            combinations=combinations,
            handle=handle,
        )

    async def _compute(self, walk: _Walk, number: int, plan: FoldBars, pace: _Pace) -> Fold:
        """Choose on the training window, passing on only its bars, and run the choice on the test."""
        request = walk.request.sweep
        figures = await self._choose(walk, plan, pace)
        ranked = rank_rows(figures, request)
        times = walk.series.bars.open_time_ms
        when = {
            "train_start_ms": int(times[plan.train_start]),
            "train_end_ms": int(times[plan.train_end - 1]),
            "test_start_ms": int(times[plan.test_start]),
            "test_end_ms": int(times[plan.test_end - 1]),
        }
        if not len(ranked):
            return Fold(
                number=number, **when, row=None, values={}, objective_in_sample=None, objective_out_of_sample=None,
                return_in_sample=None, return_out_of_sample=0.0, trades_out_of_sample=0,
            )  # fmt: skip
        row = int(ranked[0])
        values = walk.combinations.plain(row)
        tested = await walk.handle.compute(self._test, walk, plan, values)
        return Fold(
            number=number,
            **when,
            row=row,
            values=values,
            objective_in_sample=float(column_of(figures, request.objective.metric)[row]),
            objective_out_of_sample=getattr(tested, request.objective.metric),
            return_in_sample=float(column_of(figures, "total_return")[row]),
            return_out_of_sample=tested.total_return,
            trades_out_of_sample=tested.total_trades,
        )

    async def _choose(self, walk: _Walk, plan: FoldBars, pace: _Pace) -> NDArray[np.float64]:
        """Return the figures of all combinations on the training window; no later bar is passed on."""
        known = cut_window(
            walk.series.bars,
            plan.train_start,
            plan.train_end,
            warm_up=walk.warm_up_bars,
            history=walk.series.history,
            predictions=walk.inputs.predictions,
        )
        inputs = replace(walk.inputs, bars=known.bars, history=known.history, predictions=known.predictions)
        values, width = walk.combinations.values, MAX_ROWS_AT_ONCE
        async with self.executor.open(inputs, walk.handle) as rows:

            async def evaluate(first: int) -> EvaluatedRows:
                found = await rows.evaluate(values[first : first + width], first=first, total=len(values))
                pace.rows_done += len(found.rows)
                return found

            evaluating = asyncio.gather(*map(evaluate, range(0, len(values), width)))
            parts = await pace.show_until(evaluating)
        await self._count(walk, inputs, parts)
        return np.concatenate([part.rows.figures for part in parts])

    async def _count(self, walk: _Walk, inputs: SweepInputs, parts: Sequence[EvaluatedRows]) -> None:
        """Count the rows of a training window as trials, because the choice shows the best of them."""
        series = replace(walk.series, bars=inputs.bars, history=inputs.history)
        trials = await walk.handle.compute(SweepTrials, inputs.request, series, inputs)
        market, total = ledger_market(series.bars.symbol, series.origin), len(walk.combinations)
        for part in parts:
            values = walk.combinations.values[part.rows.first : part.rows.first + len(part.rows)]
            for batch in await walk.handle.compute(_build_all, trials, values, part, total):
                await self.ledger.record_batch(batch, user_id=inputs.request.user_id, symbol=market)

    def _test(self, walk: _Walk, plan: FoldBars, values: Mapping[str, ParameterValue]) -> Metrics:
        """Run the chosen values on the test alone, from flat to flat, as the stitched run does."""
        request = self._schedule(walk, [(plan, values)])
        outcome = compute_part(
            request, walk.series, walk.inputs.predictions, self.backtests.engines, plan.test_start, plan.test_end
        )
        return outcome.metrics

    def _schedule(
        self, walk: _Walk, chosen: Sequence[tuple[FoldBars, Mapping[str, ParameterValue] | None]]
    ) -> BacktestRequest:
        """Return the request that trades each test with what was chosen for it."""
        base, times = walk.request.sweep.backtest, walk.series.bars.open_time_ms
        parts = tuple(
            ScheduledPart(
                start_ms=int(times[plan.test_start]),
                end_ms=int(times[plan.test_end - 1]),
                strategy=None if values is None else apply_values(base, values).strategy,
            )
            for plan, values in chosen
        )
        market = replace(
            base.market,
            start_ms=parts[0].start_ms,
            end_ms=parts[-1].end_ms,
            limit=base.market.interval.most_bars(parts[0].start_ms, parts[-1].end_ms),
            limit_origin=LimitOrigin.RANGE,
        )
        return replace(base, strategy=ScheduleParams(parts=parts), market=market)

    async def _conclude(self, walk: _Walk, plans: Sequence[FoldBars], folds: Sequence[Fold]) -> WalkForwardConclusion:
        """Run all tests as one backtest and store its result; a second attempt finds it."""
        chosen = [(plan, None if fold.row is None else fold.values) for plan, fold in zip(plans, folds, strict=True)]
        result_id = str(uuid.uuid5(uuid.UUID(walk.handle.job.id), "result"))
        await self._store_result(walk, self._schedule(walk, chosen), result_id)
        traded = [fold for fold in folds if fold.row is not None]
        return WalkForwardConclusion(
            bars_fingerprint=walk.series.fingerprint(),
            folds=len(folds),
            result_id=result_id,
            efficiency=efficiency(folds, plans),
            profitable_folds=sum((fold.return_out_of_sample or 0.0) > 0 for fold in folds),
            distinct_choices=len({tuple(fold.values.items()) for fold in traded}),
            warnings=(*_warn(walk, folds), *await walk.handle.compute(warn_of_excluded, walk.request.sweep)),
        )

    async def _store_result(self, walk: _Walk, request: BacktestRequest, result_id: str) -> None:
        """Run all tests as one backtest and store its result, unless an earlier attempt has."""
        handle = walk.handle
        if RESULT_PART in await handle.parts():
            return
        await handle.note(JobStage(name=StageName.RESULT, done=0, total=1))
        await run_once(self.backtests, request, result_id)
        await handle.note(JobStage(name=StageName.RESULT, done=1, total=1), JobPart(name=RESULT_PART))


def _build_all(
    trials: SweepTrials, values: NDArray[np.float64], rows: EvaluatedRows, total: int
) -> Sequence[TrialBatch]:
    return list(trials.build(values, rows, total=total))


def _warn(walk: _Walk, folds: Sequence[Fold]) -> Iterator[str]:
    """Yield the warnings about the walk-forward itself; its result has its own."""
    request = walk.request
    yield from walk.series.warnings
    flat = sum(fold.row is None for fold in folds)
    if flat:
        yield f"In {flat} of {len(folds)} folds no row qualified: their tests stay flat."
    model = request.sweep.backtest.strategy.model
    if model is None:
        return
    yield "The model itself was trained once, not in each fold: only what is swept is chosen anew."
    if not model.training.is_declared:
        yield "Declare the model's training window, so that the result says which tests it knew."
    horizon = DEFAULT_LABEL_HORIZON if model.training.label_horizon is None else model.training.label_horizon
    if request.purge_bars < horizon:
        yield (
            f"purgeBars is {request.purge_bars}, and a label looks {horizon} bars ahead: the last training bars know "
            "the test's first ones."
        )
