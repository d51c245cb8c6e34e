"""What is MongoDB's own: chunks, half-finished writes, servers that are not there, and secrets that stay secret."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import socket
import threading
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from src.domain.errors import InvalidInput, ResultNotFound, StoreUnavailable
from src.domain.runs import ResultQuota
from src.stores.mongo import CHUNK_BYTES, MongoStore
from src.stores.mongo_connection import MongoDatabase
from src.stores.mongo_driver import DriverName
from tests.equality import assert_identical
from tests.factories import make_request, make_result
from tests.mongo_server import MAX_DOCUMENT_BYTES, MongoServer, driver_of, running_mongo_server, silent_server


@pytest.fixture
def server() -> Iterator[MongoServer]:
    with running_mongo_server() as running:
        yield running


@pytest.fixture(params=["motor", "pymongo"])
def driver(request: pytest.FixtureRequest) -> DriverName:
    return driver_of(request.param)


@pytest.fixture
async def store(server: MongoServer) -> AsyncIterator[MongoStore]:
    opened = MongoStore(MongoDatabase(server.uri, "results"), orphan_age_s=0.0, chunk_bytes=500)
    yield opened
    await opened.close()


def kept(server: MongoServer) -> dict[str, int]:
    database = server.client["results"]
    return {name: database[name].count_documents({}) for name in ("results", "result_chunks", "result_intents")}


async def test_no_document_exceeds_half_the_limit(server: MongoServer) -> None:
    store = MongoStore(MongoDatabase(server.uri, "results"))
    noise = np.random.default_rng(1)
    result = make_result(1_200_000, close=noise.random(1_200_000))
    await store.save(result)
    assert CHUNK_BYTES <= server.largest_document_bytes < CHUNK_BYTES + 1000 < MAX_DOCUMENT_BYTES
    assert_identical(await store.get(result.id), result)
    await store.close()


async def test_every_write_waits_for_majority_journal(store: MongoStore, server: MongoServer) -> None:
    await store.save(make_result())
    await store.delete("result-1")
    assert server.write_concerns
    assert all(concern["w"] == "majority" and concern["j"] is True for concern in server.write_concerns)


async def test_chunks_come_before_the_head(store: MongoStore, server: MongoServer) -> None:
    await store.save(make_result())
    written = [collection for name, collection in server.commands if name == "insert"]
    assert written[0] == "result_intents"
    assert written[-1] == "results"
    assert set(written[1:-1]) == {"result_chunks"}
    assert kept(server)["result_intents"] == 0


@pytest.mark.parametrize("at", ["result_intents", "result_chunks", "results"])
async def test_broken_save_shows_nothing_and_is_removed(store: MongoStore, server: MongoServer, at: str) -> None:
    await store.save(make_result(id="whole"))
    whole = kept(server)
    seen = 0

    def break_second_insert_into(name: str, body: dict[str, Any]) -> bool:
        nonlocal seen
        seen += name == "insert" and body["insert"] == at
        return seen == (2 if at == "result_chunks" else 1)

    server.hang_up_before = break_second_insert_into
    with pytest.raises(StoreUnavailable):
        await store.save(make_result())
    server.hang_up_before = lambda name, body: False
    with pytest.raises(ResultNotFound):
        await store.get("result-1")
    assert len((await store.list(user_id=None, symbol=None, first=9, after=None)).summaries) == 1

    patient = MongoStore(MongoDatabase(server.uri, "results"), orphan_age_s=3600)
    left = kept(server)
    assert await patient.is_reachable()
    assert kept(server) == left  # too young: its writer may still be at work
    await patient.close()

    await asyncio.sleep(0.002)
    eager = MongoStore(MongoDatabase(server.uri, "results"), orphan_age_s=0)
    assert await eager.is_reachable()
    assert kept(server) == whole
    assert_identical(await eager.get("whole"), make_result(id="whole"))
    await eager.save(make_result())
    await eager.close()


async def test_crash_after_the_head_keeps_the_result(store: MongoStore, server: MongoServer) -> None:
    server.hang_up_before = lambda name, body: name == "delete"
    with pytest.raises(StoreUnavailable):
        await store.save(make_result())
    server.hang_up_before = lambda name, body: False
    await asyncio.sleep(0.002)
    assert await store.remove_orphans() == 0
    assert kept(server)["result_intents"] == 0
    assert_identical(await store.get("result-1"), make_result())


async def test_broken_delete_is_completed_by_orphan_removal(store: MongoStore, server: MongoServer) -> None:
    await store.save(make_result())
    server.hang_up_before = lambda name, body: name == "delete" and body["delete"] == "result_chunks"
    with pytest.raises(StoreUnavailable):
        await store.delete("result-1")
    server.hang_up_before = lambda name, body: False
    with pytest.raises(ResultNotFound):
        await store.get("result-1")
    assert kept(server)["result_chunks"]
    await asyncio.sleep(0.002)
    assert await store.remove_orphans() == 1
    assert kept(server) == {"results": 0, "result_chunks": 0, "result_intents": 0}


async def test_concurrent_deletes_delete_once(store: MongoStore, server: MongoServer) -> None:
    await store.save(make_result())
    outcomes = await asyncio.gather(*(store.delete("result-1") for _ in range(4)), return_exceptions=True)
    assert outcomes.count(None) == 1
    assert sum(isinstance(outcome, ResultNotFound) for outcome in outcomes) == 3
    assert kept(server) == {"results": 0, "result_chunks": 0, "result_intents": 0}


async def test_missing_chunks_raise_unreadable_result(store: MongoStore, server: MongoServer) -> None:
    await store.save(make_result())
    server.client["results"]["result_chunks"].delete_one({})
    with pytest.raises(StoreUnavailable, match="'result-1' cannot be read: its columns are not whole"):
        await store.get("result-1")
    assert len(await store.summaries(["result-1"])) == 1


async def test_document_of_another_version_is_named(store: MongoStore, server: MongoServer) -> None:
    await store.save(make_result())
    server.client["results"]["results"].update_one({}, {"$set": {"summary.schema_version": 7}})
    with pytest.raises(StoreUnavailable, match="schema version 7; this build reads 1"):
        await store.get("result-1")
    page = await store.list(user_id=None, symbol=None, first=1, after=None)
    assert page.summaries == ()
    assert "schema version 7; this build reads 1" in page.warnings[0]


async def test_text_that_is_not_unicode_is_refused(store: MongoStore, server: MongoServer) -> None:
    with pytest.raises(InvalidInput, match="valid Unicode"):
        await store.save(make_result(request=make_request(period="\ud800")))


async def test_lists_read_no_chunk(store: MongoStore, server: MongoServer) -> None:
    await store.save(make_result())
    server.commands.clear()
    await store.list(user_id="alice", symbol="BTCUSDT", first=9, after=None)
    await store.summaries(["result-1"])
    assert server.commands == [("find", "results")] * 3  # a page, misplaced heads, summaries


async def test_save_of_a_cancelled_caller_is_completed(server: MongoServer, driver: DriverName) -> None:
    store = MongoStore(MongoDatabase(server.uri, "results", driver=driver), chunk_bytes=500)
    assert await store.is_reachable()
    reached = threading.Event()

    def notice_chunk(name: str, body: dict[str, Any]) -> bool:
        if name == "insert" and body["insert"] == "result_chunks":
            reached.set()
        return False

    server.hang_up_before = notice_chunk
    save = asyncio.create_task(store.save(make_result()))
    assert await asyncio.to_thread(reached.wait, 10)
    save.cancel()
    with pytest.raises(asyncio.CancelledError):
        await save
    await store.close()
    assert (kept(server)["results"], kept(server)["result_intents"]) == (1, 0)
    deadline_s = time.monotonic() + 10
    while open_sockets(server) and time.monotonic() < deadline_s:  # motor's monitor closes its own a little later
        await asyncio.sleep(0.05)
    assert open_sockets(server) == 0
    again = MongoStore(MongoDatabase(server.uri, "results", driver=driver))
    assert_identical(await again.get("result-1"), make_result())
    await again.close()


async def test_failure_of_a_cancelled_save_is_logged(
    server: MongoServer, driver: DriverName, caplog: pytest.LogCaptureFixture
) -> None:
    store = MongoStore(MongoDatabase(server.uri, "results", driver=driver))
    assert await store.is_reachable()
    reached = threading.Event()

    def break_insert(name: str, body: dict[str, Any]) -> bool:
        if name == "insert":
            reached.set()
        return name == "insert"

    server.hang_up_before = break_insert
    save = asyncio.create_task(store.save(make_result()))
    while not store._database._writes:
        await asyncio.sleep(0)
    save.cancel()
    await asyncio.gather(save, return_exceptions=True)
    assert await asyncio.to_thread(reached.wait, 10)
    await store.close()
    assert "write of a cancelled caller failed" in caplog.text


def open_sockets(server: MongoServer) -> int:
    """Return how many connections of this process's drivers to the relay are open."""
    found = psutil.Process().net_connections(kind="tcp")
    return sum(bool(each.raddr) and each.raddr.port == server.port and each.status == "ESTABLISHED" for each in found)


