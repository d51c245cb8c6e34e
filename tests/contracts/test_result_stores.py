"""Check what every result store must do: one suite over SQLite and MongoDB.

MongoDB is the server that MONGODB_TEST_URI names, else SecantusDB on loopback, which speaks its wire protocol.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymongo import MongoClient

from src.domain.errors import Conflict, InvalidInput, ResultNotFound, StoreUnavailable, TooLarge, UnreadableResult
from src.domain.judgement import LedgerSnapshot, SampleResult
from src.domain.runs import BacktestResult, ResultQuota
from src.domain.signals import Signals, StrategyDescription
from src.domain.trials import TrialStatistics
from src.domain.verdict import VerdictLevel
from src.ports import ResultStore
from src.stores.mongo import MongoStore
from src.stores.mongo_connection import MongoDatabase
from src.stores.sqlite import SqliteStore
from src.stores.sqlite_database import SqliteDatabase
from tests.equality import assert_identical
from tests.factories import START_MS, make_metrics, make_result
from tests.judgements import make_judgement
from tests.mongo_server import backend_uri


@pytest.fixture(scope="module")
def mongo_uri() -> str:
    return os.environ.get("MONGODB_TEST_URI") or backend_uri()


OpenStore = Callable[[ResultQuota | None], ResultStore]


@pytest.fixture(params=["sqlite", "mongo"])
async def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenStore]:
    """Open stores of one file or database; they are closed after the test."""
    opened: list[ResultStore] = []
    database = f"test_{uuid.uuid4().hex}"

    def open_one(quota: ResultQuota | None) -> ResultStore:
        if request.param == "sqlite":
            opened.append(SqliteStore(SqliteDatabase(tmp_path / "new folder" / "results.sqlite3"), quota=quota))
        else:
            opened.append(MongoStore(MongoDatabase(request.getfixturevalue("mongo_uri"), database), quota=quota))
        return opened[-1]

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
def store(open_store: OpenStore) -> ResultStore:
    return open_store(None)


async def ids_of_pages(
    store: ResultStore, *, first: int, user_id: str | None = None, symbol: str | None = None
) -> list[list[str]]:
    pages: list[list[str]] = []
    after = None
    for _ in range(50):
        page = await store.list(user_id=user_id, symbol=symbol, first=first, after=after)
        pages.append([summary.id for summary in page.summaries])
        after = page.next_cursor
        if after is None:
            return pages
    raise AssertionError("the pages do not end")


async def test_result_is_read_back_to_the_bit(store: ResultStore) -> None:
    probability = np.array([np.nan, 0.25, -0.0, np.inf, 5e-324, 1.0, 0.5, 0.1 + 0.2, np.nan, 0.0])
    signals = Signals(
        action=np.zeros(10, dtype=np.int8),
        strategy=StrategyDescription(
            name="модель", parameters={"columns": ("Open", "Close"), "threshold": 0.5, "kind": None, "wide": 2**80}
        ),
        probability=probability,
    )
    result = make_result(signals=signals, warnings=("price gap €",), created_ms=START_MS + 2**40)
    await store.save(result)
    assert_identical(await store.get(result.id), result)


async def test_judged_result_is_read_back_whole(store: ResultStore) -> None:
    judgement = make_judgement()
    statistics = TrialStatistics(trials=3, average_correlation=0.1 + 0.2, t_variance=5e-324)
    result = make_result(
        verdict_level=judgement.verdict.level,
        out_of_sample_level=VerdictLevel.DOUBTFUL,
        judgement=judgement,
        in_sample=SampleResult(metrics=make_metrics(), judgement=None),
        out_of_sample=SampleResult(metrics=make_metrics(bars=9), judgement=judgement),
        ledger=LedgerSnapshot(
            total=statistics, active=statistics, total_before=statistics, active_before=statistics,
            head_before="", head_after="ab" * 32,
        ),
    )  # fmt: skip
    await store.save(result)
    assert_identical(await store.get(result.id), result)
    [summary] = await store.summaries([result.id])
    assert (summary.verdict_level, summary.out_of_sample_level) == (VerdictLevel.DISPROVED, VerdictLevel.DOUBTFUL)


async def test_summary_is_the_result_without_its_tables(store: ResultStore) -> None:
    result = make_result(warnings=("one", "two"))
    await store.save(result)
    [summary] = await store.summaries([result.id])
    for name in ("id", "created_ms", "request", "metrics", "origin", "warnings"):
        assert_identical(getattr(summary, name), getattr(result, name))


async def test_summaries_come_in_the_order_asked_for(store: ResultStore) -> None:
    for name in "abc":
        await store.save(make_result(id=name))
    assert [summary.id for summary in await store.summaries(["c", "a", "c", "b"])] == ["c", "a", "c", "b"]
    assert list(await store.summaries([])) == []
    with pytest.raises(ResultNotFound, match="'missing'"):
        await store.summaries(["a", "missing", "b"])


@pytest.mark.parametrize("result_id", ["missing", "", "x" * 5000, "\ud800", "a\0b", "' OR 1=1 --", '{"$gt": ""}'])
async def test_unknown_id_is_not_found(store: ResultStore, result_id: str) -> None:
    await store.save(make_result())
    with pytest.raises(ResultNotFound):
        await store.get(result_id)
    with pytest.raises(ResultNotFound):
        await store.summaries([result_id])
    with pytest.raises(ResultNotFound):
        await store.delete(result_id)
    assert await ids_of_pages(store, first=10) == [["result-1"]]


async def test_same_id_is_stored_only_once(store: ResultStore) -> None:
    result = make_result()
    await store.save(result)
    with pytest.raises(Conflict):
        await store.save(make_result(bars=20))
    assert_identical(await store.get(result.id), result)


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


@pytest.mark.parametrize("first", [1, 2, 3, 10])
@pytest.mark.parametrize("value", no_times().values(), ids=no_times())
async def test_head_without_a_time_hides_no_other(store: ResultStore, heads: Any, value: Any, first: int) -> None:
    for number in range(8):
        await store.save(make_result(id=str(number), created_ms=START_MS + number))
    heads.update_one({"_id": "3"}, {"$set": {"created_ms": value}})
    pages = await ids_of_pages(store, first=first, user_id="alice")
    assert [result_id for page in pages for result_id in page] == list("7654210")
    page = await store.list(user_id="alice", symbol="BTCUSDT", first=first, after=None)
    assert page.warnings == (
        "1 stored result(s) cannot be placed in the list: '3'. They can be read by id, and deleted.",
    )
    assert (await store.get("3")).id == "3"
    if page.next_cursor is not None:
        assert not (await store.list(user_id="alice", symbol=None, first=first, after=page.next_cursor)).warnings
    for others in ({"user_id": "bob", "symbol": None}, {"user_id": "alice", "symbol": "ETHUSDT"}):
        assert not (await store.list(**others, first=first, after=None)).warnings
    await store.delete("3")
    assert not (await store.list(user_id="alice", symbol=None, first=first, after=None)).warnings


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


async def test_deleted_result_frees_its_id(store: ResultStore) -> None:
    await store.save(make_result())
    await store.save(make_result(id="other"))
    await store.delete("result-1")
    with pytest.raises(ResultNotFound):
        await store.get("result-1")
    with pytest.raises(ResultNotFound):
        await store.delete("result-1")
    assert await ids_of_pages(store, first=10) == [["other"]]
    again = make_result(bars=30)
    await store.save(again)
    assert_identical(await store.get("result-1"), again)


async def test_pages_are_newest_first_and_whole(store: ResultStore) -> None:
    # Three of the same millisecond: the id decides between them.
    moments = {"a": 5, "b": 5, "c": 5, "d": 1, "e": 9, "f": 3, "g": 2}
    for name, moment in moments.items():
        await store.save(make_result(id=name, created_ms=START_MS + moment))
    assert await ids_of_pages(store, first=3) == [["e", "c", "b"], ["a", "f", "g"], ["d"]]
    assert await ids_of_pages(store, first=7) == [["e", "c", "b", "a", "f", "g", "d"]]
    assert await ids_of_pages(store, first=1) == [[name] for name in "ecbafgd"]


async def test_pages_keep_users_and_symbols_apart(store: ResultStore) -> None:
    kept = [("1", "a", "BTCUSDT"), ("2", "a_b", "BTCUSDT"), ("3", "a", "ETHUSDT"), ("4", "A", "BTCUSDT")]
    for result_id, user_id, symbol in kept:
        await store.save(
            make_result(id=result_id, user_id=user_id, symbol=symbol, created_ms=START_MS + int(result_id))
        )
    assert await ids_of_pages(store, first=1, user_id="a") == [["3"], ["1"]]
    assert await ids_of_pages(store, first=9, user_id="a_b") == [["2"]]
    assert await ids_of_pages(store, first=2, symbol="BTCUSDT") == [["4", "2"], ["1"]]
    assert await ids_of_pages(store, first=9, user_id="a", symbol="BTCUSDT") == [["1"]]
    for stranger in ("b", "", "%", "\ud800", "a\0"):
        assert await ids_of_pages(store, first=9, user_id=stranger) == [[]]
        assert await ids_of_pages(store, first=9, symbol=stranger) == [[]]


async def test_pages_stay_right_while_results_come_and_go(store: ResultStore) -> None:
    for number in range(6):
        await store.save(make_result(id=f"old-{number}", created_ms=START_MS + number))
    page = await store.list(user_id=None, symbol=None, first=2, after=None)
    assert [summary.id for summary in page.summaries] == ["old-5", "old-4"]
    await store.save(make_result(id="new", created_ms=START_MS + 100))
    await store.delete("old-4")  # the very result that the cursor points at
    await store.delete("old-2")
    page = await store.list(user_id=None, symbol=None, first=2, after=page.next_cursor)
    assert [summary.id for summary in page.summaries] == ["old-3", "old-1"]


@pytest.mark.parametrize("first", [0, -5, 101, 10**9])
async def test_page_size_out_of_bounds_is_refused(store: ResultStore, first: int) -> None:
    with pytest.raises(InvalidInput, match="1 to 100") as caught:
        await store.list(user_id=None, symbol=None, first=first, after=None)
    assert caught.value.field == "first"


@pytest.mark.parametrize(
    "after",
    ["", "x", "é", "\ud800", "WzEsMl0", "WzEsImEiLDNd", "bnVsbA", "W3RydWUsImEiXQ", "W1tbW1tb", "A" * 5000,
     "WzFlMzA5LCJhIl0", "WzEwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAsImEiXQ", "WzEsIlx1ZDgwMCJd"],
)  # fmt: skip
async def test_invalid_cursor_is_refused(store: ResultStore, after: str) -> None:
    with pytest.raises(InvalidInput, match="earlier page") as caught:
        await store.list(user_id=None, symbol=None, first=10, after=after)
    assert caught.value.field == "after"


async def test_million_bars_are_read_back_to_the_bit(store: ResultStore) -> None:
    bars = 1_000_001
    noise = np.random.default_rng(7)
    signals = Signals(
        action=noise.integers(-1, 2, bars, dtype=np.int8),
        strategy=StrategyDescription(name="noise"),
        probability=noise.random(bars),
    )
    result = make_result(bars, close=noise.random(bars), signals=signals)
    await store.save(result)
    assert_identical(await store.get(result.id), result)
    await store.delete(result.id)


async def test_many_at_once(store: ResultStore) -> None:
    names = [f"{number:02}" for number in range(20)]
    await asyncio.gather(*(store.save(make_result(id=name)) for name in names))
    read = await asyncio.gather(*(store.get(name) for name in names))
    assert [result.id for result in read] == names


async def test_cancelled_save_is_stored_whole_or_not(store: ResultStore) -> None:
    assert await store.is_reachable()
    for number in range(10):
        task = asyncio.create_task(store.save(make_result(200, id=str(number))))
        await asyncio.sleep(number * 0.0005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await store.save(make_result(id="after"))  # nothing of the cancelled save is in the way
    [ids] = await ids_of_pages(store, first=50)
    assert "after" in ids
    for result_id in ids:
        assert_identical(await store.get(result_id), make_result(10 if result_id == "after" else 200, id=result_id))


def quota(max_results: int = 1000, max_bytes: int = 2**40) -> ResultQuota:
    return ResultQuota(max_results=max_results, max_bytes=max_bytes)


async def test_full_quota_deletes_the_users_oldest_results(open_store: OpenStore) -> None:
    store = open_store(quota(max_results=3))
    await store.save(make_result(id="other", user_id="bob", created_ms=START_MS))
    for number in range(5):
        await store.save(make_result(id=f"result-{number}", created_ms=START_MS + number))
        expected = [f"result-{kept}" for kept in range(number, max(-1, number - 3), -1)]
        assert await ids_of_pages(store, first=10, user_id="alice") == [expected]
    assert await ids_of_pages(store, first=10, user_id="bob") == [["other"]]
    with pytest.raises(ResultNotFound):
        await store.get("result-1")


async def test_new_result_with_slow_clock_is_not_deleted(open_store: OpenStore) -> None:
    store = open_store(quota(max_results=2))
    for name, created_ms in (("a", 20), ("b", 30), ("late", 10)):
        await store.save(make_result(id=name, created_ms=START_MS + created_ms))
    assert await ids_of_pages(store, first=10) == [["b", "late"]]


async def test_bytes_of_a_user_stay_within_the_quota(open_store: OpenStore) -> None:
    def large(name: str, created_ms: int) -> BacktestResult:
        close = np.random.default_rng(created_ms).random(20_000)  # 160 KB that do not compress
        return make_result(20_000, id=name, close=close, created_ms=START_MS + created_ms)

    store = open_store(quota(max_bytes=900_000))
    for number in range(4):
        await store.save(large(f"large-{number}", number))
    await store.save(make_result(id="small", created_ms=START_MS + 10))
    [names] = await ids_of_pages(store, first=10)
    assert names[0] == "small"
    assert 1 <= len(names) - 1 < 4
    assert names[1:] == [f"large-{number}" for number in range(3, 4 - len(names), -1)]
    strict = open_store(quota(max_bytes=50_000))
    with pytest.raises(TooLarge, match=r"Maximum for all results of a user: .* MiB \(MAX_RESULT_MB_PER_USER\)"):
        await strict.save(large("too-large", 20))
    assert await ids_of_pages(strict, first=10) == [names]
    await strict.save(make_result(id="smaller", created_ms=START_MS + 30))
    assert await ids_of_pages(strict, first=10) == [["smaller", "small"]]


async def test_many_saves_at_once_stay_within_the_quota(open_store: OpenStore) -> None:
    stores = [open_store(quota(max_results=5)) for _ in range(3)]
    results = [make_result(id=f"{number:02}", created_ms=START_MS + number) for number in range(24)]
    await asyncio.gather(*(stores[number % 3].save(result) for number, result in enumerate(results)))
    await stores[0].save(make_result(id="last", created_ms=START_MS + 100))
    [names] = await ids_of_pages(stores[0], first=50)
    assert names[0] == "last"
    assert len(names) == 5
    assert len(await stores[0].summaries(names)) == 5


async def test_results_made_before_a_time_are_deleted(store: ResultStore) -> None:
    for number in range(130):
        await store.save(make_result(id=f"{number:03}", user_id=f"user-{number % 2}", created_ms=START_MS + number))
    assert await store.delete_older(START_MS) == 0
    assert await store.delete_older(START_MS + 120) == 120
    assert await ids_of_pages(store, first=50) == [[f"{number:03}" for number in range(129, 119, -1)]]


async def test_usage_counts_results_and_bytes(store: ResultStore) -> None:
    empty = await store.usage()
    assert empty.results == 0
    for name in "ab":
        await store.save(make_result(50_000, id=name, close=np.random.default_rng(1).random(50_000)))
    used = await store.usage()
    assert used.results == 2
    assert used.size_bytes - empty.size_bytes > 2 * 400_000


async def test_closed_store_raises_store_unavailable(store: ResultStore) -> None:
    await store.save(make_result())
    assert await store.is_reachable()
    await store.close()
    await store.close()
    assert not await store.is_reachable()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.get("result-1")
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.save(make_result(id="late"))
