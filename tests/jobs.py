"""Jobs for tests, a clock that moves, and stores of jobs as another process would open them."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from src.domain.jobs import ChunkSpan, Idempotency, Job, JobKind, JobProgress, JobQuota, JobState, Lease
from src.domain.sweeps import SweepRequest, SweptParameter
from src.ports import JobStore
from src.stores.mongo_connection import MongoDatabase
from src.stores.mongo_jobs import MongoJobs
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_jobs import SqliteJobs
from tests.factories import START_MS, make_request

ENOUGH = JobQuota(max_unfinished=100, max_jobs=1000, max_bytes=10**9)
LEASE_MS = 15_000
PROGRESS = JobProgress(total=100, rate=2.5, best_so_far=1.5)


def open_job_store(place: str) -> tuple[JobStore, SqliteDatabase | MongoDatabase]:
    """Open the jobs of a file, or of a database that `mongodb://…/?…#name` names; close what comes second."""
    if place.startswith("mongodb"):
        uri, _, name = place.partition("#")
        mongo = MongoDatabase(uri, name)
        return MongoJobs(mongo), mongo
    sqlite = SqliteDatabase(Path(place))
    return SqliteJobs(sqlite), sqlite


def make_sweep(rows: int = 4, user_id: str = "ann") -> SweepRequest:
    """A sweep of a moving average whose `fast` takes so many values."""
    values = tuple(range(2, rows + 2))
    return SweepRequest(
        backtest=make_request(user_id=user_id), parameters=(SweptParameter(name="fast", values=values),)
    )


def make_job(**overrides: Any) -> Job:
    given = {
        "id": str(uuid.uuid4()),
        "user_id": "ann",
        "kind": JobKind.SWEEP,
        "state": JobState.QUEUED,
        "created_ms": START_MS,
    }
    return Job(**(given | overrides))


async def submit(
    store: JobStore, *, key: str | None = None, digest: str = "0", quota: JobQuota = ENOUGH, **overrides: Any
) -> Job:
    job = make_job(**overrides)
    given = None if key is None else Idempotency(key=key, digest=digest)
    return await store.submit(job, make_sweep(user_id=job.user_id), idempotency=given, quota=quota)


async def lease(store: JobStore, now_ms: int = START_MS, *, holder: str = "here") -> Lease:
    found = await store.lease(holder=holder, now_ms=now_ms, duration_ms=LEASE_MS)
    assert found is not None
    return found


async def commit(
    store: JobStore, lease: Lease, first: int, content: bytes = b"rows", *, count: int = 1, now_ms: int = START_MS
) -> tuple[Lease, JobState]:
    span = ChunkSpan(first=first, count=count)
    return await store.commit(lease, span, content, PROGRESS, now_ms=now_ms, duration_ms=LEASE_MS)


async def contents(store: JobStore, job_id: str) -> list[bytes]:
    return [content async for content in store.chunks(job_id)]
