"""Sweeps and walk-forwards whose process dies at each of their writes: the next attempt ends as if undisturbed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.domain.errors import Conflict
from src.domain.exchange_rules import ExchangeRules, Filters
from src.domain.jobs import JobOutcome, JobRequest, JobState, StageName
from src.domain.sweep_outcomes import SweepConclusion
from src.domain.sweeps import Goal, SearchKind, SweepRequest
from src.domain.trading import EngineName, FillTiming, TradingRules
from src.domain.walk_forward import WalkForwardRequest, WindowKind
from src.jobs.runner import JobRunner
from src.jobs.running_job import JobTiming
from src.service import sweep_task, sweep_tests, walk_forward_task
from src.service.backtests import BacktestService
from src.service.sweep_task import SweepTask
from src.service.sweep_threads import ThreadExecutor
from src.service.walk_forward_folds import fold_from_bytes
from src.service.walk_forward_task import WalkForwardTask
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_jobs import SqliteJobs
from src.sweeps.evaluation import Evaluator
from src.sweeps.row_bytes import from_bytes
from tests.equality import assert_identical
from tests.factories import make_market, make_request
from tests.job_attempts import CountingStore, GrowingBars, Killed, StoredJob
from tests.jobs import ENOUGH, make_job
from tests.ledgers import MemoryLedger
from tests.market import random_bars
from tests.unit.service.known_bars import FixedClock, make_service
from tests.unit.sweeps.requests import preset, sweep, swept

BARS = 260
KNOWN = 400
"""Bars that the source has at first, so that those of the request have others before them."""
GROWTH = 7


@dataclass(kw_only=True)
class World:
    """Everything that outlives an attempt."""

    stored: StoredJob
    source: GrowingBars
    backtests: BacktestService
    ledger: MemoryLedger
    store: CountingStore
    task: SweepTask | WalkForwardTask

    @classmethod
    def of(cls, request: JobRequest, bars: int = KNOWN + 20 * GROWTH) -> World:
        source = GrowingBars(random_bars(bars, seed=14), known=KNOWN)
        ledger, store = MemoryLedger(), CountingStore()
        backtests = replace(make_service(source), ledger=ledger, store=store)
        kind = SweepTask if isinstance(request, SweepRequest) else WalkForwardTask
        task = kind(backtests=backtests, ledger=ledger, executor=ThreadExecutor(), max_combinations=10_000)
        return cls(
            stored=StoredJob.of(request), source=source, backtests=backtests, ledger=ledger, store=store, task=task
        )

    async def run(self) -> JobOutcome:
        return await self.task.run(self.stored.begin())

    def rows(self) -> bytes:
        parts = [from_bytes(content) for _, (_, content) in sorted(self.stored.chunks.items())]
        return b"".join(
            np.concatenate([getattr(part, name) for part in parts]).tobytes()
            for name in ("values", "figures", "block_sums", "block_squares")
        )

    def figures(self) -> Mapping[str, object]:
        """What a stored result says that does not depend on when it was made."""
        return {
            name: (result.metrics, result.simulation, result.fingerprints, result.request, result.judgement)
            for name, result in sorted(self.store.results.items())
        }

    def counted(self) -> object:
        [state] = self.ledger.states.values()
        return state.runs, state.total.to_bytes(), state.active.to_bytes(), sorted(self.ledger.keys)


def small_sweep(**others: Any) -> SweepRequest:
    """Six moving averages on the newest bars, a row in each chunk."""
    backtest = make_request(market=make_market(symbol="TESTUSDT", limit=BARS))
    return sweep(swept("fast", 3, 5, 8), swept("slow", 12, 20), backtest=backtest, keep_best=3, **others)


def small_walk_forward() -> WalkForwardRequest:
    return WalkForwardRequest(
        sweep=replace(small_sweep(), keep_best=1), window=WindowKind.ROLLING, train_bars=120, test_bars=60
    )


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a chunk have two rows, however fast they are."""
    own = sweep_task._missing_spans
    pace = sweep_task._Pace(rows=2)
    monkeypatch.setattr(sweep_task, "_missing_spans", lambda stored, total, _: own(stored, total, pace))
    monkeypatch.setattr(sweep_task._Pace, "learn", lambda self, count, seconds: None)


