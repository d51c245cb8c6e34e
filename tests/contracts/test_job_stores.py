"""Check what every store of jobs must do: one suite over SQLite and MongoDB."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import uuid
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from src.domain.errors import Busy, Conflict, InvalidInput, JobNotFound, UnreadableResult
from src.domain.jobs import (
    MAX_ATTEMPTS,
    ChunkSpan,
    JobConclusion,
    JobFailure,
    JobKind,
    JobOutcome,
    JobPart,
    JobProgress,
    JobStage,
    JobState,
    Lease,
    StageName,
)
from src.domain.sweep_outcomes import KeptRow, SweepConclusion, SweepOverfitting
from src.domain.walk_forward import WalkForwardConclusion, WalkForwardRequest
from src.ports.jobs import JobStore, LeaseLost
from src.stores.mongo_jobs import MongoJobs
from tests.factories import START_MS, make_request
from tests.jobs import ENOUGH, LEASE_MS, commit, contents, lease, make_job, make_sweep, open_job_store, submit
from tests.mongo_server import backend_uri

LATER_MS = START_MS + LEASE_MS

OpenStore = Callable[[], JobStore]


@pytest.fixture(scope="module")
def mongo_uri() -> str:
    return os.environ.get("MONGODB_TEST_URI") or backend_uri()


@pytest.fixture(params=["sqlite", "mongo"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "results.sqlite3")
    return f"{request.getfixturevalue('mongo_uri')}#test_{uuid.uuid4().hex}"


@pytest.fixture
async def open_store(place: str) -> AsyncIterator[OpenStore]:
    """Open stores of one file or database, each as another process would; they are closed after the test."""
    opened = []

    def open_one() -> JobStore:
        store, database = open_job_store(place)
        opened.append(database)
        return store

    yield open_one
    for database in opened:
        await database.close()


@pytest.fixture
def store(open_store: OpenStore) -> JobStore:
    return open_store()


def damage(place: str, job_id: str, name: str, value: Any) -> None:
    """Change a field of a stored job, or the content of its request or of a chunk, behind the store's back."""
    if place.startswith("mongodb"):
        uri, _, database = place.partition("#")
        with MongoClient[dict[str, Any]](uri) as client:
            jobs, blobs = client[database]["jobs"], client[database]["job_blobs"]
            if name == "request":
                head = jobs.find_one({"_id": job_id})
                assert head is not None
                blobs.update_one({"blob": head["request"]}, {"$set": {"content": value}})
            else:
                jobs.update_one({"_id": job_id}, {"$set": {name: value}})
        return
    with closing(sqlite3.connect(place)) as file, file:
        if name == "request":
            file.execute("UPDATE job_documents SET content = ? WHERE job_id = ?", [value, job_id])
        else:
            file.execute(f"UPDATE jobs SET {name} = ? WHERE id = ?", [value, job_id])


def make_conclusion() -> SweepConclusion:
    best = KeptRow(row=3, values={"fast": 5, "kind": "EMA", "share": 0.5}, objective=1.5, result_id="r-1")
    overfitting = SweepOverfitting(
        pbo=0.25,
        pbo_noise_low=0.1,
        pbo_noise_high=0.9,
        probability_of_loss=0.5,
        degradation_slope=None,
        rows=4,
        blocks=16,
    )
    return SweepConclusion(
        bars_fingerprint="0" * 64, bars=1000, combinations=4, best=(best,), overfitting=overfitting, superiority=None,
        stability=None, trials=4, warnings=("A warning.",),
    )  # fmt: skip


async def test_submitted_job_is_read_back(open_store: OpenStore) -> None:
    job = make_job(total=100, warnings=("one", "two"))
    request = make_sweep(1000)
    stored = await open_store().submit(job, request, idempotency=None, quota=ENOUGH)
    again = open_store()
    assert stored == await again.get(job.id) == job
    assert await again.read_request(job.id) == request
    assert await again.owner(job.id) == "ann"
    assert await again.read_conclusion(job.id) is None
    assert await again.spans(job.id) == []
    assert await contents(again, job.id) == []
    assert await again.get_many([job.id, "other"]) == {job.id: job}


