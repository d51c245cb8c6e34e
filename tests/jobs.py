"""Jobs for tests, a clock that moves, and stores of jobs as another process would open them."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from pathlib import Path
from typing import Any

from src.domain.jobs import ChunkSpan, Idempotency, Job, JobKind, JobOutcome, JobProgress, JobQuota, JobState, Lease
from src.domain.sweeps import SweepRequest, SweptParameter
from src.ports.jobs import JobHandle, JobStore
from src.stores.mongo_connection import MongoDatabase
from src.stores.mongo_driver import DEFAULT_DRIVER, DriverName
from src.stores.mongo_jobs import MongoJobs
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_jobs import SqliteJobs
from tests.factories import START_MS, make_request

ENOUGH = JobQuota(max_unfinished=100, max_jobs=1000, max_bytes=10**9)
LEASE_MS = 15_000
PROGRESS = JobProgress(total=100, rate=2.5, best_so_far=1.5)


def open_job_store(place: str, driver: DriverName = DEFAULT_DRIVER) -> tuple[JobStore, SqliteDatabase | MongoDatabase]:
    """Open the jobs of a file, or of a database that `mongodb://…/?…#name` names; close what comes second."""
    if place.startswith("mongodb"):
        uri, _, name = place.partition("#")
        mongo = MongoDatabase(uri, name, driver=driver)
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
    store: JobStore,
    *,
    rows: int = 4,
    key: str | None = None,
    digest: str = "0",
    quota: JobQuota = ENOUGH,
    **overrides: Any,
) -> Job:
    job = make_job(**overrides)
    given = None if key is None else Idempotency(key=key, digest=digest)
    return await store.submit(job, make_sweep(rows, user_id=job.user_id), idempotency=given, quota=quota)


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


def row_bytes(unit: int) -> bytes:
    """What the task of these tests computes of a unit: it depends on the unit alone."""
    return hashlib.sha256(b"%d" % unit).digest()


def undisturbed(rows: int) -> bytes:
    return b"".join(map(row_bytes, range(rows)))


class ChunkTask:
    """Computes the rows of `make_sweep` chunk by chunk in the runner's threads, from where others have ended.

    `pause_s` is what a chunk takes; `begun` is set when the first one does.
    """

    kind = JobKind.SWEEP

    def __init__(self, *, chunk_rows: int = 2, pause_s: float = 0.0) -> None:
        self.chunk_rows = chunk_rows
        self.pause_s = pause_s
        self.begun = asyncio.Event()
        self.users: list[str] = []

    async def run(self, handle: JobHandle) -> JobOutcome:
        self.users.append(handle.job.user_id)
        request = handle.request
        assert isinstance(request, SweepRequest)
        rows = len(request.parameters[0].values or ())
        done = {unit for span in await handle.spans() for unit in range(span.first, span.first + span.count)}
        first = 0
        while first < rows:
            if first in done:
                first += 1
                continue
            end = first
            while end < min(rows, first + self.chunk_rows) and end not in done:
                end += 1
            self.begun.set()
            content = await handle.compute(self._compute, first, end)
            progress = JobProgress(total=rows, rate=1.0, best_so_far=float(end))
            await handle.commit(ChunkSpan(first=first, count=end - first), content, progress)
            first = end
        return JobOutcome(result_id=hashlib.sha256(b"".join([part async for part in handle.chunks()])).hexdigest())

    def _compute(self, first: int, end: int) -> bytes:
        time.sleep(self.pause_s)
        return b"".join(map(row_bytes, range(first, end)))
