from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.files import temporary_folders
from src.files.temporary_folders import PREFIX, TemporaryFolder, remove_abandoned_folders
from tests.architecture.test_floors import ROOT

HOLDER = """
import sys
from src.files.temporary_folders import TemporaryFolder
folder = TemporaryFolder("held")
(folder.path / "file").write_text("content")
print(folder.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def holder(temporary: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process with a folder of its own."""
    command = [sys.executable, "-c", HOLDER]
    variables = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(
        command, cwd=ROOT, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_folder_is_private_and_removed_when_closed(temporary: Path) -> None:
    with TemporaryFolder("metrics") as folder:
        assert folder.parent == temporary
        assert folder.name.startswith("backtesting-service-metrics-")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "file").touch()
    assert list(temporary.iterdir()) == []


def test_folder_of_a_living_process_is_kept(holder: tuple[subprocess.Popen[str], Path]) -> None:
    remove_abandoned_folders()
    assert (holder[1] / "file").read_text() == "content"


def test_folder_of_a_killed_process_is_removed(holder: tuple[subprocess.Popen[str], Path]) -> None:
    process, folder = holder
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert folder.exists()
    TemporaryFolder("another").close()
    assert not folder.exists()


def test_folder_of_a_process_that_exits_is_removed(holder: tuple[subprocess.Popen[str], Path]) -> None:
    process, folder = holder
    assert process.stdin is not None
    process.stdin.close()
    process.wait(60)
    assert not folder.exists()


def test_files_links_and_other_names_are_kept(temporary: Path) -> None:
    target = temporary / "target"
    target.mkdir()
    (temporary / f"{PREFIX}link").symlink_to(target)
    (temporary / f"{PREFIX}file").touch()
    (temporary / "backtesting").mkdir()
    remove_abandoned_folders()
    assert len(list(temporary.iterdir())) == 4


def test_folders_of_other_users_are_kept(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (temporary / f"{PREFIX}theirs").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    remove_abandoned_folders()
    assert (temporary / f"{PREFIX}theirs").exists()


def test_folder_removed_before_it_was_locked_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    make, lock = tempfile.mkdtemp, temporary_folders.fcntl.flock

    def make_folder(prefix: str) -> str:
        made.append(Path(make(prefix=prefix)))
        if len(made) == 1:
            made[0].rmdir()
        return str(made[-1])

    def lock_folder(descriptor: int, operation: int) -> None:
        if len(made) == 2:
            made[1].rmdir()
        lock(descriptor, operation)

    monkeypatch.setattr(tempfile, "mkdtemp", make_folder)
    monkeypatch.setattr(temporary_folders.fcntl, "flock", lock_folder)
    with TemporaryFolder("raced") as folder:
        assert folder == made[2]
        assert folder.is_dir()
