"""Check a full disk: saves are refused, deletions work, and the space comes back (a tmpfs of 40 MiB)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SCRIPT = """
import asyncio, os, shutil, sys
from pathlib import Path
import numpy as np
from src.domain.errors import StoreUnavailable
from src.stores.sqlite import SqliteStore
from src.stores.sqlite_database import SqliteDatabase
from tests.factories import make_result

MIB = 1024 * 1024
folder = Path(sys.argv[1])
path = folder / "results.sqlite3"

def result(number):
    return make_result(40_000, id=f"result-{number}", close=np.random.default_rng(number).random(40_000))

def fill_disk():
    with (folder / "downloader").open("ab", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return

async def main():
    store = SqliteStore(SqliteDatabase(path, reserve_bytes=8 * MIB))
    kept = 0
    try:
        while True:
            await store.save(result(kept))
            kept += 1
    except StoreUnavailable as error:
        print("refused:", error.message)
    assert kept > 5, kept
    if sys.argv[2] == "restarted":
        await store.close()
    fill_disk()
    print("free before:", shutil.disk_usage(folder).free)
    if sys.argv[2] == "restarted":
        store = SqliteStore(SqliteDatabase(path, reserve_bytes=8 * MIB))
    assert (await store.get("result-0")).id == "result-0"
    for number in range(kept):
        await store.delete(f"result-{number}")
    while store._database._writer._committing is not None:
        await asyncio.sleep(0.01)
    used = path.stat().st_size
    print("deleted:", kept, "file:", used, "free after:", shutil.disk_usage(folder).free)
    assert used < 2 * MIB, used
    assert shutil.disk_usage(folder).free > 4 * MIB
    assert (folder / "results.sqlite3-reserve").stat().st_size == 8 * MIB
    await store.save(result(0))
    await store.close()

asyncio.run(main())
"""


OLD_FILE = """
import asyncio, shutil, sqlite3, sys
from contextlib import closing
from pathlib import Path
from src.domain.errors import StoreUnavailable
from src.stores.migrations import MIGRATIONS
from src.stores.sqlite import SqliteStore
from src.stores.sqlite_database import SqliteDatabase
from tests.factories import make_result

KIB = 1024
folder, left_bytes = Path(sys.argv[1]), int(sys.argv[2])
path = folder / "results.sqlite3"
shutil.copy("tests/golden/0.1.0-pre/results.sqlite3", path)
with closing(sqlite3.connect(path)) as old, old:
    row = "SELECT 'copy-' || ?1, created_ms, user_id, symbol, json_set(summary, '$.id', 'copy-' || ?1) FROM results"
    part = "SELECT 'copy-' || ?1, name, content FROM result_parts"
    for number in range(200):
        old.execute(f"INSERT INTO results {row} WHERE id = 'golden-crossover'", [number])
        old.execute(f"INSERT INTO result_parts {part} WHERE result_id = 'golden-crossover'", [number])
    assert old.execute("PRAGMA user_version").fetchall() == [(1,)]
with (folder / "filler").open("ab", buffering=0) as file:
    try:
        while shutil.disk_usage(folder).free > left_bytes:
            file.write(b"x" * 4096)
    except OSError:
        pass

async def main():
    store = SqliteStore(SqliteDatabase(path, reserve_bytes=8 * KIB * KIB))
    assert await store.is_reachable()
    assert (await store.usage()).results == 204
    deleted = 0
    ids = [summary.id for summary in (await store.list(user_id="golden", symbol=None, first=100, after=None)).summaries]
    assert len(ids) == 100
    assert (await store.get("golden-model")).id == "golden-model"
    try:
        await store.save(make_result(100, id="new"))
    except StoreUnavailable as error:
        print("refused:", error.message)
    while page := (await store.list(user_id=None, symbol=None, first=100, after=None)).summaries:
        for summary in page:
            await store.delete(summary.id)
            deleted += 1
    while store._database._writer._committing is not None:
        await asyncio.sleep(0.01)
    print("deleted:", deleted, "file:", path.stat().st_size, "free:", shutil.disk_usage(folder).free)
    assert path.stat().st_size < 100 * KIB
    assert [tuple(row) for row in await store._database.read("SELECT count(*) FROM result_parts")] == [(0,)]
    (folder / "filler").unlink(missing_ok=True)
    await store.save(make_result(100, id="new"))
    assert [tuple(row) for row in await store._database.read("PRAGMA user_version")] == [(len(MIGRATIONS),)]
    assert [tuple(row) for row in await store._database.read("PRAGMA journal_mode")] == [("wal",)]
    assert [tuple(row) for row in await store._database.read("PRAGMA quick_check")] == [("ok",)]
    await store.close()

asyncio.run(main())
"""


def can_mount() -> bool:
    probe = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs none /mnt"]
    try:
        return subprocess.run(probe, capture_output=True, timeout=20, check=False).returncode == 0
    except OSError:
        return False


def run_on_small_disk(folder: Path, script: str, word: str) -> subprocess.CompletedProcess[str]:
    command = 'mount -t tmpfs -o size=40m none "$1" && exec "$2" -c "$3" "$1" "$4"'
    words = ["unshare", "-rm", "sh", "-c", command, "sh", str(folder), sys.executable, script, word]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.skipif(not can_mount(), reason="this machine lets nobody mount a small file system")
@pytest.mark.parametrize("when", ["serving", "restarted"])
def test_results_are_deleted_on_a_full_disk(tmp_path: Path, when: str) -> None:
    ended = run_on_small_disk(tmp_path, SCRIPT, when)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "refused: The result store cannot be used: the disk is full" in ended.stdout


@pytest.mark.skipif(not can_mount(), reason="this machine lets nobody mount a small file system")
@pytest.mark.parametrize("left_bytes", [0, 40_000, 200_000])
def test_old_version_file_is_emptied_on_full_disk(tmp_path: Path, left_bytes: int) -> None:
    ended = run_on_small_disk(tmp_path, OLD_FILE, str(left_bytes))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "refused: The result store cannot be used: the disk is full" in ended.stdout
    assert "deleted: 204" in ended.stdout
