"""Run the jobs of this process: wait for one, run its task, end it; several processes share one store."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping
from typing import Final

from src.concurrency.paid_work import paid_by
from src.domain.errors import ServiceError, StoreUnavailable
from src.domain.jobs import JobFailure, JobKind, JobState, Lease
from src.jobs.running_job import JobTiming, RunningJob, StopReason
from src.jobs.threads import JobThreads
from src.observing.activity import Activity, printable, working_on
from src.observing.spans import job_span
from src.ports.clock import Clock
from src.ports.jobs import JobStore, JobTask, LeaseLost
from src.ports.rates import CoreBudget

_CLOSE_S: Final = 5.0
"""Seconds to give back running jobs at a stop; a job that is not given back is taken over when its lease expires."""

logger = logging.getLogger(__name__)


class JobRunner:
    """At most `workers` jobs at a time; with 0 this process runs none.

    A job queued by this process begins at once, one queued by another process within `timing.poll_s`. `budget` charges
    the jobs' users for their processor time; None if that is not limited.
    """

    def __init__(
        self,
        store: JobStore,
        clock: Clock,
        tasks: Mapping[JobKind, JobTask],
        *,
        workers: int,
        threads: int,
        timing: JobTiming | None = None,
        budget: CoreBudget | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._tasks = tasks
        self._workers = workers if tasks else 0
        self._threads = JobThreads(threads, budget)
        self._timing = timing or JobTiming()
        self._holder = f"{socket.gethostname()}:{os.getpid()}"
        self._listeners: list[Callable[[str], None]] = []
        self._running: dict[str, RunningJob] = {}
        self._works: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._is_draining = False

    async def start(self) -> None:
        """Begin to take jobs."""
        if self._workers:
            self._loop = asyncio.create_task(self._take_jobs())

    def start_draining(self) -> None:
        """Take no more jobs, and give back the running ones, for another process to continue."""
        self._is_draining = True
        for job in self._running.values():
            job.stop(StopReason.DRAINED)
        self._woken.set()

    async def close(self) -> None:
        """Drain, and wait until the jobs are given back."""
        self.start_draining()
        tasks = [*self._works, *([] if self._loop is None else [self._loop])]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_CLOSE_S)
            late |= self._works  # begun meanwhile
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=_CLOSE_S)
        self._threads.close()

    def wake(self) -> None:
        self._woken.set()

    def cancel(self, job_id: str) -> None:
        if job_id in self._running:
            self._running[job_id].stop(StopReason.CANCELLED)

    def on_change(self, listener: Callable[[str], None]) -> None:
        self._listeners.append(listener)

    def _notify(self, job_id: str) -> None:
        for listener in self._listeners:
            listener(job_id)

    async def _take_jobs(self) -> None:
        while not self._is_draining:
            self._woken.clear()
            lease = await self._lease() if len(self._works) < self._workers else None
            if lease is not None:
                work = asyncio.create_task(self._work(lease))
                self._works.add(work)
                work.add_done_callback(self._finish)
                continue
            try:
                async with asyncio.timeout(self._timing.poll_s):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def _lease(self) -> Lease | None:
        now_ms = self._clock.now_ms()
        try:
            return await self._store.lease(holder=self._holder, now_ms=now_ms, duration_ms=self._timing.lease_ms)
        except StoreUnavailable as error:
            logger.warning("no job taken: error=%s", error.message)
            return None

    def _finish(self, work: asyncio.Task[None]) -> None:
        self._works.discard(work)
        self._woken.set()
        if not work.cancelled() and (error := work.exception()) is not None:
            logger.error("job not ended, it is continued when its lease expires", exc_info=error)

    async def _work(self, lease: Lease) -> None:
        user_id = lease.job.user_id
        with working_on(Activity(job_id=lease.job.id, user=printable(user_id))), job_span(), paid_by(user_id):
            await self._work_on(lease)

    async def _work_on(self, lease: Lease) -> None:
        job_id = lease.job.id
        logger.info("job begun: id=%s kind=%s attempt=%d", job_id, lease.job.kind, lease.job.attempt)
        self._notify(job_id)
        try:
            await self._run(lease)
        except LeaseLost:
            logger.warning("job lost to another process: id=%s", job_id)
        except ServiceError as error:
            logger.warning("job not ended, it is continued when its lease expires: id=%s error=%s", job_id, error)
        finally:
            self._running.pop(job_id, None)
            self._notify(job_id)

    async def _run(self, lease: Lease) -> None:
        try:
            request = await self._store.read_request(lease.job.id)
            task = self._tasks.get(lease.job.kind)
            if task is None:
                raise ServiceError("This version of the service runs no jobs of kind {kind}.", kind=lease.job.kind)
        except ServiceError as error:
            failure = JobFailure(code=error.code, message=error.message)
            await self._store.end(lease, JobState.FAILED, now_ms=self._clock.now_ms(), failure=failure)
            return
        job = self._running[lease.job.id] = RunningJob(
            lease,
            request,
            store=self._store,
            clock=self._clock,
            threads=self._threads,
            timing=self._timing,
            changed=self._notify,
        )
        if self._is_draining:
            job.stop(StopReason.DRAINED)
        await job.run(task)