@pytest.mark.parametrize("kind", [JobKind.WALK_FORWARD, JobKind.BACKTEST])
async def test_every_kind_of_request_is_read_back(store: JobStore, kind: JobKind) -> None:
    request: Any = make_request()
    if kind is JobKind.WALK_FORWARD:
        request = WalkForwardRequest(sweep=make_sweep(), train_bars=100, test_bars=20)
    job = await store.submit(make_job(kind=kind), request, idempotency=None, quota=ENOUGH)
    assert await store.read_request(job.id) == request


async def test_unknown_job_is_not_found(store: JobStore) -> None:
    for job_id in ("other", "", "x" * 1000, "\ud800"):
        for call in (store.get, store.owner, store.read_request, store.read_conclusion, store.delete):
            with pytest.raises(JobNotFound):
                await call(job_id)
        with pytest.raises(JobNotFound):
            await store.cancel(job_id, now_ms=START_MS)
        with pytest.raises(JobNotFound):
            await store.resume(job_id, quota=ENOUGH)
        with pytest.raises(JobNotFound):
            await contents(store, job_id)
    assert await store.spans("other") == []
    assert await store.get_many(["other", "\ud800"]) == {}


async def test_equal_key_returns_the_earlier_job(open_store: OpenStore) -> None:
    first = await submit(open_store(), key="k")
    assert await submit(open_store(), key="k") == first
    with pytest.raises(Conflict, match="another request"):
        await submit(open_store(), key="k", digest="1")
    assert (await submit(open_store(), key="k", user_id="bob")).id != first.id
    await open_store().delete(first.id)
    assert (await submit(open_store(), key="k", digest="1")).id != first.id


async def test_concurrent_equal_keys_make_one_job(open_store: OpenStore) -> None:
    stores = [open_store() for _ in range(4)]
    jobs = await asyncio.gather(*(submit(store, key="k") for store in stores for _ in range(3)))
    assert len({job.id for job in jobs}) == 1
    assert len((await stores[0].list(user_id="ann", first=100, after=None)).jobs) == 1


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


