"""Unfinished files: named by their process, removed once it is gone, and written into folders that may go meanwhile."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from src.files import unfinished
from src.files.unfinished import (
    is_left_over,
    is_unfinished,
    open_in_folder,
    remove_if_empty,
    remove_unfinished,
    unfinished_name,
)

DAY_S = 86_400


@pytest.fixture
def dead_mark() -> str:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    return f"{int(dead.stdout)}-1."


def made(path: Path, *, age_s: float = 0.0) -> Path:
    path.write_bytes(b"x")
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_names_are_new_hidden_and_known_again() -> None:
    names = {unfinished_name() for _ in range(100)}
    assert len(names) == 100
    assert all(is_unfinished(name) for name in names)
    assert not any(map(is_unfinished, ("a.part", ".a.json", "1-1.a.part")))


@pytest.mark.parametrize("age_s", [0.0, 2.0 * DAY_S, 100.0 * DAY_S])
def test_file_of_living_process_is_never_left_over(tmp_path: Path, age_s: float) -> None:
    assert not is_left_over(made(tmp_path / unfinished_name(), age_s=age_s))


def test_file_of_dead_process_is_left_over_at_once(tmp_path: Path, dead_mark: str) -> None:
    assert is_left_over(made(tmp_path / f".{dead_mark}x.part"))
    assert is_left_over(made(tmp_path / f".{os.getpid()}-1.x.part")), "the same process id with another start"


def test_file_without_owner_is_left_over_after_a_day(tmp_path: Path) -> None:
    assert not is_left_over(made(tmp_path / ".x.part", age_s=DAY_S - 60))
    assert is_left_over(made(tmp_path / ".x.part", age_s=DAY_S + 60))


def test_only_unfinished_files_are_removed(tmp_path: Path, dead_mark: str) -> None:
    gone = made(tmp_path / f".{dead_mark}x.part")
    kept = [made(tmp_path / f"{dead_mark}model.pkl", age_s=9 * DAY_S), made(tmp_path / unfinished_name())]
    assert remove_unfinished([gone, *kept, tmp_path / f".{dead_mark}gone.part"]) == 1
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_folder_is_removed_only_if_empty(tmp_path: Path) -> None:
    folder, link = tmp_path / "user", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(folder)
    remove_if_empty(link)
    assert folder.is_dir()
    made(folder / "a")
    remove_if_empty(folder)
    assert folder.is_dir()
    (folder / "a").unlink()
    remove_if_empty(folder)
    remove_if_empty(folder)
    assert not folder.exists()


def test_folder_removed_meanwhile_is_created_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, attempts = tmp_path / "user", 0
    opened = os.open

    def remove_folder_first(path: Path, flags: int, mode: int = 0o777) -> int:
        nonlocal attempts
        attempts += 1
        if attempts < 5:
            folder.rmdir()
        return opened(path, flags, mode)

    monkeypatch.setattr(unfinished.os, "open", remove_folder_first)
    os.close(open_in_folder(folder / "a"))
    assert attempts == 5
    assert (folder / "a").is_file()


def test_folder_removed_during_check_is_created_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Path.mkdir(exist_ok=True)` raises FileExistsError if the folder goes before it has looked what is there."""
    folder, made_at = tmp_path / "user", Path.mkdir
    answers = [FileExistsError(), FileExistsError()]

    def refuse_twice(path: Path, *args: object, **options: object) -> None:
        if answers:
            raise answers.pop()
        made_at(path, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", refuse_twice)
    os.close(open_in_folder(folder / "a"))
    assert (folder / "a").is_file()


def test_file_in_place_of_folder_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "user").write_bytes(b"x")
    with pytest.raises(FileExistsError):
        open_in_folder(tmp_path / "user" / "a")


def test_folder_removed_every_time_raises_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise FileNotFoundError

    monkeypatch.setattr(unfinished.os, "open", refuse)
    with pytest.raises(OSError, match="again and again"):
        open_in_folder(tmp_path / "user" / "a")


def test_folder_that_is_a_link_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "user").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotADirectoryError):
        open_in_folder(tmp_path / "user" / "a")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_concurrent_removals_lose_no_file(tmp_path: Path) -> None:
    folder, is_over = tmp_path / "user", threading.Event()

    def remove_always() -> None:
        while not is_over.is_set():
            remove_if_empty(folder)
            time.sleep(0.001)  # as deletions come, not as fast as can be

    remover = threading.Thread(target=remove_always)
    remover.start()
    try:
        for number in range(2000):
            os.close(open_in_folder(folder / str(number)))
            assert (folder / str(number)).is_file()
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        is_over.set()
        remover.join()
