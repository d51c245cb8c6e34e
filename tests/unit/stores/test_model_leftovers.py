"""Files of ended processes and empty folders are removed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from src.files.unfinished import owner_mark
from src.stores.model_files import DiskModelFiles
from tests.unit.stores.uploads import CONTENT, MAX_BYTES, left_in, receive


async def test_leftovers_of_ended_processes_only_are_removed(files: DiskModelFiles, root: Path) -> None:
    kept = await receive(files)
    living = await receive(files, is_temporary=True)
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead_mark = f"{int(dead.stdout)}-1."
    reused_mark = f"{os.getpid()}-1."  # this process has another start
    for mark in (dead_mark, reused_mark):
        (root / ".tmp" / f"{mark}alice_m_x.pkl").write_bytes(b"x")
        (root / "alice" / f".{mark}x.part").write_bytes(b"x")
    (root / "alice" / f".{owner_mark()}x.part").write_bytes(b"x")
    old = root / ".tmp" / f"{owner_mark()}old.pkl"
    lone_sidecar = root / "alice" / "alice_gone_x.pkl.json"
    for path in (old, lone_sidecar):
        path.write_bytes(b"x")
        os.utime(path, (time.time() - 90_000, time.time() - 90_000))
    (root / ".cache").mkdir()
    (root / ".cache" / f"{dead_mark}pkl").write_bytes(b"x")
    assert await files.remove_leftovers() == 5
    assert left_in(root) == sorted(
        [
            f".cache/{dead_mark}pkl",
            f".tmp/{living.path.name}",
            f".tmp/{owner_mark()}old.pkl",
            f"alice/.{owner_mark()}x.part",
            f"alice/{kept.path.name}",
            f"alice/{kept.path.name}.json",
        ]
    )
    assert await files.remove_leftovers() == 0


async def test_files_of_killed_writer_are_removed(files: DiskModelFiles, root: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from src.stores import incoming_file
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
incoming_file.write_whole(Path({str(root / "alice" / "alice_m_x.pkl.json")!r}), b"half")
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False, cwd=Path(__file__).parents[3])
    assert killed.returncode == -signal.SIGKILL
    [left] = left_in(root)
    assert left.endswith(".part")
    assert await files.remove_leftovers() == 1
    assert left_in(root) == []
    assert not (root / "alice").exists()


async def test_folder_is_removed_with_last_file(files: DiskModelFiles, root: Path) -> None:
    first, second = await receive(files), await receive(files)
    await files.delete(first)
    assert (root / "alice").is_dir()
    await files.delete(second)
    assert not (root / "alice").exists()
    assert await files.list("alice") == []
    again = await receive(files)
    assert await files.list("alice") == [again]


async def test_empty_folder_without_removed_files_stays(files: DiskModelFiles, root: Path) -> None:
    (root / "backups").mkdir(parents=True)
    assert await files.remove_leftovers() == 0
    assert (root / "backups").is_dir()


async def test_upload_during_deletion_of_last_file_survives(root: Path) -> None:
    """Two workers: each removes its file, and with it perhaps the folder that the other is about to write into."""
    workers = [DiskModelFiles(root, max_bytes=MAX_BYTES, max_models_per_user=1000) for _ in range(2)]

    async def come_and_go(files: DiskModelFiles) -> None:
        for _ in range(60):
            file = await receive(files)
            assert file.path.read_bytes() == CONTENT
            assert await files.get("alice", file.path.name) == file
            await files.delete(file)

    await asyncio.gather(*(come_and_go(files) for files in workers for _ in range(2)))
    assert not (root / "alice").exists()


async def test_removal_without_root_folder_does_nothing(files: DiskModelFiles, root: Path) -> None:
    assert await files.remove_leftovers() == 0
    assert not root.exists()
