"""Check many clients of one service at once: queueing, refusals, disconnects, and the right response for each."""

from __future__ import annotations

import asyncio
import gzip
import json
import pickle
import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.exchange import KLINES, LoopbackExchange
from tests.exchange_faults import hang

OwnService = Callable[..., tuple[str, LoopbackExchange]]

RUN = "mutation ($input: BacktestInput!) { runVectorizedBacktest(input: $input) { id } }"
PATIENT = {"binance_timeout_s": 60.0, "binance_deadline_s": 60.0}
"""Settings of a service that waits for an exchange that does not respond."""


def crossover(**changes: Any) -> dict[str, Any]:
    return {"user_id": "alice", "symbol": "BTCUSDT", "fetch_input": {"limit": 300}, **changes}


def simulated(limit: int, **changes: Any) -> dict[str, Any]:
    return crossover(fetch_input={"limit": limit, "interval": "1m", "source": "simulated", "seed": 3}, **changes)


def run(url: str, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{url}/api/backtests", json=body, timeout=60)


def metric(url: str, line: str) -> float:
    """Return the value of the Prometheus line with this beginning; 0 if there is none."""
    lines = httpx.get(f"{url}/metrics", timeout=10).text.splitlines()
    return sum(float(text.rsplit(" ", 1)[1]) for text in lines if text.startswith(line))


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def under_way(url: str) -> float:
    """Return the number of requests in progress, without the one that asks."""
    return metric(url, "http_requests_in_progress") - 1


def open_request(url: str, path: str, body: bytes, content_type: str = "application/json") -> socket.socket:
    """Send a request without reading the response."""
    address = urlsplit(url)
    connection = socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=30)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection


def open_run(url: str, body: dict[str, Any]) -> socket.socket:
    return open_request(url, "/api/backtests", json.dumps(body).encode())


def read_result_id(connection: socket.socket) -> str:
    """Return the result id in the response to an earlier request."""
    with connection, connection.makefile("rb") as answer:
        head, _, body = answer.read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    result_id: str = json.loads(body)["data"]["id"]
    return result_id


def test_request_beyond_the_queue_is_refused_at_once(own_service: OwnService) -> None:
    url, exchange = own_service(compute_threads=1, max_waiting_backtests=1, **PATIENT)
    exchange.script(KLINES, [hang(60)] * 4)
    hanging = [open_run(url, crossover(fees=fees)) for fees in (0.01, 0.02)]
    wait_until(lambda: under_way(url) == 2)
    refused = run(url, crossover(fees=0.03))
    assert (refused.status_code, refused.json()["code"]) == (503, "BUSY")
    assert refused.headers["content-type"] == "application/problem+json"
    assert int(refused.headers["retry-after"]) >= 1
    [error] = httpx.post(
        f"{url}/graphql",
        json={"query": RUN, "variables": {"input": {"userId": "bob", "symbol": "BTCUSDT"}}},
        timeout=30,
    ).json()["errors"]
    assert error["extensions"]["code"] == "BUSY"
    assert error["extensions"]["retryAfterS"] >= 1
    assert httpx.get(f"{url}/health", timeout=10).status_code == 200
    # Places are given back by clients that leave.
    for connection in hanging:
        connection.close()
    wait_until(lambda: under_way(url) == 0)
    assert metric(url, 'http_requests_total{method="POST",route="/api/backtests",status="disconnected"}') == 2
    assert run(url, simulated(100)).status_code == 200


def test_disconnect_removes_the_model_file(own_service: OwnService, tmp_path: Path) -> None:
    url, exchange = own_service(**PATIENT)
    exchange.script(KLINES, [hang(60)] * 4)
    form = httpx.Request(
        "POST",
        url,
        data={"user_id": "alice", "symbol": "BTCUSDT"},
        files={"file": ("model.pkl", pickle.dumps({"no": "model"}))},
    )
    leftovers = tmp_path / "storage" / ".tmp"
    with closing(open_request(url, "/api/models/backtest/ml", form.read(), form.headers["content-type"])):
        wait_until(lambda: leftovers.is_dir() and any(leftovers.glob("*.pkl")))
    wait_until(lambda: not any(leftovers.iterdir()))
    wait_until(lambda: under_way(url) == 0)


