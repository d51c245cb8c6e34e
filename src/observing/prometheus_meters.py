"""Count what adapters and queues report, in Prometheus' registry; the number of series is bounded."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Histogram

from src.observing.declared_meters import METERS
from src.observing.meters import ChildEnd, Refusal

KNOWN_OUTCOMES: Final = (
    *map(str, (200, 400, 403, 404, 418, 429, 451, 500, 502, 503, 504)), "timeout", "unreachable", "other",
)  # fmt: skip
"""The statuses that the exchange documents, and 5xx of its proxies; any other status is counted as other."""


class PrometheusQueueMeter:
    """The meter of one queue."""

    def __init__(self, meters: PrometheusMeters, name: str) -> None:
        self._running = meters.running.labels(name)
        self._waiting = meters.waiting.labels(name)
        self._refusals = {reason: meters.refusals.labels(name, reason.value) for reason in Refusal}
        self._shown = (0, 0)

    def show(self, *, running: int, waiting: int) -> None:
        shown_running, shown_waiting = self._shown
        self._shown = (running, waiting)
        # Each request shows the queue three times, and writing to the workers' shared file costs as much as the rest.
        if running != shown_running:
            self._running.set(running)
        if waiting != shown_waiting:
            self._waiting.set(waiting)

    def count_refusal(self, reason: Refusal) -> None:
        self._refusals[reason].inc()


class PrometheusSandboxMeter:
    """The meter of the processes that open model files."""

    def __init__(self, registry: CollectorRegistry) -> None:
        ends = METERS["sandbox_children_total"].counter(registry)
        self._ends = {end: ends.labels(end.value) for end in ChildEnd}

    def count_end(self, end: ChildEnd) -> None:
        self._ends[end].inc()


class PrometheusExchangeMeter:
    """The meter of the requests to the exchange."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._weight = METERS["exchange_weight_total"].counter(registry)
        self._used_weight = METERS["exchange_used_weight"].gauge(registry)
        responses = METERS["exchange_responses_total"].counter(registry)
        self._responses = {outcome: responses.labels(outcome) for outcome in KNOWN_OUTCOMES}

    def count_weight(self, weight: int) -> None:
        self._weight.inc(weight)

    def show_used_weight(self, weight: int) -> None:
        self._used_weight.set(weight)

    def count_response(self, outcome: int | str) -> None:
        self._responses.get(str(outcome), self._responses["other"]).inc()


class PrometheusStoreMeter:
    """The meter of the calls of all stores."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._durations = METERS["store_operation_duration_seconds"].histogram(registry)
        self._errors = METERS["store_errors_total"].counter(registry)
        self._known: dict[tuple[str, str], Histogram] = {}

    def observe(self, store: str, operation: str, duration_s: float) -> None:
        known = self._known.get((store, operation))
        if known is None:
            known = self._known[store, operation] = self._durations.labels(store, operation)
        known.observe(duration_s)

    def count_error(self, store: str, operation: str, code: str) -> None:
        self._errors.labels(store, operation, code).inc()


class PrometheusRateMeter:
    """The meter of refusals because a sender has used up a limit."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._refusals = METERS["rate_refusals_total"].counter(registry)

    def count_rate_refusal(self, rate: str) -> None:
        self._refusals.labels(rate).inc()


class PrometheusMeters:
    """All meters of a process, registered once in the given registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.running = METERS["queue_running"].gauge(registry)
        self.waiting = METERS["queue_waiting"].gauge(registry)
        self.refusals = METERS["queue_refusals_total"].counter(registry)
        self.sandbox = PrometheusSandboxMeter(registry)
        self.exchange = PrometheusExchangeMeter(registry)
        self.stores = PrometheusStoreMeter(registry)
        self.rates = PrometheusRateMeter(registry)

    def queue(self, name: str) -> PrometheusQueueMeter:
        return PrometheusQueueMeter(self, name)
