"""Follow jobs that run in this process or another one, by one poll of the store for all watched jobs."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Final

from src.domain.errors import StoreUnavailable, job_not_found
from src.domain.jobs import Job
from src.ports.jobs import JobStore

POLL_S: Final = 0.5
MIN_PAUSE_S: Final = 0.05
"""Pause between two polls; a job with short chunks changes more often."""

logger = logging.getLogger(__name__)


class JobWatch:
    """The watched jobs of one process.

    The store is asked for all of them every `poll_s`, and at once when this process has changed one. A watcher that is
    slower than its job misses states in between, but always gets the last one.
    """

    def __init__(self, store: JobStore, *, poll_s: float = POLL_S) -> None:
        self._store = store
        self._poll_s = poll_s
        self._watched: Counter[str] = Counter()
        self._seen: dict[str, Job | None] = {}
        self._polled = asyncio.Condition()
        self._changed = asyncio.Event()
        self._polling: asyncio.Task[None] | None = None

    def note_change(self, job_id: str) -> None:
        """Poll at once if this job is watched."""
        if job_id in self._watched:
            self._changed.set()

    async def watch(self, job: Job) -> AsyncGenerator[Job, None]:
        """Yield this state of a job and then each new one; end after a final one.

        Raises JobNotFound if the job is deleted meanwhile.
        """
        self._watched[job.id] += 1
        self._seen[job.id] = job
        if self._polling is None:
            self._polling = asyncio.create_task(self._poll())
        try:
            yield job
            while not job.state.is_final:
                async with self._polled:
                    while (latest := self._seen[job.id]) == job:
                        await self._polled.wait()
                if latest is None:
                    raise job_not_found(job.id)
                job = latest
                yield job
        finally:
            self._watched -= Counter([job.id])  # drops the jobs without a watcher
            if job.id not in self._watched:
                self._seen.pop(job.id, None)

    async def close(self) -> None:
        """Poll no more."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling])

    async def _poll(self) -> None:
        try:
            while self._watched:
                self._changed.clear()
                ids = list(self._watched)
                try:
                    found = await self._store.get_many(ids)
                except StoreUnavailable as error:
                    logger.warning("watched jobs not read: count=%d error=%s", len(ids), error.message)
                else:
                    async with self._polled:
                        self._seen |= {job_id: found.get(job_id) for job_id in ids if job_id in self._watched}
                        self._polled.notify_all()
                await self._pause()
        finally:
            self._polling = None

    async def _pause(self) -> None:
        await asyncio.sleep(min(MIN_PAUSE_S, self._poll_s))
        try:
            async with asyncio.timeout(self._poll_s):
                await self._changed.wait()
        except TimeoutError:
            return
