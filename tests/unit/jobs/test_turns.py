"""Jobs of several users take turns."""

from __future__ import annotations

import asyncio

from src.domain.jobs import JobState
from src.jobs.running_job import JobTiming
from src.stores.sqlite_jobs import SqliteJobs
from tests.factories import START_MS
from tests.jobs import LEASE_MS, ChunkTask, contents, submit, undisturbed
from tests.unit.jobs.tasks import Holding, MakeRunner, ended


async def test_jobs_of_two_users_run_in_turn(store: SqliteJobs, make_runner: MakeRunner) -> None:
    jobs = [await submit(store, user_id=user, created_ms=START_MS + i) for user in ("ann", "bob") for i in range(5)]
    task = ChunkTask()
    await make_runner(task).start()
    for job in jobs:
        await ended(store, job.id)
    assert task.users == ["ann", "bob"] * 5


AT_ONCE = JobTiming(lease_ms=LEASE_MS, poll_s=0.01, look_s=0.01, turn_s=0.0)


async def test_running_job_gives_its_turn_back(store: SqliteJobs, make_runner: MakeRunner) -> None:
    jobs = [await submit(store, user_id=user, rows=6, created_ms=START_MS + i) for i, user in enumerate(("ann", "bob"))]
    task = ChunkTask()  # three chunks each
    await make_runner(task, timing=AT_ONCE).start()
    for job in jobs:
        done = await ended(store, job.id)
        assert (done.state, done.done, done.attempt, done.warnings) == (JobState.SUCCEEDED, 6, 1, ())
        assert b"".join(await contents(store, job.id)) == undisturbed(6)
    assert task.users == ["ann", "bob"] * 4  # after the third chunk it is given back too, and concludes in the fourth


async def test_job_alone_keeps_its_turn(store: SqliteJobs, make_runner: MakeRunner) -> None:
    jobs = [await submit(store, rows=6, created_ms=START_MS + number) for number in range(2)]
    task = ChunkTask()
    await make_runner(task, timing=AT_ONCE).start()
    for job in jobs:
        await ended(store, job.id)
    assert task.users == ["ann", "ann"]


async def test_turn_lasts_its_time_after_first_chunk(store: SqliteJobs, make_runner: MakeRunner) -> None:
    jobs = [await submit(store, user_id=user, rows=6, created_ms=START_MS + i) for i, user in enumerate(("ann", "bob"))]
    task = ChunkTask()
    await make_runner(task).start()  # in turns of 10 s
    for job in jobs:
        await ended(store, job.id)
    assert task.users == ["ann", "bob"]


async def test_no_more_jobs_than_workers_run(store: SqliteJobs, make_runner: MakeRunner) -> None:
    jobs = [await submit(store, created_ms=START_MS + number) for number in range(3)]
    task = Holding()
    runner = make_runner(task, workers=2)
    await runner.start()
    await ended(store, jobs[1].id, JobState.RUNNING)
    await asyncio.sleep(0.1)
    assert len(runner._running) == 2
    assert (await store.get(jobs[2].id)).state is JobState.QUEUED
    task.go.set()
    for job in jobs:
        assert (await ended(store, job.id)).state is JobState.SUCCEEDED
