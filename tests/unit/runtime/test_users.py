"""`run.py users`: what is stored of each user, and the deletion of all of one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from src.runtime import users as command
from src.stores.sqlite import SqliteStore
from src.stores.sqlite_database import SqliteDatabase
from src.wiring.stores import RESULTS_FILE
from tests.factories import make_result


class Finished(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Finished]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command on the folder of the test."""
    monkeypatch.chdir(tmp_path)  # there is no .env
    monkeypatch.setenv("STORAGE_DIR", str(tmp_path / "storage"))
    monkeypatch.delenv("MONGODB_URI", raising=False)

    def run_command(*words: str) -> Finished:
        code = command.main(words)
        return Finished(code, *capsys.readouterr())

    return run_command


def store_results(folder: Path, *users: str) -> None:
    async def store() -> None:
        results = SqliteStore(SqliteDatabase(folder / "storage" / RESULTS_FILE))
        for number, user in enumerate(users):
            result = make_result(id=f"r{number}")
            await results.save(replace(result, request=replace(result.request, user_id=user)))
        await results.close()

    asyncio.run(store())


def test_usage_is_a_table_of_users(run: Run, tmp_path: Path) -> None:
    store_results(tmp_path, "bob", "ann", "bob")
    found = run("usage")
    assert (found.code, found.err) == (0, "")
    rows = [line.split() for line in found.out.splitlines()]
    assert rows[0][:4] == ["USER", "RESULTS", "MIB", "JOBS"]
    assert [row[:2] for row in rows[1:]] == [["ann", "1"], ["bob", "2"]]
    assert all(len(row) == len(rows[0]) for row in rows)


def test_deletion_must_be_confirmed(run: Run, tmp_path: Path) -> None:
    store_results(tmp_path, "bob", "ann")
    told = run("delete", "bob")
    assert told.code == 0
    assert told.out.startswith("would delete of 'bob': 1 results, 0 jobs, 0 models, 0 datasets, 0 trials in ledgers")
    assert "bob" in run("usage").out
    done = run("delete", "bob", "--yes")
    assert (done.code, done.out.splitlines()[1]) == (0, command.KEPT)
    left = run("usage").out
    assert "bob" not in left
    assert "ann" in left
    assert run("delete", "bob", "--yes").code == 1


def test_wrong_user_or_folder_is_refused(run: Run, tmp_path: Path) -> None:
    absent = run("usage")
    assert (absent.code, absent.out) == (2, "")
    assert "is not there: nothing is stored" in absent.err
    assert not (tmp_path / "storage").exists()
    store_results(tmp_path, "ann")
    refused = run("delete", "../ann", "--yes")
    assert refused.code == 2
    assert "'../ann'. Allowed: 1 to 64 characters" in refused.err
