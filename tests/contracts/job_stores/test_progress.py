"""Store the chunks, parts, stage and progress of a running job: one suite over SQLite and MongoDB."""

from __future__ import annotations

import os

import pytest

from src.domain.jobs import (
    ChunkSpan,
    JobPart,
    JobProgress,
    JobStage,
    JobState,
    StageName,
)
from src.ports.jobs import JobStore
from tests.contracts.stored_jobs import BEST, OpenStore, note
from tests.factories import START_MS
from tests.jobs import LEASE_MS, commit, contents, lease, submit


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
