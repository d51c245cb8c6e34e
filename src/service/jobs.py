"""Submit, list, follow, cancel, resume and delete jobs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing

from src.domain.errors import job_not_found
from src.domain.jobs import (
    KIND_OF,
    Idempotency,
    Job,
    JobConclusion,
    JobPage,
    JobQuota,
    JobRequest,
    JobState,
    JobSubject,
)
from src.domain.model_files import check_user_id
from src.ports.clock import Clock
from src.ports.jobs import JobStore, JobWorkers
from src.ports.rates import CoreBudget
from src.service.job_subjects import JobSubjects
from src.service.job_watch import JobWatch


class JobService:
    """The jobs of all users; a job can be read by its id, and changed by its user.

    `workers` are the running jobs of this process, which need not be the one that runs a job. Every method raises
    StoreUnavailable.
    """

    def __init__(
        self,
        *,
        store: JobStore,
        workers: JobWorkers,
        watch: JobWatch,
        clock: Clock,
        quota: JobQuota,
        budget: CoreBudget | None = None,
    ) -> None:
        self._store = store
        self._workers = workers
        self._watch = watch
        self._subjects = JobSubjects(store)
        self._clock = clock
        self._quota = quota
        self._budget = budget
        workers.on_change(watch.note_change)

    async def submit(self, request: JobRequest, *, idempotency_key: str | None = None) -> Job:
        """Queue a request and return its job; the user's earlier job if key and request are the same.

        Raises InvalidInput if the key is invalid; Conflict if it was used with another request; Busy if the user has
        too many jobs that have not ended; RateLimited if the user has no processor time left.
        """
        self._admit(request.user_id)
        key = None
        if idempotency_key is not None:
            key = Idempotency(key=idempotency_key, digest=digest_request(request))
        job = Job(
            id=str(uuid.uuid4()),
            user_id=check_user_id(request.user_id),
            kind=KIND_OF[type(request)],
            state=JobState.QUEUED,
            created_ms=self._clock.now_ms(),
        )
        stored = await self._store.submit(job, request, idempotency=key, quota=self._quota)
        self._workers.wake()
        return stored

    async def get(self, job_id: str) -> Job:
        """Raises JobNotFound, UnreadableResult."""
        return await self._store.get(job_id)

    async def owner(self, job_id: str) -> str:
        """Return the owner of a job; raises JobNotFound."""
        return await self._store.owner(job_id)

    async def subject(self, job_id: str) -> JobSubject | None:
        """Return what a job is about; None if it is gone, or its request cannot be read."""
        return await self._subjects.read(job_id)

    async def read_request(self, job_id: str) -> JobRequest:
        """Return the request of a job; raises JobNotFound, UnreadableResult."""
        return await self._store.read_request(job_id)

    async def read_conclusion(self, job_id: str) -> JobConclusion | None:
        """Return what the job found; None while it has not succeeded. Raises JobNotFound, UnreadableResult."""
        return await self._store.read_conclusion(job_id)

    def chunks(self, job_id: str) -> AsyncIterator[bytes]:
        """Yield the contents of the chunks that are stored so far, in order; raises JobNotFound."""
        return self._store.chunks(job_id)

    async def parts(self, job_id: str) -> Mapping[str, bytes]:
        """Return the parts of a job, which its attempts finished besides the chunks, by name."""
        return await self._store.parts(job_id)

    async def list(
        self, *, user_id: str, first: int, after: str | None = None, state: JobState | None = None
    ) -> JobPage:
        """Return a page of a user's jobs, newest first."""
        return await self._store.list(user_id=check_user_id(user_id), first=first, after=after, state=state)

    async def watch(self, job_id: str) -> AsyncGenerator[Job, None]:
        """Yield the job as it is, and then each change of it, until it has ended; raises JobNotFound."""
        async with aclosing(self._watch.watch(await self._store.get(job_id))) as changes:
            async for job in changes:
                yield job

    async def cancel(self, job_id: str, *, user_id: str) -> Job:
        """Cancel a job and keep what it has computed; an ended job stays as it is.

        It is CANCELLING until its process, which may be another one, has stopped. Raises JobNotFound if there is none,
        or it belongs to another user.
        """
        await self._check_owner(job_id, user_id)
        job = await self._store.cancel(job_id, now_ms=self._clock.now_ms())
        self._workers.cancel(job_id)
        self._watch.note_change(job_id)
        return job

    async def resume(self, job_id: str, *, user_id: str) -> Job:
        """Queue a cancelled, failed or interrupted job again; it continues where it stopped.

        Raises JobNotFound if there is none, or it belongs to another user; Conflict in any other state; Busy as
        `submit` does, and RateLimited.
        """
        await self._check_owner(job_id, user_id)
        self._admit(user_id)
        job = await self._store.resume(job_id, quota=self._quota)
        self._workers.wake()
        return job

    async def delete(self, job_id: str, *, user_id: str) -> None:
        """Delete a job and all that it computed, even if it cannot be read.

        Raises JobNotFound if there is none, or it belongs to another user; Conflict if a process works on it.
        """
        await self._check_owner(job_id, user_id)
        await self._store.delete(job_id)
        self._watch.note_change(job_id)

    def _admit(self, user_id: str) -> None:
        if self._budget is not None:
            self._budget.admit(user_id)

    async def _check_owner(self, job_id: str, user_id: str) -> None:
        check_user_id(user_id)
        if await self._store.owner(job_id) != user_id:
            raise job_not_found(job_id)


def digest_request(request: JobRequest) -> str:
    """Return the SHA-256 of a request in hexadecimal: equal requests have equal ones, in every process."""
    return hashlib.sha256(json.dumps(_canonical(request), sort_keys=True).encode()).hexdigest()


def _canonical(value: object) -> object:
    if dataclasses.is_dataclass(value):
        fields = {item.name: _canonical(getattr(value, item.name)) for item in dataclasses.fields(value)}
        return {type(value).__name__: fields}
    if isinstance(value, Mapping):
        return {str(name): _canonical(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in value]
    return value
