"""Follow jobs of a running service by server-sent events, and by a subscription over a WebSocket."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.sweeps_served import JOB_S, SWEEP, data_of, start, wait

pytestmark = pytest.mark.timeout(2 * JOB_S)

ORDER = ["OVERFITTING", "SUPERIORITY", "TIMING", "BEST"]
PROGRESS = (
    "subscription ($id: ID!) { jobProgress(id: $id) { id state done total best_so_far stage { name done total } } }"
)


def read_events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream: their fields, with the data as JSON."""
    event: dict[str, Any] = {}
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if not line and "data" in event:
            yield event
            event = {}
        elif name in {"event", "id", "data"}:
            event[name] = json.loads(value) if name == "data" else value


@contextmanager
def socket_of(service: str, **options: Any) -> Iterator[ClientConnection]:
    address = service.replace("http://", "ws://") + "/graphql"
    options = {"subprotocols": ["graphql-transport-ws"], "open_timeout": 30, **options}
    with connect(address, **options) as socket:
        yield socket


def say(socket: ClientConnection, kind: str, **fields: Any) -> None:
    socket.send(json.dumps({"type": kind, **fields}))


def hear(socket: ClientConnection) -> dict[str, Any]:
    heard: dict[str, Any] = json.loads(socket.recv(timeout=JOB_S))
    return heard


def subscribe(socket: ClientConnection, operation_id: str, query: str, **variables: Any) -> None:
    say(socket, "subscribe", id=operation_id, payload={"query": query, "variables": variables})


def test_events_end_with_the_final_state(service: str) -> None:
    job_id = start(service, "/api/sweeps", SWEEP | {"keep_best": 5})
    with httpx.stream("GET", f"{service}/api/jobs/{job_id}/events", timeout=JOB_S) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert "content-encoding" not in response.headers
        events = list(read_events(response))
    assert {event["event"] for event in events} == {"progress"}
    assert len({event["id"] for event in events}) == len(events)
    assert [event["data"]["done"] for event in events] == sorted(event["data"]["done"] for event in events)
    assert events[-1]["data"] == data_of(httpx.get(f"{service}/api/jobs/{job_id}"))
    assert events[-1]["data"]["state"] == "SUCCEEDED"
    stages = [event["data"]["stage"] for event in events]
    assert stages[0] is None
    assert stages[-1] is None
    shown = [(ORDER.index(stage["name"]), stage["done"]) for stage in stages if stage is not None]
    assert shown, "a stage of so many runs and tests cannot pass unseen"
    assert shown == sorted(shown)
    assert all(stage["done"] <= stage["total"] for stage in stages if stage is not None)
    address = f"{service}/api/jobs/{job_id}/events"
    assert httpx.get(address, headers={"Last-Event-ID": events[-1]["id"]}).status_code == 204
    with httpx.stream("GET", address, headers={"Last-Event-ID": "another"}, timeout=30) as again:
        assert list(read_events(again)) == events[-1:]
    unknown = httpx.get(f"{service}/api/jobs/nothing/events")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "JOB_NOT_FOUND")


def test_client_that_leaves_ends_its_stream(own_service: Any) -> None:
    service, _ = own_service(job_workers=0)
    job_id = start(service, "/api/sweeps", SWEEP)
    for _ in range(3):
        with httpx.stream("GET", f"{service}/api/jobs/{job_id}/events", timeout=30) as response:
            assert next(read_events(response))["data"]["state"] == "QUEUED"
    deadline = time.monotonic() + 10
    while "http_requests_in_progress 1.0" not in (shown := httpx.get(f"{service}/metrics").text):
        assert time.monotonic() < deadline, shown
        time.sleep(0.1)


def test_subscription_follows_a_job_to_its_end(service: str) -> None:
    job_id = start(service, "/api/sweeps", SWEEP | {"keep_best": 4})
    with socket_of(service) as socket:
        say(socket, "connection_init")
        assert hear(socket) == {"type": "connection_ack"}
        subscribe(socket, "1", PROGRESS, id=job_id)
        heard = [hear(socket)]
        while heard[-1]["type"] != "complete":
            heard.append(hear(socket))
    states = [message["payload"]["data"]["jobProgress"] for message in heard[:-1]]
    assert states[-1]["state"] == "SUCCEEDED"
    shown = [state["stage"] for state in states if state["stage"] is not None]
    assert shown
    assert all(set(stage) == {"name", "done", "total"} for stage in shown)
    assert (states[-1]["id"], states[-1]["done"], states[-1]["total"]) == (job_id, 24, 24)
    assert wait(service, job_id)["best_so_far"] == states[-1]["best_so_far"]


def test_websocket_serves_subscriptions_only(service: str) -> None:
    with socket_of(service) as socket:
        say(socket, "connection_init")
        hear(socket)
        cases = {
            "query": ("{ health }", "MALFORMED_REQUEST"),
            "mutation": ('mutation { deleteJob(id: "1", userId: "2") }', "MALFORMED_REQUEST"),
            "field": ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
            "unknown": ('subscription { jobProgress(id: "nothing") { id } }', "JOB_NOT_FOUND"),
        }
        for name, (document, code) in cases.items():
            subscribe(socket, name, document)
            heard = hear(socket)
            errors = heard["payload"] if heard["type"] == "error" else heard["payload"]["errors"]
            assert (heard["id"], errors[0]["extensions"]["code"]) == (name, code)
            if heard["type"] == "next":
                assert hear(socket) == {"id": name, "type": "complete"}


def test_subscription_over_http_is_refused(service: str) -> None:
    document = {"query": 'subscription { jobProgress(id: "1") { id } }'}
    refused = httpx.post(f"{service}/graphql", json=document)
    assert refused.status_code == 400
    assert "graphql-transport-ws" in refused.json()["errors"][0]["message"]


@pytest.mark.parametrize("text", ["[]", "no json", '{"type": "subscribe", "id": 1, "payload": "x"}'])
def test_message_that_is_none_closes_the_websocket(service: str, text: str) -> None:
    with socket_of(service) as socket:
        say(socket, "connection_init")
        hear(socket)
        socket.send(text)
        with pytest.raises(ConnectionClosed) as closed:
            hear(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4400


def test_twenty_first_subscription_is_refused(own_service: Any) -> None:
    service, _ = own_service(job_workers=0)
    job_id = start(service, "/api/sweeps", SWEEP)
    with socket_of(service) as socket:
        say(socket, "connection_init")
        hear(socket)
        for number in range(21):
            subscribe(socket, str(number), PROGRESS, id=job_id)
        heard = [hear(socket) for _ in range(21)]
    refused = [message for message in heard if message["type"] == "error"]
    assert [message["id"] for message in refused] == ["20"]


def test_page_of_another_site_opens_no_websocket(service: str) -> None:
    with pytest.raises(InvalidStatus), socket_of(service, origin="https://elsewhere.example"):
        pass
