"""Decide how a stored job changes, for every store of jobs: the rules of its states, leases and attempts.

Each function takes the stored fields of a job and returns those that change. The stores apply them: SQLite in the
transaction that read the fields, MongoDB unless the state or the lease has changed since.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from src.domain.errors import Busy, Conflict, UnreadableResult
from src.domain.jobs import (
    FINAL_STATES,
    HELD_STATES,
    MAX_ATTEMPTS,
    WAITING_STATES,
    ChunkSpan,
    Idempotency,
    JobFailure,
    JobOutcome,
    JobProgress,
    JobQuota,
    JobStage,
    JobState,
)

Fields = Mapping[str, Any]

FINAL: Final = tuple(map(str, FINAL_STATES))
WAITING: Final = tuple(map(str, WAITING_STATES))
HELD: Final = tuple(map(str, HELD_STATES))

_RETRY_AFTER_S: Final = 10.0
_FREE: Final[Fields] = {"lease_token": None, "lease_holder": None, "lease_expires_ms": None, "rate": None}
"""No process has it."""
_NO_ATTEMPTS: Final[Fields] = {"attempt": 0, "fruitful_attempt": 0}
_DIED: Final = (
    "The process that ran it ended {count} times in a row before it had stored anything new. Resume it to try again."
)


def is_held(job: Fields, now_ms: int) -> bool:
    """Return whether a process has a lease of the job that has not expired."""
    expires_ms = job["lease_expires_ms"]
    return job["state"] in HELD and isinstance(expires_ms, int) and expires_ms > now_ms


def has_lease(job: Fields, token: str) -> bool:
    """Return whether the holder of this token may write."""
    return bool(job["state"] in HELD and job["lease_token"] == token)


def begin(job: Fields, *, token: str, holder: str, now_ms: int, duration_ms: int) -> Fields:
    """Give a waiting job to a process."""
    return {
        "state": str(JobState.RUNNING),
        "started_ms": now_ms if job["started_ms"] is None else job["started_ms"],
        "ended_ms": None,
        "attempt": _count(job["attempt"]) + 1,
        "lease_token": token,
        "lease_holder": holder,
        "lease_expires_ms": now_ms + duration_ms,
    }


def expire(job: Fields, now_ms: int) -> Fields:
    """Take a job whose lease has expired from its process, which has died or stopped."""
    if job["state"] == JobState.CANCELLING:
        return {**_FREE, "state": str(JobState.CANCELLED), "ended_ms": now_ms}
    fruitless = _count(job["attempt"]) - _count(job["fruitful_attempt"])
    if fruitless <= MAX_ATTEMPTS:
        return {**_FREE, "state": str(JobState.INTERRUPTED)}
    return fail(JobFailure(code="INTERNAL_ERROR", message=_DIED.format(count=fruitless)), now_ms)


def fail(failure: JobFailure, now_ms: int) -> Fields:
    """End a job as failed."""
    return {
        **_FREE,
        "state": str(JobState.FAILED),
        "ended_ms": now_ms,
        "failure": {"code": failure.code, "message": failure.message},
    }


def fail_unreadable(error: UnreadableResult, now_ms: int) -> Fields:
    """End a job that cannot be read: otherwise it is taken again and again, before all other jobs of its user."""
    return fail(JobFailure(code=error.code, message=error.message), now_ms)


def end(job: Fields, state: JobState, outcome: JobOutcome, *, now_ms: int, failure: JobFailure | None) -> Fields:
    """End a job; QUEUED or INTERRUPTED gives it back, unless it was cancelled, and the attempt does not count."""
    is_given_back = state in WAITING
    if state is JobState.FAILED and failure is not None:
        changes = dict(fail(failure, now_ms))
    elif is_given_back and job["state"] != JobState.CANCELLING:
        before = max(0, _count(job["attempt"]) - 1)
        fruitful = min(before, _count(job["fruitful_attempt"]))
        changes = {**_FREE, "state": str(state), "attempt": before, "fruitful_attempt": fruitful}
    elif is_given_back or state in (JobState.SUCCEEDED, JobState.CANCELLED):
        final = JobState.CANCELLED if is_given_back else state
        changes = {**_FREE, "state": str(final), "ended_ms": now_ms}
        if final is JobState.SUCCEEDED:
            changes["stage"] = None
    else:
        raise ValueError(f"a job does not end as {state}, or has no failure")
    if outcome.result_id is not None:
        changes["result_id"] = outcome.result_id
    return {**changes, "warnings": list(outcome.warnings)} if outcome.warnings else changes


def progress(made: JobProgress, *, now_ms: int, duration_ms: int) -> Fields:
    """Note the progress of a commit, which renews the lease."""
    return {**_shown(made), "lease_expires_ms": now_ms + duration_ms}


def note(stage: JobStage | None, made: JobProgress | None, *, now_ms: int, duration_ms: int) -> Fields:
    """Note the stage of a job and its progress, unless None, and renew the lease.

    A stage without progress comes after the units, so it clears their rate.
    """
    shown = {} if stage is None else {"stage": {"name": str(stage.name), "done": stage.done, "total": stage.total}}
    past: Fields = {} if stage is None else {"rate": None}
    return {**shown, **(past if made is None else _shown(made)), "lease_expires_ms": now_ms + duration_ms}


def _shown(made: JobProgress) -> Fields:
    return {
        "total": made.total,
        "rate": _finite(made.rate),
        "best_so_far": _finite(made.best_so_far),
        "warnings": list(made.warnings),
    }


def count_as_fruitful(attempt: int) -> Fields:
    """Note that an attempt has stored something new, so that earlier kills no longer count."""
    return {"fruitful_attempt": attempt}


def is_new_chunk(span: ChunkSpan, stored: ChunkSpan | None) -> bool:
    """Return whether to store a chunk; `stored` is a stored one that overlaps it.

    Raises ValueError if only some of its units are stored, because they would count twice.
    """
    if stored is not None and stored != span:
        raise ValueError(f"{span} overlaps the stored {stored}")
    return stored is None


def cancel(job: Fields, now_ms: int) -> Fields:
    """Cancel a job: at once if no process works on it; nothing changes if it has ended."""
    if job["state"] in FINAL:
        return {}
    if is_held(job, now_ms):
        return {"state": str(JobState.CANCELLING)}
    return {**_FREE, "state": str(JobState.CANCELLED), "ended_ms": now_ms}


def resume(job: Fields) -> Fields:
    """Queue a job again with new attempts; raises Conflict if it waits, runs or has succeeded."""
    if job["state"] not in (JobState.CANCELLED, JobState.FAILED, JobState.INTERRUPTED):
        raise Conflict(
            "Job {id!r} is {state}. Allowed to resume: {allowed}.",
            id=job["id"],
            state=job["state"],
            allowed=(JobState.CANCELLED.value, JobState.FAILED.value, JobState.INTERRUPTED.value),
        )
    return {**_FREE, "state": str(JobState.QUEUED), "ended_ms": None, "failure": None, **_NO_ATTEMPTS}


def check_deletable(job: Fields) -> None:
    """Raise Conflict if a process works on the job."""
    if job["state"] in HELD:
        raise Conflict("Job {id!r} is {state}. Cancel it first.", id=job["id"], state=job["state"])


def key_of(given: Idempotency | None) -> Fields:
    """Return the fields of a client's key; empty without one, because a stored key belongs to one job only."""
    return {} if given is None else {"idempotency_key": given.key, "idempotency_digest": given.digest}


