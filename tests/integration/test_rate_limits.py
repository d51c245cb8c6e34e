"""Limits per sender and time, on a running service: both APIs, WebSockets, agents, the client, and processor time."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from backtesting_client import Client
from backtesting_client.errors import ServiceError
from src.domain.identity import AuthMode
from src.wiring.identity import build_key_file
from tests.exchange import LoopbackExchange
from tests.foreign_things import CSV, RSI
from tests.integration.conftest import service_settings
from tests.server import RunningService

REQUESTS = 40
UPLOADS = 2
CORE_SECONDS = 1
SWEEP = {
    "backtest": {**RSI, "limit": 50_000},
    "parameters": [
        {"name": "low", "range": {"from": 5, "to": 44, "step": 2}},
        {"name": "high", "values": list(range(60, 80, 2))},
    ],
}
LIMITS = {
    "max_requests_per_minute": REQUESTS,
    "max_uploads_per_hour": UPLOADS,
    "max_core_seconds_per_hour": CORE_SECONDS,
    "max_failed_sign_ins_per_minute": 20,
}


class Limited(NamedTuple):
    """A service with keys, and what makes a new user's key."""

    url: str
    new_key: Callable[[], str]

    def http(self, key: str, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"X-API-Key": key, **headers}, timeout=120)


@pytest.fixture(scope="module")
def limited(exchange: LoopbackExchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Limited]:
    settings = service_settings(
        exchange.url, tmp_path_factory.mktemp("limited"), auth=AuthMode.KEYS, mcp=True, **LIMITS
    )
    keys = build_key_file(settings)

    def new_key() -> str:
        return keys.create(f"user{uuid.uuid4().hex[:8]}", name="", now_ms=1, expires_ms=None)[1]

    with RunningService(settings) as running:
        yield Limited(running.url, new_key)
    keys.close()


def use_up(http: httpx.Client) -> None:
    """Send requests until none is left."""
    while int(http.get("/api/strategies").headers["RateLimit"].partition("r=")[2].partition(";")[0]):
        pass


def code_of(answer: httpx.Response) -> str:
    return str(answer.json()["code"])


def test_apis_and_agents_share_one_limit(limited: Limited) -> None:
    key = limited.new_key()
    with limited.http(key) as http:
        first = http.post("/graphql", json={"query": "{ health }"})
        assert first.headers["RateLimit"].startswith(f'"requests";r={REQUESTS - 1};')
        second = http.get("/api/jobs")
        assert second.headers["RateLimit"].startswith(f'"requests";r={REQUESTS - 2};')
        use_up(http)
        assert code_of(http.post("/graphql", json={"query": "{ health }"})) == "RATE_LIMITED"
        refused = http.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        assert (refused.status_code, code_of(refused)) == (429, "RATE_LIMITED")
        assert 0 < int(refused.headers["Retry-After"]) <= 60
        assert http.get("/health").status_code == 200
    with limited.http(limited.new_key()) as other:
        assert other.get("/api/jobs").status_code == 200


def test_message_of_an_agent_is_counted(limited: Limited) -> None:
    with limited.http(limited.new_key(), Accept="application/json, text/event-stream") as http:
        call = {"name": "check_data_quality", "arguments": {"symbol": "BTCUSDT", "source": "simulated", "limit": 100}}
        answer = http.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call})
        assert answer.status_code == 200, answer.text
        assert answer.headers["RateLimit"].startswith(f'"requests";r={REQUESTS - 1};')


def test_subscription_over_limit_gets_an_error(limited: Limited) -> None:
    key = limited.new_key()
    with limited.http(key) as http:
        job = http.post("/api/backtests", json={**RSI, "async": True}).json()["data"]["id"]
        begin = {
            "type": "subscribe", "id": "1",
            "payload": {"query": f'subscription {{ jobProgress(id: "{job}") {{ id state }} }}'},
        }  # fmt: skip
        url = limited.url.replace("http", "ws") + "/graphql"
        with connect(
            url, subprotocols=[Subprotocol("graphql-transport-ws")], additional_headers={"X-API-Key": key}
        ) as socket:
            socket.send(json.dumps({"type": "connection_init"}))
            assert json.loads(socket.recv())["type"] == "connection_ack"
            socket.send(json.dumps(begin))
            assert json.loads(socket.recv())["type"] == "next"
            use_up(http)
            socket.send(json.dumps({**begin, "id": "2"}))
            while (message := json.loads(socket.recv(timeout=60)))["id"] != "2":
                pass
            assert message["type"] == "error"
            [error] = message["payload"]
            assert error["extensions"]["code"] == "RATE_LIMITED"
            assert 0 < error["extensions"]["retryAfterS"] <= 60
            socket.send(json.dumps({"type": "ping"}))
            while json.loads(socket.recv(timeout=60))["type"] != "pong":
                pass


