"""Serve jobs over REST: list, read, follow, cancel, resume, delete."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from src.api.dependencies import job_streams_of, services_of
from src.api.rest import values
from src.api.rest.body_models import IdempotencyKeyText
from src.api.rest.job_schemas import CancelledJobSchema, JobPageSchema, JobSchema, present_job
from src.api.rest.presenting import respond
from src.api.rest.queries import NamedQueryRoute
from src.api.rest.schemas import Envelope, error_responses
from src.domain import errors
from src.domain.jobs import Job, JobState, JobSubject

router = APIRouter(prefix="/api/jobs", tags=["jobs"], route_class=NamedQueryRoute)

HEARTBEAT_S: Final = 15.0
"""Seconds after which a stream without news gets a comment: proxies close connections that are silent for a minute."""
RETRY_AFTER_S: Final = 1
RECONNECT_MS: Final = 2_000
EVENT_STREAM: Final = "text/event-stream"

JobId = Annotated[str, Path(description="The job's id.")]
JobUser = Annotated[str, Query(description="Whose job it is.", json_schema_extra=values.USER_ID)]
IdempotencyKey = Annotated[
    IdempotencyKeyText | None,
    Header(
        alias="Idempotency-Key",
        description="The same key and request of a user are the same job, however often they are sent; the same key "
        "with another request is a conflict.",
    ),
]

_READ_ERRORS = error_responses(errors.InvalidInput, errors.JobNotFound, errors.StoreUnavailable)
_CHANGE_ERRORS = error_responses(
    errors.InvalidInput, errors.JobNotFound, errors.Conflict, errors.Busy, errors.StoreUnavailable
)
_STARTED: Final[Mapping[str, Any]] = {
    "Location": {"description": "Path of the job.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds after which to ask for it.", "schema": {"type": "integer"}},
}
STARTED: Final[Mapping[int | str, Any]] = {202: {"description": "The job waits to be run.", "headers": _STARTED}}
"""What an endpoint that starts a job responds."""

_EVENTS: Final[Mapping[int | str, Any]] = {
    200: {
        "description": "A stream of `progress` events, each with the job as JSON and an id.",
        "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
    },
    204: {"description": "The job has ended, and the client has its last event (Last-Event-ID)."},
}


def choose_key(header: str | None, body: str | None) -> str | None:
    """Return the idempotency key of a header or a body; raises InvalidInput if they differ."""
    if header is not None and body is not None and header != body:
        raise errors.InvalidInput(
            "{field} is {got!r} and the header Idempotency-Key is {other!r}. Allowed: one of them.",
            field="idempotencyKey", got=body, other=header,
        )  # fmt: skip
    return header if body is None else body


async def describe_job(request: Request, job: Job) -> dict[str, object]:
    """Return a job with what it is about, as `JobSchema` describes it."""
    return present_job(job, await services_of(request).jobs.subject(job.id))


async def respond_started(request: Request, job: Job) -> Response:
    """Return the response to a request that started a job."""
    headers = {"Location": f"/api/jobs/{job.id}", "Retry-After": str(RETRY_AFTER_S)}
    return respond(f"Job {job.state.lower()}", await describe_job(request, job), status=202, headers=headers)


@router.get(
    "",
    summary="List jobs, newest first",
    response_model=Envelope[JobPageSchema],
    responses=error_responses(errors.InvalidInput, errors.StoreUnavailable),
)
async def list_jobs(
    request: Request,
    user_id: Annotated[str, Query(description="Whose jobs.", json_schema_extra=values.USER_ID)],
    state: Annotated[JobState | None, Query(description="Only jobs in this state.")] = None,
    first: Annotated[int, Query(ge=1, le=100, description="Most jobs of a page.")] = 20,
    after: Annotated[
        str | None, Query(description="`next_cursor` of the page before.", json_schema_extra=values.CURSOR)
    ] = None,
) -> Response:
    """List jobs, newest first."""
    page = await services_of(request).jobs.list(user_id=user_id, first=first, after=after, state=state)
    items = [await describe_job(request, job) for job in page.jobs]
    found = {"items": items, "next_cursor": page.next_cursor, "warnings": page.warnings}
    return respond(f"{len(items)} job(s)", found)


@router.get("/{job_id}", summary="Read how far a job is", response_model=Envelope[JobSchema], responses=_READ_ERRORS)
async def get_job(request: Request, job_id: JobId) -> Response:
    """Read how far a job is."""
    job = await services_of(request).jobs.get(job_id)
    headers = {} if job.state.is_final else {"Retry-After": str(RETRY_AFTER_S)}
    return respond(f"Job {job.state.lower()}", await describe_job(request, job), headers=headers)


@router.get(
    "/{job_id}/events",
    summary="Follow a job as it proceeds",
    response_class=StreamingResponse,
    responses={
        **_EVENTS,
        **error_responses(errors.InvalidInput, errors.JobNotFound, errors.Busy, errors.StoreUnavailable),
    },
)
async def follow_job(
    request: Request,
    job_id: JobId,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", description="The id of the last event that the client has.")
    ] = None,
) -> Response:
    """Follow a job as server-sent events until it has ended.

    Each event is `progress`, with the whole job as data: a client that misses one misses nothing. A comment comes every
    15 s without news.
    """
    services, streams = services_of(request), job_streams_of(request)
    job = await services.jobs.get(job_id)
    subject = await services.jobs.subject(job_id)
    if job.state.is_final and _write_event(job, subject)[0] == last_event_id:
        return Response(status_code=204)  # which tells an EventSource not to connect again
    streams.check_free(job.user_id)

    async def write_events() -> AsyncIterator[bytes]:
        known = last_event_id
        yield b"retry: %d\n\n" % RECONNECT_MS
        async for state in streams.follow(services.jobs, job_id, job.user_id, idle_s=HEARTBEAT_S):
            if state is None:
                yield b": no news\n\n"
                continue
            event_id, text = _write_event(state, subject)
            if event_id != known:
                known = event_id
                yield text

    # no-transform, and nginx's header: a proxy that collects events delays them.
    headers = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
    return StreamingResponse(write_events(), media_type=EVENT_STREAM, headers=headers)


def _write_event(job: Job, subject: JobSubject | None) -> tuple[str, bytes]:
    """Return the id of a job's state, equal in all processes for equal ones, and the event."""
    content = orjson.dumps(present_job(job, subject))
    event_id = hashlib.sha256(content).hexdigest()[:16]
    return event_id, b"event: progress\nid: %b\ndata: %b\n\n" % (event_id.encode(), content)


