"""`run.py ledger` on files that are damaged, missing or of another version, and on hostile names."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from src.domain.errors import StoreUnavailable
from src.domain.trials import LedgerEntry, Trial
from src.runtime import ledger as command
from src.stores.migrations import MIGRATIONS
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_ledger import SqliteTrialLedger
from src.wiring.stores import RESULTS_FILE
from tests.trial_batches import make_batch


class Finished(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Finished]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command on the folder of the test."""
    monkeypatch.chdir(tmp_path.parent)  # there is no .env
    monkeypatch.setenv("STORAGE_DIR", str(tmp_path))
    monkeypatch.delenv("MONGODB_URI", raising=False)

    def run_command(*words: str) -> Finished:
        code = command.main(words)
        return Finished(code, *capsys.readouterr())

    return run_command


async def make_file(storage: Path, trials: int, *, batch: int = 0) -> None:
    database = SqliteDatabase(storage / RESULTS_FILE)
    ledger = SqliteTrialLedger(database)
    for number in range(trials):
        trial = Trial(slots=np.array([0, 4]), directions=np.array([number, 3]), t=number)
        await ledger.record(
            LedgerEntry(key=f"key-{number}", total=trial, active=None), user_id="a\nb", symbol="\x1b[2J"
        )
    await ledger.record_batch(make_batch(range(batch)), user_id="a\nb", symbol="\x1b[2J")
    await database.close()


def test_hostile_names_are_escaped(tmp_path: Path, run: Run) -> None:
    asyncio.run(make_file(tmp_path, 2))
    found = run()
    assert found.code == 0, found.err
    assert found.out.splitlines()[0] == r"'a\nb' on '\x1b[2J': 2 trials: no fault"


def test_unreadable_ledger_is_a_fault_of_that_one(tmp_path: Path, run: Run) -> None:
    asyncio.run(make_file(tmp_path, 2))
    editor = sqlite3.connect(tmp_path / RESULTS_FILE)
    with editor:
        editor.execute(
            "INSERT INTO trial_ledgers (user_id, symbol, total, active, head, runs, unlinked_runs, first_head) "
            "SELECT 'z', symbol, total, active, head, 2, 2, head FROM trial_ledgers"
        )
        editor.execute("UPDATE trial_ledgers SET total = x'00' WHERE user_id <> 'z'")
    editor.close()
    found = run()
    assert found.code == 1
    assert found.out.splitlines() == [
        r"'a\nb' on '\x1b[2J': FAULT: The ledger of trials cannot be read: The bytes are not sums of trials.",
        r"'z' on '\x1b[2J': 2 trials, 2 trials before links were kept: FAULT: trials without a link: 0, not 2 as "
        "counted before links were kept; trials were added or removed, or have lost their links",
        "2 ledgers, 2 trials, 2 with a fault",
    ]


def test_damaged_batch_is_named_with_its_runs(tmp_path: Path, run: Run) -> None:
    asyncio.run(make_file(tmp_path, 2, batch=3))
    found = run()
    assert (found.code, found.out.splitlines()[0]) == (0, r"'a\nb' on '\x1b[2J': 5 trials: no fault")
    editor = sqlite3.connect(tmp_path / RESULTS_FILE)
    with editor:
        editor.execute("UPDATE trials SET key = 'x' WHERE number = 4")
    editor.close()
    found = run()
    assert found.code == 1
    assert found.out.splitlines() == [
        r"'a\nb' on '\x1b[2J': 5 trials: FAULT: link 3 (runs 3 to 5) does not follow the head before it: its keys, "
        "trials or sums were changed",
        "1 ledger, 5 trials, 1 with a fault",
    ]


