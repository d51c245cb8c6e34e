"""Lease jobs to processes, which may die: one suite over SQLite and MongoDB."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from src.domain.jobs import (
    MAX_ATTEMPTS,
    JobOutcome,
    JobPart,
    JobState,
)
from src.ports.jobs import JobStore, LeaseLost
from tests.contracts.stored_jobs import BEST, LATER_MS, OpenStore, make_conclusion, note
from tests.factories import START_MS
from tests.jobs import ENOUGH, LEASE_MS, commit, contents, lease, submit


async def test_leased_job_is_running_and_not_leased_again(store: JobStore) -> None:
    assert await store.lease(holder="a", now_ms=START_MS, duration_ms=LEASE_MS) is None
    job = await submit(store)
    held = await lease(store, START_MS + 5)
    assert held.job == await store.get(job.id)
    assert held.expires_ms == START_MS + 5 + LEASE_MS
    assert (held.job.state, held.job.started_ms, held.job.attempt) == (JobState.RUNNING, START_MS + 5, 1)
    assert await store.lease(holder="a", now_ms=START_MS, duration_ms=LEASE_MS) is None


async def test_lease_expires_unless_it_is_renewed(store: JobStore) -> None:
    job = await submit(store)
    held = await lease(store)
    held, state = await store.renew(held, now_ms=LATER_MS - 1, duration_ms=LEASE_MS)
    assert state is JobState.RUNNING
    assert await store.lease(holder="b", now_ms=LATER_MS, duration_ms=LEASE_MS) is None
    second = await lease(store, LATER_MS - 1 + LEASE_MS, holder="b")
    assert (second.job.id, second.job.attempt, second.job.started_ms) == (job.id, 2, START_MS)
    assert second.token != held.token


async def test_lost_lease_writes_nothing(store: JobStore) -> None:
    job = await submit(store)
    old = await lease(store)
    await commit(store, old, 0, b"mine")
    new = await lease(store, LATER_MS, holder="b")
    with pytest.raises(LeaseLost):
        await commit(store, old, 1, b"late", now_ms=LATER_MS)
    with pytest.raises(LeaseLost):
        await store.renew(old, now_ms=LATER_MS, duration_ms=LEASE_MS)
    with pytest.raises(LeaseLost):
        await store.end(old, JobState.SUCCEEDED, now_ms=LATER_MS, outcome=JobOutcome(conclusion=make_conclusion()))
    assert await contents(store, job.id) == [b"mine"]
    assert await store.read_conclusion(job.id) is None
    assert (await store.get(job.id)).state is JobState.RUNNING
    await store.end(new, JobState.SUCCEEDED, now_ms=LATER_MS)
    await store.delete(job.id)
    with pytest.raises(LeaseLost):
        await commit(store, new, 1)


async def test_lost_lease_stores_no_part(store: JobStore) -> None:
    job = await submit(store)
    old = await lease(store)
    await lease(store, LATER_MS)
    for name in ("", "best-1"):
        with pytest.raises(LeaseLost):
            await note(store, old, name)
    assert await store.parts(job.id) == {}
    assert (await store.get(job.id)).stage is None


async def test_job_whose_processes_die_fails(store: JobStore) -> None:
    job = await submit(store)
    for attempt in range(1, MAX_ATTEMPTS + 2):
        now_ms = START_MS + attempt * LEASE_MS
        assert (await lease(store, now_ms)).job.attempt == attempt
    assert await store.lease(holder="a", now_ms=now_ms + LEASE_MS, duration_ms=LEASE_MS) is None
    failed = await store.get(job.id)
    assert (failed.state, failed.ended_ms) == (JobState.FAILED, now_ms + LEASE_MS)
    assert failed.failure is not None
    assert failed.failure.message.startswith("The process that ran it ended 4 times")
    resumed = await store.resume(job.id, quota=ENOUGH)
    assert (resumed.state, resumed.failure, resumed.attempt, resumed.ended_ms) == (JobState.QUEUED, None, 0, None)


async def test_only_attempts_without_progress_count_as_deaths(store: JobStore) -> None:
    job = await submit(store)
    now_ms = START_MS
    for attempt in range(1, 4 * MAX_ATTEMPTS):
        held = await lease(store, now_ms)
        assert held.job.attempt == attempt
        if attempt % 2:
            await store.note(held, BEST, JobPart(name=f"best-{attempt}"), now_ms=now_ms, duration_ms=LEASE_MS)
        else:
            await commit(store, held, attempt, now_ms=now_ms)
        now_ms += LEASE_MS
    for _ in range(MAX_ATTEMPTS + 1):
        held = await lease(store, now_ms)
        # Neither a stage that is shown nor what is stored already is progress.
        await store.note(held, BEST, None, now_ms=now_ms, duration_ms=LEASE_MS)
        await store.note(held, None, JobPart(name="best-1"), now_ms=now_ms, duration_ms=LEASE_MS)
        await commit(store, held, 2, now_ms=now_ms)
        now_ms += LEASE_MS
    assert await store.lease(holder="a", now_ms=now_ms, duration_ms=LEASE_MS) is None
    failed = await store.get(job.id)
    assert failed.state is JobState.FAILED
    assert failed.failure is not None
    assert failed.failure.message.startswith("The process that ran it ended 4 times in a row")


async def test_attempt_given_back_is_no_progress(store: JobStore) -> None:
    job = await submit(store)
    held = await lease(store)
    await commit(store, held, 0)
    await store.end(held, JobState.QUEUED, now_ms=START_MS)
    for attempt in range(1, MAX_ATTEMPTS + 2):
        now_ms = START_MS + attempt * LEASE_MS
        assert (await lease(store, now_ms)).job.attempt == attempt
    assert await store.lease(holder="a", now_ms=now_ms + LEASE_MS, duration_ms=LEASE_MS) is None
    assert (await store.get(job.id)).state is JobState.FAILED


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.INTERRUPTED])
async def test_job_given_back_is_not_counted_as_begun(store: JobStore, state: JobState) -> None:
    job = await submit(store)
    for _ in range(MAX_ATTEMPTS + 3):
        held = await lease(store)
        await commit(store, held, 0)
        given = await store.end(held, state, now_ms=START_MS)
        assert (given.state, given.attempt, given.rate, given.done) == (state, 0, None, 1)
    assert (await lease(store)).job.id == job.id


async def test_concurrent_processes_never_lease_the_same_job(open_store: OpenStore) -> None:
    stores = [open_store() for _ in range(4)]
    for number in range(20):
        await submit(stores[0], user_id="ann" if number % 2 else "bob", created_ms=START_MS + number)
    leases = await asyncio.gather(*(lease(store) for store in stores for _ in range(5)))
    assert len({held.job.id for held in leases}) == 20
    assert len({held.token for held in leases}) == 20
    seen = await stores[0].get_many([held.job.id for held in leases])
    assert Counter(job.state for job in seen.values()) == {JobState.RUNNING: 20}
    assert all(held.job.attempt == 1 for held in leases)
