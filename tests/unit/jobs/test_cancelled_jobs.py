"""Jobs that are cancelled or deleted while they run."""

from __future__ import annotations

import asyncio

from src.domain.jobs import JobState
from src.stores.sqlite_jobs import SqliteJobs
from tests.clocks import MovingClock
from tests.jobs import contents, submit
from tests.unit.jobs.tasks import NEVER, Holding, MakeRunner, ended


async def test_job_cancelled_here_stops_at_once(store: SqliteJobs, make_runner: MakeRunner, clock: MovingClock) -> None:
    job = await submit(store)
    task = Holding()
    runner = make_runner(task, timing=NEVER)
    await runner.start()
    await task.waits.wait()
    assert (await store.cancel(job.id, now_ms=clock.now_ms())).state is JobState.CANCELLING
    runner.cancel(job.id)
    runner.cancel("other")
    cancelled = await ended(store, job.id)
    assert (cancelled.state, task.cancellations) == (JobState.CANCELLED, 1)
    assert await contents(store, job.id) == [b"kept"]


async def test_job_cancelled_elsewhere_stops_soon(
    store: SqliteJobs, make_runner: MakeRunner, clock: MovingClock
) -> None:
    job = await submit(store)
    task = Holding()
    await make_runner(task).start()
    await task.waits.wait()
    await store.cancel(job.id, now_ms=clock.now_ms())
    assert (await ended(store, job.id)).state is JobState.CANCELLED
    assert await contents(store, job.id) == [b"kept"]


async def test_commit_of_cancelled_job_ends_its_task(
    store: SqliteJobs, make_runner: MakeRunner, clock: MovingClock
) -> None:
    job = await submit(store)
    task = Holding()
    await make_runner(task, timing=NEVER).start()
    await task.waits.wait()
    await store.cancel(job.id, now_ms=clock.now_ms())
    task.go.set()
    cancelled = await ended(store, job.id)
    assert (cancelled.state, cancelled.warnings) == (JobState.CANCELLED, ())
    assert await contents(store, job.id) == [b"kept", b"late"]


async def test_deleted_job_stops(store: SqliteJobs, make_runner: MakeRunner, clock: MovingClock) -> None:
    job = await submit(store)
    task = Holding()
    runner = make_runner(task)
    await runner.start()
    await task.waits.wait()
    await store._database.write(("DELETE FROM jobs WHERE id = ?", [(job.id,)]))
    while runner._running:
        await asyncio.sleep(0.005)
    assert task.cancellations == 1
