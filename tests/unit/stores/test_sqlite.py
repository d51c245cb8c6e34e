"""What is SQLite's own: files that are damaged, locked, full or too new, and readers beside a writer."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import zlib
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from src.domain.errors import ResultNotFound, StoreUnavailable, UnreadableResult
from src.domain.trials import LedgerEntry
from src.stores.migrations import MIGRATIONS
from src.stores.sqlite import SqliteStore
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_ledger import SqliteTrialLedger
from src.stores.sqlite_writer import GroupWriter
from tests.equality import assert_identical
from tests.factories import make_result


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.sqlite3"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(SqliteDatabase(path, busy_timeout_s=0.2))
    yield opened
    await opened.close()


async def test_saved_result_exists_after_reopening(store: SqliteStore, path: Path) -> None:
    await store.save(make_result())
    await store.close()
    again = SqliteStore(SqliteDatabase(path))
    assert_identical(await again.get("result-1"), make_result())
    await again.close()


async def test_folder_of_store_is_closed_to_other_users(tmp_path: Path) -> None:
    store = SqliteStore(SqliteDatabase(tmp_path / "results" / "results.sqlite3"))
    await store.save(make_result())
    await store.close()
    assert (tmp_path / "results").stat().st_mode & 0o077 == 0


async def test_file_has_write_ahead_log_and_full_sync(store: SqliteStore, path: Path) -> None:
    await store.save(make_result())
    [[journal], [version]] = [
        next(sqlite3.connect(path).execute(f"PRAGMA {name}")) for name in ("journal_mode", "user_version")
    ]
    assert (journal, version) == ("wal", len(MIGRATIONS))
    assert await waits_for_disk(store)


async def waits_for_disk(store: SqliteStore) -> bool:
    """Whether the last write waited: SQLite's `synchronous` is 2 (FULL), not 1 (NORMAL)."""
    writer = store._database._writer
    assert writer is not None

    def synchronous() -> int:
        assert writer._connection is not None
        [[level]] = writer._connection.execute("PRAGMA synchronous").fetchall()
        return int(level)

    level = await asyncio.get_running_loop().run_in_executor(writer._thread, synchronous)
    assert level in (1, 2)
    return level == 2


async def test_trial_waits_for_the_disk_with_its_result(store: SqliteStore) -> None:
    entry = LedgerEntry(key="key", total=None, active=None)
    await SqliteTrialLedger(store._database).record(entry, user_id="user", symbol="BTCUSDT")
    assert not await waits_for_disk(store)
    await store.save(make_result())
    assert await waits_for_disk(store)
    trial = SqliteTrialLedger(store._database).record(replace(entry, key="other"), user_id="user", symbol="BTCUSDT")
    await asyncio.gather(trial, store.save(replace(make_result(), id="result-2")))
    assert await waits_for_disk(store), "a group waits if one of its writes does"


async def test_lists_read_index_only(store: SqliteStore, path: Path) -> None:
    await store.save(make_result(50_000))
    reader = sqlite3.connect(path)
    for column in ("user_id", "symbol"):
        plan = reader.execute(
            f"EXPLAIN QUERY PLAN SELECT id, summary FROM results WHERE (created_ms, id) < (1, 'a') AND {column} = 'x' "
            "ORDER BY created_ms DESC, id DESC LIMIT 9"
        ).fetchall()
        assert len(plan) == 1  # no sorting step
        assert f"{column}=? AND (created_ms,id)<(?,?)" in plan[0][3]
    # With every curve damaged, what reads none still answers.
    reader.execute("UPDATE result_parts SET content = x'00'")
    reader.commit()
    reader.close()
    [summary] = await store.summaries(["result-1"])
    assert summary.id == "result-1"
    page = await store.list(user_id=None, symbol=None, first=1, after=None)
    assert_identical(page.summaries[0], summary)
    with pytest.raises(StoreUnavailable, match="'result-1' cannot be read: the part 'details' is missing or damaged"):
        await store.get("result-1")


@pytest.mark.parametrize("content", [b"this is no database " * 500, b"SQLite format 3\0" + b"\xff" * 9000])
async def test_damaged_file_raises_store_unavailable(store: SqliteStore, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="cannot be used: its file is damaged") as caught:
            await store.save(make_result())
        assert isinstance(caught.value.__cause__, sqlite3.Error)
        assert str(path) not in caught.value.message
    assert not await store.is_reachable()
    assert path.read_bytes() == content


