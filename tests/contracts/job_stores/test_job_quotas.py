"""Limit what the jobs of one user are and take: one suite over SQLite and MongoDB."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from src.domain.errors import Busy, JobNotFound
from src.domain.jobs import (
    JobState,
)
from src.ports.jobs import JobStore
from tests.contracts.stored_jobs import note
from tests.factories import START_MS
from tests.jobs import ENOUGH, commit, contents, lease, submit


async def test_unfinished_jobs_are_limited_per_user(store: JobStore) -> None:
    quota = replace(ENOUGH, max_unfinished=2)
    first = await submit(store, quota=quota, key="k")
    await submit(store, quota=quota)
    with pytest.raises(Busy, match=r"2 jobs of the user have not ended. Maximum: 2") as refused:
        await submit(store, quota=quota)
    assert refused.value.retry_after_s is not None
    assert await submit(store, quota=quota, key="k") == first
    await submit(store, quota=quota, user_id="bob")
    await store.cancel(first.id, now_ms=START_MS)
    await submit(store, quota=quota)
    with pytest.raises(Busy):
        await store.resume(first.id, quota=quota)


async def test_oldest_ended_jobs_leave_for_new_ones(store: JobStore) -> None:
    quota = replace(ENOUGH, max_jobs=3)
    jobs = [await submit(store, created_ms=START_MS + number, quota=quota) for number in range(3)]
    await store.cancel(jobs[0].id, now_ms=START_MS)
    await store.cancel(jobs[2].id, now_ms=START_MS)
    newest = await submit(store, created_ms=START_MS + 3, quota=quota)
    page = await store.list(user_id="ann", first=10, after=None)
    assert [job.id for job in page.jobs] == [newest.id, jobs[2].id, jobs[1].id]
    with pytest.raises(JobNotFound):
        await store.read_request(jobs[0].id)
    with pytest.raises(Busy):
        await submit(store, quota=replace(quota, max_jobs=2))


async def test_stored_bytes_count_for_the_quota(store: JobStore) -> None:
    old = await submit(store)
    held = await lease(store)
    await commit(store, held, 0, os.urandom(50_000))
    await store.end(held, JobState.SUCCEEDED, now_ms=START_MS)
    quota = replace(ENOUGH, max_bytes=60_000)
    kept = await submit(store, created_ms=START_MS + 1, quota=quota)
    assert await store.get(old.id)
    await submit(store, created_ms=START_MS + 2, quota=replace(quota, max_bytes=50_000))
    with pytest.raises(JobNotFound):
        await store.get(old.id)
    assert await contents(store, kept.id) == []


async def test_stored_part_counts_for_the_quota_once(store: JobStore) -> None:
    old = await submit(store, created_ms=START_MS - 1)
    held = await lease(store)
    for _ in range(2):
        await note(store, held, "superiority", b"x" * 5000)
    await store.end(held, JobState.CANCELLED, now_ms=START_MS)
    fits = replace(ENOUGH, max_bytes=9000)
    await submit(store, quota=fits)
    await store.get(old.id)
    await submit(store, quota=replace(fits, max_bytes=5000), created_ms=START_MS + 1)
    with pytest.raises(JobNotFound):
        await store.get(old.id)
