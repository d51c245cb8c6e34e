"""Check jobs under real processes: killed at random moments, frozen past their lease, cancelled from another one."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from src.bars.clock import SystemClock
from src.domain.jobs import Job, JobState
from src.ports.jobs import JobStore
from tests.factories import START_MS
from tests.job_worker import JobWorkers, running_workers
from tests.jobs import contents, lease, open_job_store, submit, undisturbed
from tests.mongo_server import backend_uri
from tests.thoroughness import often

KILLS = often(6, 20)
KILLS_PER_JOB = 3
ROWS = 100
CHUNK_S = 0.05
LEASE_MS = 400
PATIENCE_S = 120.0
POLL_S = 0.02


@pytest.fixture(params=["sqlite", "mongo"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "results.sqlite3")
    return f"{os.environ.get('MONGODB_TEST_URI') or backend_uri()}#test_{uuid.uuid4().hex}"


@pytest.fixture
async def store(place: str) -> AsyncIterator[JobStore]:
    opened, database = open_job_store(place)
    yield opened
    await database.close()


@pytest.fixture
def workers(place: str, tmp_path: Path) -> Iterator[JobWorkers]:
    with running_workers(place, tmp_path) as running:
        yield running


async def until(store: JobStore, job_id: str, condition: Callable[[Job], bool]) -> Job:
    async with asyncio.timeout(PATIENCE_S):
        while not condition(job := await store.get(job_id)):
            await asyncio.sleep(POLL_S)
    return job


async def check_whole(store: JobStore, job: Job) -> None:
    assert (job.state, job.done) == (JobState.SUCCEEDED, ROWS)
    spans = await store.spans(job.id)
    assert sum(span.count for span in spans) == ROWS
    assert b"".join(await contents(store, job.id)) == undisturbed(ROWS)


async def test_killed_jobs_end_as_if_undisturbed(store: JobStore, workers: JobWorkers) -> None:
    moments = random.Random(14)
    kills = 0
    results = set()
    while kills < KILLS:
        job = await submit(store, rows=ROWS)
        of_this_job = min(KILLS_PER_JOB, KILLS - kills)
        for attempt in range(1, of_this_job + 1):
            pid = workers.start(lease_ms=LEASE_MS, pause_s=CHUNK_S)
            await until(store, job.id, lambda job, attempt=attempt: job.attempt == attempt)
            await asyncio.sleep(moments.random() * 3 * CHUNK_S)
            workers.kill(pid)
            assert (await store.get(job.id)).state is JobState.RUNNING
        kills += of_this_job
        pid = workers.start(lease_ms=LEASE_MS, pause_s=CHUNK_S)
        done = await until(store, job.id, lambda job: job.state.is_final)
        workers.kill(pid)
        assert done.attempt == of_this_job + 1
        await check_whole(store, done)
        results.add(done.result_id)
    undisturbed_job = await submit(store, rows=ROWS)
    workers.start(lease_ms=60_000, pause_s=0.0)
    done = await until(store, undisturbed_job.id, lambda job: job.state.is_final)
    assert done.attempt == 1
    assert results == {done.result_id}


async def test_frozen_process_wakes_and_writes_nothing(store: JobStore, workers: JobWorkers) -> None:
    job = await submit(store, rows=ROWS)
    frozen = workers.start(lease_ms=1000, pause_s=CHUNK_S)
    await until(store, job.id, lambda job: job.done > 4)
    os.kill(frozen, signal.SIGSTOP)
    workers.start(lease_ms=60_000, pause_s=0.2)
    before = await until(store, job.id, lambda job: job.attempt == 2)
    os.kill(frozen, signal.SIGCONT)
    async with asyncio.timeout(PATIENCE_S):
        while "job lost to another process" not in workers.log(frozen):
            await asyncio.sleep(0.005)
    during = await store.get(job.id)
    assert (during.state, during.attempt) == (JobState.RUNNING, 2)
    assert during.done >= before.done
    await check_whole(store, await until(store, job.id, lambda job: job.state.is_final))


async def test_cancelled_job_stops_and_keeps_rows(store: JobStore, workers: JobWorkers) -> None:
    job = await submit(store, rows=ROWS)
    workers.start(lease_ms=60_000, pause_s=0.5)
    seen = await until(store, job.id, lambda job: job.done >= 2)
    asked_s = time.monotonic()
    assert (await store.cancel(job.id, now_ms=SystemClock().now_ms())).state is JobState.CANCELLING
    cancelled = await until(store, job.id, lambda job: job.state is not JobState.CANCELLING)
    print(f"stopped after {time.monotonic() - asked_s:.2f} s")
    assert cancelled.state is JobState.CANCELLED
    assert cancelled.done <= seen.done + 4, "at most the chunk in progress, and the next"
    assert b"".join(await contents(store, job.id)) == undisturbed(cancelled.done)


async def test_two_processes_share_jobs_without_repeating_any(store: JobStore, workers: JobWorkers) -> None:
    jobs = [await submit(store, rows=6, created_ms=START_MS + number) for number in range(30)]
    pids = [workers.start(lease_ms=60_000, pause_s=0.01) for _ in range(2)]
    for job in jobs:
        done = await until(store, job.id, lambda job: job.state.is_final)
        assert (done.state, done.attempt, done.done) == (JobState.SUCCEEDED, 1, 6)
    lines = [line for pid in pids for line in workers.log(pid).splitlines() if "job begun" in line]
    begun = [line.partition("id=")[2].partition(" ")[0] for line in lines]
    assert sorted(begun) == sorted(job.id for job in jobs)


async def test_two_users_with_fifty_jobs_alternate(store: JobStore) -> None:
    for user in ("ann", "bob"):
        for number in range(50):
            await submit(store, user_id=user, created_ms=START_MS + number)
    order = []
    for _ in range(100):
        held = await lease(store)
        order.append(held.job.user_id)
        await store.end(held, JobState.SUCCEEDED, now_ms=START_MS)
    assert order == ["ann", "bob"] * 50