def test_uploads_of_both_apis_share_one_limit(limited: Limited) -> None:
    with limited.http(limited.new_key()) as http:
        form, file = {"symbol": "MINE", "interval": "1d"}, {"file": ("bars.csv", CSV)}
        assert http.post("/api/data/upload", data=form, files=file).status_code == 200
        operations = {
            "query": "mutation($file: Upload!, $input: UploadBarsInput!) { uploadBars(file: $file, input: $input) "
            "{ name } }",
            "variables": {"file": None, "input": {"symbol": "MINE", "interval": "1d", "name": "other"}},
        }
        parts = {"operations": json.dumps(operations), "map": json.dumps({"0": ["variables.file"]})}
        answer = http.post("/graphql", data=parts, files={"0": ("bars.csv", CSV)})
        assert answer.json()["data"] == {"uploadBars": {"name": "other"}}
        refused = http.post("/api/data/upload", data={**form, "name": "third"}, files=file)
        assert (refused.status_code, code_of(refused)) == (429, "RATE_LIMITED")
        assert "MAX_UPLOADS_PER_HOUR" in refused.json()["message"]
        usage = http.get("/api/usage").json()["data"]
        [datasets] = [row for row in usage["stored"] if row["name"] == "datasets"]
        assert (datasets["count"], datasets["max_count"]) == (2, 20)
        assert datasets["size_mb"] > 0
        [uploads] = [row for row in usage["limits"] if row["name"] == "uploads"]
        assert (uploads["used"], uploads["allowed"], uploads["window_s"]) == (2, 2, 3600)
        assert 3500 < uploads["free_after_s"] <= 3600


def test_file_counts_for_each_field_that_uses_it(limited: Limited) -> None:
    with limited.http(limited.new_key()) as http:
        fields = " ".join(f"u{number}: uploadBars(file: $file, input: $i{number}) {{ name }}" for number in range(3))
        inputs = {f"i{number}": {"symbol": "MINE", "interval": "1d", "name": f"set-{number}"} for number in range(3)}
        declared = " ".join(f"${name}: UploadBarsInput!" for name in inputs)
        query = f"mutation($file: Upload! {declared}) {{ {fields} }}"
        operations = json.dumps({"query": query, "variables": {"file": None, **inputs}})
        parts = {"operations": operations, "map": json.dumps({"0": ["variables.file"]})}
        answer = http.post("/graphql", data=parts, files={"0": ("bars.csv", CSV)}).json()
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["RATE_LIMITED"]
        usage = http.get("/api/usage").json()["data"]
        assert [row["count"] for row in usage["stored"] if row["name"] == "datasets"] == [2]
        assert [row["used"] for row in usage["limits"] if row["name"] == "uploads"] == [2]


def test_sweep_goes_on_and_new_work_is_refused(limited: Limited) -> None:
    with limited.http(limited.new_key()) as http:
        sweep = http.post("/api/sweeps", json=SWEEP).json()["data"]["id"]
        deadline = time.monotonic() + 200
        while (state := http.get(f"/api/jobs/{sweep}").json()["data"]["state"]) not in {"SUCCEEDED", "FAILED"}:
            assert time.monotonic() < deadline
            time.sleep(3)
        assert state == "SUCCEEDED"
        usage = {row["name"]: row for row in http.get("/api/usage").json()["data"]["limits"]}
        assert usage["core-seconds"]["used"] > CORE_SECONDS
        for path, body in (
            ("/api/backtests", RSI),
            ("/api/backtests", {**RSI, "async": True}),
            ("/api/sweeps", SWEEP),
            ("/api/sweeps/estimate", SWEEP),
        ):
            refused = http.post(path, json=body)
            assert (refused.status_code, code_of(refused)) == (429, "RATE_LIMITED"), path
            assert "MAX_CORE_SECONDS_PER_HOUR" in refused.json()["message"]
            assert int(refused.headers["Retry-After"]) > 3000
            assert '"core-seconds";r=0;t=' in refused.headers["RateLimit"]
        best = http.get("/api/backtests", params={"first": 1}).json()["data"]["items"][0]["id"]
        query = {"query": f'mutation {{ rerunBacktest(id: "{best}") {{ originalId }} }}'}
        answer = http.post("/graphql", json=query)
        assert answer.json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert http.get(f"/api/sweeps/{sweep}/rows", params={"first": 5}).status_code == 200
        assert http.get(f"/api/backtests/{best}/tearsheet").status_code == 200
    with limited.http(limited.new_key()) as other:
        assert other.post("/api/backtests", json=RSI).status_code == 200


