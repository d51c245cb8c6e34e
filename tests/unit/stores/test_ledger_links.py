"""Rows that were edited in the store are named, and ledgers of the released version go on."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.domain.errors import StoreUnavailable
from src.domain.trial_states import EMPTY_LEDGER
from src.domain.trials import LedgerEntry, Trial
from src.ports.stores import TrialLedger
from src.service import ledger_check
from src.service.ledger_check import check_ledger
from src.stores.ledger_limits import LedgerSizes
from src.stores.migrations import MIGRATIONS
from src.stores.mongo import MongoStore
from src.stores.mongo_connection import MongoDatabase
from src.stores.mongo_ledger import MongoTrialLedger
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_ledger import SqliteTrialLedger
from tests.mongo_server import OF_THE_DRIVER, MongoServer, backend_uri, running_mongo_server
from tests.trial_batches import make_batch

OLD_SCHEMA = 3
"""The released version of the file that counted trials without links."""
NAME = "ann\nBTCUSDT"
ZEROS = "0" * 64


def entry(number: int) -> LedgerEntry:
    trial = Trial(slots=np.array([0, 4]), directions=np.array([number, 3]), t=number)
    return LedgerEntry(key=f"key-{number}", total=trial, active=None)


async def count(ledger: TrialLedger, *numbers: int) -> None:
    for number in numbers:
        await ledger.record(entry(number), user_id="ann", symbol="BTCUSDT")


async def count_batch(ledger: TrialLedger) -> None:
    """Count a batch of four runs, and one more run."""
    await ledger.record_batch(make_batch(range(4)), user_id="ann", symbol="BTCUSDT")
    await count(ledger, 99)


async def fault_of(ledger: TrialLedger) -> str | None:
    return (await check_ledger(ledger, user_id="ann", symbol="BTCUSDT")).fault


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_check, "PAGE_LINKS", 3)


# SQLite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.sqlite3"


@pytest.fixture
async def sqlite_ledger(path: Path) -> AsyncIterator[SqliteTrialLedger]:
    """A ledger of five trials."""
    database = SqliteDatabase(path)
    ledger = SqliteTrialLedger(database)
    await count(ledger, 1, 2, 3, 4, 5)
    assert await fault_of(ledger) is None
    yield ledger
    await database.close()


def edit_file(path: Path, *statements: str) -> None:
    editor = sqlite3.connect(path)
    with editor:
        for statement in statements:
            editor.executescript(statement)
    editor.close()


UNLINK = "UPDATE trials SET number = NULL, entry = NULL, sums = NULL, head = NULL"
FORGET = "UPDATE trial_ledgers SET runs = {runs}, unlinked_runs = {unlinked}, first_head = head"
ROW = """INSERT INTO trials (user_id, symbol, key, number, entry, sums, head)
    VALUES ('ann', 'BTCUSDT', 'x', {number}, '{zeros}', '{zeros}', '{zeros}')"""
SWAP = """UPDATE trials SET {field} = (
    SELECT other.{field} FROM trials AS other WHERE other.number = 6 - trials.number
) WHERE number IN (2, 4)"""


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        ("UPDATE trials SET key = 'x' WHERE number = 2", "link 2 does not follow the head before it: its key"),
        ("UPDATE trials SET entry = sums WHERE number = 5", "link 5 does not follow the head before it: its key"),
        ("UPDATE trials SET sums = entry WHERE number = 5", "link 5 does not follow the head before it: its sums"),
        ("UPDATE trials SET head = sums WHERE number = 3", "link 3 does not follow the head before it: its head was"),
        (SWAP.format(field="head"), "link 2 does not follow the head before it: its head was changed"),
        (SWAP.format(field="entry"), "link 2 does not follow the head before it: its key, trial or sums"),
        ("UPDATE trials SET sums = NULL WHERE number = 3", "link 3 has null as digest of its sums"),
        ("UPDATE trials SET entry = x'00' WHERE number = 3", r"link 3 has b'\x00' as digest of its trial"),
        ("DELETE FROM trials WHERE number = 3", "link 3 is missing"),
        ("DELETE FROM trials WHERE number = 5", "link 5 is missing"),
        ("UPDATE trials SET number = 9 WHERE number = 2", "link 2 is missing"),
        ("UPDATE trials SET number = 'x' WHERE number = 2", "link 2 is missing"),
        ("UPDATE trials SET number = 'x' WHERE number = 5", "a link has the number 'x'"),
        ("UPDATE trials SET number = NULL WHERE number = 5", "link 5 is missing"),
        ("UPDATE trials SET number = number + 1 WHERE number = 5", "link 5 is missing"),
        ("UPDATE trials SET user_id = 'bob' WHERE number = 4", "link 4 is missing"),
        (ROW.format(number=6, zeros=ZEROS), "link 6 comes after the ledger's last run, 5"),
        (ROW.format(number=-4, zeros=ZEROS), "link -4 stands before the first one, 1"),
        (ROW.format(number=2.5, zeros=ZEROS), "a link has the number 2.5"),
        ("INSERT INTO trials (user_id, symbol, key) VALUES ('ann', 'BTCUSDT', 'x')", "trials without a link: 1, not 0"),
        ("UPDATE trial_ledgers SET total = active", "sums are not those of link 5"),
        ("UPDATE trial_ledgers SET head = 'x'", "head is not the head after link 5"),
        ("UPDATE trial_ledgers SET runs = 4", "link 5 comes after the ledger's last run, 4"),
        ("UPDATE trial_ledgers SET runs = 0", "the ledger has no number of runs: an older version"),
        ("UPDATE trial_ledgers SET unlinked_runs = 2", "link 1 stands before the first one, 3"),
        ("UPDATE trial_ledgers SET first_head = 'x'", "or the ledger's first head, were changed"),
        ("DELETE FROM trial_ledgers", "link 1 comes after the ledger's last run, 0"),
        (f"{UNLINK}; {FORGET.format(runs=5, unlinked=5)}", "trials without a link: 5, although"),
        (f"{UNLINK}; {FORGET.format(runs=0, unlinked=0)}", "trials without a link: 5, although"),
        (
            f"DELETE FROM trials WHERE number > 1; {UNLINK}; {FORGET.format(runs=1, unlinked=1)}",
            "trials without a link: 1, although",
        ),
    ],
)
async def test_edited_row_is_named(sqlite_ledger: SqliteTrialLedger, path: Path, edit: str, named: str) -> None:
    edit_file(path, edit)
    assert named in str(await fault_of(sqlite_ledger))
    assert await sqlite_ledger.next_ledger(None, user_id="ann") == ("ann", "BTCUSDT")


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        ("UPDATE trial_ledgers SET runs = 'many'", "runs is of the type str"),
        ("UPDATE trial_ledgers SET head = x'00'", "head is of the type bytes"),
        ("UPDATE trial_ledgers SET total = 'x'", "total is of the type str"),
        ("UPDATE trial_ledgers SET active = x'00'", "not sums of trials"),
    ],
)
async def test_unreadable_row_is_named(sqlite_ledger: SqliteTrialLedger, path: Path, edit: str, named: str) -> None:
    edit_file(path, edit)
    with pytest.raises(StoreUnavailable, match=named):
        await fault_of(sqlite_ledger)


@pytest.mark.parametrize("version", [OLD_SCHEMA, OLD_SCHEMA + 1])
async def test_file_that_had_no_links_may_lack_some(path: Path, version: int) -> None:
    """The first version with links numbered them in its migration; both are taken on by this one."""
    sums = EMPTY_LEDGER.add(entry(1))
    old = sqlite3.connect(path)
    with old:
        for migration in MIGRATIONS[:OLD_SCHEMA]:
            for statement in migration:
                old.execute(statement)
        old.execute("INSERT INTO trials VALUES ('ann', 'BTCUSDT', 'key-1')")
        row = ("ann", "BTCUSDT", sums.total.to_bytes(), sums.active.to_bytes(), "old head")
        old.execute("INSERT INTO trial_ledgers VALUES (?, ?, ?, ?, ?)", row)
        for statement in (one for migration in MIGRATIONS[OLD_SCHEMA:version] for one in migration):
            old.execute(statement)
        old.execute(f"PRAGMA user_version = {version}")
    old.close()
    database = SqliteDatabase(path)
    ledger = SqliteTrialLedger(database)
    await count(ledger, 2)
    assert not await ledger.keeps_all_links()
    found = await check_ledger(ledger, user_id="ann", symbol="BTCUSDT")
    assert (found.fault, found.runs, found.unlinked_runs) == (None, 2, 1)
    await database.close()


def write_linked_file(path: Path, version: int) -> None:
    """Write the file that an earlier version with links would have left after two runs."""
    state = EMPTY_LEDGER
    file = sqlite3.connect(path)
    with file:
        for statement in (one for migration in MIGRATIONS[:version] for one in migration):
            file.execute(statement)
        for number in (1, 2):
            state, link = state.count(entry(number))
            file.execute(
                "INSERT INTO trials (user_id, symbol, key, number, entry, sums, head) VALUES (?, ?, ?, ?, ?, ?, ?)",
                ("ann", "BTCUSDT", link.key, link.number, link.entry, link.sums, link.head),
            )
        file.execute(
            "INSERT INTO trial_ledgers (user_id, symbol, total, active, head, runs) VALUES (?, ?, ?, ?, ?, ?)",
            ("ann", "BTCUSDT", state.total.to_bytes(), state.active.to_bytes(), state.head, state.runs),
        )
        file.execute(f"PRAGMA user_version = {version}")
    file.close()


@pytest.mark.parametrize("version", [OLD_SCHEMA + 1, OLD_SCHEMA + 2])
async def test_file_that_had_all_links_keeps_all(path: Path, version: int) -> None:
    """Before batches: each trial had a link of its own."""
    write_linked_file(path, version)
    database = SqliteDatabase(path)
    ledger = SqliteTrialLedger(database)
    assert await fault_of(ledger) is None
    assert await ledger.keeps_all_links()
    full = (await ledger.measure(None)).full
    state = await ledger.state(user_id="ann", symbol="BTCUSDT")
    # The sums' own bytes have a line of numbers more than the estimate.
    assert state.size_bytes <= full <= state.size_bytes + 200
    await count_batch(ledger)
    found = await check_ledger(ledger, user_id="ann", symbol="BTCUSDT")
    assert (found.fault, found.runs) == (None, 7)
    await database.close()


BATCH = "link 6 (runs 6 to 9) does not follow the head before it: "
SWAP_KEYS = """
    UPDATE trials SET key = 'x' WHERE number = 7;
    UPDATE trials SET key = 'run-1' WHERE number = 9;
    UPDATE trials SET key = 'run-3' WHERE number = 7"""
STRAY = "INSERT INTO trials SELECT user_id, symbol, 'x', {number}, '', '', '', 0 FROM trials LIMIT 1"


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        ("UPDATE trials SET key = 'x' WHERE number = 8", BATCH + "its keys, trials or sums were changed"),
        ("UPDATE trials SET entry = sums WHERE number = 6", BATCH + "its keys, trials or sums were changed"),
        ("UPDATE trials SET head = sums WHERE number = 6", BATCH + "its head was changed"),
        (SWAP_KEYS, BATCH + "its keys, trials or sums were changed"),
        ("DELETE FROM trials WHERE number = 6", "link 6 is missing"),
        ("DELETE FROM trials WHERE number = 8", "link 8 is missing"),
        ("DELETE FROM trials WHERE number > 6 AND number < 10", "link 7 is missing"),
        ("UPDATE trials SET number = NULL WHERE number = 8", "link 8 is missing"),
        ("UPDATE trials SET runs = 1 WHERE number = 8", "link 8 has '' as digest of its trial"),
        ("UPDATE trials SET runs = 'x' WHERE number = 8", "link 8 has 'x' as number of its runs"),
        ("UPDATE trials SET runs = 99 WHERE number = 6", "ends after the ledger's last run, 10"),
        ("UPDATE trials SET runs = 0, entry = '', sums = '', head = '' WHERE number = 3", "belongs to a batch, but no"),
        (STRAY.format(number=11), "link 11 comes after the ledger's last run, 10"),
        (STRAY.format(number="NULL"), "trials without a link: 1, not 0"),
        ("UPDATE trial_ledgers SET runs = 9", "link 10 comes after the ledger's last run, 9"),
        ("UPDATE trial_ledgers SET runs = 8", "link 6 (runs 6 to 9) ends after the ledger's last run, 8"),
    ],
)
async def test_edited_batch_is_named(sqlite_ledger: SqliteTrialLedger, path: Path, edit: str, named: str) -> None:
    await count_batch(sqlite_ledger)
    edit_file(path, edit)
    assert named in str(await fault_of(sqlite_ledger))


async def test_rows_of_nobody_are_not_listed(sqlite_ledger: SqliteTrialLedger, path: Path) -> None:
    edit_file(path, "INSERT INTO trials (user_id, symbol, key) VALUES (x'00', 'A', 'x')")
    assert await sqlite_ledger.next_ledger(("ann", "BTCUSDT"), user_id=None) is None


async def test_chain_goes_on_after_an_older_version(sqlite_ledger: SqliteTrialLedger, path: Path) -> None:
    # A process of the released version that was still running: it knows neither links nor numbers.
    edit_file(
        path,
        "INSERT INTO trials (user_id, symbol, key) VALUES ('ann', 'BTCUSDT', 'old')",
        "INSERT OR REPLACE INTO trial_ledgers (user_id, symbol, total, active, head) "
        "SELECT user_id, symbol, total, active, 'old head' FROM trial_ledgers",
    )
    assert "an older version of the service has counted a trial since" in str(await fault_of(sqlite_ledger))
    await count(sqlite_ledger, 6, 7)
    state = await sqlite_ledger.state(user_id="ann", symbol="BTCUSDT")
    assert (state.runs, state.unlinked_runs, state.first_head) == (8, 6, "old head")
    assert "link 1 stands before the first one, 7: an older version" in str(await fault_of(sqlite_ledger))


async def test_file_of_the_released_version_goes_on(path: Path) -> None:
    sums = EMPTY_LEDGER.add(entry(1)).add(entry(2))
    old = sqlite3.connect(path)
    with old:
        for statement in (one for version in MIGRATIONS[:OLD_SCHEMA] for one in version):
            old.execute(statement)
        old.execute(f"PRAGMA user_version = {OLD_SCHEMA}")
        old.executemany("INSERT INTO trials VALUES ('ann', 'BTCUSDT', ?)", [("key-1",), ("key-2",)])
        row = ("ann", "BTCUSDT", sums.total.to_bytes(), sums.active.to_bytes(), "old head")
        old.execute("INSERT INTO trial_ledgers VALUES (?, ?, ?, ?, ?)", row)
    old.close()
    database = SqliteDatabase(path)
    ledger = SqliteTrialLedger(database)
    await count(ledger, 1, 3)
    state = await ledger.state(user_id="ann", symbol="BTCUSDT")
    assert (state.runs, state.unlinked_runs, state.first_head, state.total.trials) == (3, 2, "old head", 3)
    found = await check_ledger(ledger, user_id="ann", symbol="BTCUSDT", head="old head")
    assert (found.fault, found.runs, found.unlinked_runs, found.head_after) == (None, 3, 2, 2)
    edit_file(path, "DELETE FROM trials WHERE key = 'key-2'")
    assert "trials without a link: 1, not 2" in str(await fault_of(ledger))
    await database.close()


async def test_file_for_reading_is_not_written(sqlite_ledger: SqliteTrialLedger, path: Path) -> None:
    database = SqliteDatabase(path, is_read_only=True)
    reader = SqliteTrialLedger(database)
    assert await reader.state(user_id="ann", symbol="BTCUSDT") == await sqlite_ledger.state(
        user_id="ann", symbol="BTCUSDT"
    )
    with pytest.raises(StoreUnavailable, match="opened for reading only"):
        await count(reader, 6)
    await database.close()
    absent = SqliteDatabase(path.with_name("absent"), is_read_only=True)
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        await SqliteTrialLedger(absent).state(user_id="ann", symbol="BTCUSDT")
    assert not path.with_name("absent").exists()
    await absent.close()


# MongoDB


@pytest.fixture
async def mongo() -> AsyncIterator[MongoDatabase]:
    database = MongoDatabase(os.environ.get("MONGODB_TEST_URI") or backend_uri(), f"test_{uuid.uuid4().hex}")
    yield database
    await database.close()


@pytest.fixture
async def mongo_ledger(mongo: MongoDatabase) -> MongoTrialLedger:
    """A ledger of five trials."""
    ledger = MongoTrialLedger(mongo)
    await count(ledger, 1, 2, 3, 4, 5)
    assert await fault_of(ledger) is None
    return ledger


async def set_in(collection: Any, key: dict[str, Any], **fields: Any) -> None:
    changed = await collection.update_one(key, {"$set": {name.replace("__", "."): it for name, it in fields.items()}})
    assert changed.modified_count == 1


async def swap(trials: Any, field: str) -> None:
    two, four = [await trials.find_one({"link.number": number}) for number in (2, 4)]
    await trials.update_one({"_id": two["_id"]}, {"$set": {f"link.{field}": four["link"][field]}})
    await trials.update_one({"_id": four["_id"]}, {"$set": {f"link.{field}": two["link"][field]}})


async def copy(trials: Any, number: int, **fields: Any) -> None:
    document = await trials.find_one({"link.number": number})
    await trials.insert_one({**document, "_id": f"{NAME}\nx", **fields})


async def rename(trials: Any, number: int) -> None:
    await copy(trials, number)
    await trials.delete_one({"_id": f"{NAME}\nkey-{number}"})


Edit = Callable[[Any, Any], Any]

EDITS: list[tuple[Edit, str]] = [
    (lambda t, s: rename(t, 2), "link 2 does not follow the head before it: its key"),
    (lambda t, s: set_in(t, {"link.number": 5}, link__entry=ZEROS), "link 5 does not follow the head before it: its k"),
    (lambda t, s: set_in(t, {"link.number": 5}, link__sums=ZEROS), "link 5 does not follow the head before it: its su"),
    (lambda t, s: set_in(t, {"link.number": 3}, link__head=ZEROS), "link 3 does not follow the head before it: its he"),
    (lambda t, s: swap(t, "head"), "link 2 does not follow the head before it: its head was changed"),
    (lambda t, s: swap(t, "number"), "link 2 does not follow the head before it: its key, trial, sums or head"),
    (lambda t, s: set_in(t, {"link.number": 3}, link__sums=None), "link 3 has null as digest of its sums"),
    (lambda t, s: set_in(t, {"link.number": 3}, link__head=7), "link 3 has 7 as head"),
    (lambda t, s: set_in(t, {"link.number": 3}, link={"number": 3}), "link 3 has null as digest of its trial"),
    (lambda t, s: set_in(t, {"link.number": 3}, link=[{"number": 3}]), "a link has the number null"),
    (lambda t, s: set_in(t, {"link.number": 3}, link="x"), "link 3 is missing"),
    (lambda t, s: set_in(t, {"link.number": 3}, link__number="3"), "link 3 is missing"),
    (lambda t, s: set_in(t, {"link.number": 3}, link__number=3.5), "a link has the number 3.5"),
    (lambda t, s: set_in(t, {"link.number": 3}, ledger="x"), "link 3 is missing"),
    (lambda t, s: set_in(t, {"link.number": 3}, is_pending=True), "link 3 is missing"),
    (lambda t, s: t.delete_one({"link.number": 3}), "link 3 is missing"),
    (lambda t, s: t.delete_one({"link.number": 5}), "link 5 is missing"),
    (lambda t, s: copy(t, 2), "two links have the number 2"),
    (lambda t, s: copy(t, 3), "two links have the number 3"),  # at the end of the first page
    (lambda t, s: copy(t, 5), "two links have the number 5"),
    (lambda t, s: copy(t, 5, link={"number": 6}), "link 6 comes after the ledger's last run, 5"),
    (lambda t, s: copy(t, 5, link={"number": -6}), "link -6 stands before the first one, 1"),
    (lambda t, s: copy(t, 5, link=None), "trials without a link: 1, not 0"),
    (lambda t, s: copy(t, 5, link={"number": "6"}), "trials without a link: 1, not 0"),
    (lambda t, s: t.insert_one({"_id": f"{NAME}\nx", "is_pending": False}), "trials without a link: 1, not 0"),
    (lambda t, s: t.insert_one({"_id": f"{NAME}\nx"}), "trials without a link: 1, not 0"),
    (lambda t, s: set_in(s, {}, total=EMPTY_LEDGER.total.to_bytes()), "sums are not those of link 5"),
    (lambda t, s: set_in(s, {}, head=ZEROS), "head is not the head after link 5"),
    (lambda t, s: set_in(s, {}, runs=4), "link 5 comes after the ledger's last run, 4"),
    (lambda t, s: set_in(s, {}, first_head=ZEROS), "or the ledger's first head, were changed"),
    (lambda t, s: s.delete_one({}), "link 1 comes after the ledger's last run, 0"),
]


@pytest.mark.parametrize(("edit", "named"), EDITS, ids=range(len(EDITS)))
async def test_edited_document_is_named(
    mongo_ledger: MongoTrialLedger, mongo: MongoDatabase, edit: Edit, named: str
) -> None:
    await edit(mongo.collection("trials"), mongo.collection("trial_ledgers"))
    assert named in str(await fault_of(mongo_ledger))
    assert await mongo_ledger.next_ledger(None, user_id="ann") == ("ann", "BTCUSDT")


BATCH_EDITS: list[tuple[Edit, str]] = [
    (lambda t, s: set_in(t, {"link.number": 6}, link__entry=ZEROS), BATCH + "its keys, trials or sums"),
    (lambda t, s: set_in(t, {"link.number": 6}, link__head=ZEROS), BATCH + "its head was changed"),
    (lambda t, s: rename_run(t, 2), BATCH + "its keys, trials or sums"),
    (lambda t, s: t.delete_one({"link.number": 8}), "link 8 is missing"),
    (lambda t, s: t.delete_one({"link.number": 6}), "link 6 is missing"),
    (lambda t, s: set_in(t, {"link.number": 8}, is_pending=True), "link 8 is missing"),
    (lambda t, s: copy(t, 8), "two links have the number 8"),
    (lambda t, s: copy(t, 8, link={"number": 11, "runs": 0}), "link 11 comes after the ledger's last run, 10"),
    (lambda t, s: set_in(t, {"link.number": 8}, link__runs=1), "link 8 has null as digest of its trial"),
    (lambda t, s: set_in(t, {"link.number": 8}, link__runs="0"), "link 8 has '0' as number of its runs"),
    (lambda t, s: set_in(t, {"link.number": 8}, link__runs=None), "link 8 has null as number of its runs"),
    (lambda t, s: set_in(t, {"link.number": 8}, link__head=ZEROS), f"link 8 has '{ZEROS}' as head"),
]


@pytest.mark.parametrize(("edit", "named"), BATCH_EDITS, ids=range(len(BATCH_EDITS)))
async def test_edited_batch_of_documents_is_named(
    mongo_ledger: MongoTrialLedger, mongo: MongoDatabase, edit: Edit, named: str
) -> None:
    await count_batch(mongo_ledger)
    assert await fault_of(mongo_ledger) is None
    await edit(mongo.collection("trials"), mongo.collection("trial_ledgers"))
    assert named in str(await fault_of(mongo_ledger))


async def rename_run(trials: Any, seed: int) -> None:
    document = await trials.find_one({"_id": f"{NAME}\nrun-{seed}"})
    await trials.delete_one({"_id": document["_id"]})
    await trials.insert_one({**document, "_id": f"{NAME}\nx"})


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"batch": "x"}, "its batch is no list of keys"),
        ({"batch": []}, "its batch is no list of keys"),
        ({"batch": ["x", 7]}, "its batch is no list of keys"),
        ({"batch": ["x"], "link": None}, "its batch has no number"),
    ],
)
async def test_unreadable_batch_is_named(
    mongo_ledger: MongoTrialLedger, mongo: MongoDatabase, fields: dict[str, Any], named: str
) -> None:
    await set_in(mongo.collection("trial_ledgers"), {}, **fields)
    with pytest.raises(StoreUnavailable, match=named):
        await fault_of(mongo_ledger)
    with pytest.raises(StoreUnavailable, match=named):
        await count(mongo_ledger, 6)
    with pytest.raises(StoreUnavailable, match=named):
        await count_batch(mongo_ledger)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"runs": "5"}, "runs is of the type str"),
        ({"unlinked_runs": None}, "unlinked_runs is of the type NoneType"),
        ({"runs": True}, "runs is of the type bool"),
        ({"head": 7}, "head is of the type int"),
        ({"total": "x"}, "total is of the type str"),
        ({"version": "x"}, "no version"),
        ({"last": 7}, "no key of the last trial"),
    ],
)
async def test_unreadable_document_is_named(
    mongo_ledger: MongoTrialLedger, mongo: MongoDatabase, fields: dict[str, Any], named: str
) -> None:
    await set_in(mongo.collection("trial_ledgers"), {}, **fields)
    with pytest.raises(StoreUnavailable, match=named):
        await fault_of(mongo_ledger)
    with pytest.raises(StoreUnavailable, match=named):
        await count(mongo_ledger, 6)


async def test_documents_of_the_released_version_go_on(mongo: MongoDatabase) -> None:
    sums = EMPTY_LEDGER.add(entry(1)).add(entry(2))
    trials, ledgers = mongo.collection("trials"), mongo.collection("trial_ledgers")
    await trials.insert_many([
        {"_id": f"{NAME}\nkey-1", "is_pending": False},
        {"_id": f"{NAME}\nkey-2", "is_pending": True},
    ])  # fmt: skip
    await ledgers.insert_one({
        "_id": NAME, "version": 2, "total": sums.total.to_bytes(), "active": sums.active.to_bytes(),
        "head": ZEROS, "last": f"{NAME}\nkey-2",
    })  # fmt: skip
    ledger = MongoTrialLedger(mongo)
    found = await check_ledger(ledger, user_id="ann", symbol="BTCUSDT", head=ZEROS)
    assert (found.fault, found.runs, found.unlinked_runs, found.head_after) == (None, 2, 2, 2)
    await count(ledger, 2, 1, 3, 4)
    state = await ledger.state(user_id="ann", symbol="BTCUSDT")
    assert (state.runs, state.unlinked_runs, state.first_head, state.total.trials) == (4, 2, ZEROS, 4)
    assert await fault_of(ledger) is None
    await trials.delete_one({"_id": f"{NAME}\nkey-1"})
    assert "trials without a link: 1, not 2" in str(await fault_of(ledger))


async def test_documents_without_sizes_are_measured(mongo_ledger: MongoTrialLedger, mongo: MongoDatabase) -> None:
    ledgers = mongo.collection("trial_ledgers")
    state = await mongo_ledger.state(user_id="ann", symbol="BTCUSDT")
    await ledgers.update_many({}, {"$unset": dict.fromkeys(("user", "rank", "size_bytes", "used"), "")})
    await ledgers.insert_one({"_id": "bob\nETHUSDT", "version": 1, "last": 5})
    assert await mongo_ledger.reduce_oldest("ann") is None
    await mongo.collection("result_schema").update_one({"_id": "results"}, {"$set": {"version": 4}}, upsert=True)
    assert await MongoStore(mongo).is_reachable()
    assert (await mongo_ledger.measure("ann")).full == state.size_bytes
    assert await mongo_ledger.measure("bob") == LedgerSizes(full=0, reduced=0), "a damaged one is left as it is"
    assert await mongo_ledger.reduce_oldest(None) is not None
    assert (await mongo_ledger.state(user_id="ann", symbol="BTCUSDT")).is_reduced


async def test_documents_go_on_after_an_older_version(mongo_ledger: MongoTrialLedger, mongo: MongoDatabase) -> None:
    # A process of the released version that was still running replaces the whole document.
    trials, ledgers = mongo.collection("trials"), mongo.collection("trial_ledgers")
    await trials.insert_one({"_id": f"{NAME}\nold", "is_pending": False})
    dropped = {"link": "", "runs": "", "unlinked_runs": "", "first_head": ""}
    await ledgers.update_one({}, {"$set": {"head": ZEROS, "last": f"{NAME}\nold"}, "$unset": dropped})
    assert "an older version of the service has counted a trial since" in str(await fault_of(mongo_ledger))
    await count(mongo_ledger, 6, 7)
    state = await mongo_ledger.state(user_id="ann", symbol="BTCUSDT")
    assert (state.runs, state.unlinked_runs, state.first_head) == (8, 6, ZEROS)
    assert "link 1 stands before the first one, 7: an older version" in str(await fault_of(mongo_ledger))


@pytest.fixture
def server() -> Any:
    with running_mongo_server("results") as running:
        yield running


COMMANDS = {0: 7, 2: 7}
"""Commands of a record after so many others: insert the trial; read the ledger, what was folded if there is none, and
the trial; mark the last trial, if there is one; read the last use; store the ledger; mark the trial."""


@pytest.mark.parametrize(
    ("counted_before", "survived"), [(before, done) for before, steps in COMMANDS.items() for done in range(steps + 1)]
)
async def test_crash_between_two_steps_breaks_no_chain(server: MongoServer, survived: int, counted_before: int) -> None:
    steps = COMMANDS[counted_before]
    database = MongoDatabase(server.uri, "results")
    ledger = MongoTrialLedger(database)
    await count(ledger, *range(counted_before))
    server.commands.clear()
    server.hang_up_before = lambda name, body: name not in OF_THE_DRIVER and len(server.commands) >= survived
    if survived < steps:
        with pytest.raises(StoreUnavailable):
            await count(ledger, 7)
    else:
        await count(ledger, 7)
        assert len(server.commands) == steps
    server.hang_up_before = lambda name, body: False
    assert await fault_of(ledger) is None
    await count(ledger, 8, 7, 8)
    found = await check_ledger(ledger, user_id="ann", symbol="BTCUSDT")
    assert (found.fault, found.runs) == (None, counted_before + 2)
    await database.close()


BATCH_COMMANDS = {0: 7, 2: 7}
"""Commands of a batch after so many runs: read the ledger, and what was folded if there is none; mark the last trial,
if there is one; find the keys; read the last use; store the ledger; insert the trials; remove the keys from the
ledger."""


@pytest.mark.parametrize("next_is_batch", [False, True])
@pytest.mark.parametrize(
    ("counted_before", "survived"),
    [(before, done) for before, steps in BATCH_COMMANDS.items() for done in range(steps + 1)],
)
async def test_crash_inside_a_batch_breaks_no_chain(
    server: MongoServer, survived: int, counted_before: int, next_is_batch: bool
) -> None:
    steps = BATCH_COMMANDS[counted_before]
    database = MongoDatabase(server.uri, "results")
    ledger = MongoTrialLedger(database)
    await count(ledger, *range(counted_before))
    batch = make_batch(range(4))
    server.commands.clear()
    server.hang_up_before = lambda name, body: name not in OF_THE_DRIVER and len(server.commands) >= survived
    if survived < steps:
        with pytest.raises(StoreUnavailable):
            await ledger.record_batch(batch, user_id="ann", symbol="BTCUSDT")
    else:
        await ledger.record_batch(batch, user_id="ann", symbol="BTCUSDT")
        assert len(server.commands) == steps
    server.hang_up_before = lambda name, body: False
    assert await fault_of(ledger) is None
    if not next_is_batch:
        await ledger.record(batch.entry(2), user_id="ann", symbol="BTCUSDT")
        assert await fault_of(ledger) is None
    await ledger.record_batch(make_batch(range(6)), user_id="ann", symbol="BTCUSDT")
    found = await check_ledger(ledger, user_id="ann", symbol="BTCUSDT")
    assert (found.fault, found.runs) == (None, counted_before + 6)
    expected = EMPTY_LEDGER
    for one in (*map(entry, range(counted_before)), *map(make_batch(range(6)).entry, range(6))):
        expected = expected.add(one)
    state = await ledger.state(user_id="ann", symbol="BTCUSDT")
    assert (state.total, state.active) == (expected.total, expected.active)
    await database.close()


SHRINKING_COMMANDS = 11
"""Commands of a reduction of the last batch: find unfinished reductions and the ledger; read it; mark the last trial;
store the sums; remove the trials, and what says that there are some. A fold: find both; count the runs; remove the
ledger."""


@pytest.mark.parametrize("survived", range(SHRINKING_COMMANDS + 1))
async def test_crash_while_a_ledger_shrinks_loses_no_run(server: MongoServer, survived: int) -> None:
    database = MongoDatabase(server.uri, "results")
    ledger = MongoTrialLedger(database)
    batch = make_batch(range(4))
    await ledger.record_batch(batch, user_id="ann", symbol="BTCUSDT")
    before = (await ledger.record(make_batch([8]).entry(0), user_id="ann", symbol="BTCUSDT")).after
    server.commands.clear()
    server.hang_up_before = lambda name, body: name not in OF_THE_DRIVER and len(server.commands) >= survived
    with suppress(StoreUnavailable):
        await ledger.reduce_oldest("ann")
        await ledger.fold_oldest("ann")
    is_whole = survived == SHRINKING_COMMANDS
    assert len(server.commands) == survived
    server.hang_up_before = lambda name, body: False
    state = await ledger.state(user_id="ann", symbol="BTCUSDT")
    folded = await ledger.count_folded(user_id="ann")
    assert state.runs + folded.runs in (5, 10)  # both between the two steps of a fold
    assert state.total.statistics == (before.total.statistics if state.runs else EMPTY_LEDGER.total.statistics)
    assert (state.runs == 0) is is_whole
    assert await fault_of(ledger) is None
    await ledger.record(make_batch([9]).entry(0), user_id="ann", symbol="BTCUSDT")
    assert await fault_of(ledger) is None
    await ledger.reduce_oldest("ann")
    await ledger.fold_oldest("ann")
    assert await database.collection("trials").count_documents({}) == 0
    assert await database.collection("trial_ledgers").count_documents({}) == 0
    assert 6 <= (await ledger.count_folded(user_id="ann")).runs <= 11
    await database.close()


async def test_pending_trial_in_batch_is_counted_once(mongo_ledger: MongoTrialLedger, mongo: MongoDatabase) -> None:
    """Its writer was stopped after it had inserted the trial."""
    await mongo.collection("trials").insert_one({"_id": f"{NAME}\nrun-2", "is_pending": True})
    await count_batch(mongo_ledger)
    again = await mongo_ledger.record(make_batch([2]).entry(0), user_id="ann", symbol="BTCUSDT")
    assert again.before == again.after
    assert (await check_ledger(mongo_ledger, user_id="ann", symbol="BTCUSDT")).runs == 10
    assert await fault_of(mongo_ledger) is None


async def test_start_up_prepares_the_database_for_links(mongo: MongoDatabase) -> None:
    assert await MongoStore(mongo).is_reachable()
    # Builds that drop links know versions up to 2, those that drop a batch's keys up to 3, ledgers' sizes up to 4.
    assert (await mongo.collection("result_schema").find_one({}))["version"] == 5
    indexes = await mongo.collection("trials").index_information()
    assert [("ledger", 1), ("link.number", 1)] in [index["key"] for index in indexes.values()]