async def test_absent_server_fails_soon_and_recovers(driver: DriverName) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        store = MongoStore(
            MongoDatabase(f"mongodb://127.0.0.1:{port}", "results", server_selection_timeout_s=0.3, driver=driver)
        )
        assert not await store.is_reachable()
        with pytest.raises(StoreUnavailable, match="MongoDB does not respond") as caught:
            await store.save(make_result())
        assert str(port) not in caught.value.message
        assert "Timeout: 0.3s" in str(caught.value.__cause__)
    await store.close()


async def test_store_recovers_when_server_responds_again(server: MongoServer, driver: DriverName) -> None:
    store = MongoStore(MongoDatabase(server.uri, "results", server_selection_timeout_s=1, driver=driver))
    server.hang_up_before = lambda name, body: name == "createIndexes"
    assert not await store.is_reachable()
    server.hang_up_before = lambda name, body: False
    assert await store.is_reachable()
    await store.save(make_result())
    await store.close()


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://user:hunter2@127.0.0.1:99999",
        "mongodb://user:hun@ter2:x@127.0.0.1",
        "nonsense://user:hunter2@127.0.0.1",
        "hunter2",
        "mongodb://user:hunter2@127.0.0.1/?authMechanism=hunter2",
        "",
    ],
)
def test_invalid_connection_string_is_rejected_unquoted(uri: str, driver: DriverName) -> None:
    with pytest.raises(StoreUnavailable, match="MONGODB_URI is not a MongoDB connection string") as caught:
        MongoStore(MongoDatabase(uri, "results", driver=driver))
    shown = "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in shown.replace(repr(uri), "")
    assert "ter2:x" not in shown