async def test_store_recovers_when_file_opens_again(store: SqliteStore, path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        await store.get("result-1")
    path.rmdir()
    await store.save(make_result())
    assert await store.is_reachable()


async def test_uncreatable_folder_raises_store_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = SqliteStore(SqliteDatabase(tmp_path / "file" / "results.sqlite3"))
    with pytest.raises(StoreUnavailable, match="folder cannot be made"):
        await store.save(make_result())
    await store.close()


async def test_file_of_newer_version_is_not_changed(store: SqliteStore, path: Path) -> None:
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StoreUnavailable, match=r"newer version of this service \(schema 99; this build knows up to"):
        await store.save(make_result())


async def test_locked_file_is_readable_and_rejects_writes(store: SqliteStore, path: Path) -> None:
    await store.save(make_result())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("DELETE FROM results")
    # The lock is held all the while: a reader that waited for it would fail.
    assert_identical(await store.get("result-1"), make_result())
    assert len((await store.list(user_id=None, symbol=None, first=9, after=None)).summaries) == 1
    assert await store.is_reachable()
    with pytest.raises(StoreUnavailable, match="locked") as caught:
        await store.save(make_result(id="second"))
    assert caught.value.retry_after_s
    other.execute("ROLLBACK")
    other.close()
    await store.save(make_result(id="second"))


async def test_writer_waits_for_another_process(path: Path) -> None:
    store = SqliteStore(SqliteDatabase(path, busy_timeout_s=5))
    await store.save(make_result())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    saving = asyncio.create_task(store.save(make_result(id="second")))
    await asyncio.sleep(0.1)
    assert not saving.done()
    other.execute("COMMIT")
    other.close()
    await asyncio.wait_for(saving, 5)
    await store.close()


async def test_failed_write_leaves_no_rows(store: SqliteStore, path: Path) -> None:
    await store.save(make_result())
    with sqlite3.connect(path) as other:
        other.execute(
            "CREATE TRIGGER fail BEFORE INSERT ON result_parts WHEN NEW.name = 'close' "
            "BEGIN SELECT RAISE(FAIL, 'no'); END"
        )
    other.close()
    # FAIL, unlike ABORT, keeps the rows written before it, until our own rollback.
    with pytest.raises(StoreUnavailable, match="it returned an error"):
        await store.save(make_result(id="half"))
    with sqlite3.connect(path) as other:
        other.execute("DROP TRIGGER fail")
        for table, name in (("results", "id"), ("result_parts", "result_id")):
            assert other.execute(f"SELECT DISTINCT {name} FROM {table}").fetchall() == [("result-1",)]
    other.close()
    await store.save(make_result(id="half"))


async def test_eight_stores_open_one_new_file_at_once(path: Path) -> None:
    stores = [SqliteStore(SqliteDatabase(path)) for _ in range(8)]
    await asyncio.gather(*(store.save(make_result(id=str(number))) for number, store in enumerate(stores)))
    page = await stores[0].list(user_id=None, symbol=None, first=100, after=None)
    assert len(page.summaries) == 8
    await asyncio.gather(*(store.close() for store in stores))


async def test_cancelled_save_is_finished_by_close(path: Path) -> None:
    store = SqliteStore(SqliteDatabase(path))
    assert await store.is_reachable()
    task = asyncio.create_task(store.save(make_result(100_000)))
    assert store._database._writer is not None
    while store._database._writer._committing is None:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await store.close()
    again = SqliteStore(SqliteDatabase(path))
    assert_identical(await again.get("result-1"), make_result(100_000))
    await again.close()


async def test_waiting_writes_commit_together_and_fail_alone(path: Path) -> None:
    store = SqliteStore(SqliteDatabase(path))
    await store.save(make_result(id="taken"))
    executed: list[str] = []
    writer = store._database._writer
    assert writer is not None
    assert writer._connection is not None
    await asyncio.get_running_loop().run_in_executor(
        writer._thread, writer._connection.set_trace_callback, executed.append
    )
    names = [f"result-{number}" for number in range(20)]
    saves = [store.save(make_result(id=name)) for name in (*names[:10], "taken", *names[10:])]
    outcomes = await asyncio.gather(*saves, return_exceptions=True)
    assert [type(outcome).__name__ for outcome in outcomes if outcome is not None] == ["Conflict"]
    assert [summary.id for summary in await store.summaries(names)] == names
    executed.clear()
    await asyncio.gather(*(store.delete(name) for name in names))
    assert 1 <= executed.count("COMMIT") <= 2
    await store.close()


