"""One job while its task runs in this process: its lease, and why it stops."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar, TypeVarTuple, Unpack

from src.domain.errors import ClusterUnavailable, ServiceError, StoreUnavailable, UnreadableResult
from src.domain.jobs import (
    NOTHING_MADE,
    ChunkSpan,
    Job,
    JobFailure,
    JobOutcome,
    JobPart,
    JobProgress,
    JobRequest,
    JobStage,
    JobState,
    Lease,
)
from src.jobs.threads import JobThreads
from src.ports.clock import Clock
from src.ports.jobs import JobStore, JobTask, LeaseLost

Outcome = TypeVar("Outcome")
Arguments = TypeVarTuple("Arguments")

_RETRY_PAUSE_S: Final = 0.5

logger = logging.getLogger(__name__)


class StopReason(StrEnum):
    """Why a task is cancelled."""

    CANCELLED = "CANCELLED"
    """By its user."""
    DRAINED = "DRAINED"
    """The service stops."""
    LOST = "LOST"
    """Another process has the job, or it was deleted."""
    TURN_OVER = "TURN_OVER"
    """A job of another user waits."""


_GIVEN_BACK: Final = (StopReason.DRAINED, StopReason.TURN_OVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTiming:
    """How long a lease lasts, how often the store is polled for work and cancellations, and how long a job may go on
    while one of another user waits. That time begins with the job's first commit, so that each turn stores something.
    """

    lease_ms: int = 15_000
    poll_s: float = 1.0
    look_s: float = 0.5
    turn_s: float = 10.0


class RunningJob:
    """The JobHandle of a task.

    It renews the lease every third of its duration, and cancels the task if its user cancels the job, the service
    stops or the lease is lost. If the store cannot be used, writes are tried again for as long as a lease lasts.
    """

    def __init__(
        self,
        lease: Lease,
        request: JobRequest,
        *,
        store: JobStore,
        clock: Clock,
        threads: JobThreads,
        timing: JobTiming,
        changed: Callable[[str], None],
    ) -> None:
        self._lease = lease
        self._request = request
        self._store = store
        self._clock = clock
        self._threads = threads
        self._timing = timing
        self._changed = changed
        self._reason: StopReason | None = None
        self._task: asyncio.Task[JobOutcome] | None = None
        self._renew_at_s = 0.0
        self._turn_ends_s: float | None = None
        self._note(lease)

    @property
    def job(self) -> Job:
        return self._lease.job

    @property
    def request(self) -> JobRequest:
        return self._request

    @property
    def threads(self) -> int:
        return self._threads.count

    async def compute(self, function: Callable[[Unpack[Arguments]], Outcome], *arguments: *Arguments) -> Outcome:
        return await self._threads.run(function, *arguments)

    async def spans(self) -> Sequence[ChunkSpan]:
        return await self._store.spans(self.job.id)

    def chunks(self) -> AsyncIterator[bytes]:
        return self._store.chunks(self.job.id)

    async def commit(self, span: ChunkSpan, content: bytes, progress: JobProgress) -> None:
        async def once() -> tuple[Lease, JobState]:
            times = {"now_ms": self._clock.now_ms(), "duration_ms": self._timing.lease_ms}
            return await self._store.commit(self._lease, span, content, progress, **times)

        await self._write(once)
        await self._end_turn()

    async def parts(self) -> Mapping[str, bytes]:
        return await self._store.parts(self.job.id)

    async def note(
        self, stage: JobStage | None, part: JobPart | None = None, progress: JobProgress | None = None
    ) -> None:
        async def once() -> tuple[Lease, JobState]:
            times = {"now_ms": self._clock.now_ms(), "duration_ms": self._timing.lease_ms}
            return await self._store.note(self._lease, stage, part, progress, **times)

        await self._write(once)
        if part is not None:
            await self._end_turn()

    async def _write(self, once: Callable[[], Awaitable[tuple[Lease, JobState]]]) -> None:
        """Store a part of the job's work; cancel the task if its user has cancelled the job."""
        try:
            lease, state = await self._persist(once)
        except LeaseLost:
            self._reason = StopReason.LOST
            raise
        self._note(lease)
        self._changed(self.job.id)
        if state is JobState.CANCELLING:
            self.stop(StopReason.CANCELLED)
            await asyncio.sleep(0)  # where the task is cancelled

    async def _end_turn(self) -> None:
        """Give the job back if its turn is over and another user's job waits; all its work is stored by now."""
        now_s = time.monotonic()
        if self._turn_ends_s is None:
            self._turn_ends_s = now_s + self._timing.turn_s
        if now_s < self._turn_ends_s or self._reason is not None:
            return
        try:
            is_over = await self._store.is_turn_over(self.job.user_id)
        except StoreUnavailable as error:
            logger.warning("turn not ended: job=%s error=%s", self.job.id, error.message)
            return
        if is_over:
            self.stop(StopReason.TURN_OVER)
            await asyncio.sleep(0)  # where the task is cancelled

    def stop(self, reason: StopReason) -> None:
        """Cancel the task; the first reason counts."""
        if self._reason is None:
            self._reason = reason
            if self._task is not None:
                self._task.cancel()

    async def run(self, task: JobTask) -> Job | None:
        """Run the task and end the job in the store; return None if another process has the job."""
        keeping = asyncio.create_task(self._keep())
        self._task = asyncio.create_task(task.run(self))
        try:
            if self._reason is not None:
                self._task.cancel()
            await asyncio.wait([self._task])
        finally:
            keeping.cancel()
            if not self._task.done():  # this process waits no longer
                self._task.cancel()
                await asyncio.wait([self._task])
        return await self._end(self._task)

    async def _end(self, ended: asyncio.Task[JobOutcome]) -> Job | None:
        """Store how the task has ended."""
        outcome, failure = NOTHING_MADE, None
        error = None if ended.cancelled() else ended.exception()
        if self._reason is StopReason.LOST or isinstance(error, LeaseLost):
            logger.warning("job lost to another process: id=%s", self.job.id)
            return None
        if not ended.cancelled() and error is None:
            state, outcome = JobState.SUCCEEDED, ended.result()
        elif self._reason is not None:
            state = JobState.QUEUED if self._reason in _GIVEN_BACK else JobState.CANCELLED
        elif isinstance(error, ClusterUnavailable):  # not the job's fault: it continues once the cluster responds
            logger.warning("job interrupted: id=%s error=%s", self.job.id, error.message)
            state, outcome = JobState.INTERRUPTED, JobOutcome(warnings=(error.message,))
        else:
            state, failure = JobState.FAILED, _describe_failure(self.job, error)

        async def once() -> Job:
            now_ms = self._clock.now_ms()
            return await self._store.end(self._lease, state, now_ms=now_ms, outcome=outcome, failure=failure)

        job = await self._persist(once)
        logger.info("job ended: id=%s state=%s done=%d", job.id, job.state, job.done)
        return job

    async def _keep(self) -> None:
        """Renew the lease, and stop the task if it may not continue."""
        while self._reason is None:
            await asyncio.sleep(self._timing.look_s)
            try:
                state = await self._look()
            except LeaseLost:
                self.stop(StopReason.LOST)
            except ServiceError as error:
                logger.warning("lease not renewed: job=%s error=%s", self.job.id, error.message)
            else:
                if state is not JobState.RUNNING:
                    self.stop(StopReason.CANCELLED if state is JobState.CANCELLING else StopReason.LOST)

    async def _look(self) -> JobState:
        """Return the job's state; renew the lease if it is time to, or if the job is missing."""
        if time.monotonic() < self._renew_at_s:
            found = await self._store.get_many([self.job.id])
            if self.job.id in found:
                return found[self.job.id].state
        times = {"now_ms": self._clock.now_ms(), "duration_ms": self._timing.lease_ms}
        lease, state = await self._store.renew(self._lease, **times)
        self._note(lease)
        return state

    def _note(self, lease: Lease) -> None:
        self._lease = Lease(job=self._lease.job, token=lease.token, expires_ms=lease.expires_ms)
        self._renew_at_s = time.monotonic() + self._timing.lease_ms / 3000

    async def _persist(self, write: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """Try a write again while the store cannot be used, for as long as a lease lasts."""
        deadline_s = time.monotonic() + self._timing.lease_ms / 1000
        while True:
            try:
                return await write()
            except UnreadableResult:  # damaged: another try does not help
                raise
            except StoreUnavailable as error:
                if time.monotonic() > deadline_s:
                    raise
                logger.warning("job not stored, tried again: job=%s error=%s", self.job.id, error.message)
            await asyncio.sleep(_RETRY_PAUSE_S)


def _describe_failure(job: Job, error: BaseException | None) -> JobFailure:
    """Return why a job failed; an unexpected error is logged with an id, and its user sees only the id."""
    if isinstance(error, ServiceError):
        return JobFailure(code=error.code, message=error.message)
    error_id = uuid.uuid4().hex
    logger.error("unexpected error in job: error_id=%s job=%s", error_id, job.id, exc_info=error)
    return JobFailure(code="INTERNAL_ERROR", message=f"The job failed unexpectedly (error id {error_id}).")