def test_reduced_and_removed_trials_are_shown(tmp_path: Path, run: Run) -> None:
    async def shrink() -> str:
        database = SqliteDatabase(tmp_path / RESULTS_FILE)
        ledger = SqliteTrialLedger(database)
        await ledger.record_batch(make_batch([1, 2, 3]), user_id="ann", symbol="BTCUSDT")
        await ledger.reduce_oldest("ann")
        head = (await ledger.state(user_id="ann", symbol="BTCUSDT")).head
        for user, symbol in (("ann", "ETHUSDT"), ("bob", "BTCUSDT")):
            await ledger.record_batch(make_batch([1, 2]), user_id=user, symbol=symbol)
            await ledger.reduce_oldest(user)
        await ledger.fold_oldest("bob")
        await database.close()
        return head

    head = asyncio.run(shrink())
    found = run("--head", head)
    assert found.code == 0
    assert found.out.splitlines() == [
        "'ann' on 'BTCUSDT': 3 trials, 3 trials reduced to sums: no fault",
        f"head {head}: in the ledger of 'ann' on 'BTCUSDT', after 3 trials",
        "'ann' on 'ETHUSDT': 2 trials, 2 trials reduced to sums: no fault",
        "2 ledgers, 5 trials, 0 with a fault",
        "removed at the limits of all users: 1 market, 2 trials",
    ]
    found = run("--head", "0" * 64, "--user", "ann")
    assert found.code == 1
    lack = "a reduced ledger lacks those of its reduced trials"
    assert found.out.splitlines()[-1] == f"head {'0' * 64}: in none of these ledgers; {lack}"


@pytest.mark.parametrize("user", ["nobody", "", "a"])
def test_user_without_a_ledger_is_named(tmp_path: Path, run: Run, user: str) -> None:
    asyncio.run(make_file(tmp_path, 1))
    found = run("--user", user)
    assert found.code == 1
    assert found.out.splitlines() == [
        "0 ledgers, 0 trials, 0 with a fault",
        f"'{user}' has no ledger: no trial of this user was counted, or all were removed",
    ]
    assert run("--user", "a\nb").code == run().code == 0


def test_file_is_neither_created_nor_migrated(tmp_path: Path, run: Run) -> None:
    missing = run()
    assert missing.code == 2
    assert f"{tmp_path.resolve() / RESULTS_FILE} is not there" in missing.err
    assert list(tmp_path.iterdir()) == []
    asyncio.run(make_file(tmp_path, 1))
    old = sqlite3.connect(tmp_path / RESULTS_FILE)
    for version, said in ((len(MIGRATIONS) - 1, "Start this version of the service once"), (99, "newer version")):
        with old:
            old.execute(f"PRAGMA user_version = {version}")
        found = run()
        assert (found.code, found.out) == (2, "")
        assert said in found.err
        assert old.execute("PRAGMA user_version").fetchall() == [(version,)]
    old.close()


@pytest.mark.parametrize("head", ["", "x" * 64, "0" * 63])
def test_text_that_is_no_head_is_refused(head: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(["--head", head])
    assert "is no head of a receipt. Allowed: 64 hexadecimal digits." in capsys.readouterr().err


def test_wrong_setting_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "abc")
    found = run()
    assert (found.code, found.out) == (2, "")
    assert "PORT is 'abc'" in found.err


def test_absent_database_is_no_fault_of_a_ledger(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URI", "mongodb://user:hunter2@127.0.0.1:9/?serverSelectionTimeoutMS=300")
    found = run()
    assert (found.code, found.out) == (2, "")
    assert "MongoDB does not respond" in found.err
    assert "hunter2" not in found.err


def test_long_walk_shows_its_progress(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(make_file(tmp_path, 7))
    assert run().err == ""
    monkeypatch.setattr(command, "_REPORT_EVERY_S", 0.0)
    monkeypatch.setattr("src.service.ledger_check.PAGE_LINKS", 5)
    assert run().err.splitlines() == [
        r"[ledger] 'a\nb' on '\x1b[2J': 5 of 7 trials",
        r"[ledger] 'a\nb' on '\x1b[2J': 7 of 7 trials",
    ]


def test_locked_file_is_no_fault_of_a_ledger(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(make_file(tmp_path, 1))

    async def fail(self: object, **names: str) -> None:
        raise StoreUnavailable("It is locked.", retry_after_s=1.0)

    monkeypatch.setattr(SqliteTrialLedger, "state", fail)
    assert run() == (2, "", "[ledger] It is locked.\n")
