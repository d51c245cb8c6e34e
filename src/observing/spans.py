"""Time the steps of a request or job as spans, if the process traces (see `runtime.tracing`)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol

from src.observing.activity import current_activity
from src.observing.trace_headers import TraceContext

REQUEST: Final = "request"
JOB: Final = "job"


class RequestSpan(Protocol):
    """The span of a request or job while it lasts."""

    @property
    def trace(self) -> TraceContext:
        """Its trace and its own id, which is the parent of what it calls."""

    def describe(self, name: str, attributes: dict[str, str | int], *, is_failed: bool) -> None:
        """Name it after what is known at its end."""


class Tracer(Protocol):
    """Starts spans; each is the parent of those that start inside of it."""

    def root(self, name: str, parent: TraceContext | None) -> AbstractContextManager[RequestSpan]:
        """Start the span of a REQUEST or JOB; `parent` is the client's, if it sent one."""

    def step(self, name: str, attributes: dict[str, str]) -> AbstractContextManager[object]:
        """Start the span of a step; an exception fails it."""


class _Installed:
    """The tracer of this process: like the root of the log's handlers, there is one."""

    tracer: Tracer | None = None


_NO_SPAN: Final = nullcontext()


def install_tracer(tracer: Tracer | None) -> None:
    """Trace from now on; None stops."""
    _Installed.tracer = tracer


def current_tracer() -> Tracer | None:
    """Return the tracer; None if the process does not trace."""
    return _Installed.tracer


def job_span() -> AbstractContextManager[object]:
    """Time the block as the work on a job."""
    tracer = _Installed.tracer
    return _NO_SPAN if tracer is None else tracer.root(JOB, None)


def span(name: str, **attributes: str) -> AbstractContextManager[object]:
    """Time the block as a step of its request or job. Without one do nothing, because polls would flood the trace."""
    tracer = _Installed.tracer
    if tracer is None or current_activity() is None:
        return _NO_SPAN
    return tracer.step(name, attributes)
