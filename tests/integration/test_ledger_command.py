"""`run.py ledger` as an operator runs it: beside a running service, on the receipts that it gave."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from pymongo import MongoClient

from src.runtime import ledger
from src.wiring.stores import RESULTS_FILE
from tests.integration.conftest import service_settings
from tests.mongo_server import backend_uri
from tests.server import RunningService

ROOT = Path(__file__).parents[2]
BACKTEST = {
    "symbol": "BTCUSDT", "source": "simulated", "interval": "1d", "limit": 400, "start_date": "2020-01-01",
}  # fmt: skip
TITLE = "'ann' on 'BTCUSDT (simulated (seed 0))'"


Command = Callable[..., tuple[int, list[str], str]]


class Counted(NamedTuple):
    """A running service's store with four trials of ann, the receipt of the third run, and how to edit the store."""

    head: str
    edit: Callable[[int, str], None]


def run_process(*words: str) -> tuple[int, list[str], str]:
    ended = subprocess.run(
        [sys.executable, "-m", "src.runtime.ledger", *words],
        check=False, cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return ended.returncode, ended.stdout.splitlines(), ended.stderr


@pytest.fixture
def run_command(capsys: pytest.CaptureFixture[str]) -> Command:
    """The command in this process: starting one and loading the libraries takes two seconds of processor time."""

    def run(*words: str) -> tuple[int, list[str], str]:
        code = ledger.main(words)
        written = capsys.readouterr()
        return code, written.out.splitlines(), written.err

    return run


def count_trials(url: str) -> str:
    """Count four trials of ann and one of bob; return the head after the third."""
    ids = []
    for user, slow in (("ann", 20), ("ann", 30), ("ann", 40), ("ann", 40), ("bob", 20), ("ann", 50)):
        body = BACKTEST | {"user_id": user, "fast": 5, "slow": slow}
        made = httpx.post(f"{url}/api/backtests", json=body, timeout=120)
        assert made.status_code == 200, made.text
        ids.append(made.json()["data"]["id"])
    receipt = httpx.get(f"{url}/api/backtests/{ids[2]}/receipt", timeout=60).json()
    return str(receipt["payload"]["ledger"]["head_after"])


@pytest.fixture(params=["sqlite", "mongo"])
def counted(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    environment = {"STORAGE_DIR": str(tmp_path / "storage"), "MONGODB_URI": ""}
    uri, database = None, f"test_{uuid.uuid4().hex}"
    if request.param == "mongo":
        uri = os.environ.get("MONGODB_TEST_URI") or backend_uri()
        environment |= {"MONGODB_URI": uri, "MONGODB_DATABASE": database}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def edit_file(number: int, head: str) -> None:
        editor = sqlite3.connect(tmp_path / "storage" / RESULTS_FILE)
        with editor:
            edited = editor.execute("UPDATE trials SET head = ? WHERE user_id = 'ann' AND number = ?", (head, number))
            assert edited.rowcount == 1
        editor.close()

    def edit_document(number: int, head: str) -> None:
        with MongoClient(uri) as client:
            found = {"_id": {"$regex": "^ann\n"}, "link.number": number}
            assert client[database]["trials"].update_one(found, {"$set": {"link.head": head}}).modified_count == 1

    settings = service_settings("http://127.0.0.1:9", tmp_path / "storage", mongodb_uri=uri, mongodb_database=database)
    with RunningService(settings) as service:
        edit = edit_file if uri is None else edit_document
        yield Counted(count_trials(service.url), edit)


def test_command_finds_receipts_and_edited_rows(counted: Counted, run_command: Command) -> None:
    found = run_process("--head", counted.head)
    assert found == (
        0,
        [
            f"{TITLE}: 4 trials: no fault",
            f"head {counted.head}: in the ledger of {TITLE}, after 3 trials",
            "'bob' on 'BTCUSDT (simulated (seed 0))': 1 trial: no fault",
            "2 ledgers, 5 trials, 0 with a fault",
        ],
        "",
    )
    assert run_command("--head", counted.head) == found
    code, lines, _ = run_command("--user", "bob", "--head", counted.head.upper())
    assert code == 1
    assert lines[1:] == ["1 ledger, 1 trial, 0 with a fault", f"head {counted.head}: in none of these ledgers"]
    counted.edit(2, "0" * 64)
    code, lines, _ = run_command("--head", counted.head)
    assert code == 1
    assert lines == [
        f"{TITLE}: 4 trials: FAULT: link 2 does not follow the head before it: its head was changed",
        f"head {counted.head}: in the ledger of {TITLE}, after 3 trials",
        "'bob' on 'BTCUSDT (simulated (seed 0))': 1 trial: no fault",
        "2 ledgers, 5 trials, 1 with a fault",
    ]
    assert run_command("--user", "bob")[0] == 0