async def test_password_is_in_no_message_or_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        uri = f"mongodb://user:hunter2@127.0.0.1:{taken.getsockname()[1]}/?authSource=admin"
        store = MongoStore(MongoDatabase(uri, "results", server_selection_timeout_s=0.2, driver=driver))
        with pytest.raises(StoreUnavailable) as caught:
            await store.save(make_result())
    await store.close()
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in caplog.text
    assert "hunter2" not in repr(vars(store))


async def test_silent_server_times_out(driver: DriverName) -> None:
    with silent_server() as port:
        store = MongoStore(
            MongoDatabase(f"mongodb://127.0.0.1:{port}", "results", server_selection_timeout_s=0.4, driver=driver)
        )
        loop = asyncio.get_running_loop()
        started = loop.time()
        assert await store.is_reachable() is False
        alone_s = loop.time() - started
        outcomes = await asyncio.gather(
            store.is_reachable(), *(store.get(str(number)) for number in range(20)), return_exceptions=True
        )
        together_s = loop.time() - started - alone_s
        assert outcomes[0] is False
        assert all(isinstance(outcome, StoreUnavailable) and outcome.retry_after_s for outcome in outcomes[1:])
        # Each waits for itself, and not for those before it as well: that would be 20 times as long.
        assert together_s < 10 * alone_s
        await store.close()


