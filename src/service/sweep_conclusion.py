"""Conclude a sweep whose rows are computed: test what the choice is worth, then run and store the best of them.

Each finished step is stored at once as a part of the job: a best row with its result, and each of the two tests. An
attempt after a crash continues with the missing ones.
"""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from src.domain.errors import UnreadableResult
from src.domain.jobs import JobPart, JobStage, StageName
from src.domain.judgement import SweepChoice
from src.domain.market import MarketSeries
from src.domain.sweep_outcomes import KeptRow, SweepConclusion, SweepOverfitting, SweepRows, SweepSuperiority
from src.domain.sweep_rows import SweepInputs
from src.domain.sweeps import Objective, SweepRequest
from src.judgement.overfitting import DEFAULT_BLOCKS
from src.metrics.returns import simple_returns
from src.ports.jobs import JobHandle
from src.ports.stores import TrialLedger
from src.service.backtests import BacktestService
from src.service.job_attempts import run_once
from src.service.judging import count_runs, ledger_market
from src.service.sweep_tables import SweepTable, build_table
from src.sweeps.combinations import apply_values, warn_of_excluded
from src.sweeps.estimating import TESTED_ROWS
from src.sweeps.evaluation import Evaluator
from src.sweeps.overfitting import follows_from_blocks, overfitting_of, superiority_of
from src.sweeps.ranking import column_of, rank_rows
from src.sweeps.row_bytes import from_bytes
from src.sweeps.space import build_space
from src.sweeps.stability import parameter_stability

SHOW_S: Final = 1.0
"""Pause between two progress reports of the test against buying and holding."""
OVERFITTING_PART: Final = "overfitting"
SUPERIORITY_PART: Final = "superiority"

