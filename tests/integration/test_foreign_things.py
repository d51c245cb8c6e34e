"""Two users with keys: no operation of REST, GraphQL and MCP gives one of them a thing of the other."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import joblib
import numpy as np
import pytest
from graphql import build_client_schema, get_introspection_query, is_object_type
from sklearn.linear_model import LogisticRegression
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from src.api.mcp.definitions import DEFINITIONS
from src.domain.identity import AuthMode
from src.wiring.identity import build_key_file
from tests.architecture.test_floors import ROOT
from tests.exchange import LoopbackExchange
from tests.foreign_things import CSV, GRAPHQL, MCP, PORTFOLIO, REST, RSI, SWEPT, Attack, Things, describe, fill
from tests.integration.conftest import service_settings
from tests.server import RunningService

FINISHED_S = 120.0
INITIALIZE = {"type": "connection_init"}


class World(NamedTuple):
    """A service, ann who attacks, and bob who has things."""

    url: str
    storage: Path
    ann: Things
    bob: Things


@pytest.fixture(scope="module")
def world(exchange: LoopbackExchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("two_users")
    settings = service_settings(exchange.url, folder, auth=AuthMode.KEYS, mcp=True)
    keys = build_key_file(settings)
    ann, bob = (
        Things(user=user, key=keys.create(user, name="", now_ms=1, expires_ms=None)[1]) for user in ("ann", "bob")
    )
    keys.close()
    with RunningService(settings) as running:
        yield World(running.url, folder, ann, give_things(running.url, bob, folder))


def headers_of(things: Things) -> dict[str, str]:
    return {"X-API-Key": things.key}


def give_things(url: str, user: Things, folder: Path) -> Things:
    """Have a user make one thing of each kind, without naming the user in any request."""
    with httpx.Client(base_url=url, headers=headers_of(user), timeout=FINISHED_S) as client:

        def post(path: str, **sent: Any) -> Any:
            answer = client.post(path, **sent)
            assert answer.status_code < 300, answer.text
            return answer.json()["data"]

        rows = np.random.default_rng(1).uniform(50, 150, (60, 5))
        joblib.dump(LogisticRegression().fit(rows, rows[:, 3] > rows[:, 0]), folder / "m.joblib")
        model = post("/api/models/upload", files={"file": ("m.joblib", (folder / "m.joblib").read_bytes())})
        dataset = post(
            "/api/data/upload", data={"symbol": "MINE", "interval": "1d"}, files={"file": ("bobs_bars.csv", CSV)}
        )
        results = [post("/api/backtests", json=RSI)["id"] for _ in range(2)]
        jobs = {
            "job": post("/api/backtests", json={**RSI, "async": True})["id"],
            "sweep": post("/api/sweeps", json={"backtest": RSI, "parameters": SWEPT})["id"],
            "walk": post(
                "/api/walk-forwards",
                json={"sweep": {"backtest": RSI, "parameters": SWEPT}, "train_bars": 100, "test_bars": 50},
            )["id"],
        }
        made = post("/api/portfolios", json=PORTFOLIO)
        jobs["portfolio"] = made.get("id") or made["job"]["id"]  # it is a job if it takes long
        for job_id in jobs.values():
            wait_for(client, job_id)
        pages = {name: client.get(f"/api/{name}", params={"first": 1}).json()["data"] for name in ("backtests", "jobs")}
        return replace(
            user,
            result=results[0],
            model=model["filename"],
            model_path=model["file_path"],
            dataset=dataset["name"],
            results_cursor=pages["backtests"]["next_cursor"],
            jobs_cursor=pages["jobs"]["next_cursor"],
            **jobs,
        )


def wait_for(client: httpx.Client, job_id: str) -> None:
    deadline = time.monotonic() + FINISHED_S
    while (state := client.get(f"/api/jobs/{job_id}").json()["data"]["state"]) in {"QUEUED", "RUNNING"}:
        assert time.monotonic() < deadline, state
        time.sleep(0.1)
    assert state == "SUCCEEDED"


def send(url: str, operation: str, attack: Attack, *, victim: Things, key: str) -> httpx.Response:
    """Send an attack's request on the things of the victim, with a key."""
    method, _, path = operation.partition(" ")
    sent: dict[str, Any] = {"headers": {"X-API-Key": key}, "timeout": FINISHED_S}
    if attack.document:
        method, path = "POST", "/graphql"
        operations = {"query": fill(attack.document, victim), "variables": fill(attack.variables, victim)}
        if attack.file is None:
            sent["json"] = operations
        else:
            sent["data"] = {"operations": json.dumps(operations), "map": '{"0": ["variables.file"]}'}
            sent["files"] = {"0": attack.file}
    elif attack.form is not None:
        sent |= {"data": fill(attack.form, victim), "files": {"file": attack.file}}
    elif attack.body is not None:
        sent["json"] = fill(attack.body, victim)
    return httpx.request(method, url + fill(attack.path or path, victim), params=fill(attack.query, victim), **sent)


