"""Jobs: their store, their work, and who computes the rows of a sweep."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar, TypeVarTuple, Unpack

import numpy as np
from numpy.typing import NDArray

from src.domain.jobs import (
    NOTHING_MADE,
    ChunkSpan,
    Idempotency,
    Job,
    JobConclusion,
    JobFailure,
    JobKind,
    JobOutcome,
    JobPage,
    JobPart,
    JobProgress,
    JobQuota,
    JobRequest,
    JobStage,
    JobState,
    Lease,
)
from src.domain.sweep_rows import EvaluatedRows, SweepInputs

Outcome = TypeVar("Outcome")
Arguments = TypeVarTuple("Arguments")


class LeaseLost(Exception):
    """The lease has expired and another process has the job, or the job was deleted: stop working on it."""


class JobStore(Protocol):
    """Stores jobs, their requests, the chunks that were computed, and what the jobs made.

    Once a write returns, it survives a crash of the process. Every method raises StoreUnavailable.
    """

    async def submit(self, job: Job, request: JobRequest, *, idempotency: Idempotency | None, quota: JobQuota) -> Job:
        """Store a new job and return it; the earlier job if its user gave the same idempotency key and digest before.

        If the user would exceed `max_jobs` or `max_bytes`, the user's oldest ended jobs are deleted.

        Raises
        ------
        Conflict
            If the key was given with another digest.
        Busy
            If the user has `max_unfinished` jobs that have not ended.
        """
        ...

    async def get(self, job_id: str) -> Job:
        """Raises JobNotFound, UnreadableResult."""
        ...

    async def get_many(self, job_ids: Sequence[str]) -> Mapping[str, Job]:
        """Return those of these jobs that exist and can be read, by id."""
        ...

    async def owner(self, job_id: str) -> str:
        """Return the user whose job it is, even if the job itself cannot be read; raises JobNotFound."""
        ...

    async def list(self, *, user_id: str, first: int, after: str | None, state: JobState | None = None) -> JobPage:
        """Return a page of a user's jobs, newest first; `first` is 1…100, InvalidInput otherwise."""
        ...

    async def read_request(self, job_id: str) -> JobRequest:
        """Return what was asked for; raises JobNotFound, UnreadableResult."""
        ...

    async def lease(self, *, holder: str, now_ms: int, duration_ms: int) -> Lease | None:
        """Return the next job to work on, with a lease, and set it RUNNING; None if there is none.

        First, jobs whose lease has expired become INTERRUPTED, or FAILED after more than `MAX_ATTEMPTS` attempts in a
        row that stored no new chunk or part, or CANCELLED if they were CANCELLING. Then the oldest QUEUED or
        INTERRUPTED job of the user with the fewest RUNNING ones is taken; among equal users, that of the one whose last
        lease is oldest.
        """
        ...

    async def is_turn_over(self, user_id: str) -> bool:
        """Return whether a job of another user is waiting that `lease` would take next if this user gave one back."""
        ...

    async def renew(self, lease: Lease, *, now_ms: int, duration_ms: int) -> tuple[Lease, JobState]:
        """Return the lease with a later end, and the job's state: CANCELLING asks its holder to stop.

        Raises LeaseLost.
        """
        ...

    async def commit(
        self, lease: Lease, span: ChunkSpan, content: bytes, progress: JobProgress, *, now_ms: int, duration_ms: int
    ) -> tuple[Lease, JobState]:
        """Store a chunk and the progress in one transaction, and renew the lease; an existing chunk is kept.

        Raises LeaseLost.
        """
        ...

    async def note(
        self,
        lease: Lease,
        stage: JobStage | None,
        part: JobPart | None,
        progress: JobProgress | None = None,
        *,
        now_ms: int,
        duration_ms: int,
    ) -> tuple[Lease, JobState]:
        """Store the stage of a job, a part of it and its progress in one transaction, and renew the lease.

        None keeps the stored value, but a stage without progress clears the rate, which was that of the earlier units.
        An existing part is kept. Raises LeaseLost.
        """
        ...

    async def parts(self, job_id: str) -> Mapping[str, bytes]:
        """Return the contents of the stored parts by their names; empty for an unknown job."""
        ...

    async def spans(self, job_id: str) -> Sequence[ChunkSpan]:
        """Return the stored chunks, by their first units in rising order; empty for an unknown job."""
        ...

    def chunks(self, job_id: str) -> AsyncIterator[bytes]:
        """Yield the contents of the stored chunks, by their first units in rising order, a few in memory at once.

        Raises JobNotFound if the job does not exist, or is deleted meanwhile.
        """
        ...

    async def end(
        self,
        lease: Lease,
        state: JobState,
        *,
        now_ms: int,
        outcome: JobOutcome = NOTHING_MADE,
        failure: JobFailure | None = None,
    ) -> Job:
        """End a job: SUCCEEDED, FAILED (with `failure`) or CANCELLED; QUEUED or INTERRUPTED gives it back.

        INTERRUPTED means that something the job needs is missing. Giving a job back does not count as an attempt; a
        CANCELLING one becomes CANCELLED. `warnings` replace those of the commits, unless there are none. Raises
        LeaseLost.
        """
        ...

    async def read_conclusion(self, job_id: str) -> JobConclusion | None:
        """Return what the job found; None until it succeeds, and if it made only a result. Raises JobNotFound."""
        ...

    async def cancel(self, job_id: str, *, now_ms: int) -> Job:
        """Cancel a job: at once if no process works on it, else it becomes CANCELLING; an ended one stays as it is.

        Raises JobNotFound.
        """
        ...

    async def resume(self, job_id: str, *, quota: JobQuota) -> Job:
        """Queue a CANCELLED, FAILED or INTERRUPTED job again, with its chunks and new attempts.

        Raises JobNotFound; Conflict in any other state; Busy as `submit` does.
        """
        ...

    async def delete(self, job_id: str) -> None:
        """Delete a job with its chunks, even if it cannot be read; raises JobNotFound, Conflict if a process has it."""
        ...

    async def delete_older(self, before_ms: int) -> int:
        """Delete the jobs of all users that ended before a time; return how many."""
        ...

    async def remove_leftovers(self) -> int:
        """Remove chunks of jobs whose deletion a crash interrupted; return the number of these jobs."""
        ...