Found = TypeVar("Found", SweepOverfitting, SweepSuperiority)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SweepFinish:
    """A sweep whose rows are computed: its request with the model that was found, and the bars of all rows."""

    request: SweepRequest
    series: MarketSeries
    inputs: SweepInputs
    handle: JobHandle
    backtests: BacktestService
    ledger: TrialLedger

    async def conclude(self) -> SweepConclusion:
        """Finish what earlier attempts have not, and return the whole conclusion; raises any ServiceError."""
        request, handle = self.request, self.handle
        rows = [from_bytes(content) async for content in handle.chunks()]
        table = await handle.compute(build_table, rows, len(request.parameters))
        ranked = await handle.compute(rank_rows, table.figures, request)
        finished = await handle.parts()
        tested = choose_tested(ranked, request.search.seed)
        overfitting = await self._measure_overfitting(rows, table.numbers[ranked], finished)
        superiority = await self._compare_with_market(table.values[tested], finished)
        # The verdicts of the best rows read both tests.
        choice = choice_of(overfitting, superiority)
        best = await self._store_best(table, choose_best(table, ranked, request.keep_best), choice, finished)
        ledger = await self.ledger.state(
            user_id=request.user_id, symbol=ledger_market(self.series.bars.symbol, self.series.origin)
        )
        place = int(ranked[0]) if len(ranked) else None
        return SweepConclusion(
            bars_fingerprint=self.series.fingerprint(),
            bars=len(self.series.bars),
            combinations=len(table),
            best=best,
            overfitting=overfitting,
            superiority=superiority,
            stability=await handle.compute(parameter_stability, table.values, table.figures, place, request),
            trials=count_runs(ledger),
            warnings=(
                *_warn(self, ranked, tested, overfitting),
                *await handle.compute(warn_of_failed, table, self.inputs),
                *await handle.compute(warn_of_excluded, request),
            ),
        )

    async def _store_best(
        self, table: SweepTable, places: Sequence[int], choice: SweepChoice | None, finished: Mapping[str, bytes]
    ) -> tuple[KeptRow, ...]:
        """Run the best rows by the ordinary pipeline and store their results, the best one last.

        If the user's quota does not hold all of them, the worst ones are dropped.
        """
        best = [self._describe(table, place) for place in places]
        for done, kept in enumerate(reversed(best)):
            name = f"best-{kept.row}"
            if name in finished:
                continue
            await self.handle.note(JobStage(name=StageName.BEST, done=done, total=len(best)))
            request = apply_values(self.request.backtest, kept.values)
            await run_once(self.backtests, request, kept.result_id, choice=choice)
            await self.handle.note(JobStage(name=StageName.BEST, done=done + 1, total=len(best)), JobPart(name=name))
        return tuple(best)

    def _describe(self, table: SweepTable, place: int) -> KeptRow:
        number = int(table.numbers[place])
        return KeptRow(
            row=number,
            values=build_space(self.request).plain_of(table.values[place]),
            objective=float(column_of(table.figures, self.request.objective.metric)[place]),
            result_id=result_id_of(self.handle.job.id, number),
        )

    async def _measure_overfitting(
        self, rows: Sequence[SweepRows], eligible: NDArray[np.int64], finished: Mapping[str, bytes]
    ) -> SweepOverfitting | None:
        if OVERFITTING_PART in finished:
            return _read(SweepOverfitting, finished[OVERFITTING_PART])
        await self.handle.note(JobStage(name=StageName.OVERFITTING, done=0, total=1))
        found = await self.handle.compute(
            _overfitting_of, rows, eligible, len(self.series.bars), self.request.objective
        )
        stage = JobStage(name=StageName.OVERFITTING, done=1, total=1)
        await self.handle.note(stage, JobPart(name=OVERFITTING_PART, content=_write(found)))
        return found

    async def _compare_with_market(
        self, values: NDArray[np.float64], finished: Mapping[str, bytes]
    ) -> SweepSuperiority | None:
        """Test rows with these values [j, p] against buying and holding; a thread stops soon after a cancellation."""
        if SUPERIORITY_PART in finished:
            return _read(SweepSuperiority, finished[SUPERIORITY_PART])
        test = MarketTest(self.inputs, values)
        await self.handle.note(test.stage)
        testing = asyncio.ensure_future(self.handle.compute(test.run))
        try:
            shown = test.done
            while not testing.done():
                await asyncio.wait([testing], timeout=SHOW_S)
                if test.done > shown and not testing.done():
                    shown = test.done
                    await self.handle.note(test.stage)
            found = testing.result()
        finally:
            test.stop()
            testing.cancel()
        await self.handle.note(test.stage, JobPart(name=SUPERIORITY_PART, content=_write(found)))
        return found


class Stopped(Exception):
    """The job was cancelled: nothing waits for the rest."""


class MarketTest:
    """The test of some rows against buying and holding, in a thread, with its progress and a way to stop it."""

    def __init__(self, inputs: SweepInputs, values: NDArray[np.float64]) -> None:
        self._inputs = inputs
        self._values = values
        self._stopped = threading.Event()
        self.done = 0

    @property
    def stage(self) -> JobStage:
        """The progress of the test: each row is run twice (see `superiority_of`)."""
        total = 2 * len(self._values)
        return JobStage(name=StageName.SUPERIORITY, done=min(self.done, total), total=total)

    def stop(self) -> None:
        """Stop before the next rows."""
        self._stopped.set()

    def run(self) -> SweepSuperiority | None:
        """Return what the test finds; raises Stopped."""
        evaluator, close = Evaluator(self._inputs), self._inputs.bars.close

        def returns_of(rows: NDArray[np.int64]) -> NDArray[np.float64]:
            if self._stopped.is_set():
                raise Stopped
            returns = evaluator.returns(self._values[rows])
            self.done += len(rows)
            return returns

        return superiority_of(returns_of, np.arange(len(self._values)), simple_returns(close, float(close[0])))


def choice_of(overfitting: SweepOverfitting | None, superiority: SweepSuperiority | None) -> SweepChoice | None:
    """Return what the verdict on a row reads of its sweep; None if neither test was made."""
    if overfitting is None and superiority is None:
        return None
    return SweepChoice(
        overfitting_probability=None if overfitting is None else overfitting.pbo,
        superiority_p_value=None if superiority is None else superiority.p_value,
    )