@router.delete(
    "/{job_id}",
    summary="Cancel or delete a job",
    response_model=Envelope[CancelledJobSchema | None],
    responses=_CHANGE_ERRORS,
)
async def cancel_job(
    request: Request,
    job_id: JobId,
    user_id: JobUser,
    delete: Annotated[bool, Query(description="Delete the job, which no process may be working on.")] = False,
) -> Response:
    """Cancel a job, which keeps what was computed and can be resumed; one that has ended stays as it is.

    With `delete=true`, delete a job and its rows instead; the results that it stored stay. `data` is then null.
    """
    jobs = services_of(request).jobs
    if delete:
        await jobs.delete(job_id, user_id=user_id)
        return respond("Job deleted successfully", None)
    job = await jobs.cancel(job_id, user_id=user_id)
    return respond(f"Job {job.state.lower()}", await describe_job(request, job))


@router.post(
    "/{job_id}/resume",
    summary="Continue a job that has ended",
    status_code=202,
    response_model=Envelope[JobSchema],
    responses={**STARTED, **_CHANGE_ERRORS},
)
async def resume_job(request: Request, job_id: JobId, user_id: JobUser) -> Response:
    """Continue a cancelled, failed or interrupted job where it ended."""
    return await respond_started(request, await services_of(request).jobs.resume(job_id, user_id=user_id))
