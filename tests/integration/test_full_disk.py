"""A disk that is full: saves are refused, deletions work, and the space comes back (a tmpfs of 40 MiB)."""

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
    store = SqliteStore(path, reserve_bytes=8 * MIB)
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
        store = SqliteStore(path, reserve_bytes=8 * MIB)
    assert (await store.get("result-0")).id == "result-0"
    for number in range(kept):
        await store.delete(f"result-{number}")
    while store._writer._committing is not None:
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


def can_mount() -> bool:
    probe = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs none /mnt"]
    try:
        return subprocess.run(probe, capture_output=True, timeout=20, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not can_mount(), reason="this machine lets nobody mount a small file system")
@pytest.mark.parametrize("when", ["serving", "restarted"])
def test_results_are_deleted_on_a_full_disk(tmp_path: Path, when: str) -> None:
    command = 'mount -t tmpfs -o size=40m none "$1" && exec "$2" -c "$3" "$1" "$4"'
    words = ["unshare", "-rm", "sh", "-c", command, "sh", str(tmp_path), sys.executable, SCRIPT, when]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "refused: the result store cannot be used: the disk is full" in ended.stdout
