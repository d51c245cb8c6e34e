"""Count and time requests by route, and write the counts in Prometheus' text format."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.domain.runs import StoreUsage

SHARED_METRICS: Final = "PROMETHEUS_MULTIPROC_DIR"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SHOWN_CHARACTERS: Final = 200
_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


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
        self._requests = Counter(
            "http_requests", "Requests completed.", ("method", "route", "status"), registry=registry
        )
        self._durations = Histogram(
            "http_request_duration_seconds",
            "Time from a request's head to the end of its response.",
            ("method", "route"),
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._in_progress = Gauge(
            "http_requests_in_progress",
            "Requests without a complete response.",
            registry=registry,
            multiprocess_mode="livesum",
        )

    def begin(self) -> None:
        """Count a request that begins."""
        self._in_progress.inc()

    def finish(self, scope: Scope, *, status: str, duration_s: float) -> None:
        """Count a request that ended; `status` is the HTTP status or "disconnected"."""
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = getattr(scope.get("route"), "path", None) or "unmatched"
        self._in_progress.dec()
        self._requests.labels(method, route, status).inc()
        self._durations.labels(method, route).observe(duration_s)


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
        yield GaugeMetricFamily("result_store_results", "Stored results.", self._usage.results)
        yield GaugeMetricFamily(
            "result_store_bytes", "Bytes that the result store takes on its disk.", self._usage.size_bytes
        )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Observation:
    """Count and time every request."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = "disconnected"

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        started_s = time.perf_counter()
        self._metrics.begin()
        try:
            await self._app(scope, receive, watch)
        finally:
            self._metrics.finish(scope, status=status, duration_s=time.perf_counter() - started_s)
