"""Tasks and stores for the runner of jobs, and waiting for a job's end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from src.domain.errors import StoreUnavailable
from src.domain.jobs import ChunkSpan, Job, JobKind, JobOutcome, JobState
from src.jobs.runner import JobRunner
from src.jobs.running_job import JobTiming
from src.ports.jobs import JobHandle
from src.stores.sqlite_jobs import SqliteJobs
from tests.jobs import LEASE_MS, PROGRESS

QUICK = JobTiming(lease_ms=LEASE_MS, poll_s=0.01, look_s=0.01)
NEVER = JobTiming(lease_ms=LEASE_MS, poll_s=3600.0, look_s=3600.0)
"""A runner that asks for nothing by itself."""
MakeRunner = Callable[..., JobRunner]


async def ended(store: SqliteJobs, job_id: str, state: JobState | None = None) -> Job:
    """Wait until a job has ended, or has this state."""
    async with asyncio.timeout(60):
        while True:
            job = await store.get(job_id)
            if job.state is state or (state is None and job.state.is_final):
                return job
            await asyncio.sleep(0.005)


class Holding:
    """A task that commits one chunk and then waits until it is let go, or cancelled."""

    kind = JobKind.SWEEP

    def __init__(self) -> None:
        self.waits, self.go = asyncio.Event(), asyncio.Event()
        self.cancellations = 0

    async def run(self, handle: JobHandle) -> JobOutcome:
        await handle.commit(ChunkSpan(first=0, count=1), b"kept", PROGRESS)
        self.waits.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancellations += 1
            raise
        await handle.commit(ChunkSpan(first=1, count=1), b"late", PROGRESS)
        return JobOutcome(warnings=("let go",))


class Failing:
    """A store that cannot be used for the first calls of one method."""

    def __init__(self, store: SqliteJobs, method: str, times: int) -> None:
        self._store, self._method, self.left = store, method, times

    def __getattr__(self, name: str) -> Any:
        if name == self._method and self.left:
            self.left -= 1
            return self._fail
        return getattr(self._store, name)

    async def _fail(self, *_: object, **__: object) -> Any:
        raise StoreUnavailable("The result store cannot be used: another process holds it locked.")