class JobHandle(Protocol):
    """A job that runs: what its task may do with it. Each method raises LeaseLost if another process has the job."""

    @property
    def job(self) -> Job:
        """The job as it was when it was begun."""
        ...

    @property
    def request(self) -> JobRequest: ...

    @property
    def threads(self) -> int:
        """How many functions `compute` runs at the same time."""
        ...

    async def compute(self, function: Callable[[Unpack[Arguments]], Outcome], *arguments: *Arguments) -> Outcome:
        """Call a function in a thread of low priority, which responds to no request.

        A thread cannot be stopped: a function should take about a second.
        """
        ...

    async def spans(self) -> Sequence[ChunkSpan]:
        """Return the chunks that are stored already, by their first units in rising order."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the contents of the stored chunks, by their first units in rising order."""
        ...

    async def commit(self, span: ChunkSpan, content: bytes, progress: JobProgress) -> None:
        """Store a chunk with the progress; the task is cancelled here if its user has cancelled the job."""
        ...

    async def note(
        self, stage: JobStage | None, part: JobPart | None = None, progress: JobProgress | None = None
    ) -> None:
        """Show the stage of the job and its progress, and store a part that is finished.

        The task is cancelled here as by `commit`.
        """
        ...

    async def parts(self) -> Mapping[str, bytes]:
        """Return the contents of the parts that are stored already, by their names."""
        ...


class JobTask(Protocol):
    """What is done for the jobs of one kind."""

    @property
    def kind(self) -> JobKind: ...

    async def run(self, handle: JobHandle) -> JobOutcome:
        """Do the job, from the chunks that are stored already; it is cancelled if the job is, or the service stops.

        A ServiceError fails the job with its code and message, but ClusterUnavailable interrupts it.
        """
        ...


class JobWorkers(Protocol):
    """The running jobs of this process."""

    def wake(self) -> None:
        """Look for a job now, because one was queued."""
        ...

    def cancel(self, job_id: str) -> None:
        """Stop working on a job that was cancelled in the store, if this process runs it."""
        ...

    def on_change(self, listener: Callable[[str], None]) -> None:
        """Call a function with the id of a job whenever this process has changed it."""
        ...


class OpenSweep(Protocol):
    """Where the rows of one sweep are computed."""

    @property
    def width(self) -> int:
        """How many chunks are computed at once."""
        ...

    async def evaluate(self, values: NDArray[np.float64], *, first: int, total: int) -> EvaluatedRows:
        """Compute the rows of `values` [k, p], of which the first is row `first` of `total`.

        Raises ClusterUnavailable if what computes them is lost.
        """
        ...


class RowExecutor(Protocol):
    """Computes rows of sweeps, in threads of this process or on a cluster."""

    def open(self, inputs: SweepInputs, handle: JobHandle) -> AbstractAsyncContextManager[OpenSweep]:
        """Take the bars of a sweep to where its rows are computed, and release them at the end.

        Raises ClusterUnavailable if nothing can compute them now.
        """
        ...