def code_of(response: httpx.Response) -> str | None:
    """Return the code of the error in a response; None if it has none."""
    if "json" not in response.headers["content-type"]:
        return None
    found = response.json()
    if "errors" in found:
        return str(found["errors"][0]["extensions"]["code"])
    return found.get("code")


ATTACKS = [
    (operation, attack)
    for table in (REST, GRAPHQL)
    for operation, attacks in table.items()
    if not isinstance(attacks, str)
    for attack in attacks
]


def names_of(case: object) -> str:
    return describe(case) if isinstance(case, Attack) else str(case)


@pytest.mark.parametrize(("operation", "attack"), ATTACKS, ids=names_of)
def test_foreign_thing_is_not_reached(world: World, operation: str, attack: Attack) -> None:
    response = send(world.url, operation, attack, victim=world.bob, key=world.ann.key)
    if attack.finds_nothing:
        assert response.json()["data"]["items"] == []
        return
    assert code_of(response) in attack.allowed, response.text[:300]
    if not attack.document:
        assert response.status_code in {403, 404}
    if attack.reads:
        own = send(world.url, operation, attack, victim=world.bob, key=world.bob.key)
        assert (own.status_code, code_of(own)) == (200, None), own.text[:300]


@pytest.mark.parametrize(
    ("operation", "attack"),
    [case for case in ATTACKS if case[1].reads and case[1].allowed != ("FORBIDDEN",)],
    ids=names_of,
)
def test_foreign_id_is_answered_as_unknown(world: World, operation: str, attack: Attack) -> None:
    unknown = Things(user="ann", dataset="unknown_bars", **{
        name: str(uuid.uuid4()) for name in ("result", "job", "sweep", "walk", "portfolio")
    })  # fmt: skip
    answers = [send(world.url, operation, attack, victim=things, key=world.ann.key) for things in (world.bob, unknown)]
    texts = []
    for answer, things in zip(answers, (world.bob, unknown), strict=True):
        texts.append(answer.text)
        for name in ("result", "job", "sweep", "walk", "portfolio", "dataset"):
            texts[-1] = texts[-1].replace(getattr(things, name), f"<{name}>")
    assert answers[0].status_code == answers[1].status_code
    assert texts[0] == texts[1]


async def test_agents_do_not_reach_foreign_things(world: World) -> None:
    for tool, attacks in MCP.items():
        for arguments, code in attacks:
            text = await call_tool(world, tool, fill(arguments, world.bob), key=world.ann.key)
            assert text.startswith(code), (tool, arguments, text)
    own = await call_tool(world, "get_run", {"run_id": world.bob.result}, key=world.bob.key)
    assert own.startswith("VERDICT")
    made = await call_tool(world, "backtest_strategy", RSI, key=world.ann.key)
    assert made.startswith("VERDICT")
    listed = httpx.get(f"{world.url}/api/backtests", headers=headers_of(world.ann)).json()["data"]["items"]
    assert {item["user_id"] for item in listed} == {"ann"}


