"""What every result store does with results that a person or a fault has damaged."""

from __future__ import annotations

import json
import math
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import MongoClient

from src.domain.errors import ResultNotFound, UnreadableResult
from src.domain.runs import ResultQuota
from src.ports.stores import ResultStore
from src.stores.mongo import MongoStore
from src.stores.sqlite import SqliteStore
from tests.contracts.result_stores import OpenStore, ids_of_pages, quota
from tests.factories import START_MS, make_result
from tests.mongo_server import backend_uri


def damage(store: ResultStore, result_id: str, field: str | None = None, value: object = None) -> None:
    """Make a stored summary one that no build can read: all of it, or one field (dots lead into fields)."""
    if isinstance(store, SqliteStore):
        with closing(sqlite3.connect(store._database._path)) as file, file:
            changed = "'{}'" if field is None else f"json_set(summary, '$.{field}', json('{json.dumps(value)}'))"
            file.execute(f"UPDATE results SET summary = {changed} WHERE id = ?", (result_id,))
    elif isinstance(store, MongoStore):
        with MongoClient(os.environ.get("MONGODB_TEST_URI") or backend_uri()) as client:
            change = {"summary": {}} if field is None else {f"summary.{field}": value}
            client[store._in.results.database.name]["results"].update_one({"_id": result_id}, {"$set": change})


async def test_unreadable_result_is_listed_as_a_warning(store: ResultStore) -> None:
    for number in range(5):
        await store.save(make_result(id=f"result-{number}", created_ms=START_MS + number))
    for damaged in ("result-4", "result-2", "result-1"):
        damage(store, damaged)
    pages = []
    after = None
    while not pages or after is not None:
        page = await store.list(user_id="alice", symbol=None, first=2, after=after)
        pages.append(([summary.id for summary in page.summaries], [text[:28] for text in page.warnings]))
        after = page.next_cursor
    assert pages == [
        (["result-3"], ["The stored result 'result-4'"]),
        ([], ["The stored result 'result-2'", "The stored result 'result-1'"]),
        (["result-0"], []),
    ]
    with pytest.raises(UnreadableResult, match="'result-2' cannot be read"):
        await store.get("result-2")
    with pytest.raises(UnreadableResult, match="'result-2' cannot be read"):
        await store.summaries(["result-0", "result-2"])


@pytest.mark.parametrize(
    ("field", "value"),
    [("created_ms", 10**18), ("request.market.start_ms", -(10**15)), ("metrics.total_trades", 2**40)],
)
async def test_unwritable_value_hides_one_result(store: ResultStore, field: str, value: int) -> None:
    for name in ("good", "bad"):
        await store.save(make_result(id=name))
    damage(store, "bad", field, value)
    page = await store.list(user_id="alice", symbol=None, first=5, after=None)
    assert [summary.id for summary in page.summaries] == ["good"]
    assert [warning[:23] for warning in page.warnings] == ["The stored result 'bad'"]
    for read in (store.get("bad"), store.summaries(["bad"])):
        with pytest.raises(UnreadableResult, match="'bad' cannot be read"):
            await read
    await store.delete("bad")
    assert await ids_of_pages(store, first=5) == [["good"]]


async def test_unreadable_result_has_owner_and_is_deletable(store: ResultStore) -> None:
    await store.save(make_result(user_id="bob"))
    damage(store, "result-1")
    assert await store.owner("result-1") == "bob"
    await store.delete("result-1")
    for read in (store.owner, store.get, store.delete):
        with pytest.raises(ResultNotFound):
            await read("result-1")
    assert (await store.list(user_id="bob", symbol=None, first=2, after=None)).warnings == ()


@pytest.mark.parametrize("field", ["summary", "parts", "save", "size_bytes", "created_ms"])
@pytest.mark.parametrize("value", ["absent", None, 17, [[1, 2]], {"$": []}], ids=str)
async def test_damaged_head_is_named_and_deletable(open_store: OpenStore, field: str, value: Any) -> None:
    store = open_store(ResultQuota(max_results=2, max_bytes=10**9))
    if not isinstance(store, MongoStore):
        pytest.skip("SQLite has columns, and its own tests")
    for name in ("bad", "good"):
        await store.save(make_result(id=name))
    change = {"$unset": {field: ""}} if value == "absent" else {"$set": {field: value}}
    with MongoClient(os.environ.get("MONGODB_TEST_URI") or backend_uri()) as client:
        client[store._in.results.database.name]["results"].update_one({"_id": "bad"}, change)
    page = await store.list(user_id="alice", symbol=None, first=10, after=None)
    assert {summary.id for summary in page.summaries} | {"bad"} == {"bad", "good"}
    if field in {"summary", "parts", "save"}:
        with pytest.raises(UnreadableResult, match="'bad' cannot be read"):
            await store.get("bad")
    await store.delete("bad")
    with pytest.raises(ResultNotFound):
        await store.get("bad")
    assert (await store.get("good")).id == "good"