@pytest.mark.parametrize("command", ["find", "insert", "aggregate"])
async def test_server_stalled_midway_times_out(server: MongoServer, command: str, driver: DriverName) -> None:
    quota = ResultQuota(max_results=10, max_bytes=2**30)
    store = MongoStore(
        MongoDatabase(server.uri, "results", operation_timeout_s=0.5, call_timeout_s=30.0, driver=driver), quota=quota
    )
    await store.save(make_result())
    server.stall_before = lambda name, body: name == command
    with pytest.raises(StoreUnavailable, match="MongoDB does not respond") as caught:
        await (store.get("result-1") if command == "find" else store.save(make_result(id="second")))
    assert caught.value.retry_after_s
    server.stall_before = lambda name, body: False
    assert_identical(await store.get("result-1"), make_result())
    await store.close()


async def test_call_of_many_slow_commands_is_bounded(server: MongoServer, driver: DriverName) -> None:
    store = MongoStore(
        MongoDatabase(server.uri, "results", operation_timeout_s=30.0, call_timeout_s=0.5, driver=driver)
    )
    await store.save(make_result())
    server.stall_before = lambda name, body: name == "find"
    with pytest.raises(StoreUnavailable) as caught:
        await store.get("result-1")
    assert isinstance(caught.value.__cause__, TimeoutError)
    server.stopping.set()
    await store.close()


async def test_readiness_does_not_wait_for_a_stalled_server(server: MongoServer, driver: DriverName) -> None:
    store = MongoStore(MongoDatabase(server.uri, "results", operation_timeout_s=3600.0, driver=driver))
    server.stall_before = lambda name, body: True
    assert not await store.is_reachable()
    server.stopping.set()
    await store.close()


async def test_database_of_the_released_version_is_migrated(server: MongoServer) -> None:
    release = Path(__file__).parents[2] / "golden" / "0.1.0-pre"
    sizes = {}
    for path in release.glob("*.json"):
        stored = json.loads(path.read_text())
        parts = {name: base64.b64decode(content) for name, content in stored["parts"].items()}
        summary = stored["summary"]
        head = {
            "_id": summary["id"], "created_ms": summary["created_ms"], "user_id": summary["request"]["user_id"],
            "symbol": "BTCUSDT", "save": path.stem, "parts": [[name, len(parts[name])] for name in parts],
            "summary": summary,
        }  # fmt: skip
        server.client["results"]["results"].insert_one(head)
        chunk = {"save": path.stem, "number": 0, "content": b"".join(parts.values())}
        server.client["results"]["result_chunks"].insert_one(chunk)
        sizes[summary["id"]] = sum(map(len, parts.values()))
    store = MongoStore(MongoDatabase(server.uri, "results"))
    page = await store.list(user_id="golden", symbol=None, first=10, after=None)
    assert [summary.id for summary in page.summaries] == [
        "golden-cross-check", "golden-all-settings", "golden-model", "golden-crossover"
    ]  # fmt: skip
    heads = server.client["results"]["results"].find({}, {"size_bytes": True})
    assert {head["_id"]: head["size_bytes"] for head in heads} == sizes
    for result_id in sizes:
        assert (await store.get(result_id)).id == result_id
        await store.delete(result_id)
    assert kept(server) == {"results": 0, "result_chunks": 0, "result_intents": 0}
    await store.close()


async def test_database_of_newer_version_is_not_changed(server: MongoServer) -> None:
    server.client["results"]["result_schema"].insert_one({"_id": "results", "version": 99})
    store = MongoStore(MongoDatabase(server.uri, "results"))
    with pytest.raises(StoreUnavailable, match=r"newer version of this service \(schema 99; this build knows up to"):
        await store.save(make_result())
    await store.close()
