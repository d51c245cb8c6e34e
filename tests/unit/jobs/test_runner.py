"""Jobs in one process: begun, run to their end, failed, and heard of."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading

import pytest

from src.domain.errors import TooLarge
from src.domain.jobs import JobKind, JobOutcome, JobState
from src.jobs.runner import JobRunner
from src.jobs.threads import NICENESS, JobThreads
from src.observing.logs import JsonFormatter
from src.ports.jobs import JobHandle, JobTask
from src.stores.sqlite_jobs import SqliteJobs
from tests.clocks import MovingClock
from tests.jobs import ChunkTask, contents, submit, undisturbed
from tests.unit.jobs.tasks import NEVER, QUICK, MakeRunner, ended


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