@pytest.fixture
async def heads(store: ResultStore) -> AsyncIterator[Any]:
    """The collection of the heads that are in MongoDB."""
    if not isinstance(store, MongoStore):
        pytest.skip("SQLite has columns, and its own tests")
    with MongoClient(os.environ.get("MONGODB_TEST_URI") or backend_uri()) as client:
        yield client[store._in.results.database.name]["results"]


def no_times() -> dict[str, Any]:
    others: list[Any] = [1.5, 1e300, math.inf, -math.inf, math.nan, None, "2020", {"a": 1}, [], [START_MS + 3, 1], True]
    return {
        **{repr(value): value for value in others},
        "a date": datetime(2021, 1, 1, tzinfo=UTC),
        "half": START_MS + 3.5,
    }


@pytest.mark.parametrize("value", no_times().values(), ids=no_times())
async def test_head_without_a_time_hides_no_other(store: ResultStore, heads: Any, value: Any) -> None:
    """One page ends before the head, one at it, one after it, and one holds all."""
    for number in range(8):
        await store.save(make_result(id=str(number), created_ms=START_MS + number))
    heads.update_one({"_id": "3"}, {"$set": {"created_ms": value}})
    for first in (1, 2, 3, 10):
        pages = await ids_of_pages(store, first=first, user_id="alice")
        assert [result_id for page in pages for result_id in page] == list("7654210"), first
        page = await store.list(user_id="alice", symbol="BTCUSDT", first=first, after=None)
        assert page.warnings == (
            "1 stored result(s) cannot be placed in the list: '3'. They can be read by id, and deleted.",
        ), first
        if page.next_cursor is not None:
            following = await store.list(user_id="alice", symbol=None, first=first, after=page.next_cursor)
            assert not following.warnings, first
        for others in ({"user_id": "bob", "symbol": None}, {"user_id": "alice", "symbol": "ETHUSDT"}):
            assert not (await store.list(**others, first=first, after=None)).warnings, first
    assert (await store.get("3")).id == "3"
    await store.delete("3")
    assert not (await store.list(user_id="alice", symbol=None, first=10, after=None)).warnings


async def test_misplaced_heads_are_counted_and_some_named(
    store: ResultStore, heads: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(8):
        await store.save(make_result(id=str(number)))
    heads.update_many({"_id": {"$ne": "7"}}, {"$unset": {"created_ms": ""}})
    page = await store.list(user_id=None, symbol=None, first=1, after=None)
    [warning] = page.warnings
    assert warning.startswith("7 stored result(s) cannot be placed in the list: '")
    assert " and 2 more. They can be read by id, and deleted." in warning
    assert "left out of lists: count=7" in caplog.text


async def test_quota_deletes_heads_without_a_time_first(open_store: OpenStore) -> None:
    store = open_store(quota(max_results=3))
    if not isinstance(store, MongoStore):
        pytest.skip("SQLite has columns, and its own tests")
    for name in "abc":
        await store.save(make_result(id=name))
    with MongoClient(os.environ.get("MONGODB_TEST_URI") or backend_uri()) as client:
        heads = client[store._in.results.database.name]["results"]
        heads.update_one({"_id": "b"}, {"$set": {"created_ms": "late"}})
        heads.insert_one({"_id": "d", "user_id": ["alice"], "created_ms": START_MS, "save": "0", "size_bytes": 0})
    await store.save(make_result(id="e"))
    assert await ids_of_pages(store, first=5, user_id="alice") == [["e", "c", "a"]]
    with pytest.raises(ResultNotFound):
        await store.owner("b")
    with pytest.raises(UnreadableResult):
        await store.owner("d")


@pytest.mark.parametrize("value", [None, 17, ["alice", "bob"], {"a": "alice"}, "absent"], ids=str)
async def test_head_without_an_owner_is_its_summarys_users(
    open_store: OpenStore, store: ResultStore, heads: Any, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("bad", "good"):
        await store.save(make_result(id=name))
    heads.update_one({"_id": "bad"}, {"$unset": {"user_id": ""}} if value == "absent" else {"$set": {"user_id": value}})
    assert await store.owner("bad") == "alice"
    for user_id in ("alice", "bob"):
        page = await store.list(user_id=user_id, symbol=None, first=5, after=None)
        assert [summary.id for summary in page.summaries] == (["good"] if user_id == "alice" else [])
        assert page.warnings == ()
    assert await open_store(None).is_reachable()
    assert "results without an owner are in no list (docs/operations.md, MongoDB): ids='bad'" in caplog.text
    for damage in ({"$unset": {"summary.request": ""}}, {"$set": {"summary": 3}}):
        heads.update_one({"_id": "bad"}, damage)
        with pytest.raises(UnreadableResult, match="only the operator can delete it"):
            await store.owner("bad")
    heads.update_one({"_id": "bad"}, {"$set": {"user_id": "alice"}})
    assert await store.owner("bad") == "alice"
