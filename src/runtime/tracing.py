"""Send spans to a collector by OpenTelemetry, if its own variables ask for it and its packages are installed.

The extra `otel` (requirements-otel.txt) brings the packages. The provider is not made OpenTelemetry's global one: other
libraries would then record query strings and messages of errors.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from src import __version__
from src.observing.spans import REQUEST, RequestSpan, install_tracer
from src.observing.trace_headers import TraceContext

SERVICE_NAME: Final = "backtesting-service"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_EXPORTER: Final = "OTEL_TRACES_EXPORTER"

logger = logging.getLogger(__name__)


def asks_for_tracing(variables: Mapping[str, str]) -> bool:
    """Return whether OpenTelemetry's standard variables name where spans are sent, and do not switch it off."""
    if variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = variables.get(_EXPORTER, "").strip().lower()
    return exporter != "none" and bool(exporter or any(variables.get(name, "").strip() for name in _ENDPOINTS))


def start_tracing(variables: Mapping[str, str]) -> Callable[[], None]:
    """Trace from now on if the variables ask for it; return a function that sends the last spans and stops.

    It only warns if it cannot trace: platforms set these variables for all programs alike.
    """
    if not asks_for_tracing(variables):
        return _do_nothing
    exporter = variables.get(_EXPORTER, "").strip().lower() or "otlp"
    try:
        provider = _build_provider(exporter)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "opentelemetry":
            raise
        logger.warning("tracing off: reason=not installed module=%s extra=otel", error.name)
        return _do_nothing
    if provider is None:
        logger.warning("tracing off: %s=%r allowed=otlp, console, none", _EXPORTER, exporter)
        return _do_nothing
    install_tracer(OtelTracer(provider))
    logger.info("tracing on: exporter=%s", exporter)

    def stop() -> None:
        install_tracer(None)
        provider.shutdown()

    return stop


class OtelTracer:
    """Spans of OpenTelemetry; they carry no query string, header, or value of a request."""

    def __init__(self, provider: Any) -> None:
        from opentelemetry import trace  # noqa: PLC0415  (only those who trace need it)

        self._trace = trace
        self._tracer = provider.get_tracer(SERVICE_NAME, __version__)

    @contextmanager
    def root(self, name: str, parent: TraceContext | None) -> Iterator[RequestSpan]:
        """Start the span of a request or job, in the client's trace if it sent one."""
        trace = self._trace
        context = None
        if parent is not None:
            remote = trace.SpanContext(
                trace_id=int(parent.trace_id, 16),
                span_id=int(parent.parent_id, 16),
                is_remote=True,
                trace_flags=trace.TraceFlags(int(parent.flags, 16)),
            )
            context = trace.set_span_in_context(trace.NonRecordingSpan(remote))
        kind = trace.SpanKind.SERVER if name == REQUEST else trace.SpanKind.INTERNAL
        with self._tracer.start_as_current_span(
            name, context, kind=kind, record_exception=False, set_status_on_exception=False
        ) as span:
            yield _OtelRequestSpan(span, trace.StatusCode)

    def step(self, name: str, attributes: dict[str, str]) -> Any:
        """Start the span of a step; an exception fails it, and its message stays in the log."""
        return self._tracer.start_as_current_span(
            name, attributes=attributes, record_exception=False, set_status_on_exception=False
        )


class _OtelRequestSpan:
    def __init__(self, span: Any, statuses: Any) -> None:
        self._span = span
        self._statuses = statuses

    @property
    def trace(self) -> TraceContext:
        context = self._span.get_span_context()
        return TraceContext(f"{context.trace_id:032x}", f"{context.span_id:016x}", f"{int(context.trace_flags):02x}")

    def describe(self, name: str, attributes: dict[str, str | int], *, is_failed: bool) -> None:
        self._span.update_name(name)
        self._span.set_attributes(attributes)
        if is_failed:
            self._span.set_status(self._statuses.ERROR)


def _build_provider(exporter: str) -> Any:
    """Return a provider that exports; None for an exporter that is not known. Raises ModuleNotFoundError."""
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter  # noqa: PLC0415

    if exporter == "console":
        spans: Any = ConsoleSpanExporter()
    elif exporter == "otlp":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        spans = OTLPSpanExporter()
    else:
        return None
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES take precedence over these.
    resource = Resource.create()
    if resource.attributes.get("service.name", "").startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": SERVICE_NAME, "service.version": __version__}))
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(spans))
    return provider


def _do_nothing() -> None:
    return None
