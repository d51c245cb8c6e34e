"""Check backups of a running service, restored elsewhere, and backups that are cut off, damaged or too new."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from src.runtime.backup import MANIFEST, BackupError, back_up, read_manifest, restore
from src.settings import Settings
from src.stores.sqlite import SqliteStore
from src.stores.sqlite_database import SqliteDatabase
from src.wiring.identity import KEY_FILE, build_key_file
from src.wiring.stores import RESULTS_FILE
from tests.factories import START_MS, make_result
from tests.jobs import LEASE_MS, commit, contents, lease, make_sweep, open_job_store, submit
from tests.server import RunningService

ROOT = Path(__file__).parents[2]
BACKTEST = {
    "user_id": "me", "symbol": "BTCUSDT", "source": "simulated", "interval": "1d", "limit": 3000,
    "start_date": "2012-01-01", "engine": "VECTORIZED",
}  # fmt: skip


def settings_of(storage: Path, **more: Any) -> Settings:
    return Settings(_env_file=None, storage_dir=storage, **more)


def write_user_files(storage: Path) -> None:
    for name in ("alice/alice_model_1.pkl", "alice/alice_model_1.pkl.json", ".user_bars/bob/mine.bars"):
        path = storage / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 1000)
    for name in (".bars/BTCUSDT/1d.bars", ".tmp/1-1-x.pkl", "alice/.alice.part"):
        path = storage / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"left out")


@pytest.fixture
async def storage(tmp_path: Path) -> Path:
    """A folder with three results, a model and a dataset."""
    folder = tmp_path / "storage"
    write_user_files(folder)
    store = SqliteStore(SqliteDatabase(folder / RESULTS_FILE))
    for name in "abc":
        await store.save(make_result(id=name))
    await store.close()
    return folder


async def stored_ids(storage: Path) -> list[str]:
    store = SqliteStore(SqliteDatabase(storage / RESULTS_FILE))
    ids: list[str] = []
    after = None
    while True:
        page = await store.list(user_id=None, symbol=None, first=100, after=after)
        assert page.warnings == ()
        for summary in page.summaries:
            assert (await store.get(summary.id)).id == summary.id
            ids.append(summary.id)
        after = page.next_cursor
        if after is None:
            await store.close()
            return ids


async def test_backup_while_serving_holds_every_finished_result(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "storage", workers=1)
    finished: list[str] = []
    stopping = threading.Event()
    with RunningService(settings) as service:
        write_user_files(tmp_path / "storage")

        def hammer() -> None:
            with httpx.Client(base_url=service.url, timeout=60.0) as client:
                while not stopping.is_set():
                    answer = client.post("/api/backtests", json=BACKTEST)
                    assert answer.status_code == 200, answer.text
                    finished.append(answer.json()["data"]["id"])

        threads = [threading.Thread(target=hammer) for _ in range(3)]
        for thread in threads:
            thread.start()
        while len(finished) < 20:
            time.sleep(0.01)
        before = list(finished)
        back_up(settings, tmp_path / "backup")
        after = len(finished)
        with pytest.raises(BackupError, match="A service is using STORAGE_DIR"):
            restore(settings, tmp_path / "backup", replace=True)
        stopping.set()
        for thread in threads:
            thread.join()
    restore(settings_of(tmp_path / "restored"), tmp_path / "backup", replace=False)
    restored = set(await stored_ids(tmp_path / "restored"))
    assert set(before) <= restored <= set(finished)
    assert after >= len(before)
    assert (tmp_path / "restored/alice/alice_model_1.pkl").read_bytes() == b"alice/alice_model_1.pkl" * 1000
    with RunningService(settings_of(tmp_path / "restored", workers=1)) as service:
        listed = httpx.get(f"{service.url}/api/backtests", params={"user_id": "me", "first": 100}).json()["data"]
        assert {item["id"] for item in listed["items"]} <= restored
        assert httpx.get(f"{service.url}/api/backtests/{before[0]}").status_code == 200


async def test_job_in_a_backup_is_continued_after_restoring(storage: Path, tmp_path: Path) -> None:
    jobs, database = open_job_store(str(storage / RESULTS_FILE))
    job = await submit(jobs, rows=6)
    await commit(jobs, await lease(jobs), 0, b"kept", count=2)
    back_up(settings_of(storage), tmp_path / "backup")
    await database.close()
    restore(settings_of(tmp_path / "restored"), tmp_path / "backup", replace=False)
    jobs, database = open_job_store(str(tmp_path / "restored" / RESULTS_FILE))
    held = await lease(jobs, START_MS + LEASE_MS)
    assert (held.job.id, held.job.attempt, held.job.done) == (job.id, 2, 2)
    assert await jobs.read_request(job.id) == make_sweep(6)
    assert await contents(jobs, job.id) == [b"kept"]
    await database.close()


async def test_backup_holds_only_lasting_files(storage: Path, tmp_path: Path) -> None:
    back_up(settings_of(storage), tmp_path / "backup")
    assert sorted(read_manifest(tmp_path / "backup")["files"]) == [
        "files/.user_bars/bob/mine.bars",
        "files/alice/alice_model_1.pkl",
        "files/alice/alice_model_1.pkl.json",
        "results.sqlite3",
    ]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    target = tmp_path / "new" / "storage"
    restore(settings_of(target), tmp_path / "backup", replace=False)
    assert await stored_ids(target) == ["c", "b", "a"]
    assert not (target / ".tmp").exists()


def test_backup_holds_hashes_of_keys_without_sessions(storage: Path, tmp_path: Path) -> None:
    keys = build_key_file(settings_of(storage))
    key, text = keys.create("ann", name="", now_ms=1, expires_ms=None)
    session = keys.begin_session(key, now_ms=1, expires_ms=1000)
    back_up(settings_of(storage), tmp_path / "backup")
    keys.close()
    restore(settings_of(tmp_path / "elsewhere"), tmp_path / "backup", replace=False)
    restored = build_key_file(settings_of(tmp_path / "elsewhere"))
    assert restored.find(text) == key
    assert restored.find_session(session, now_ms=2) is None
    restored.close()
    assert (tmp_path / "elsewhere" / KEY_FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("place", ["backup", "storage/inside"])
def test_backup_refuses_an_unsuitable_folder(storage: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "something").touch()
    with pytest.raises(BackupError, match=r"holds something already|is inside STORAGE_DIR"):
        back_up(settings_of(storage), tmp_path / place)
    assert [path.name for path in (tmp_path / "backup").iterdir()] == ["something"]


def test_restore_refuses_a_folder_that_holds_something(storage: Path, tmp_path: Path) -> None:
    back_up(settings_of(storage), tmp_path / "backup")
    with pytest.raises(BackupError, match=r"is not empty.*--replace"):
        restore(settings_of(storage), tmp_path / "backup", replace=False)


async def test_replace_moves_existing_files_aside(storage: Path, tmp_path: Path) -> None:
    back_up(settings_of(storage), tmp_path / "backup")
    store = SqliteStore(SqliteDatabase(storage / RESULTS_FILE))
    await store.delete("b")
    await store.close()
    restore(settings_of(storage), tmp_path / "backup", replace=True)
    assert await stored_ids(storage) == ["c", "b", "a"]
    [aside] = storage.glob(".replaced-*")
    assert await stored_ids(aside) == ["c", "a"]
    assert not (storage / ".bars").exists()


@pytest.mark.parametrize("damage", ["cut", "missing", "foreign", "no manifest"])
def test_damaged_backup_restores_nothing(storage: Path, tmp_path: Path, damage: str) -> None:
    backup = back_up(settings_of(storage), tmp_path / "backup")
    model = backup / "files/alice/alice_model_1.pkl"
    if damage == "cut":
        model.write_bytes(model.read_bytes()[:-1])
    elif damage == "missing":
        model.unlink()
    elif damage == "foreign":
        manifest = json.loads((backup / MANIFEST).read_text())
        manifest["files"]["files/../../escaped"] = {"bytes": 0, "sha256": ""}
        (backup / MANIFEST).write_text(json.dumps(manifest))
    else:
        (backup / MANIFEST).unlink()
    target = tmp_path / "new" / "target"
    with pytest.raises(BackupError, match=r"checksum|is missing|does not belong in a backup|not a complete backup"):
        restore(settings_of(target), backup, replace=False)
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize("part", ["results_file", "documents"])
def test_backup_of_a_newer_version_is_refused(storage: Path, tmp_path: Path, part: str) -> None:
    backup = back_up(settings_of(storage), tmp_path / "backup")
    manifest = json.loads((backup / MANIFEST).read_text())
    manifest["schema_versions"][part] += 1
    (backup / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BackupError, match="made by a newer version"):
        restore(settings_of(tmp_path / "target"), backup, replace=False)


def test_results_in_mongodb_are_named_as_left_out(
    storage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    back_up(settings_of(storage, mongodb_uri="mongodb://user:hunter2@127.0.0.1:1"), tmp_path / "backup")
    said = capsys.readouterr().out
    assert "mongodump" in said
    assert "hunter2" not in said
    assert "results.sqlite3" not in read_manifest(tmp_path / "backup")["files"]


@pytest.fixture
def large_file(storage: Path) -> Iterator[Path]:
    path = storage / "alice" / "alice_large_1.pkl"
    with path.open("wb") as file:
        for _ in range(64):
            file.write(os.urandom(1 << 20))
    yield path
    path.unlink()


@pytest.mark.usefixtures("large_file")
def test_killed_backup_leaves_nothing_that_looks_whole(storage: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "src.runtime.backup", "backup", str(tmp_path / "backup")]
    process = subprocess.Popen(words, cwd=ROOT, env={**os.environ, "STORAGE_DIR": str(storage)})
    while not (drafts := list(tmp_path.glob(".backup.*.part/files/alice/alice_large_1.pkl"))):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "backup").exists()
    with pytest.raises(BackupError, match="not a complete backup"):
        restore(settings_of(tmp_path / "target"), drafts[0].parents[2], replace=False)
    back_up(settings_of(storage), tmp_path / "backup")
    restore(settings_of(tmp_path / "target"), tmp_path / "backup", replace=False)
