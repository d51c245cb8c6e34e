"""Sweeps and walk-forwards whose process dies at each of their writes: the next attempt ends as if undisturbed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from src.domain.jobs import JobState
from src.domain.sweep_outcomes import SweepConclusion
from src.domain.sweeps import Goal, SweepRequest
from src.jobs.runner import JobRunner
from src.jobs.running_job import JobTiming
from src.stores.sqlite_jobs import SqliteJobs
from tests.equality import assert_identical
from tests.factories import make_market
from tests.job_attempts import Killed
from tests.jobs import ENOUGH, make_job
from tests.unit.service.attempts import BARS, GROWTH, World, run_undisturbed, small_sweep, small_walk_forward
from tests.unit.service.known_bars import FixedClock
from tests.unit.sweeps.requests import preset, swept

pytestmark = pytest.mark.usefixtures("unseen_steps")

REQUESTS = {
    "sweep": small_sweep(),
    "history": replace(
        small_sweep(), backtest=replace(preset("rsi"), market=make_market(symbol="TESTUSDT", limit=BARS)),
        parameters=(swept("length", 7, 14, 21), swept("high", 60, 70)),
    ),
    "walk-forward": small_walk_forward(),
}  # fmt: skip


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