@pytest.fixture(autouse=True)
def unseen_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show no progress within a fold or a test: how many writes that takes depends on the machine."""
    monkeypatch.setattr(sweep_tests, "SHOW_S", 3600.0)
    monkeypatch.setattr(walk_forward_task, "SHOW_S", 3600.0)


REQUESTS = {
    "sweep": small_sweep(),
    "history": replace(
        small_sweep(), backtest=replace(preset("rsi"), market=make_market(symbol="TESTUSDT", limit=BARS)),
        parameters=(swept("length", 7, 14, 21), swept("high", 60, 70)),
    ),
    "walk-forward": small_walk_forward(),
}  # fmt: skip


async def run_undisturbed(request: JobRequest) -> tuple[World, JobOutcome]:
    world = World.of(request)
    return world, await world.run()


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("is_written", [False, True], ids=["before the write", "after it"])
@pytest.mark.parametrize("name", REQUESTS)
async def test_attempt_killed_at_any_write_changes_nothing(name: str, is_written: bool) -> None:
    request = REQUESTS[name]
    whole, expected = await run_undisturbed(request)
    assert whole.store.results
    for number in range(1, whole.stored.writes + 1):
        world = World.of(request)
        world.stored.kill = lambda at, written, number=number: (at, written) == (number, is_written)
        with pytest.raises(Killed):
            await world.run()
        world.stored.kill = lambda at, written: False
        if "bars" in world.stored.parts:
            world.source.known += GROWTH  # else nothing is computed, and newer bars are as good
        found = await world.run()
        assert found == expected, number
        assert_identical(world.figures(), whole.figures())
        assert world.counted() == whole.counted(), number
        assert world.store.refused == 0, "no result is run twice"
        assert world.rows() == whole.rows() if isinstance(request, SweepRequest) else True


@pytest.mark.usefixtures("small_chunks")
async def test_job_killed_at_every_write_ends_as_undisturbed() -> None:
    request = small_sweep()
    whole, expected = await run_undisturbed(request)
    world = World.of(request)
    attempts, survived = 0, {"writes": 0}

    def kill(_: int, is_written: bool) -> bool:
        """Let each attempt live for two writes: the stage that it shows, and the part that it stores."""
        survived["writes"] += is_written
        return is_written and survived["writes"] % 2 == 0

    world.stored.kill = kill
    found = None
    while found is None:
        attempts += 1
        assert attempts < 50, world.stored.stages
        try:
            found = await world.run()
        except Killed:
            world.source.known += 1
    assert attempts >= whole.stored.writes // 2
    assert found == expected
    assert_identical(world.figures(), whole.figures())
    assert world.counted() == whole.counted()


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("goal", Goal)
async def test_sweeps_in_turns_end_as_undisturbed(jobs: SqliteJobs, goal: Goal) -> None:
    """Each is given back after each chunk and each part, and shows the best of all its turns."""
    objective = replace(small_sweep().objective, goal=goal)
    requests = [
        replace(request, backtest=replace(request.backtest, user_id=user), objective=objective)
        for request, user in ((small_sweep(), "ann"), (small_sweep(), "bob"))
    ]
    world, clock = World.of(requests[0]), FixedClock()
    stored = [
        await jobs.submit(make_job(user_id=request.user_id), request, idempotency=None, quota=ENOUGH)
        for request in requests
    ]
    timing = JobTiming(poll_s=0.01, look_s=0.05, turn_s=0.0)
    runner = JobRunner(jobs, clock, {world.task.kind: world.task}, workers=1, threads=2, timing=timing)
    whole, expected = await run_undisturbed(requests[0])
    assert isinstance(expected.conclusion, SweepConclusion)
    begun = 0

    def note(_: str) -> None:
        nonlocal begun
        begun += 1

    runner.on_change(note)
    await runner.start()
    try:
        async with asyncio.timeout(120):
            while not all([(await jobs.get(job.id)).state.is_final for job in stored]):
                await asyncio.sleep(0.02)
    finally:
        await runner.close()
    for job in stored:
        ended = await jobs.get(job.id)
        assert (ended.state, ended.done, ended.attempt) == (JobState.SUCCEEDED, 6, 1)
        assert ended.best_so_far == expected.conclusion.best[0].objective
        contents = [content async for content in jobs.chunks(job.id)]
        spans = await jobs.spans(job.id)
        world.stored.chunks = {span.first: (span, part) for span, part in zip(spans, contents, strict=True)}
        assert world.rows() == whole.rows()
        found = await jobs.read_conclusion(job.id)
        assert isinstance(found, SweepConclusion)
        assert [kept.values for kept in found.best] == [kept.values for kept in expected.conclusion.best]
        assert found.timing is not None
        for name in ("overfitting", "superiority", "timing"):
            assert getattr(found, name) == getattr(expected.conclusion, name)
    assert begun > 2 * 10, "turns changed"
    assert world.store.refused == 0


@pytest.mark.usefixtures("small_chunks")
async def test_rows_of_a_resumed_sweep_are_of_the_same_bars() -> None:
    """Without pinned bars the rows of the second attempt would be of the newest bars, under one conclusion."""
    world = World.of(small_sweep())
    world.stored.kill = lambda at, written: (at, written) == (3, True)
    with pytest.raises(Killed):
        await world.run()
    assert 0 < len(world.stored.chunks) < 3
    world.source.known += GROWTH
    found = await world.run()
    alone, newest = await run_undisturbed(small_sweep()), World.of(small_sweep())
    newest.source.known += GROWTH
    await newest.run()
    assert found == alone[1]
    assert world.rows() != newest.rows()
    times = {(int(result.time_ms[0]), int(result.time_ms[-1])) for result in world.store.results.values()}
    first = world.source.bars.open_time_ms[KNOWN - BARS : KNOWN]
    assert times == {(int(first[0]), int(first[-1]))}


@pytest.mark.usefixtures("small_chunks")
async def test_rows_of_a_resumed_sweep_have_the_same_filters() -> None:
    """The exchange may change its steps between two attempts, and a best row is run after all rows."""
    rules = TradingRules(fill=FillTiming.NEXT_OPEN, exchange=ExchangeRules(filters=Filters.EXCHANGE))
    request = small_sweep()
    backtest = replace(request.backtest, rules=rules, engine=EngineName.EVENT_DRIVEN)
    world = World.of(replace(request, backtest=backtest))
    world.source.filters = ExchangeRules(step_size=0.5, min_notional=10.0)
    world.stored.kill = lambda at, written: (at, written) == (3, True)
    with pytest.raises(Killed):
        await world.run()
    world.source.filters = ExchangeRules(step_size=40.0, tick_size=1.0)
    await world.run()
    exchanges = {result.request.rules.exchange for result in world.store.results.values()}
    assert exchanges == {ExchangeRules(step_size=0.5, min_notional=10.0)}
    quantities = [result.simulation.fills["quantity"] for result in world.store.results.values()]
    assert all((2 * one % 1 == 0).all() for one in quantities)


async def test_warm_up_of_windows_is_pinned_with_their_bars() -> None:
    """Each training window reads as many bars before it as the slowest row needs, also in a later attempt."""
    whole, _ = await run_undisturbed(small_walk_forward())
    world = World.of(small_walk_forward())
    world.stored.kill = lambda at, written: (at, written) == (2, True)
    with pytest.raises(Killed):
        await world.run()
    world.source.known += GROWTH
    await world.run()
    folds = [
        [fold_from_bytes(content) for _, (_, content) in sorted(one.stored.chunks.items())] for one in (world, whole)
    ]
    assert folds[0] == folds[1]
    assert len(folds[0]) == (BARS - 120) // 60
    [result] = world.store.results.values()
    assert result.warm_up_bars == 20, "the slow mean's bars before the first test"
    assert result.request.pinned_warm_up_bars == 20


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("request_", [small_sweep(), small_walk_forward()], ids=["sweep", "walk-forward"])
async def test_changed_bars_refuse_to_continue(request_: JobRequest) -> None:
    world = World.of(request_)
    world.stored.kill = lambda at, written: (at, written) == (3, True)
    with pytest.raises(Killed):
        await world.run()
    world.source.change_close(KNOWN - 9)
    with pytest.raises(Conflict, match="have changed since it was begun"):
        await world.run()


async def test_stages_are_shown_in_order_with_their_steps() -> None:
    world, _ = await run_undisturbed(small_sweep())
    shown = [(stage.name, stage.done, stage.total) for stage in world.stored.stages]
    assert shown[:2] == [(StageName.OVERFITTING, 0, 1), (StageName.OVERFITTING, 1, 1)]
    assert shown[2] == (StageName.SUPERIORITY, 0, 12)
    assert shown[3:6] == [
        (StageName.SUPERIORITY, 12, 12), (StageName.TIMING, 0, 12), (StageName.TIMING, 12, 12),
    ]  # fmt: skip
    assert len(shown) == 6 + 6
    assert shown[-6:] == [(StageName.BEST, done, 3) for done in (0, 1, 1, 2, 2, 3)]
    walked, _ = await run_undisturbed(small_walk_forward())
    assert [(stage.name, stage.done) for stage in walked.stored.stages] == [
        (StageName.RESULT, 0),
        (StageName.RESULT, 1),
    ]


async def test_walk_forward_shows_rows_of_its_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk_forward_task, "SHOW_S", 0.001)
    monkeypatch.setattr(walk_forward_task, "MAX_ROWS_AT_ONCE", 2)
    own = Evaluator.evaluate

    def evaluate(*arguments: Any, **named: Any) -> Any:
        time.sleep(0.05)
        return own(*arguments, **named)

    monkeypatch.setattr(Evaluator, "evaluate", evaluate)
    world, _ = await run_undisturbed(small_walk_forward())
    shown = [(stage.done, stage.total) for stage in world.stored.stages if stage.name is StageName.TRAINING]
    assert shown[0] == (0, 6)
    assert {(2, 6), (4, 6)} & set(shown)
    assert {progress.total for progress in world.stored.progress} == {2}
    assert world.stored.progress[0].rate is None
    rates = [progress.rate for progress in world.stored.progress if progress.rate is not None]
    assert rates and all(0 < rate < 2 / 0.1 for rate in rates)


async def test_best_row_is_stored_last() -> None:
    """A quota below `keep_best` deletes the oldest results: those of the worst rows."""
    world, outcome = await run_undisturbed(small_sweep())
    assert isinstance(outcome.conclusion, SweepConclusion)
    assert list(world.store.results) == [kept.result_id for kept in reversed(outcome.conclusion.best)]


async def test_random_repeats_are_one_row_of_the_best() -> None:
    request = small_sweep(kind=SearchKind.RANDOM, max_trials=60, seed=3)
    world, outcome = await run_undisturbed(replace(request, keep_best=10))
    conclusion = outcome.conclusion
    assert isinstance(conclusion, SweepConclusion)
    assert conclusion.combinations == 60
    values = [tuple(kept.values.items()) for kept in conclusion.best]
    assert len(values) == len(set(values)) == 6, "60 draws of 6 combinations"
    assert len(world.store.results) == 6
    objectives = [kept.objective for kept in conclusion.best]
    assert objectives == sorted(objectives, reverse=True)
    assert world.ledger.keys and len(world.ledger.keys) == 6


class SlowRows:
    """Makes each call of a method of `Evaluator` take a while, and counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.calls = 0
        own = getattr(Evaluator, name)

        def compute(evaluator: Evaluator, values: Any) -> Any:
            self.calls += 1
            time.sleep(0.3)
            return own(evaluator, values)

        monkeypatch.setattr(Evaluator, name, compute)


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[SqliteJobs]:
    database = SqliteDatabase(tmp_path / "results.sqlite3")
    yield SqliteJobs(database)
    await database.close()


