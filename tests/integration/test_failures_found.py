"""An unexpected failure is found in the log by the id that the client was given, over both APIs."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from src.domain.identity import AuthMode
from src.observing.logs import JsonFormatter
from src.stores.sqlite import SqliteStore
from tests.exchange import LoopbackExchange
from tests.integration.conftest import service_settings
from tests.server import RunningService

RESULT = "7b0c6a3e-0c7f-4b8e-9d0e-3f2a5b7c9d11"
CAUSE = "cannot reach mongodb://svc:hunter2@db.example/results?authSource=s3cret"
TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADERS = {
    "X-Request-ID": "client-42",
    "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
    "Authorization": "Bearer t0ken",
    "X-API-Key": "t0ken",
    "X-User": "ann",
}
UNSAFE = ("hunter2", "s3cret", "t0ken", "queried", "first=97", RESULT)


class Log(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "httpx":  # the client of this test, in the same process
            self.texts.append(self.format(record))

    def of(self, **wanted: str) -> list[dict[str, Any]]:
        lines = [json.loads(text) for text in self.texts]
        return [line for line in lines if all(line.get(name) == value for name, value in wanted.items())]


@pytest.fixture(scope="module")
def url(exchange: LoopbackExchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a service behind a gateway that names the user."""
    storage: Path = tmp_path_factory.mktemp("storage")
    with RunningService(service_settings(exchange.url, storage, auth=AuthMode.HEADER, auth_header="X-User")) as running:
        yield running.url


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    async def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError(CAUSE)

    for method in ("get", "summaries", "owner"):
        monkeypatch.setattr(SqliteStore, method, fail)
    log, root = Log(), logging.getLogger()
    level = root.level
    root.addHandler(log)
    root.setLevel(logging.INFO)
    yield log
    root.removeHandler(log)
    root.setLevel(level)


def failure_of(log: Log, error_id: str, response: httpx.Response) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the two lines of a failure, the error and the access line, found by the id in the response."""
    assert response.headers["x-request-id"] == "client-42"
    assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-01", response.headers["traceparent"])
    [error] = log.of(error_id=error_id, event="unexpected error")
    [request] = log.of(error_id=error_id, event="request")
    assert [error["request_id"], request["request_id"]] == ["client-42"] * 2
    assert [error["trace_id"], request["trace_id"]] == [TRACE] * 2
    assert "RuntimeError: cannot reach mongodb://…@db.example/results" in error["exception"]
    assert not [text for text in log.texts if any(word in text for word in UNSAFE)]
    return error, request


def test_rest_failure_is_found_by_its_id(url: str, log: Log) -> None:
    response = httpx.get(f"{url}/api/backtests/{RESULT}/data?first=97", headers=HEADERS, timeout=30)
    assert response.status_code == 500
    [error_id] = re.findall(r"\b[0-9a-f]{32}\b", response.json()["message"])
    _, request = failure_of(log, error_id, response)
    assert request.pop("duration_ms") > 0
    assert request | {"time": ""} == {
        "time": "",
        "level": "INFO",
        "logger": "src.api.observation",
        "event": "request",
        "method": "GET",
        "route": "/api/backtests/{result_id}/data",
        "status": 500,
        "request_id": "client-42",
        "trace_id": TRACE,
        "user": "ann",
        "code": "INTERNAL_ERROR",
        "error_id": error_id,
    }


def test_graphql_failure_is_found_by_its_id(url: str, log: Log) -> None:
    document = "query OpenIt($id: ID!) { backtest(id: $id) { id } }"
    body = {"query": document, "operationName": "OpenIt", "variables": {"id": RESULT}}
    response = httpx.post(f"{url}/graphql?a=queried", json=body, headers=HEADERS, timeout=30)
    [failure] = response.json()["errors"]
    assert failure["extensions"]["code"] == "INTERNAL_ERROR"
    [error_id] = re.findall(r"\b[0-9a-f]{32}\b", failure["message"])
    error, request = failure_of(log, error_id, response)
    assert error["operation"] == "OpenIt"
    assert request.pop("duration_ms") > 0
    shown = ("method", "route", "status", "user", "operation", "root_field", "code")
    assert [request[name] for name in shown] == [
        "POST", "/graphql", 200, "ann", "OpenIt", "backtest", "INTERNAL_ERROR",
    ]  # fmt: skip


def test_each_request_has_one_line_without_its_address(url: str, log: Log) -> None:
    for path in ("/health?a=queried", f"/api/backtests?user_id=queried&symbol={'x' * 90}", "/nowhere/queried?x=1"):
        httpx.get(f"{url}{path}", headers={"X-Request-ID": "not safe", "X-User": "ann"}, timeout=30)
    lines = log.of(event="request")
    assert [line["route"] for line in lines] == ["/health", "/api/backtests", "unmatched"]
    assert len({line["request_id"] for line in lines}) == 3
    assert not [text for text in log.texts if "queried" in text or "not safe" in text]


@pytest.mark.parametrize(
    ("document", "root_field"),
    [
        ("{ health }", "health"),
        ("{ a: health b: health __typename }", "health"),
        ("{ health downloads { symbol } }", "several"),
        ("{ __schema { queryType { name } } }", "introspection"),
        ("{ nothingLikeIt }", "other"),
    ],
)
def test_graphql_line_names_the_field_of_the_schema(url: str, log: Log, document: str, root_field: str) -> None:
    httpx.post(f"{url}/graphql", json={"query": document}, headers={"X-User": "ann"}, timeout=30)
    [line] = log.of(event="request")
    assert line["root_field"] == root_field


def test_socket_has_one_line_when_it_closes(url: str, log: Log) -> None:
    address = f"{url.replace('http', 'ws')}/graphql?token=queried"
    with connect(
        address, subprotocols=[Subprotocol("graphql-transport-ws")], additional_headers={"X-Request-ID": "socket-1"}
    ):
        assert log.of(event="websocket") == []
    deadline = time.monotonic() + 30
    while not (lines := log.of(event="websocket")):
        assert time.monotonic() < deadline, "the socket was not logged"
        time.sleep(0.01)
    [line] = lines
    assert (line["route"], line["request_id"]) == ("/graphql", "socket-1")
    assert "queried" not in "".join(log.texts)
