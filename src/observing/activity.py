"""Carry the id of the request or job that is being worked on into services, tasks and threads.

The activity is in a context variable: tasks and `asyncio.to_thread` copy it, and `concurrency.threads.run_in_pool` does
so for pools. Work that requests share (one download, one run) belongs to the request that started it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

MAX_TEXT_LENGTH: Final = 128
MAX_ERROR_IDS: Final = 5
"""A GraphQL document can fail in many fields; each failure has a log line of its own."""


@dataclass(slots=True, kw_only=True)
class Activity:
    """A request or a job, and what becomes known about it while it runs.

    `user`, `operation` (the client's name for a GraphQL operation) and `root_field` (its field of the schema) are None
    until they are known. `code` is that of the first error, or of an unexpected one.
    """

    request_id: str | None = None
    trace_id: str | None = None
    job_id: str | None = None
    user: str | None = None
    operation: str | None = None
    root_field: str | None = None
    code: str | None = None
    error_ids: list[str] = field(default_factory=list)

    def log_fields(self) -> dict[str, object]:
        """Return what every log line about it has; nothing for what is not known."""
        found = {
            "request_id": self.request_id,
            "trace_id": self.trace_id,
            "job_id": self.job_id,
            "user": self.user,
            "operation": self.operation,
        }
        return {name: value for name, value in found.items() if value is not None}


_ACTIVITY: ContextVar[Activity | None] = ContextVar("activity", default=None)


def current_activity() -> Activity | None:
    """Return the request or job that this code works for; None outside of both."""
    return _ACTIVITY.get()


@contextmanager
def working_on(activity: Activity) -> Iterator[Activity]:
    """Make this the activity of the block, and of the tasks and threads that it starts."""
    token = _ACTIVITY.set(activity)
    try:
        yield activity
    finally:
        _ACTIVITY.reset(token)


def note_error(code: str, *, error_id: str | None = None) -> None:
    """Note an error for the request's log line and its meters.

    The first code counts, but an unexpected error, which was logged with an id, replaces it.
    """
    activity = _ACTIVITY.get()
    if activity is None:
        return
    if activity.code is None or error_id is not None:
        activity.code = code
    if error_id is not None and len(activity.error_ids) < MAX_ERROR_IDS:
        activity.error_ids.append(error_id)


def printable(text: str) -> str:
    """Return a client's text as one short ASCII word; other characters, also spaces, are escaped."""
    return ascii(text)[1:-1].replace(" ", "\\x20")[:MAX_TEXT_LENGTH]