def test_processor_time_of_a_backtest_is_charged(limited: Limited) -> None:
    with limited.http(limited.new_key()) as http:
        before = {row["name"]: row["used"] for row in http.get("/api/usage").json()["data"]["limits"]}
        assert http.post("/api/backtests", json={**RSI, "limit": 20_000}).status_code == 200
        document = "{ usage { userId limits { name used } stored { name count maxCount sizeMb maxMb } } }"
        usage = http.post("/graphql", json={"query": document}).json()["data"]["usage"]
        used = {row["name"]: row["used"] for row in usage["limits"]}
        assert before["core-seconds"] == 0
        assert 0.001 < used["core-seconds"] < 60
        stored = {row["name"]: row for row in usage["stored"]}
        assert list(stored) == ["results", "jobs", "trials", "models", "datasets"]
        assert (stored["results"]["count"], stored["results"]["maxCount"]) == (1, 10_000)
        assert stored["results"]["sizeMb"] > 0
        assert (stored["trials"]["count"], stored["trials"]["maxMb"]) == (1, 1024)


def test_client_reads_when_to_retry(limited: Limited) -> None:
    key = limited.new_key()
    with limited.http(key) as http:
        use_up(http)
    with Client(limited.url, api_key=key, retry_s=0) as impatient, pytest.raises(ServiceError) as refused:
        impatient.usage()
    assert refused.value.code == "RATE_LIMITED"
    assert refused.value.retry_after_s is not None and 0 < refused.value.retry_after_s <= 60


def test_wrong_keys_of_one_address_are_refused(limited: Limited) -> None:
    # The service believes what a proxy of this machine says about its client.
    mine, other = {"X-Forwarded-For": "203.0.113.50"}, {"X-Forwarded-For": "203.0.113.51"}

    def ask(key: str, headers: dict[str, str]) -> httpx.Response:
        with limited.http(key, **headers) as http:
            return http.get("/api/jobs")

    wrong = [ask(f"bt_wrong{number}", mine) for number in range(21)]
    assert {code_of(answer) for answer in wrong[:20]} == {"INVALID_CREDENTIALS"}
    assert (wrong[20].status_code, code_of(wrong[20])) == (429, "RATE_LIMITED")
    key = limited.new_key()
    assert ask(key, mine).status_code == 429
    signing_in = httpx.post(f"{limited.url}/api/session", json={"api_key": key}, headers=mine)
    assert signing_in.status_code == 429
    assert ask(key, other).status_code == 200
    assert ask(key, mine).status_code == 200  # accepted a moment ago
    with httpx.Client(base_url=limited.url, headers=mine) as pages:
        assert pages.post("/api/session", json={"api_key": key}).status_code == 200
        assert pages.get("/api/jobs").status_code == 200, "a session of an accepted key is accepted"


def test_addresses_behind_a_proxy_have_their_own_limits(exchange: LoopbackExchange, tmp_path: Path) -> None:
    settings = service_settings(exchange.url, tmp_path, max_requests_per_minute=3)
    with RunningService(settings) as running, httpx.Client(base_url=running.url) as http:

        def ask(address: str, path: str = "/api/strategies") -> httpx.Response:
            return http.get(path, headers={"X-Forwarded-For": address})

        assert [ask("203.0.113.1").status_code for _ in range(4)] == [200, 200, 200, 429]
        assert ask("203.0.113.2").status_code == 200
        usage: Any = ask("203.0.113.2", "/api/usage?user_id=me").json()["data"]
        assert [(row["name"], row["used"]) for row in usage["limits"]] == [("requests", 2)]
        metrics = ask("203.0.113.1", "/metrics").text
        assert 'rate_refusals_total{limit="requests"} 1.0' in metrics
