"""Jobs that are renewed, given back, or lost to another process."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import src.jobs.runner as runner_module
from src.domain.jobs import JobKind, JobOutcome, JobState
from src.jobs.runner import JobRunner
from src.jobs.running_job import JobTiming
from src.ports.jobs import JobHandle
from src.stores.sqlite_jobs import SqliteJobs
from tests.clocks import MovingClock
from tests.jobs import LEASE_MS, ChunkTask, contents, lease, submit, undisturbed
from tests.unit.jobs.tasks import NEVER, QUICK, Failing, Holding, MakeRunner, ended


async def test_stopping_process_gives_its_job_back(store: SqliteJobs, make_runner: MakeRunner) -> None:
    job = await submit(store, rows=40)
    task = ChunkTask(pause_s=0.01)
    runner = make_runner(task)
    await runner.start()
    while not await store.spans(job.id):
        await asyncio.sleep(0.005)
    runner.start_draining()
    given = await ended(store, job.id, JobState.QUEUED)
    assert (given.attempt, given.done > 0) == (0, True)
    await runner.close()
    await runner.start()
    assert (await store.get(job.id)).state is JobState.QUEUED
    await make_runner(ChunkTask(chunk_rows=7)).start()
    done = await ended(store, job.id)
    assert (done.state, done.done, done.attempt) == (JobState.SUCCEEDED, 40, 1)
    assert b"".join(await contents(store, job.id)) == undisturbed(40)


async def test_close_does_not_wait_for_a_busy_thread(
    store: SqliteJobs, make_runner: MakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "_CLOSE_S", 30.0)  # a busy machine may take long to write the job back
    released = threading.Event()

    class Busy:
        kind = JobKind.SWEEP

        async def run(self, handle: JobHandle) -> JobOutcome:
            await handle.compute(released.wait, 60)
            return JobOutcome()

    job = await submit(store)
    runner = make_runner(Busy())
    await runner.start()
    await ended(store, job.id, JobState.RUNNING)
    await runner.close()
    assert (await store.get(job.id)).state is JobState.QUEUED
    released.set()


async def test_lease_is_renewed_while_a_task_computes(
    store: SqliteJobs, make_runner: MakeRunner, clock: MovingClock
) -> None:
    job = await submit(store)
    task = Holding()
    timing = JobTiming(lease_ms=60, poll_s=3600.0, look_s=0.01)
    await make_runner(task, timing=timing).start()
    await task.waits.wait()
    for _ in range(5):
        clock.moment_ms += 50
        expires_ms = clock.moment_ms + 60
        while not await store._database.read("SELECT 1 FROM jobs WHERE lease_expires_ms = ?", [expires_ms]):
            await asyncio.sleep(0.005)
    assert await store.lease(holder="other", now_ms=clock.moment_ms, duration_ms=60) is None
    task.go.set()
    assert (await ended(store, job.id)).attempt == 1


@pytest.mark.parametrize("timing", [QUICK, NEVER])
async def test_lost_job_is_left_alone(
    store: SqliteJobs, make_runner: MakeRunner, clock: MovingClock, timing: JobTiming
) -> None:
    job = await submit(store)
    task = Holding()
    runner = make_runner(task, timing=timing)
    await runner.start()
    await task.waits.wait()
    clock.moment_ms += 2 * LEASE_MS
    other = await lease(store, clock.moment_ms, holder="other")
    if timing is QUICK:  # it sees at its next look for the job's lease
        runner._running[job.id]._renew_at_s = 0.0
    else:  # it sees at its next commit
        task.go.set()
    while runner._running:
        await asyncio.sleep(0.005)
    assert await contents(store, job.id) == [b"kept"]
    assert (await store.get(job.id)).state is JobState.RUNNING
    assert (await store.end(other, JobState.SUCCEEDED, now_ms=clock.moment_ms)).attempt == 2


async def test_hidden_loss_of_a_lease_is_no_error(
    store: SqliteJobs, make_runner: MakeRunner, clock: MovingClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Grouping(Holding):
        async def run(self, handle: JobHandle) -> JobOutcome:
            async with asyncio.TaskGroup() as group:
                group.create_task(super().run(handle))
            raise AssertionError

    job = await submit(store)
    task = Grouping()
    runner = make_runner(task, timing=NEVER)
    await runner.start()
    await task.waits.wait()
    clock.moment_ms += 2 * LEASE_MS
    await lease(store, clock.moment_ms, holder="other")
    task.go.set()
    while runner._running:
        await asyncio.sleep(0.005)
    assert f"job lost to another process: id={job.id}" in caplog.text
    assert "unexpected" not in caplog.text


async def test_job_taken_while_draining_begins_is_given_back(store: SqliteJobs, clock: MovingClock) -> None:
    class Draining(Failing):
        def __getattr__(self, name: str) -> Any:
            if name == "read_request":
                runner.start_draining()
            return super().__getattr__(name)

    job = await submit(store)
    over: Any = Draining(store, "", 0)
    runner = JobRunner(over, clock, {JobKind.SWEEP: Holding()}, workers=1, threads=1, timing=NEVER)
    await runner.start()
    while not runner._is_draining:
        await asyncio.sleep(0.005)
    given = await ended(store, job.id, JobState.QUEUED)
    assert given.attempt == 0
    await runner.close()


@pytest.mark.parametrize("method", ["lease", "commit", "end", "renew", "get_many", "is_turn_over"])
async def test_job_survives_a_store_that_is_away(store: SqliteJobs, make_runner: MakeRunner, method: str) -> None:
    job = await submit(store, rows=6)
    over = Failing(store, method, 2)
    timing = JobTiming(lease_ms=15 if method == "renew" else LEASE_MS, poll_s=0.01, look_s=0.01, turn_s=0.0)
    await make_runner(ChunkTask(pause_s=0.05), over=over, timing=timing).start()
    done = await ended(store, job.id)
    assert (done.state, done.done, done.attempt, over.left) == (JobState.SUCCEEDED, 6, 1, 0)
