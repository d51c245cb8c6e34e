"""Rows that were edited in SQLite are named, and ledgers of the released version go on."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from src.domain.errors import StoreUnavailable
from src.domain.trial_states import EMPTY_LEDGER
from src.service.ledger_check import check_ledger
from src.stores.migrations import MIGRATIONS
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_ledger import SqliteTrialLedger
from tests.unit.stores.chains import BATCH, ZEROS, count, count_batch, entry, fault_of

pytestmark = pytest.mark.usefixtures("short_pages")

OLD_SCHEMA = 3
"""The released version of the file that counted trials without links."""


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