async def call_tool(world: World, tool: str, arguments: Mapping[str, Any], *, key: str) -> str:
    request = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": tool, "arguments": dict(arguments)},
    }
    headers = {"X-API-Key": key, "Accept": "application/json, text/event-stream"}
    async with httpx.AsyncClient(timeout=FINISHED_S) as client:
        answer = await client.post(f"{world.url}/mcp", json=request, headers=headers)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["result"]["content"][0]["text"])


def test_every_operation_is_in_a_table(world: World) -> None:
    """A new operation fails here until its author writes down how it could give away another user's things."""
    document = httpx.get(f"{world.url}/openapi.json", timeout=60).json()
    operations = {
        f"{method.upper()} {path}" for path, found in document["paths"].items() for method in found if method != "head"
    }
    assert operations == set(REST)
    asked = {"query": get_introspection_query()}
    answer = httpx.post(f"{world.url}/graphql", json=asked, headers=headers_of(world.ann), timeout=60).json()
    schema = build_client_schema(answer["data"])
    roots = [kind for kind in (schema.query_type, schema.mutation_type, schema.subscription_type) if kind is not None]
    assert {f"{kind.name}.{name}" for kind in roots for name in kind.fields} == set(GRAPHQL)
    # Below the roots no field takes an id: what it shows is its parent's, which was checked.
    below = {
        f"{kind.name}.{name}"
        for kind in schema.type_map.values()
        if is_object_type(kind) and kind not in roots and not kind.name.startswith("__")
        for name, field in kind.fields.items()
        for argument, item in field.args.items()
        if "ID" in str(item.type) or "id" in argument.lower()
    }
    assert below == set()
    assert {tool.name for tool in DEFINITIONS} == set(MCP)
    assert len(ATTACKS) + sum(map(len, MCP.values())) >= 40


@pytest.mark.parametrize("is_init", [False, True], ids=["handshake", "connection_init"])
def test_subscription_follows_own_jobs_only(world: World, is_init: bool) -> None:
    assert (
        follow(world, key=world.ann.key, is_init=is_init)["payload"]["errors"][0]["extensions"]["code"]
        == "JOB_NOT_FOUND"
    )
    assert follow(world, key=world.bob.key, is_init=is_init)["payload"]["data"]["jobProgress"]["id"] == world.bob.job


def follow(world: World, *, key: str, is_init: bool) -> Any:
    """Return the first message of a subscription to bob's job."""
    address = world.url.replace("http", "ws") + "/graphql"
    headers = {} if is_init else {"Authorization": f"Bearer {key}"}
    payload = {"payload": {"authorization": f"Bearer {key}"}} if is_init else {}
    with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")], additional_headers=headers) as socket:
        socket.send(json.dumps(INITIALIZE | payload))
        assert json.loads(socket.recv(10))["type"] == "connection_ack"
        query = f'subscription {{ jobProgress(id: "{world.bob.job}") {{ id }} }}'
        socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": query}}))
        return json.loads(socket.recv(10))


def test_socket_without_identity_is_closed_unserved(world: World) -> None:
    address = world.url.replace("http", "ws") + "/graphql"
    for payload in ({}, {"payload": {"authorization": "Bearer bt_wrong"}}):
        with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
            socket.send(json.dumps(INITIALIZE | payload))
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4403
    with pytest.raises(InvalidStatus), connect(address, additional_headers={"X-API-Key": "bt_wrong"}):
        pass


@pytest.mark.parametrize("is_init", [False, True], ids=["handshake", "connection_init"])
def test_revoked_key_begins_no_subscription(world: World, is_init: bool) -> None:
    key = operate(world, "keys", "create", "dan").strip()
    address = world.url.replace("http", "ws") + "/graphql"
    headers = {} if is_init else {"X-API-Key": key}
    payload = {"payload": {"authorization": f"Bearer {key}"}} if is_init else {}
    subscribe = {"type": "subscribe", "payload": {"query": 'subscription { jobProgress(id: "none") { id } }'}}
    with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")], additional_headers=headers) as socket:
        socket.send(json.dumps(INITIALIZE | payload))
        assert json.loads(socket.recv(10))["type"] == "connection_ack"
        socket.send(json.dumps(subscribe | {"id": "1"}))
        assert json.loads(socket.recv(10))["id"] == "1"
        listed = operate(world, "keys", "list").splitlines()
        [key_id] = [line.split()[0] for line in listed if line.split()[1] == "dan" and " valid " in line]
        operate(world, "keys", "revoke", key_id)
        socket.send(json.dumps(subscribe | {"id": "2"}))
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                assert json.loads(socket.recv(10))["id"] == "1"
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


