"""The spans that a collector receives of a real service, by OTLP over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.exchange import LoopbackExchange
from tests.integration.conftest import service_settings
from tests.server import RunningService

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")
pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otel is not installed")

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
RUN = "mutation Mine($input: BacktestInput!) { runVectorizedBacktest(input: $input) { id } }"


class Collector:
    """An OpenTelemetry collector on a free port that keeps what it receives."""

    def __init__(self) -> None:
        bodies = self.bodies = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Collector:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def resources(self) -> Iterator[Any]:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        for _, body in self.bodies:
            yield from ExportTraceServiceRequest.FromString(_unpacked(body)).resource_spans

    def spans(self) -> list[Any]:
        return [span for found in self.resources() for scope in found.scope_spans for span in scope.spans]


def _unpacked(body: bytes) -> bytes:
    import gzip

    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


def test_collector_receives_spans_of_a_backtest(
    exchange: LoopbackExchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        with RunningService(service_settings(exchange.url, tmp_path / "storage")) as service:
            market = {"symbol": "BTCUSDT", "limit": 300, "source": "simulated"}
            body = {"query": RUN, "variables": {"input": {"userId": "hunter2", "fetchInput": market}}}
            headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "X-Request-ID": "client-42"}
            response = httpx.post(f"{service.url}/graphql?token=hunter2", json=body, headers=headers, timeout=60)
        assert "errors" not in response.json()
        assert {path for path, _ in collector.bodies} == {"/v1/traces"}
        spans = [span for span in collector.spans() if span.trace_id.hex() == TRACE]
        names = {attribute.key: attribute.value.string_value
                 for found in collector.resources() for attribute in found.resource.attributes}  # fmt: skip
    [request] = [span for span in spans if span.name == "POST /graphql"]
    assert request.parent_span_id.hex() == SPAN
    assert response.headers["traceparent"] == f"00-{TRACE}-{request.span_id.hex()}-01"
    parents = {span.name: span.parent_span_id for span in spans}
    assert {"fetch", "signals", "engine", "metrics", "store"} <= parents.keys()
    assert {parents["fetch"], parents["engine"]} == {request.span_id}
    described = {attribute.key: attribute.value for attribute in request.attributes}
    assert described["http.response.status_code"].int_value == 200
    assert described["graphql.root_field"].string_value == "runVectorizedBacktest"
    assert described["request.id"].string_value == "client-42"
    assert names["service.name"] == "backtesting-service"
    assert not [body for _, body in collector.bodies if b"hunter2" in _unpacked(body)]
