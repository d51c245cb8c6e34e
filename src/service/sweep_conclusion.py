"""Conclude a sweep whose rows are computed: test the choice among them, then run and store the best.

Each finished step is stored at once as a part of the job: a best row with its result, and each of the three tests. An
attempt after a crash continues with the missing ones.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from src.domain.errors import UnreadableResult
from src.domain.jobs import JobPart, JobStage, StageName
from src.domain.judgement import SweepChoice
from src.domain.market import MarketSeries
from src.domain.sweep_outcomes import (
    KeptRow,
    SweepConclusion,
    SweepOverfitting,
    SweepRows,
    SweepSuperiority,
    SweepTiming,
    TimedRows,
)
from src.domain.sweep_rows import SweepInputs
from src.domain.sweeps import Objective, SweepRequest
from src.judgement.overfitting import DEFAULT_BLOCKS
from src.ports.jobs import JobHandle
from src.ports.stores import TrialLedger
from src.service.backtests import BacktestService
from src.service.job_attempts import run_once
from src.service.judging import count_runs, ledger_market
from src.service.sweep_tables import SweepTable, build_table
from src.service.sweep_tests import MarketTest, RowTimingTest, run_test
from src.sweeps.combinations import apply_values, warn_of_excluded
from src.sweeps.estimating import TESTED_ROWS
from src.sweeps.evaluation import Evaluator
from src.sweeps.overfitting import follows_from_blocks, overfitting_of
from src.sweeps.ranking import column_of, rank_rows
from src.sweeps.row_bytes import from_bytes
from src.sweeps.space import build_space
from src.sweeps.stability import parameter_stability

OVERFITTING_PART: Final = "overfitting"
SUPERIORITY_PART: Final = "superiority"
TIMING_PART: Final = "timing"

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
        place = int(ranked[0]) if len(ranked) else None
        best_number = None if place is None else int(table.numbers[place])
        timed = await self._test_timing(table.take(tested), best_number, finished)

        def choice(row: int) -> SweepChoice | None:
            return choice_of(overfitting, superiority, p_value_of(timed, row))

        # The verdicts of the best rows read all tests.
        best = await self._store_best(table, choose_best(table, ranked, request.keep_best), choice, finished)
        ledger = await self.ledger.state(
            user_id=request.user_id, symbol=ledger_market(self.series.bars.symbol, self.series.origin)
        )
        return SweepConclusion(
            bars_fingerprint=self.series.fingerprint(),
            bars=len(self.series.bars),
            combinations=len(table),
            best=best,
            overfitting=overfitting,
            superiority=superiority,
            timing=None if timed is None else timed.timing,
            stability=await handle.compute(parameter_stability, table.values, table.figures, place, request),
            trials=count_runs(ledger),
            warnings=(
                *_warn(self, ranked, tested, overfitting),
                *await handle.compute(warn_of_failed, table, self.inputs),
                *await handle.compute(warn_of_excluded, request),
            ),
        )

    async def _store_best(
        self,
        table: SweepTable,
        places: Sequence[int],
        choice: Callable[[int], SweepChoice | None],
        finished: Mapping[str, bytes],
    ) -> tuple[KeptRow, ...]:
        """Run the best rows by the ordinary pipeline and store their results, the best one last.

        If the user's quota does not hold all of them, the worst ones are dropped. `choice` takes the number of a row
        and returns what its verdict reads of the sweep.
        """
        best = [self._describe(table, place) for place in places]
        for done, kept in enumerate(reversed(best)):
            name = f"best-{kept.row}"
            if name in finished:
                continue
            await self.handle.note(JobStage(name=StageName.BEST, done=done, total=len(best)))
            request = apply_values(self.request.backtest, kept.values)
            await run_once(self.backtests, request, kept.result_id, choice=choice(kept.row))
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
        """Test rows with these values [j, p] against buying and holding."""
        if SUPERIORITY_PART in finished:
            return _read(SweepSuperiority, finished[SUPERIORITY_PART])
        test = MarketTest(self.inputs, values)
        found = await run_test(self.handle, test)
        await self.handle.note(test.stage, JobPart(name=SUPERIORITY_PART, content=_write(found)))
        return found

    async def _test_timing(self, rows: SweepTable, best: int | None, finished: Mapping[str, bytes]) -> TimedRows | None:
        """Test the timing of these rows; `best` is the number of the sweep's best one."""
        if TIMING_PART in finished:
            return read_timing(finished)
        test = RowTimingTest(self.inputs, rows.values, rows.numbers, best)
        found = await run_test(self.handle, test)
        await self.handle.note(test.stage, JobPart(name=TIMING_PART, content=_write(found)))
        return found


def choice_of(
    overfitting: SweepOverfitting | None, superiority: SweepSuperiority | None, timing_p_value: float | None
) -> SweepChoice | None:
    """Return what the verdict on a row reads of its sweep; None if no test was made.

    `timing_p_value` is the row's own (see `p_value_of`).
    """
    if overfitting is None and superiority is None and timing_p_value is None:
        return None
    return SweepChoice(
        overfitting_probability=None if overfitting is None else overfitting.pbo,
        superiority_p_value=None if superiority is None else superiority.p_value,
        timing_p_value=timing_p_value,
    )


def read_timing(parts: Mapping[str, bytes]) -> TimedRows | None:
    """Return the test of the rows' timing from the parts of a sweep's job.

    None if no row could be tested, or an earlier version ended the sweep. Raises UnreadableResult.
    """
    content = parts.get(TIMING_PART)
    try:
        found = None if content is None else json.loads(content)
        if found is None:
            return None
        p_values = {int(row): float(p_value) for row, p_value in found["p_values"].items()}
        return TimedRows(timing=SweepTiming(**found["timing"]), p_values=p_values)
    except (LookupError, AttributeError, ValueError, TypeError) as error:
        raise _unreadable_test() from error


def p_value_of(timed: TimedRows | None, row: int) -> float | None:
    """Return the p-value of the timing of a row, by its number; None if the row was not tested."""
    return None if timed is None else timed.p_values.get(row)


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
    """Return the places of the rows to test among `ranked`, the rows that can be the best, with the best first.

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


def _write(found: SweepOverfitting | SweepSuperiority | TimedRows | None) -> bytes:
    return json.dumps(None if found is None else asdict(found)).encode()


def _read(kind: type[Found], content: bytes) -> Found | None:
    try:
        fields = json.loads(content)
        return None if fields is None else kind(**fields)
    except (ValueError, TypeError) as error:
        raise _unreadable_test() from error


def _unreadable_test() -> UnreadableResult:
    return UnreadableResult("A stored test of a sweep cannot be read.")


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
            f"The tests against buying and holding and of the timing took {len(tested)} of {len(ranked)} rows that can "
            "be the best: the best ones, and a sample of the others."
        )
    if overfitting is not None and not follows_from_blocks(request.objective):
        yield (
            f"PBO is that of choosing by {overfitting.criterion}: {request.objective.metric} does not follow from sums "
            "of returns over blocks of bars."
        )
    model = request.backtest.strategy.model
    if model is not None and not model.training.is_declared:
        yield "The model's training window is not declared: rows may be chosen on bars that it was trained on."
