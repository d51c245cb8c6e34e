"""Rows that were edited in the store are named, and ledgers of the released version go on."""

from __future__ import annotations

import os
import sqlite3
import uuid
from pathlib import Path

import numpy as np
import pytest

from src.domain.trial_chain import find_fault
from src.domain.trials import EMPTY_LEDGER, LedgerEntry, Trial
from src.ports import TrialLedger
from src.stores.migrations import MIGRATIONS
from src.stores.mongo_connection import MongoDatabase
from src.stores.mongo_ledger import MongoTrialLedger
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_ledger import SqliteTrialLedger
from tests.mongo_server import backend_uri

OLD_SCHEMA = 3
"""The released version of the file that counted trials without links."""


def entry(number: int) -> LedgerEntry:
    trial = Trial(slots=np.array([0, 4]), directions=np.array([number, 3]), t=number)
    return LedgerEntry(key=f"key-{number}", total=trial, active=None)


async def count(ledger: TrialLedger, *numbers: int) -> None:
    for number in numbers:
        await ledger.record(entry(number), user_id="ann", symbol="BTCUSDT")


async def fault_of(ledger: TrialLedger) -> str | None:
    links = await ledger.links(user_id="ann", symbol="BTCUSDT", after=0, limit=100)
    return find_fault(links, await ledger.state(user_id="ann", symbol="BTCUSDT"))


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        ("UPDATE trials SET key = 'x' WHERE number = 2", "link 2 does not follow"),
        ("DELETE FROM trials WHERE number = 3", "link 3 is missing"),
        ("DELETE FROM trials WHERE number = 5", "link 5 is missing"),
        ("UPDATE trials SET number = 9 WHERE number = 2", "link 2 is missing"),
        ("INSERT INTO trials VALUES ('ann', 'BTCUSDT', 'x', 6, 'a', 'b', 'c')", "link 6 comes after"),
        ("UPDATE trial_ledgers SET total = active", "sums are not those of link 5"),
        ("UPDATE trial_ledgers SET head = 'x'", "head is not the head after link 5"),
    ],
)
async def test_edited_row_is_named(tmp_path: Path, edit: str, named: str) -> None:
    path = tmp_path / "results.sqlite3"
    database = SqliteDatabase(path)
    ledger = SqliteTrialLedger(database)
    await count(ledger, 1, 2, 3, 4, 5)
    assert await fault_of(ledger) is None
    editor = sqlite3.connect(path)
    with editor:
        editor.execute(edit)
    editor.close()
    assert named in str(await fault_of(ledger))
    await database.close()


async def test_file_of_the_released_version_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite3"
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
    assert await fault_of(ledger) is None
    await database.close()


async def test_documents_of_the_released_version_go_on() -> None:
    database = MongoDatabase(os.environ.get("MONGODB_TEST_URI") or backend_uri(), f"test_{uuid.uuid4().hex}")
    sums = EMPTY_LEDGER.add(entry(1)).add(entry(2))
    name = "ann\nBTCUSDT"
    trials, ledgers = database.collection("trials"), database.collection("trial_ledgers")
    await trials.insert_many(
        [
            {"_id": f"{name}\nkey-1", "is_pending": False},
            {"_id": f"{name}\nkey-2", "is_pending": True},
        ]
    )
    await ledgers.insert_one({
        "_id": name, "version": 2, "total": sums.total.to_bytes(), "active": sums.active.to_bytes(),
        "head": "old head", "last": f"{name}\nkey-2",
    })  # fmt: skip
    ledger = MongoTrialLedger(database)
    await count(ledger, 2, 1, 3, 4)
    state = await ledger.state(user_id="ann", symbol="BTCUSDT")
    assert (state.runs, state.unlinked_runs, state.first_head, state.total.trials) == (4, 2, "old head", 4)
    assert await fault_of(ledger) is None
    await trials.update_one({"link.number": 3}, {"$set": {"link.key": "x"}})
    assert "link 3 does not follow" in str(await fault_of(ledger))
    await database.close()