@pytest.mark.parametrize(("stage", "name"), [(StageName.SUPERIORITY, "returns"), (StageName.TIMING, "exposures")])
async def test_job_cancelled_in_a_test_of_rows_stops(
    jobs: SqliteJobs, monkeypatch: pytest.MonkeyPatch, stage: StageName, name: str
) -> None:
    rows = SlowRows(monkeypatch, name)
    monkeypatch.setattr(sweep_task, "FIRST_CHUNK", 2000)
    monkeypatch.setattr(sweep_task, "MAX_CHUNK", 2000)
    request = small_sweep()
    request = replace(
        request,
        keep_best=1,
        parameters=(swept("fast", start=2, end=41, step=1), swept("slow", start=42, end=61, step=1)),
    )
    world, clock = World.of(request), FixedClock()
    job = await jobs.submit(make_job(user_id=request.user_id), request, idempotency=None, quota=ENOUGH)
    runner = JobRunner(jobs, clock, {world.task.kind: world.task}, workers=1, threads=1, timing=JobTiming(look_s=0.05))
    await runner.start()
    try:
        async with asyncio.timeout(60):
            while (found := await jobs.get(job.id)).stage is None or found.stage.name is not stage:
                assert not found.state.is_final, found
                await asyncio.sleep(0.01)
            while not rows.calls:
                await asyncio.sleep(0.01)
        assert found.stage.total == 2 * 800
        await jobs.cancel(job.id, now_ms=clock.now_ms())
        before = rows.calls
        async with asyncio.timeout(2):
            while not (found := await jobs.get(job.id)).state.is_final:
                await asyncio.sleep(0.01)
            # The one thread of jobs is free again: it is not busy with the rest of the 26 calls.
            await runner._threads.run(int)
        assert found.state is JobState.CANCELLED
        assert found.done == 800, "its rows are kept"
        assert rows.calls <= before + 1
    finally:
        await runner.close()
