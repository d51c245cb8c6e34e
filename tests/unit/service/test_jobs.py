"""The use cases of jobs: who may change one, equal requests, and following a job to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from src.domain.errors import Conflict, InvalidInput, JobNotFound, StoreUnavailable
from src.domain.jobs import Job, JobState
from src.ports.jobs import JobStore
from src.service.job_watch import JobWatch
from src.service.jobs import JobService, digest_request
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_jobs import SqliteJobs
from src.strategies.crossover import CrossoverParams
from src.strategies.ema_crossover import EmaCrossoverParams
from tests.clocks import FixedClock
from tests.factories import START_MS, make_request
from tests.jobs import ENOUGH, commit, lease, make_sweep


class Workers:
    """The running jobs of a process, by hand."""

    def __init__(self) -> None:
        self.woken = 0
        self.cancelled: list[str] = []
        self.listeners: list[Callable[[str], None]] = []

    def wake(self) -> None:
        self.woken += 1

    def cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)

    def on_change(self, listener: Callable[[str], None]) -> None:
        self.listeners.append(listener)


class CountingStore:
    """A store that counts how often it is asked for watched jobs, and can be away."""

    def __init__(self, store: SqliteJobs) -> None:
        self.store = store
        self.asked: list[Sequence[str]] = []
        self.is_away = False

    async def get_many(self, job_ids: Sequence[str]) -> Mapping[str, Job]:
        self.asked.append(list(job_ids))
        if self.is_away:
            raise StoreUnavailable("away")
        return await self.store.get_many(job_ids)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[CountingStore]:
    database = SqliteDatabase(tmp_path / "results.sqlite3")
    yield CountingStore(SqliteJobs(database))
    await database.close()


@pytest.fixture
def workers() -> Workers:
    return Workers()


@pytest.fixture
async def watch(store: CountingStore) -> AsyncIterator[JobWatch]:
    made = JobWatch(cast("JobStore", store), poll_s=0.01)
    yield made
    await made.close()


@pytest.fixture
def jobs(store: CountingStore, workers: Workers, watch: JobWatch) -> JobService:
    clock = FixedClock(START_MS)
    return JobService(store=cast("JobStore", store), workers=workers, watch=watch, clock=clock, quota=ENOUGH)


async def test_submitted_job_wakes_this_process(jobs: JobService, workers: Workers) -> None:
    job = await jobs.submit(make_sweep())
    assert (job.state, job.user_id, job.created_ms) == (JobState.QUEUED, "ann", START_MS)
    assert await jobs.get(job.id) == job
    assert await jobs.read_request(job.id) == make_sweep()
    assert workers.woken == 1
    assert (await jobs.list(user_id="ann", first=10)).jobs == (job,)
    assert (await jobs.list(user_id="bob", first=10)).jobs == ()


async def test_equal_key_and_request_are_one_job(jobs: JobService) -> None:
    job = await jobs.submit(make_sweep(), idempotency_key="k")
    assert await jobs.submit(make_sweep(), idempotency_key="k") == job
    with pytest.raises(Conflict):
        await jobs.submit(make_sweep(5), idempotency_key="k")
    for key in ("", "x" * 129, "a\nb", "\ud800"):
        with pytest.raises(InvalidInput, match="idempotencyKey"):
            await jobs.submit(make_sweep(), idempotency_key=key)


def test_digest_names_types_and_values() -> None:
    request = make_request()
    digests = {
        digest_request(changed)
        for changed in (
            request,
            make_request(user_id="bob"),
            make_request(strategy=CrossoverParams(fast=21)),
            make_request(strategy=EmaCrossoverParams()),
            make_sweep(),
            make_sweep(5),
        )
    }
    assert len(digests) == 6
    assert digest_request(make_request()) == digest_request(request)


async def test_other_users_cannot_change_a_job(jobs: JobService, workers: Workers) -> None:
    job = await jobs.submit(make_sweep())
    for change in (jobs.cancel, jobs.resume, jobs.delete):
        with pytest.raises(JobNotFound):
            await change(job.id, user_id="bob")
        with pytest.raises(InvalidInput):
            await change(job.id, user_id="../ann")
        with pytest.raises(JobNotFound):
            await change("other", user_id="ann")
    assert await jobs.get(job.id) == job
    assert workers.cancelled == []


async def test_user_cancels_resumes_and_deletes_a_job(jobs: JobService, workers: Workers) -> None:
    job = await jobs.submit(make_sweep())
    assert (await jobs.cancel(job.id, user_id="ann")).state is JobState.CANCELLED
    assert workers.cancelled == [job.id]
    assert (await jobs.resume(job.id, user_id="ann")).state is JobState.QUEUED
    assert workers.woken == 2
    await jobs.delete(job.id, user_id="ann")
    with pytest.raises(JobNotFound):
        await jobs.get(job.id)


async def test_unreadable_job_is_deleted_by_its_user(jobs: JobService, store: CountingStore) -> None:
    job = await jobs.submit(make_sweep())
    await store.store._database.write(("UPDATE jobs SET kind = 'DANCE'", [()]))
    with pytest.raises(JobNotFound):
        await jobs.delete(job.id, user_id="bob")
    await jobs.delete(job.id, user_id="ann")
    assert (await jobs.list(user_id="ann", first=10)).warnings == ()


async def test_watcher_sees_changes_until_the_end(jobs: JobService, store: CountingStore) -> None:
    job = await jobs.submit(make_sweep())
    seen = []
    async for state in jobs.watch(job.id):
        seen.append(state)
        if state.state is JobState.QUEUED:
            held = await lease(store)
        elif state.done == 0:
            await commit(store, held, 0)
        elif not state.state.is_final:
            await store.end(held, JobState.SUCCEEDED, now_ms=START_MS)
    assert [(state.state, state.done) for state in seen] == [
        (JobState.QUEUED, 0),
        (JobState.RUNNING, 0),
        (JobState.RUNNING, 1),
        (JobState.SUCCEEDED, 1),
    ]
    assert [state.done async for state in jobs.watch(job.id)] == [1]


async def test_watch_of_unknown_job_is_not_found(jobs: JobService) -> None:
    with pytest.raises(JobNotFound):
        await anext(jobs.watch("other"))


async def test_watcher_of_deleted_job_is_told(jobs: JobService) -> None:
    job = await jobs.submit(make_sweep())
    watching = jobs.watch(job.id)
    assert await anext(watching) == job
    await jobs.delete(job.id, user_id="ann")
    with pytest.raises(JobNotFound):
        await anext(watching)


async def test_all_watchers_share_one_poll(jobs: JobService, store: CountingStore, watch: JobWatch) -> None:
    watched = [await jobs.submit(make_sweep()) for _ in range(3)]

    async def follow(job: Job) -> list[Job]:
        return [state async for state in jobs.watch(job.id)]

    following = [asyncio.create_task(follow(job)) for job in watched for _ in range(20)]
    while not store.asked or len(store.asked[-1]) < 3:
        await asyncio.sleep(0.005)
    before = len(store.asked)
    for job in watched:
        await jobs.cancel(job.id, user_id="ann")
    for states in await asyncio.gather(*following):
        assert states[-1].state is JobState.CANCELLED
    assert len(store.asked) - before < 20, "60 watchers would ask 60 times"
    while watch._polling is not None:
        await asyncio.sleep(0.005)
    assert (watch._watched, watch._seen) == ({}, {})


async def test_watcher_that_leaves_ends_the_poll(jobs: JobService, watch: JobWatch) -> None:
    job = await jobs.submit(make_sweep())
    watching = jobs.watch(job.id)
    await anext(watching)
    await cast("Any", watching).aclose()
    while watch._polling is not None:
        await asyncio.sleep(0.005)
    assert watch._seen == {}


async def test_change_in_this_process_is_seen_at_once(store: CountingStore, workers: Workers) -> None:
    slow = JobWatch(cast("JobStore", store), poll_s=3600.0)
    clock = FixedClock(START_MS)
    jobs = JobService(store=cast("JobStore", store), workers=workers, watch=slow, clock=clock, quota=ENOUGH)
    job = await jobs.submit(make_sweep())
    watching = jobs.watch(job.id)
    await anext(watching)
    await lease(store)
    [listener] = workers.listeners
    listener("other")
    listener(job.id)
    assert (await anext(watching)).state is JobState.RUNNING
    await jobs.cancel(job.id, user_id="ann")
    assert (await anext(watching)).state is JobState.CANCELLING
    await slow.close()


async def test_watch_outlives_a_store_that_is_away(jobs: JobService, store: CountingStore) -> None:
    job = await jobs.submit(make_sweep())
    watching = jobs.watch(job.id)
    await anext(watching)
    store.is_away = True
    while len(store.asked) < 3:
        await asyncio.sleep(0.005)
    await jobs.cancel(job.id, user_id="ann")
    store.is_away = False
    assert (await anext(watching)).state is JobState.CANCELLED


async def test_job_gets_no_more_than_the_quota(store: CountingStore, workers: Workers, watch: JobWatch) -> None:
    quota = replace(ENOUGH, max_jobs=1)
    clock = FixedClock(START_MS)
    jobs = JobService(store=cast("JobStore", store), workers=workers, watch=watch, clock=clock, quota=quota)
    first = await jobs.submit(make_sweep())
    await jobs.cancel(first.id, user_id="ann")
    second = await jobs.submit(make_sweep())
    assert (await jobs.list(user_id="ann", first=10)).jobs == (second,)