def result_id_of(job_id: str, row: int) -> str:
    """Return the id of a row's stored result: the same in every attempt."""
    return str(uuid.uuid5(uuid.UUID(job_id), str(row)))


def choose_best(table: SweepTable, ranked: NDArray[np.int64], most: int) -> Sequence[int]:
    """Return the places of the best rows with different values: RANDOM can draw a combination twice."""
    found: dict[bytes, int] = {}
    for place in ranked.tolist():
        if len(found) == most:
            break
        found.setdefault(table.values[place].tobytes(), place)
    return tuple(found.values())


def choose_tested(ranked: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return the places of the rows to test, from those that can be the best; `ranked` has the best first.

    They are all of them, or the best half and a sample of the others.
    """
    if len(ranked) <= TESTED_ROWS:
        return np.sort(ranked)
    best = ranked[: TESTED_ROWS // 2]
    others = np.sort(ranked[len(best) :])
    drawn = np.random.Generator(np.random.Philox(seed)).choice(others, TESTED_ROWS - len(best), replace=False)
    return np.sort(np.concatenate((best, drawn)))


def warn_of_failed(table: SweepTable, inputs: SweepInputs) -> tuple[str, ...]:
    """Return how many rows have no figures, and why the first of them has none: it is evaluated once more."""
    failed = np.flatnonzero(np.isnan(table.figure("final_equity")))
    if not failed.size:
        return ()
    first = int(failed[0])
    found = Evaluator(inputs).evaluate(table.values[first : first + 1], first=0, total=1)
    return (
        f"{failed.size} of {len(table)} rows have no figures. The first of them is row {table.numbers[first]}: "
        f"{' '.join(found.failures)}",
    )


def _overfitting_of(
    rows: Sequence[SweepRows], eligible: NDArray[np.int64], bars: int, objective: Objective
) -> SweepOverfitting | None:
    """Return how much the choice among the rows of these numbers is overfitted; rows without sums are left out."""
    sums = np.concatenate([part.block_sums for part in rows])
    squares = np.concatenate([part.block_squares for part in rows])
    kept = np.isin(np.concatenate([part.blocks_of for part in rows]), eligible)
    return overfitting_of(sums[kept], squares[kept], bars // DEFAULT_BLOCKS, objective)


def _write(found: SweepOverfitting | SweepSuperiority | None) -> bytes:
    return json.dumps(None if found is None else asdict(found)).encode()


def _read(kind: type[Found], content: bytes) -> Found | None:
    try:
        fields = json.loads(content)
        return None if fields is None else kind(**fields)
    except (ValueError, TypeError) as error:
        raise UnreadableResult("A stored test of a sweep cannot be read.") from error


def _warn(
    sweep: SweepFinish,
    ranked: NDArray[np.int64],
    tested: NDArray[np.int64],
    overfitting: SweepOverfitting | None,
) -> Iterator[str]:
    """Yield the warnings about the sweep itself; each result has its own."""
    request = sweep.request
    yield from sweep.series.warnings
    if not len(ranked):
        yield (
            f"No row can be the best: none has {request.objective.metric} and at least "
            f"{request.objective.min_trades} closed trades and meets the constraints on metrics."
        )
    if len(tested) < len(ranked):
        yield (
            f"The test against buying and holding took {len(tested)} of {len(ranked)} rows that can be the best: the "
            "best ones, and a sample of the others."
        )
    if overfitting is not None and not follows_from_blocks(request.objective):
        yield (
            f"PBO is that of choosing by {overfitting.criterion}: {request.objective.metric} does not follow from sums "
            "of returns over blocks of bars."
        )
    model = request.backtest.strategy.model
    if model is not None and not model.training.is_declared:
        yield "The model's training window is not declared: rows may be chosen on bars that it was trained on."
