"""Check when the service traces, and which spans it makes of steps."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from src.observing.activity import Activity, working_on
from src.observing.spans import current_tracer, install_tracer, span
from src.observing.trace_headers import TraceContext
from src.runtime.tracing import asks_for_tracing, start_tracing
from src.service.computing import ComputeQueue
from src.service.timing import Stopwatch

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}


@pytest.fixture(autouse=True)
def untraced() -> Iterator[None]:
    yield
    install_tracer(None)


@pytest.mark.parametrize(
    ("variables", "asks"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "true"}, False),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "false"}, True),
    ],
)
def test_standard_variables_switch_tracing_on(variables: dict[str, str], asks: bool) -> None:
    assert asks_for_tracing(variables) is asks


def test_without_variables_nothing_is_imported_or_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)  # importing it would fail
    start_tracing({})()
    assert current_tracer() is None


def test_missing_package_is_a_warning(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    monkeypatch.delitem(sys.modules, "opentelemetry.sdk.resources", raising=False)
    with caplog.at_level(logging.WARNING):
        start_tracing(ENDPOINT)()
    assert current_tracer() is None
    [record] = caplog.records
    assert record.getMessage().startswith("tracing off: reason=not installed module=opentelemetry.sdk")
    assert record.getMessage().endswith("extra=otel")


def test_unknown_exporter_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")
    with caplog.at_level(logging.WARNING):
        start_tracing({"OTEL_TRACES_EXPORTER": "zipkin"})()
    assert current_tracer() is None
    assert "OTEL_TRACES_EXPORTER='zipkin'" in caplog.text


class Recorder:
    """A tracer that writes down which span began inside of which."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, str]] = []
        self._open: list[str] = [""]

    @contextmanager
    def step(self, name: str, _: dict[str, str]) -> Iterator[None]:
        self.begun.append((self._open[-1], name))
        self._open.append(name)
        yield
        self._open.pop()

    def root(self, name: str, parent: TraceContext | None) -> object:
        raise AssertionError("nothing here begins a request")


@pytest.mark.parametrize(("step", "name"), [("marketData", "fetch"), ("model", "predict"), ("engine", "engine")])
async def test_steps_of_a_run_are_spans_in_threads_too(step: str, name: str) -> None:
    tracer, stopwatch, computing = Recorder(), Stopwatch(), ComputeQueue(threads=1, max_waiting=0)
    install_tracer(tracer)  # type: ignore[arg-type]

    def compute() -> None:
        with stopwatch.step(step), span("store"):
            pass

    with working_on(Activity(request_id="r")):
        await computing.run(compute)
    await computing.close()
    assert tracer.begun == [("", name), (name, "store")]
    assert [*stopwatch.elapsed_ms] == [step]


def test_polls_outside_of_requests_and_jobs_are_no_spans() -> None:
    tracer = Recorder()
    install_tracer(tracer)  # type: ignore[arg-type]
    with span("store"):
        pass
    assert tracer.begun == []
