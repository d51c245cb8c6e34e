"""Count, time and log requests by route, and write the counts in Prometheus' text format."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.api.error_table import ERROR_HELP, UNEXPECTED_CODE
from src.api.paths import GRAPHQL_PATH
from src.domain.runs import StoreUsage
from src.observing.activity import Activity, printable, working_on
from src.observing.declared_meters import METERS
from src.observing.logs import log_event
from src.observing.spans import REQUEST, RequestSpan, current_tracer
from src.observing.trace_headers import REQUEST_ID, TRACEPARENT, read_ids

logger = logging.getLogger(__name__)

SHARED_METRICS: Final = "PROMETHEUS_MULTIPROC_DIR"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SHOWN_CHARACTERS: Final = 200
DISCONNECTED: Final = "disconnected"
NO_ERROR: Final = "OK"
OTHER: Final = "other"
"""The label of an error code or a GraphQL operation that the service does not know."""


def request_line(scope: Scope) -> str:
    """Write a request's method and path for the log in one line, whatever the client sent."""
    method, path = ascii(scope["method"])[1:-1], ascii(scope["path"])[1:-1]
    return f"{method[:_SHOWN_CHARACTERS]} {path[:_SHOWN_CHARACTERS]}"


class RequestMetrics:
    """The counters and histograms of requests, registered once in the given registry.

    Routes are labeled by their template ("/api/backtests/{result_id}"); paths that match no route are "unmatched", so
    that clients cannot create time series.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._requests = METERS["http_requests_total"].counter(registry)
        self._durations = METERS["http_request_duration_seconds"].histogram(registry)
        self._in_progress = METERS["http_requests_in_progress"].gauge(registry)
        self._errors = METERS["http_errors_total"].counter(registry)
        self._operations = METERS["graphql_operations_total"].counter(registry)
        self._operation_durations = METERS["graphql_operation_duration_seconds"].histogram(registry)

    def begin(self) -> None:
        """Count a request that begins."""
        self._in_progress.inc()

    def finish(self, scope: Scope, activity: Activity, *, status: str, duration_s: float) -> None:
        """Count a request that ended; `status` is the HTTP status or "disconnected"."""
        method, route = method_label(scope), route_label(scope)
        self._in_progress.dec()
        self._requests.labels(method, route, status).inc()
        self._durations.labels(method, route).observe(duration_s)
        code = None if activity.code is None else activity.code if activity.code in ERROR_HELP else OTHER
        if activity.root_field is not None or (code is not None and route == GRAPHQL_PATH):
            operation = activity.root_field or OTHER
            self._operations.labels(operation, code or NO_ERROR).inc()
            self._operation_durations.labels(operation).observe(duration_s)
        elif code is not None:
            self._errors.labels(route, code).inc()


def exposition(registry: CollectorRegistry) -> bytes:
    """Write the metrics in Prometheus' text format, of all workers together if they share a folder.

    `PROMETHEUS_MULTIPROC_DIR` names that folder (the library's own convention). Without it each worker writes only its
    own counts, and a counter jumps with the worker that responds.
    """
    shared = os.environ.get(SHARED_METRICS)
    if shared is None:
        return generate_latest(registry)
    for file in Path(shared).glob("gauge_live*.db"):
        pid = int(file.stem.rpartition("_")[2])
        if not _is_alive(pid):
            multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
    together = CollectorRegistry()
    multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return generate_latest(together)


def store_exposition(usage: StoreUsage) -> bytes:
    """Write what the result store holds in Prometheus' text format; any worker may, because all share the store."""
    registry = CollectorRegistry()
    registry.register(_StoreCollector(usage))
    return generate_latest(registry)


class _StoreCollector(Collector):
    """Two gauges with known values; an ordinary gauge would write into the workers' shared folder."""

    def __init__(self, usage: StoreUsage) -> None:
        self._usage = usage

    def collect(self) -> Iterator[Metric]:
        shown = {"result_store_results": self._usage.results, "result_store_bytes": self._usage.size_bytes}
        for name, value in shown.items():
            yield GaugeMetricFamily(name, METERS[name].meaning, value)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Observation:
    """Give each request its ids, count and time it, and log one line about it.

    The ids of `X-Request-ID` and `traceparent` are taken from the client, else made, and sent back.
    """

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._serve_socket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id, trace = read_ids(scope["headers"])
        activity = Activity(request_id=request_id, trace_id=None if trace is None else trace.trace_id)
        ids = [(REQUEST_ID, request_id.encode())]
        tracer = current_tracer()
        with working_on(activity):
            if tracer is None:
                if trace is not None:
                    ids.append((TRACEPARENT, trace.traceparent().encode()))
                await self._respond(scope, receive, send, activity, ids)
                return
            with tracer.root(REQUEST, trace) as span:
                activity.trace_id = span.trace.trace_id
                ids.append((TRACEPARENT, span.trace.traceparent(span.trace.parent_id).encode()))
                status = DISCONNECTED
                try:
                    status = await self._respond(scope, receive, send, activity, ids)
                finally:
                    _describe(span, scope, activity, status)

    async def _respond(
        self, scope: Scope, receive: Receive, send: Send, activity: Activity, ids: Sequence[tuple[bytes, bytes]]
    ) -> str:
        """Serve a request, send its ids back, count it and log it; return its status."""
        status = DISCONNECTED

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
                message = {**message, "headers": [*message.get("headers", ()), *ids]}
            await send(message)

        started_s = time.perf_counter()
        self._metrics.begin()
        try:
            await self._app(scope, receive, watch)
        finally:
            duration_s = time.perf_counter() - started_s
            self._metrics.finish(scope, activity, status=status, duration_s=duration_s)
            shown = int(status) if status.isdecimal() else status
            known = {"method": method_label(scope), "route": route_label(scope), "status": shown}
            _log("request", scope, activity, duration_s, known)
        return status

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id, trace = read_ids(scope["headers"])
        activity = Activity(request_id=request_id, trace_id=None if trace is None else trace.trace_id)
        started_s = time.perf_counter()
        with working_on(activity):
            try:
                await self._app(scope, receive, send)
            finally:
                _log("websocket", scope, activity, time.perf_counter() - started_s, {"route": route_label(scope)})


def method_label(scope: Scope) -> str:
    """Return the method, or OTHER for one that no endpoint has."""
    return scope["method"] if scope["method"] in _METHODS else "OTHER"


def route_label(scope: Scope) -> str:
    """Return the template of the route that serves a request, or `unmatched`."""
    return getattr(scope.get("route"), "path", None) or "unmatched"


def _describe(span: RequestSpan, scope: Scope, activity: Activity, status: str) -> None:
    """Name the span of a request after its route and its GraphQL operation."""
    method, route = method_label(scope), route_label(scope)
    attributes: dict[str, str | int] = {
        "http.request.method": method,
        "http.route": route,
        "request.id": activity.request_id or "",
    }
    if status.isdecimal():
        attributes["http.response.status_code"] = int(status)
    if activity.root_field is not None:
        attributes["graphql.root_field"] = activity.root_field
    if activity.code is not None:
        attributes["error.type"] = activity.code
    is_failed = activity.code == UNEXPECTED_CODE or status == DISCONNECTED or status.startswith("5")
    span.describe(f"{method} {route}", attributes, is_failed=is_failed)


def _log(event: str, scope: Scope, activity: Activity, duration_s: float, fields: Mapping[str, object]) -> None:
    """Log the end of a request: its route's template, never its path or query string."""
    if not logger.isEnabledFor(logging.INFO):
        return
    if activity.user is None and (user_id := _caller_of(scope)) is not None:
        activity.user = printable(user_id)
    known: dict[str, object] = {
        **fields,
        "duration_ms": round(duration_s * 1000, 1),
        **activity.log_fields(),
    }
    if activity.root_field is not None:
        known["root_field"] = activity.root_field
    if activity.code is not None:
        known["code"] = activity.code
    if activity.error_ids:
        known["error_id"] = ",".join(activity.error_ids)
    log_event(logger, event, known)


def _caller_of(scope: Scope) -> str | None:
    """Return the user whom an identity layer has put into `scope["state"]["caller"]`."""
    user_id = getattr(scope.get("state", {}).get("caller"), "user_id", None)
    return user_id if isinstance(user_id, str) else None
