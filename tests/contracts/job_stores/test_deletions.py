"""Delete jobs with all that belongs to them: one suite over SQLite and MongoDB."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from pymongo import MongoClient

from src.domain.errors import Conflict, JobNotFound
from src.domain.jobs import (
    JobOutcome,
    JobState,
)
from src.ports.jobs import JobStore
from src.stores.mongo_jobs import MongoJobs
from tests.contracts.stored_jobs import make_conclusion
from tests.factories import START_MS
from tests.jobs import commit, lease, submit


async def test_deleted_job_is_gone_with_its_chunks(store: JobStore) -> None:
    job = await submit(store)
    held = await lease(store)
    for first in range(40):
        await commit(store, held, first)
    with pytest.raises(Conflict, match=r"is RUNNING. Cancel it first"):
        await store.delete(job.id)
    await store.end(held, JobState.SUCCEEDED, now_ms=START_MS, outcome=JobOutcome(conclusion=make_conclusion()))
    await store.delete(job.id)
    with pytest.raises(JobNotFound):
        await store.get(job.id)
    assert await store.spans(job.id) == []
    assert await store.remove_leftovers() == 0


async def test_reader_of_chunks_notices_a_deletion(store: JobStore) -> None:
    job = await submit(store)
    held = await lease(store)
    for first in range(3):
        await commit(store, held, first)
    await store.end(held, JobState.SUCCEEDED, now_ms=START_MS)
    reading = store.chunks(job.id)
    assert await anext(reading) == b"rows"
    await store.delete(job.id)
    with pytest.raises(JobNotFound):
        [chunk async for chunk in reading]


async def test_old_ended_jobs_are_deleted(store: JobStore) -> None:
    old, newer, waiting = [await submit(store, created_ms=START_MS + number) for number in range(3)]
    await store.cancel(old.id, now_ms=START_MS + 10)
    await store.cancel(newer.id, now_ms=START_MS + 20)
    assert await store.delete_older(START_MS + 20) == 1
    assert await store.delete_older(START_MS + 20) == 0
    assert set(await store.get_many([old.id, newer.id, waiting.id])) == {newer.id, waiting.id}


async def test_leftovers_of_a_killed_deletion_are_removed(store: JobStore, place: str) -> None:
    kept, job = await submit(store), await submit(store, created_ms=START_MS - 1)
    held = await lease(store)
    assert held.job.id == job.id
    await commit(store, held, 0)
    if place.startswith("mongodb"):
        assert isinstance(store, MongoJobs)
        store._orphan_age_s = -1.0
        uri, _, database = place.partition("#")
        with MongoClient[dict[str, Any]](uri) as client:
            client[database]["jobs"].delete_one({"_id": job.id})
            assert await store.remove_leftovers() == 1
            assert client[database]["job_blobs"].count_documents({"job_id": job.id}) == 0
    else:
        with closing(sqlite3.connect(place)) as file, file:
            file.execute("DELETE FROM jobs WHERE id = ?", [job.id])
        assert await store.remove_leftovers() == 1
        with closing(sqlite3.connect(place)) as file:
            assert file.execute("SELECT count(*) FROM job_chunks").fetchall() == [(0,)]
            assert file.execute("SELECT DISTINCT job_id FROM job_documents").fetchall() == [(kept.id,)]
    assert await store.remove_leftovers() == 0
    assert await store.read_request(kept.id)