async def test_lists_are_paged_newest_first(store: JobStore) -> None:
    jobs = [await submit(store, created_ms=START_MS + number // 2) for number in range(7)]
    await submit(store, user_id="bob")
    await store.cancel(jobs[3].id, now_ms=START_MS)
    expected = sorted(jobs, key=lambda job: (job.created_ms, job.id), reverse=True)
    found: list[str] = []
    after = None
    while True:
        page = await store.list(user_id="ann", first=3, after=after)
        found += [job.id for job in page.jobs]
        after = page.next_cursor
        if after is None:
            break
    assert found == [job.id for job in expected]
    cancelled = await store.list(user_id="ann", first=3, after=None, state=JobState.CANCELLED)
    assert [job.id for job in cancelled.jobs] == [jobs[3].id]
    for first, cursor in ((0, None), (101, None), (1, "x")):
        with pytest.raises(InvalidInput):
            await store.list(user_id="ann", first=first, after=cursor)
    assert (await store.list(user_id="\ud800", first=3, after=None)).jobs == ()


async def test_leased_job_is_running_and_not_leased_again(store: JobStore) -> None:
    assert await store.lease(holder="a", now_ms=START_MS, duration_ms=LEASE_MS) is None
    job = await submit(store)
    held = await lease(store, START_MS + 5)
    assert held.job == await store.get(job.id)
    assert held.expires_ms == START_MS + 5 + LEASE_MS
    assert (held.job.state, held.job.started_ms, held.job.attempt) == (JobState.RUNNING, START_MS + 5, 1)
    assert await store.lease(holder="a", now_ms=START_MS, duration_ms=LEASE_MS) is None


async def test_chunks_and_progress_are_kept_in_order(open_store: OpenStore) -> None:
    store = open_store()
    job = await submit(store)
    held = await lease(store)
    big = os.urandom(100_000)
    for first, content in ((10, b"second"), (0, b""), (20, big)):
        held, state = await commit(store, held, first, content, count=10, now_ms=START_MS + first)
        assert (state, held.expires_ms) == (JobState.RUNNING, START_MS + first + LEASE_MS)
    other = open_store()
    assert await other.spans(job.id) == [ChunkSpan(first=first, count=10) for first in (0, 10, 20)]
    assert await contents(other, job.id) == [b"", b"second", big]
    seen = await other.get(job.id)
    assert (seen.done, seen.total, seen.rate, seen.best_so_far) == (30, 100, 2.5, 1.5)


async def test_stored_chunk_is_kept_and_counted_once(store: JobStore) -> None:
    job = await submit(store)
    held = await lease(store)
    await commit(store, held, 0, b"first", count=10)
    await commit(store, held, 0, b"again", count=10, now_ms=START_MS + 7)
    assert await contents(store, job.id) == [b"first"]
    assert (await store.get(job.id)).done == 10
    for first, count in ((5, 10), (0, 5), (9, 1)):
        with pytest.raises(ValueError, match="overlaps"):
            await commit(store, held, first, count=count)
    assert (await store.get(job.id)).done == 10


async def test_progress_without_finite_numbers_is_readable(store: JobStore) -> None:
    job = await submit(store)
    progress = JobProgress(total=None, rate=float("inf"), best_so_far=float("nan"), warnings=("$one", "é"))
    held = await lease(store)
    await store.commit(held, ChunkSpan(first=0, count=1), b"x", progress, now_ms=START_MS, duration_ms=LEASE_MS)
    seen = await store.get(job.id)
    assert (seen.total, seen.rate, seen.best_so_far, seen.warnings) == (None, None, None, ("$one", "é"))


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


BEST = JobStage(name=StageName.BEST, done=1, total=3)


async def note(
    store: JobStore, held: Lease, name: str = "", content: bytes = b"", *, stage: JobStage | None = BEST
) -> tuple[Lease, JobState]:
    part = JobPart(name=name, content=content) if name else None
    return await store.note(held, stage, part, now_ms=START_MS, duration_ms=LEASE_MS)


async def test_progress_is_noted_with_a_stage(store: JobStore) -> None:
    job = await submit(store)
    held = await lease(store)
    stage = JobStage(name=StageName.TRAINING, done=5, total=10)
    times = {"now_ms": START_MS, "duration_ms": LEASE_MS}
    held, _ = await store.note(held, stage, None, JobProgress(total=4, rate=0.5, best_so_far=None), **times)
    seen = await store.get(job.id)
    assert (seen.stage, seen.done, seen.total, seen.rate, seen.eta_seconds) == (stage, 0, 4, 0.5, 8.0)
    await store.note(held, BEST, None, **times)
    seen = await store.get(job.id)
    assert (seen.stage, seen.total, seen.rate) == (BEST, 4, None)


async def test_parts_are_kept_and_outlive_the_process(open_store: OpenStore) -> None:
    store = open_store()
    job = await submit(store)
    held = await lease(store)
    before = held.expires_ms
    assert await store.parts(job.id) == {}
    held, state = await store.note(held, BEST, JobPart(name="best-1"), now_ms=START_MS + 9, duration_ms=LEASE_MS)
    assert (held.expires_ms, state) == (before + 9, JobState.RUNNING)
    await note(store, held, "superiority", b"\x00found", stage=None)
    await note(store, held, "superiority", b"found again")
    again = open_store()
    assert await again.parts(job.id) == {"best-1": b"", "superiority": b"\x00found"}
    assert await contents(again, job.id) == []
    assert await again.read_request(job.id)
    assert await again.parts("other") == {}
    await store.end(held, JobState.CANCELLED, now_ms=START_MS)
    await store.delete(job.id)
    assert await again.parts(job.id) == {}


@pytest.mark.parametrize("end", [JobState.SUCCEEDED, JobState.CANCELLED])
async def test_stage_is_shown_until_success(store: JobStore, end: JobState) -> None:
    job = await submit(store)
    held = await lease(store)
    await commit(store, held, 0)
    assert (await store.get(job.id)).stage is None
    assert (await store.get(job.id)).eta_seconds is not None
    await note(store, held)
    assert (await store.get(job.id)).eta_seconds is None, "the rate of rows says nothing about the stage"
    later = JobStage(name=StageName.SUPERIORITY, done=64, total=200)
    await note(store, held, stage=later)
    await note(store, held, "bars", stage=None)
    assert (await store.get(job.id)).stage == later
    assert (await store.get_many([job.id]))[job.id].stage == later
    ended = await store.end(held, end, now_ms=START_MS)
    assert ended.stage == (None if end is JobState.SUCCEEDED else later)


async def test_cancelled_holder_learns_of_it_by_a_note(store: JobStore) -> None:
    job = await submit(store)
    held = await lease(store)
    await store.cancel(job.id, now_ms=START_MS)
    _, state = await note(store, held)
    assert state is JobState.CANCELLING


async def test_lost_lease_stores_no_part(store: JobStore) -> None:
    job = await submit(store)
    old = await lease(store)
    await lease(store, LATER_MS)
    for name in ("", "best-1"):
        with pytest.raises(LeaseLost):
            await note(store, old, name)
    assert await store.parts(job.id) == {}
    assert (await store.get(job.id)).stage is None


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


@pytest.mark.parametrize("conclusion", [make_conclusion(), None])
async def test_job_succeeds_with_what_it_found(store: JobStore, conclusion: JobConclusion | None) -> None:
    job = await submit(store)
    held = await lease(store)
    await commit(store, held, 0)
    ended = await store.end(
        held,
        JobState.SUCCEEDED,
        now_ms=LATER_MS,
        outcome=JobOutcome(result_id="r-1", conclusion=conclusion, warnings=("at the end",)),
    )
    assert ended == await store.get(job.id)
    assert (ended.state, ended.ended_ms, ended.rate) == (JobState.SUCCEEDED, LATER_MS, None)
    assert (ended.result_id, ended.warnings, ended.best_so_far) == ("r-1", ("at the end",), 1.5)
    assert await store.read_conclusion(job.id) == conclusion
    with pytest.raises(Conflict, match=r"is SUCCEEDED. Allowed to resume: CANCELLED, FAILED, INTERRUPTED"):
        await store.resume(job.id, quota=ENOUGH)
    with pytest.raises(LeaseLost):
        await commit(store, held, 1)
    assert await store.cancel(job.id, now_ms=LATER_MS) == ended


async def test_conclusion_of_a_walk_forward_is_read_back(store: JobStore) -> None:
    conclusion = WalkForwardConclusion(
        bars_fingerprint="1" * 64, folds=3, result_id="r-1", efficiency=0.1 + 0.2, profitable_folds=1,
        distinct_choices=2, warnings=("é",),
    )  # fmt: skip
    job = await submit(store)
    await store.end(await lease(store), JobState.SUCCEEDED, now_ms=START_MS, outcome=JobOutcome(conclusion=conclusion))
    assert await store.read_conclusion(job.id) == conclusion


async def test_failed_job_says_why(store: JobStore) -> None:
    job = await submit(store)
    failure = JobFailure(code="TOO_LARGE", message='$field of {braces} and "quotes" is too large.')
    held = await lease(store)
    with pytest.raises(ValueError, match="no failure"):
        await store.end(held, JobState.FAILED, now_ms=START_MS)
    failed = await store.end(held, JobState.FAILED, now_ms=START_MS, failure=failure)
    assert failed == await store.get(job.id)
    assert failed.failure == failure


async def test_waiting_job_is_cancelled_at_once(store: JobStore) -> None:
    job = await submit(store)
    cancelled = await store.cancel(job.id, now_ms=LATER_MS)
    assert (cancelled.state, cancelled.ended_ms) == (JobState.CANCELLED, LATER_MS)
    assert await store.lease(holder="a", now_ms=LATER_MS, duration_ms=LEASE_MS) is None
    assert (await store.resume(job.id, quota=ENOUGH)).state is JobState.QUEUED
    assert (await lease(store)).job.id == job.id


@pytest.mark.parametrize("end", [JobState.CANCELLED, JobState.QUEUED, JobState.INTERRUPTED])
async def test_holder_learns_that_its_job_is_cancelled(store: JobStore, end: JobState) -> None:
    job = await submit(store)
    held = await lease(store)
    await commit(store, held, 0, b"kept")
    assert (await store.cancel(job.id, now_ms=START_MS)).state is JobState.CANCELLING
    assert (await store.renew(held, now_ms=START_MS, duration_ms=LEASE_MS))[1] is JobState.CANCELLING
    assert (await commit(store, held, 1, b"too"))[1] is JobState.CANCELLING
    assert (await store.end(held, end, now_ms=LATER_MS)).state is JobState.CANCELLED
    assert await contents(store, job.id) == [b"kept", b"too"]


async def test_cancelled_job_of_dead_process_ends(store: JobStore) -> None:
    first, second = [await submit(store, created_ms=START_MS + number) for number in range(2)]
    await lease(store)
    await lease(store)
    await store.cancel(first.id, now_ms=START_MS)
    assert (await store.cancel(second.id, now_ms=LATER_MS)).state is JobState.CANCELLED
    assert await store.lease(holder="a", now_ms=LATER_MS, duration_ms=LEASE_MS) is None
    assert (await store.get(first.id)).state is JobState.CANCELLED


async def test_users_take_turns(store: JobStore) -> None:
    for number in range(3):
        await submit(store, user_id="ann", created_ms=START_MS + number)
    for number in range(3):
        await submit(store, user_id="bob", created_ms=START_MS + 100 + number)
    order = []
    for _ in range(6):
        held = await lease(store)
        order.append(held.job)
        await store.end(held, JobState.SUCCEEDED, now_ms=START_MS)
    assert [job.user_id for job in order] == ["ann", "bob"] * 3
    for user in ("ann", "bob"):
        mine = [job.created_ms for job in order if job.user_id == user]
        assert mine == sorted(mine)


async def test_first_of_new_users_is_served_first(store: JobStore) -> None:
    for user, created_ms in (("ann", 3), ("zoe", 1), ("bob", 2)):
        await submit(store, user_id=user, created_ms=START_MS + created_ms)
    assert [(await lease(store)).job.user_id for _ in range(3)] == ["zoe", "bob", "ann"]


async def test_user_with_fewest_running_jobs_is_next(open_store: OpenStore) -> None:
    stores = [open_store(), open_store()]
    for number in range(4):
        await submit(stores[0], user_id="ann", created_ms=START_MS + number)
    await lease(stores[0])
    await lease(stores[1])
    await submit(stores[0], user_id="bob", created_ms=START_MS + 50)
    await submit(stores[0], user_id="bob", created_ms=START_MS + 51)
    assert [(await lease(store)).job.user_id for store in stores] == ["bob", "bob"]
    assert (await lease(stores[0])).job.user_id == "ann"


async def test_turn_is_over_once_another_user_waits(store: JobStore) -> None:
    await submit(store, user_id="ann")
    assert not await store.is_turn_over("ann")  # it does not run
    held = await lease(store)
    await submit(store, user_id="ann", created_ms=START_MS + 1)
    assert not await store.is_turn_over("ann")
    bobs = await submit(store, user_id="bob", created_ms=START_MS + 2)
    assert await store.is_turn_over("ann")
    await commit(store, held, 0, b"kept", count=7)
    given = await store.end(held, JobState.QUEUED, now_ms=START_MS)
    assert (given.state, given.done, given.total, given.attempt, given.rate) == (JobState.QUEUED, 7, 100, 0, None)
    assert (await lease(store)).job.id == bobs.id
    assert await store.is_turn_over("bob")
    assert not await store.is_turn_over("ann")
    assert (await lease(store)).job.id == held.job.id  # her oldest job goes on before the one that came later
    assert await contents(store, held.job.id) == [b"kept"]


async def test_turn_goes_on_if_the_other_has_more(open_store: OpenStore) -> None:
    stores = [open_store(), open_store()]
    await submit(stores[0], user_id="ann")
    await submit(stores[0], user_id="bob", created_ms=START_MS + 1)
    await submit(stores[0], user_id="bob", created_ms=START_MS + 2)
    held = [await lease(store) for store in stores]
    assert [lease.job.user_id for lease in held] == ["ann", "bob"]
    # Without her running job, ann has none and bob one: it would be hers again.
    assert not await stores[0].is_turn_over("ann")
    await submit(stores[0], user_id="ann", created_ms=START_MS + 3)
    assert not await stores[0].is_turn_over("bob")
    await lease(stores[0])  # ann's second one: without it, both have one, and bob was served before it
    assert await stores[1].is_turn_over("ann")
    assert not await stores[1].is_turn_over("bob")


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


@pytest.mark.parametrize(
    ("name", "value"),
    [("kind", "DANCE"), ("done", "many"), ("total", "x"), ("created_ms", 2**62), ("stage", "BEST")],
)
async def test_damaged_job_is_named_and_deletable(store: JobStore, place: str, name: str, value: Any) -> None:
    good = await submit(store, created_ms=START_MS - 1)
    job = await submit(store)
    damage(place, job.id, name, value)
    with pytest.raises(UnreadableResult, match=job.id):
        await store.get(job.id)
    assert await store.get_many([job.id, good.id]) == {good.id: good}
    page = await store.list(user_id="ann", first=10, after=None)
    assert page.jobs == (good,)
    assert [job.id in warning for warning in page.warnings] == [True]
    assert await store.owner(job.id) == "ann"
    await store.cancel(good.id, now_ms=START_MS)
    # It does not stand in the way of others, and is not taken again and again.
    assert await store.lease(holder="a", now_ms=START_MS, duration_ms=LEASE_MS) is None
    await store.delete(job.id)
    with pytest.raises(JobNotFound):
        await store.owner(job.id)


def packed(**document: Any) -> bytes:
    return zlib.compress(json.dumps(document).encode())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no zlib",
        packed(),
        packed(schema_version=1, kind="SWEEP", value={}),
        packed(schema_version=1, kind="DANCE", value={}),
        packed(schema_version=2, kind="SWEEP", value={}),
        packed(schema_version=1, kind="SWEEP", value={"backtest": [], "parameters": "abc"}),
        zlib.compress(b"[" * 100_000),
        zlib.compress(b" " * (65 * 1024 * 1024)),
        packed(schema_version=1, kind="SWEEP", value={})[:-3],
    ],
)
async def test_hostile_request_is_refused_by_name(store: JobStore, place: str, content: bytes) -> None:
    job = await submit(store)
    damage(place, job.id, "request", content)
    with pytest.raises(UnreadableResult, match=job.id):
        await store.read_request(job.id)
    assert await store.get(job.id) == job


async def test_request_without_newer_fields_gets_their_defaults(store: JobStore, place: str) -> None:
    job = await submit(store)
    request = await store.read_request(job.id)
    value = {
        "backtest": {"user_id": "ann", "market": {"symbol": "BTCUSDT", "interval": "1d", "limit": 1000},
                     "strategy": {"kind": "ma_crossover"}, "rules": {"fill": "SAME_CLOSE"}, "engine": "VECTORIZED"},
        "parameters": [{"name": "fast", "values": [2, 3, 4, 5]}],
        "unknown": {"of": "a later version"},
    }  # fmt: skip
    damage(place, job.id, "request", packed(schema_version=1, kind="SWEEP", value=value))
    assert await store.read_request(job.id) == request


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
