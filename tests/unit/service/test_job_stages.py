"""Stages of jobs: shown in order with their steps, and left when a job is cancelled."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from src.domain.jobs import JobState, StageName
from src.jobs.runner import JobRunner
from src.jobs.running_job import JobTiming
from src.service import sweep_task, walk_forward_task
from src.stores.sqlite_jobs import SqliteJobs
from src.sweeps.evaluation import Evaluator
from tests.jobs import ENOUGH, make_job
from tests.unit.service.attempts import World, run_undisturbed, small_sweep, small_walk_forward
from tests.unit.service.known_bars import FixedClock
from tests.unit.sweeps.requests import swept

pytestmark = pytest.mark.usefixtures("unseen_steps")


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
