"""What is MongoDB's own in the store of jobs: pieces of blobs, and connections that break between two writes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from src.domain.errors import StoreUnavailable, UnreadableResult
from src.domain.jobs import JobState
from src.stores.mongo_connection import MongoDatabase
from src.stores.mongo_jobs import MongoJobs
from tests.factories import START_MS
from tests.jobs import LEASE_MS, commit, contents, lease, submit
from tests.mongo_server import MAX_DOCUMENT_BYTES, MongoServer, running_mongo_server


@pytest.fixture
def server() -> Iterator[MongoServer]:
    with running_mongo_server() as running:
        yield running


@pytest.fixture
async def jobs(server: MongoServer) -> AsyncIterator[MongoJobs]:
    database = MongoDatabase(server.uri, "results")
    yield MongoJobs(database, piece_bytes=1000, orphan_age_s=-1.0)
    await database.close()


def break_at(server: MongoServer, command: str, collection: str, *, after: int = 0) -> None:
    """Close the connection before a write, once; the writer's process seems to have died there."""
    left = [after]

    def breaks(name: str, body: dict[str, Any]) -> bool:
        if name != command or body.get(name) != collection or left[0] < 0:
            return False
        left[0] -= 1
        return left[0] < 0

    server.hang_up_before = breaks


def blobs(server: MongoServer) -> int:
    return int(server.client["results"]["job_blobs"].count_documents({}))


async def test_long_chunk_is_stored_in_pieces(server: MongoServer) -> None:
    database = MongoDatabase(server.uri, "results")
    jobs = MongoJobs(database)
    job = await submit(jobs)
    content = os.urandom(20_000_000)
    held = await lease(jobs)
    await commit(jobs, held, 1, b"", count=2)
    await commit(jobs, held, 0, content)
    assert server.largest_document_bytes < MAX_DOCUMENT_BYTES * 0.6
    assert await contents(jobs, job.id) == [content, b""]
    await database.close()


async def test_every_write_waits_for_majority_journal(jobs: MongoJobs, server: MongoServer) -> None:
    job = await submit(jobs)
    await commit(jobs, await lease(jobs), 0)
    await jobs.cancel(job.id, now_ms=START_MS + LEASE_MS)
    await jobs.delete(job.id)
    assert server.write_concerns
    assert all(concern["w"] == "majority" and concern["j"] is True for concern in server.write_concerns)


@pytest.mark.parametrize(("command", "collection"), [("insert", "job_blobs"), ("findAndModify", "jobs")])
async def test_broken_commit_stores_nothing(
    jobs: MongoJobs, server: MongoServer, command: str, collection: str
) -> None:
    job = await submit(jobs)
    held = await lease(jobs)
    before = await jobs.get(job.id)
    break_at(server, command, collection)
    with pytest.raises(StoreUnavailable):
        await commit(jobs, held, 0, b"x" * 3500)
    assert await jobs.get(job.id) == before
    assert await jobs.spans(job.id) == []
    await commit(jobs, held, 0, b"whole")
    assert await contents(jobs, job.id) == [b"whole"]
    assert (await jobs.get(job.id)).done == 1


async def test_broken_submission_leaves_no_job(jobs: MongoJobs, server: MongoServer) -> None:
    await submit(jobs, user_id="bob")
    kept = blobs(server)
    break_at(server, "insert", "jobs")
    with pytest.raises(StoreUnavailable):
        await submit(jobs)
    assert (await jobs.list(user_id="ann", first=10, after=None)).jobs == ()
    assert blobs(server) > kept
    assert await jobs.remove_leftovers() == 1
    assert blobs(server) == kept


async def test_lease_of_a_process_that_died_is_finished(jobs: MongoJobs, server: MongoServer) -> None:
    first, second = [await submit(jobs, created_ms=START_MS + number) for number in range(2)]
    break_at(server, "update", "jobs")
    with pytest.raises(StoreUnavailable):
        await lease(jobs)
    assert (await jobs.get(first.id)).state is JobState.QUEUED
    held = await lease(jobs)
    assert held.job.id == second.id, "the first is the dead process's"
    assert (await jobs.get(first.id)).state is JobState.RUNNING
    again = await lease(jobs, START_MS + LEASE_MS)
    assert (again.job.id, again.job.attempt) == (first.id, 2)


async def test_finished_lease_is_not_finished_again(jobs: MongoJobs) -> None:
    job = await submit(jobs)
    held = await lease(jobs)
    await jobs.end(held, JobState.QUEUED, now_ms=START_MS)
    again = await lease(jobs)
    assert (again.job.id, again.job.attempt, again.token != held.token) == (job.id, 1, True)


async def test_interrupted_deletion_is_finished_later(jobs: MongoJobs, server: MongoServer) -> None:
    job = await submit(jobs)
    await commit(jobs, await lease(jobs), 0)
    await jobs.cancel(job.id, now_ms=START_MS + LEASE_MS)
    break_at(server, "delete", "job_blobs")
    with pytest.raises(StoreUnavailable):
        await jobs.delete(job.id)
    assert await jobs.spans(job.id) == []
    assert await jobs.remove_leftovers() == 1
    assert blobs(server) == 0


async def test_young_blobs_are_no_leftovers(server: MongoServer) -> None:
    database = MongoDatabase(server.uri, "results")
    jobs = MongoJobs(database)
    job = await submit(jobs)
    server.client["results"]["jobs"].delete_one({"_id": job.id})
    assert await jobs.remove_leftovers() == 0
    await database.close()


async def test_missing_chunk_is_named(jobs: MongoJobs, server: MongoServer) -> None:
    job = await submit(jobs)
    await commit(jobs, await lease(jobs), 0)
    head = server.client["results"]["jobs"].find_one({"_id": job.id})
    server.client["results"]["job_blobs"].delete_many({"blob": head["spans"][0]["blob"]})
    with pytest.raises(UnreadableResult, match="a chunk is missing"):
        await contents(jobs, job.id)


async def test_damaged_list_of_chunks_is_named(jobs: MongoJobs, server: MongoServer) -> None:
    job = await submit(jobs)
    held = await lease(jobs)
    for spans in ("x", [{"first": 0}], [{"first": "0", "count": 1, "blob": "b"}], [3]):
        server.client["results"]["jobs"].update_one({"_id": job.id}, {"$set": {"spans": spans}})
        with pytest.raises(UnreadableResult, match=job.id):
            await jobs.spans(job.id)
        with pytest.raises(UnreadableResult, match=job.id):
            await commit(jobs, held, 0)
