"""Jobs in one process: begun, renewed, cancelled, given back, failed, and left to another process."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from src.domain.errors import StoreUnavailable, TooLarge
from src.domain.jobs import ChunkSpan, Job, JobKind, JobOutcome, JobState
from src.jobs.runner import JobRunner
from src.jobs.running_job import JobTiming
from src.jobs.threads import NICENESS, JobThreads
from src.observing.logs import JsonFormatter
from src.ports.jobs import JobHandle, JobTask
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_jobs import SqliteJobs
from tests.clocks import MovingClock
from tests.factories import START_MS
from tests.jobs import LEASE_MS, PROGRESS, ChunkTask, contents, lease, submit, undisturbed

QUICK = JobTiming(lease_ms=LEASE_MS, poll_s=0.01, look_s=0.01)
NEVER = JobTiming(lease_ms=LEASE_MS, poll_s=3600.0, look_s=3600.0)
"""A runner that asks for nothing by itself."""

MakeRunner = Callable[..., JobRunner]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteJobs]:
    database = SqliteDatabase(tmp_path / "results.sqlite3")
    yield SqliteJobs(database)
    await database.close()


@pytest.fixture
def clock() -> MovingClock:
    return MovingClock(START_MS)


@pytest.fixture
async def make_runner(store: SqliteJobs, clock: MovingClock) -> AsyncIterator[MakeRunner]:
    made = []

    def make(task: JobTask, *, workers: int = 1, timing: JobTiming = QUICK, over: Any = store) -> JobRunner:
        made.append(JobRunner(over, clock, {task.kind: task}, workers=workers, threads=2, timing=timing))
        return made[-1]

    yield make
    for runner in made:
        await runner.close()


async def ended(store: SqliteJobs, job_id: str, state: JobState | None = None) -> Job:
    """Wait until a job has ended, or has this state."""
    async with asyncio.timeout(60):
        while True:
            job = await store.get(job_id)
            if job.state is state or (state is None and job.state.is_final):
                return job
            await asyncio.sleep(0.005)


class Holding:
    """A task that commits one chunk and then waits until it is let go, or cancelled."""

    kind = JobKind.SWEEP

    def __init__(self) -> None:
        self.waits, self.go = asyncio.Event(), asyncio.Event()
        self.cancellations = 0

    async def run(self, handle: JobHandle) -> JobOutcome:
        await handle.commit(ChunkSpan(first=0, count=1), b"kept", PROGRESS)
        self.waits.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancellations += 1
            raise
        await handle.commit(ChunkSpan(first=1, count=1), b"late", PROGRESS)
        return JobOutcome(warnings=("let go",))


class Raising:
    kind = JobKind.SWEEP

    def __init__(self, error: BaseException) -> None:
        self.error = error

    async def run(self, _: JobHandle) -> JobOutcome:
        raise self.error


async def test_queued_job_runs_to_its_end(store: SqliteJobs, make_runner: MakeRunner) -> None:
    job = await submit(store, rows=9)
    await make_runner(ChunkTask()).start()
    done = await ended(store, job.id)
    assert (done.state, done.done, done.total, done.attempt) == (JobState.SUCCEEDED, 9, 9, 1)
    assert b"".join(await contents(store, job.id)) == undisturbed(9)


async def test_woken_runner_takes_job_at_once(store: SqliteJobs, make_runner: MakeRunner) -> None:
    runner = make_runner(ChunkTask(), timing=NEVER)
    await runner.start()
    while runner._woken.is_set():
        await asyncio.sleep(0)
    job = await submit(store)
    runner.wake()
    assert (await ended(store, job.id)).state is JobState.SUCCEEDED


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


@pytest.mark.parametrize("workers", [0, 1])
async def test_process_without_workers_or_tasks_takes_nothing(
    store: SqliteJobs, clock: MovingClock, workers: int
) -> None:
    job = await submit(store)
    tasks: dict[JobKind, JobTask] = {} if workers else {JobKind.SWEEP: ChunkTask()}
    runner = JobRunner(store, clock, tasks, workers=workers, threads=1, timing=QUICK)
    await runner.start()
    runner.wake()
    await asyncio.sleep(0.1)
    assert (await store.get(job.id)).state is JobState.QUEUED
    await runner.close()


async def test_service_error_fails_the_job_with_its_text(store: SqliteJobs, make_runner: MakeRunner) -> None:
    job = await submit(store)
    await make_runner(Raising(TooLarge("{count} rows are too many.", count=7))).start()
    failed = await ended(store, job.id)
    assert failed.failure is not None
    assert (failed.state, failed.failure.code) == (JobState.FAILED, "TOO_LARGE")
    assert failed.failure.message == "7 rows are too many."


@pytest.mark.parametrize("error", [KeyError("secret"), asyncio.CancelledError()])
async def test_unexpected_error_shows_only_its_id(
    store: SqliteJobs, make_runner: MakeRunner, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    job = await submit(store)
    with caplog.at_level(logging.ERROR):
        await make_runner(Raising(error)).start()
        failed = await ended(store, job.id)
    assert failed.failure is not None
    assert failed.failure.code == "INTERNAL_ERROR"
    assert "secret" not in failed.failure.message
    error_id = failed.failure.message.removesuffix(").").rpartition(" ")[2]
    assert f"error_id={error_id} job={job.id}" in caplog.text


async def test_job_of_unknown_kind_fails(store: SqliteJobs, make_runner: MakeRunner) -> None:
    job = await submit(store, kind=JobKind.WALK_FORWARD)
    await make_runner(ChunkTask()).start()
    failed = await ended(store, job.id)
    assert failed.failure is not None
    assert failed.failure.message == "This version of the service runs no jobs of kind WALK_FORWARD."


async def test_job_with_unreadable_request_fails(store: SqliteJobs, make_runner: MakeRunner) -> None:
    job = await submit(store)
    await store._database.write(("UPDATE job_documents SET content = x'00'", [()]))
    await make_runner(ChunkTask()).start()
    failed = await ended(store, job.id)
    assert failed.failure is not None
    assert failed.failure.code == "STORE_UNAVAILABLE"


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


async def test_close_does_not_wait_for_a_busy_thread(store: SqliteJobs, make_runner: MakeRunner) -> None:
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


class Failing:
    """A store that cannot be used for the first calls of one method."""

    def __init__(self, store: SqliteJobs, method: str, times: int) -> None:
        self._store, self._method, self.left = store, method, times

    def __getattr__(self, name: str) -> Any:
        if name == self._method and self.left:
            self.left -= 1
            return self._fail
        return getattr(self._store, name)

    async def _fail(self, *_: object, **__: object) -> Any:
        raise StoreUnavailable("The result store cannot be used: another process holds it locked.")


@pytest.mark.parametrize("method", ["lease", "commit", "end", "renew", "get_many", "is_turn_over"])
async def test_job_survives_a_store_that_is_away(store: SqliteJobs, make_runner: MakeRunner, method: str) -> None:
    job = await submit(store, rows=6)
    over = Failing(store, method, 2)
    timing = JobTiming(lease_ms=15 if method == "renew" else LEASE_MS, poll_s=0.01, look_s=0.01, turn_s=0.0)
    await make_runner(ChunkTask(pause_s=0.05), over=over, timing=timing).start()
    done = await ended(store, job.id)
    assert (done.state, done.done, done.attempt, over.left) == (JobState.SUCCEEDED, 6, 1, 0)


async def test_listeners_hear_of_every_change(store: SqliteJobs, make_runner: MakeRunner) -> None:
    heard: list[str] = []
    runner = make_runner(ChunkTask())
    runner.on_change(heard.append)
    job = await submit(store, rows=4)
    await runner.start()
    await ended(store, job.id)
    while runner._running:
        await asyncio.sleep(0.005)
    assert heard == [job.id] * 4  # begun, two chunks, ended


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a priority belongs to the process")
async def test_threads_of_jobs_give_way() -> None:
    def priority() -> tuple[int, str]:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), threading.current_thread().name

    threads = JobThreads(2)
    here, _ = priority()
    niceness, name = await threads.run(priority)
    assert niceness == min(19, here + NICENESS) if here == 0 else niceness >= here
    assert name.startswith("job")
    assert priority()[0] == here
    threads.close()


class Telling:
    """A task that logs from itself and from a thread."""

    kind = JobKind.SWEEP

    async def run(self, handle: JobHandle) -> JobOutcome:
        logging.getLogger("src.task").warning("from the task")
        await handle.compute(logging.getLogger("src.task").warning, "from a thread")
        return JobOutcome()


async def test_lines_of_a_job_hold_its_id(store: SqliteJobs, make_runner: MakeRunner) -> None:
    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(JsonFormatter().format(record)))

    lines: list[dict[str, str]] = []
    job, handler = await submit(store), Lines()
    logging.getLogger("src.task").addHandler(handler)
    try:
        await make_runner(Telling()).start()
        await ended(store, job.id)
    finally:
        logging.getLogger("src.task").removeHandler(handler)
    assert [(line["message"], line["job_id"], line["user"]) for line in lines] == [
        ("from the task", job.id, job.user_id),
        ("from a thread", job.id, job.user_id),
    ]
