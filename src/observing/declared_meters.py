"""Declare every series of `/metrics` once: docs/reference/meters.md and the dashboard's test are made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
STORE_BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class MeterKind(StrEnum):
    """Prometheus' types."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredMeter:
    """One metric as `/metrics` names it.

    `together` says how the gauges of several workers are combined; `buckets` are the upper bounds of a histogram in
    seconds.
    """

    name: str
    kind: MeterKind
    meaning: str
    labels: tuple[str, ...] = ()
    together: Literal["livesum", "livemostrecent"] = "livesum"
    buckets: tuple[float, ...] = BUCKETS_S

    def counter(self, registry: CollectorRegistry) -> Counter:
        return Counter(self.name, self.meaning, self.labels, registry=registry)

    def gauge(self, registry: CollectorRegistry) -> Gauge:
        return Gauge(self.name, self.meaning, self.labels, registry=registry, multiprocess_mode=self.together)

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        return Histogram(self.name, self.meaning, self.labels, registry=registry, buckets=self.buckets)


def _counter(name: str, meaning: str, *labels: str) -> DeclaredMeter:
    return DeclaredMeter(name=name, kind=MeterKind.COUNTER, meaning=meaning, labels=labels)


def _gauge(
    name: str, meaning: str, *labels: str, together: Literal["livesum", "livemostrecent"] = "livesum"
) -> DeclaredMeter:
    return DeclaredMeter(name=name, kind=MeterKind.GAUGE, meaning=meaning, labels=labels, together=together)


def _histogram(name: str, meaning: str, *labels: str, buckets: tuple[float, ...] = BUCKETS_S) -> DeclaredMeter:
    return DeclaredMeter(name=name, kind=MeterKind.HISTOGRAM, meaning=meaning, labels=labels, buckets=buckets)


_ALL: Final = (
    _counter("http_requests_total", "Requests completed.", "method", "route", "status"),
    _histogram(
        "http_request_duration_seconds", "Time from a request's head to the end of its response.", "method", "route"
    ),
    _gauge("http_requests_in_progress", "Requests without a complete response."),
    _counter("http_errors_total", "Requests of the REST API and the pages that got an error.", "route", "code"),
    _counter(
        "graphql_operations_total",
        "GraphQL requests, by the field of the schema and the code of the first error, or OK.",
        "operation",
        "code",
    ),
    _histogram(
        "graphql_operation_duration_seconds",
        "Time from a GraphQL request's head to the end of its response.",
        "operation",
    ),
    _gauge(
        "queue_running",
        "Callers that hold a slot of a queue: backtests, estimates, models, uploads (of bars).",
        "queue",
    ),
    _gauge("queue_waiting", "Callers that wait for a slot of a queue.", "queue"),
    _counter(
        "queue_refusals_total", "Callers that a queue rejected: full, late, displaced, closed.", "queue", "reason"
    ),
    _counter(
        "rate_refusals_total",
        "Uses over a limit per sender and time: requests, uploads, core-seconds, failed-sign-ins.",
        "limit",
    ),
    _counter(
        "sandbox_children_total",
        "Processes that opened a model file, by their end: replied, deadline, signal, cancelled, exited.",
        "end",
    ),
    _counter("exchange_weight_total", "Request weight of the requests sent to the exchange."),
    _gauge(
        "exchange_used_weight",
        "Weight used from this address in the exchange's minute, as its last response said.",
        together="livemostrecent",
    ),
    _counter(
        "exchange_responses_total",
        "Requests to the exchange, by HTTP status, or timeout, unreachable, other.",
        "status",
    ),
    _histogram(
        "store_operation_duration_seconds",
        "Time of a call of a store (results, trials, jobs), however it ended.",
        "store",
        "operation",
        buckets=STORE_BUCKETS_S,
    ),
    _counter("store_errors_total", "Calls of a store that raised an error.", "store", "operation", "code"),
    _gauge("result_store_results", "Stored results."),
    _gauge("result_store_bytes", "Bytes that the result store takes on its disk."),
)

METERS: Final[Mapping[str, DeclaredMeter]] = MappingProxyType({meter.name: meter for meter in _ALL})