def test_examples_of_the_access_page_run(world: World) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    scripts = re.findall(r"```shell\n(.*?)```", (ROOT / "docs" / "access.md").read_text(), re.DOTALL)
    assert scripts
    for script in scripts:
        given = script.replace("http://localhost:5050", world.url)
        env = {**os.environ, "BACKTESTING_API_KEY": world.bob.key}
        done = subprocess.run(["bash", "-euc", given], check=False, capture_output=True, text=True, timeout=60, env=env)
        assert done.returncode == 0, done.stderr
        assert world.bob.model in done.stdout
        assert "errors" not in done.stdout


def test_victims_things_are_still_there(world: World) -> None:
    """Runs after the attacks of this file."""
    with httpx.Client(base_url=world.url, headers=headers_of(world.bob), timeout=60) as client:
        for path in ("/api/backtests/{result}", "/api/jobs/{job}", "/api/sweeps/{sweep}", "/api/walk-forwards/{walk}"):
            assert client.get(fill(path, world.bob)).status_code == 200
        assert [item["filename"] for item in client.get("/api/models/user/bob").json()["data"]] == [world.bob.model]
        assert [item["name"] for item in client.get("/api/data/user/bob").json()["data"]] == [world.bob.dataset]


async def test_foreign_check_under_way_is_not_joined(world: World) -> None:
    """Equal later checks share one computation: the second caller is checked before it joins."""
    path = f"{world.url}/api/backtests/{world.bob.result}/neighbors"
    async with httpx.AsyncClient(timeout=60) as client:
        answers = await asyncio.gather(
            *(client.get(path, headers=headers_of(user)) for user in (world.bob, world.ann, world.bob, world.ann))
        )
    assert [answer.status_code for answer in answers] == [200, 404, 200, 404]


def operate(world: World, command: str, *words: str) -> str:
    """Run a command of the operator in a process of its own, beside the service."""
    env = {**os.environ, "STORAGE_DIR": str(world.storage), "AUTH": "keys"}
    job = [sys.executable, "-m", f"src.runtime.{command}", *words]
    done = subprocess.run(job, check=True, cwd=ROOT, capture_output=True, text=True, timeout=120, env=env)
    return done.stdout


def test_operator_works_while_the_service_serves(world: World) -> None:
    key = operate(world, "keys", "create", "cid", "--expires", "1d").strip()
    own = {"X-API-Key": key}
    made = httpx.post(f"{world.url}/api/backtests", json=RSI, headers=own, timeout=60).json()["data"]
    assert made["user_id"] == "cid"
    table = {line.split()[0]: line.split()[1] for line in operate(world, "users", "usage").splitlines()}
    assert (table["cid"], int(table["bob"]) >= 2) == ("1", True)
    assert "deleted of 'cid': 1 results" in operate(world, "users", "delete", "cid", "--yes")
    refused = httpx.get(f"{world.url}/api/backtests", headers=own)
    assert (refused.status_code, refused.json()["code"]) == (401, "INVALID_CREDENTIALS")
    again = {"X-API-Key": operate(world, "keys", "create", "cid").strip()}
    gone = httpx.get(f"{world.url}/api/backtests/{made['id']}", headers=again)
    assert (gone.status_code, gone.json()["code"]) == (404, "RESULT_NOT_FOUND")
    assert httpx.get(f"{world.url}/api/backtests/{world.bob.result}", headers=headers_of(world.bob)).status_code == 200
    listed = operate(world, "keys", "list").splitlines()
    key_id = next(line.split()[0] for line in listed if line.split()[1] == "cid")
    operate(world, "keys", "revoke", key_id)
    assert httpx.get(f"{world.url}/api/session", headers=again).json()["data"]["user_id"] is None