def check_same_request(stored_digest: object, given: Idempotency) -> None:
    """Raise Conflict if the key was used with another request."""
    if stored_digest != given.digest:
        raise Conflict(
            "{@idempotencyKey} {key!r} came with another request before. Send a new key with a new request.",
            key=given.key,
        )


def check_unfinished(count: int, quota: JobQuota) -> None:
    """Raise Busy if a user with `count` unfinished jobs may have no further one."""
    allowed = min(quota.max_unfinished, quota.max_jobs)
    if count >= allowed:
        raise Busy(
            "{count} jobs of the user have not ended. Maximum: {allowed} (MAX_UNFINISHED_JOBS_PER_USER).",
            count=count,
            allowed=allowed,
            retry_after_s=_RETRY_AFTER_S,
        )


def surplus(jobs: Sequence[Fields], quota: JobQuota) -> Sequence[str]:
    """Return the ids of a user's oldest ended jobs to delete so that the rest is within the quota."""
    newest_first = sorted(jobs, key=lambda job: (_count(job.get("created_ms")), str(job["id"])), reverse=True)
    newest_first.sort(key=lambda job: job["state"] in FINAL)
    ids, size_bytes = [], 0
    for place, job in enumerate(newest_first, start=1):
        size_bytes += _count(job["size_bytes"])
        if job["state"] in FINAL and (place > quota.max_jobs or size_bytes > quota.max_bytes):
            ids.append(job["id"])
    return ids


def _count(value: object) -> int:
    """Return a stored number; 0 if it is damaged."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