def test_equal_requests_at_once_get_one_result(own_service: OwnService) -> None:
    url, exchange = own_service(compute_threads=1, max_waiting_backtests=1, **PATIENT)
    exchange.script(KLINES, [hang(1.0)])
    ids = [read_result_id(connection) for connection in [open_run(url, crossover()) for _ in range(8)]]
    assert len(set(ids)) == 1
    assert run(url, crossover()).json()["data"]["id"] != ids[0]


def test_one_of_two_equal_callers_may_leave(own_service: OwnService) -> None:
    url, exchange = own_service(**PATIENT)
    exchange.script(KLINES, [hang(1.5)])
    leaving, staying = [open_run(url, crossover()) for _ in range(2)]
    wait_until(lambda: under_way(url) == 2)
    leaving.close()
    assert read_result_id(staying)
    assert metric(url, 'http_requests_total{method="POST",route="/api/backtests",status="disconnected"}') == 1


@pytest.fixture(scope="module")
def long_result(service: str) -> str:
    """Return the id of a stored result of 30,000 bars."""
    answer = run(service, simulated(30_000))
    assert answer.status_code == 200, answer.text
    result_id: str = answer.json()["data"]["id"]
    return result_id


def raw(method: str, url: str, **options: Any) -> tuple[httpx.Response, bytes]:
    with httpx.stream(method, url, timeout=60, **options) as answer:
        return answer, b"".join(answer.iter_raw())


@pytest.mark.parametrize("fields", ["Date portfolioValue signal", "bar: close"])
def test_long_graphql_response_is_equal_streamed_and_compressed(service: str, long_result: str, fields: str) -> None:
    document = f'{{ backtest(id: "{long_result}") {{ data {{ {fields} }} trades {{ profit }} }} }}'
    options: dict[str, Any] = {"json": {"query": document}}
    plain, plain_body = raw("POST", f"{service}/graphql", **options, headers={"Accept-Encoding": "identity"})
    packed, packed_body = raw("POST", f"{service}/graphql", **options, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed_body) == plain_body
    assert len(packed_body) < len(plain_body) / 2
    rows = json.loads(plain_body)["data"]["backtest"]["data"]
    assert len(rows) == 30_000
    pages = f'{{ backtest(id: "{long_result}") {{ data(first: 500, offset: 29_500) {{ {fields} }} }} }}'.replace(
        "_", ""
    )
    page = httpx.post(f"{service}/graphql", json={"query": pages}, timeout=60).json()["data"]["backtest"]["data"]
    assert rows[29_500:] == page


def test_stored_result_is_sent_once_then_not_modified(service: str, long_result: str) -> None:
    url = f"{service}/api/backtests/{long_result}"
    first, body = raw("GET", url, headers={"Accept-Encoding": "gzip"})
    assert (first.headers["content-encoding"], first.headers["vary"]) == ("gzip", "Accept-Encoding, Origin")
    assert gzip.decompress(body) == raw("GET", url, headers={"Accept-Encoding": "identity"})[1]
    again, nothing = raw("GET", url, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, nothing) == (304, b"")


async def test_event_loop_is_free_during_computation(service: str) -> None:
    """Later small requests get their responses before an earlier large one."""
    async with httpx.AsyncClient(base_url=service, timeout=60) as client:
        large = asyncio.create_task(client.post("/api/backtests", json=simulated(400_000)))
        await asyncio.sleep(0.05)
        answered = 0
        while not large.done():
            assert (await client.get("/health")).status_code == 200
            answered += 1
        assert (await large).status_code == 200
    assert answered >= 3