async def test_cancelled_first_call_does_not_block_store(tmp_path: Path) -> None:
    for attempt in range(12):
        store = SqliteStore(SqliteDatabase(tmp_path / f"{attempt}.sqlite3", busy_timeout_s=1))
        task = asyncio.create_task(store.save(make_result(id="first")))
        await asyncio.sleep(attempt * 0.0007)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await store.save(make_result(id="second"))
        assert_identical(await store.get("second"), make_result(id="second"))
        await store.close()


async def test_unstorable_value_fails_its_own_write_only(path: Path) -> None:
    writer = GroupWriter(path, busy_timeout_s=0.2)
    await writer.open()
    await writer.write(("CREATE TABLE numbers (value INTEGER)", [()]))
    outcomes = await asyncio.wait_for(
        asyncio.gather(
            *(writer.write(("INSERT INTO numbers VALUES (?)", [(value,)])) for value in (1, 2**70, 3)),
            return_exceptions=True,
        ),
        timeout=10,
    )
    assert [type(outcome) for outcome in outcomes] == [int, OverflowError, int]
    await writer.close()


async def test_deleted_pages_return_to_disk(store: SqliteStore, path: Path) -> None:
    await store.save(make_result(400_000, close=np.random.default_rng(1).random(400_000)))
    await store.save(make_result(id="small"))
    before = (await store.usage()).size_bytes
    await store.delete("result-1")
    assert store._database._writer is not None
    while store._database._writer._committing is not None:
        await asyncio.sleep(0.001)
    after = (await store.usage()).size_bytes
    assert before > 6_000_000
    assert after < 2_000_000
    assert_identical(await store.get("small"), make_result(id="small"))


async def test_save_needs_space_for_log_and_file(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.save(make_result(id="kept"))
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1024 * 1024))
    with pytest.raises(StoreUnavailable, match="the disk is full"):
        await store.save(make_result())
    await store.delete("kept")


async def test_reserve_is_refilled_when_disk_has_space(path: Path) -> None:
    reserve = path.with_name("results.sqlite3-reserve")
    store = SqliteStore(SqliteDatabase(path, reserve_bytes=3_000_000))
    await store.save(make_result())
    assert reserve.stat().st_size == 3_000_000
    assert reserve.stat().st_mode & 0o077 == 0
    await store.close()
    reserve.unlink()
    again = SqliteStore(SqliteDatabase(path, reserve_bytes=3_000_000))
    assert await again.is_reachable()
    assert reserve.stat().st_size == 3_000_000
    await again.close()


@pytest.mark.parametrize(
    "summary",
    [
        "'" + "[" * 100_000 + "'",
        "''",
        "'null'",
        "17",
        "x'00ff'",
        "CAST(x'7b22ff227d' AS TEXT)",
        """'{"schema_version": 1}'""",
    ],
    ids=["deep", "empty", "null", "number", "bytes", "not UTF-8", "bare"],
)
async def test_row_with_a_damaged_summary_is_named_and_deletable(store: SqliteStore, path: Path, summary: str) -> None:
    for name in ("good", "bad"):
        await store.save(make_result(id=name))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(f"UPDATE results SET summary = {summary} WHERE id = 'bad'")
    page = await store.list(user_id=None, symbol=None, first=10, after=None)
    assert ([summary.id for summary in page.summaries], len(page.warnings)) == (["good"], 1)
    for read in (store.get("bad"), store.summaries(["bad"])):
        with pytest.raises(UnreadableResult, match="'bad' cannot be read"):
            await read
    await store.delete("bad")
    with pytest.raises(ResultNotFound):
        await store.get("bad")


@pytest.mark.parametrize("part", ["deep", "'text'", "17", "x''"])
async def test_row_with_damaged_details_is_named_and_deletable(store: SqliteStore, path: Path, part: str) -> None:
    await store.save(make_result(id="bad"))
    content = f"x'{zlib.compress(b'[' * 100_000).hex()}'" if part == "deep" else part
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(f"UPDATE result_parts SET content = {content} WHERE name = 'details'")
    with pytest.raises(UnreadableResult, match="'bad' cannot be read"):
        await store.get("bad")
    await store.delete("bad")
    with pytest.raises(ResultNotFound):
        await store.get("bad")
