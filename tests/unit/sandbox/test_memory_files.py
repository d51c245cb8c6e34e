"""Memory files: sealed where they go in, of fixed size where they come out; and the folder children find models in."""

from __future__ import annotations

import mmap
import os
import threading
from pathlib import Path

import pytest

from src.sandbox import memory_files
from src.sandbox.staging import StagingFolder


def test_sealed_copy_is_complete_and_immutable(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "model.pkl").write_bytes(content)
    copy = memory_files.create_sealed_copy(tmp_path / "model.pkl")
    try:
        assert os.pread(copy, len(content) + 1, 0) == content
        with pytest.raises(PermissionError):
            os.pwrite(copy, b"x", 0)
        with pytest.raises(PermissionError):
            os.ftruncate(copy, 1)
    finally:
        os.close(copy)


def test_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "model.pkl").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic links"):
        memory_files.create_sealed_copy(tmp_path / "model.pkl")


def test_reply_file_keeps_its_size() -> None:
    memory = memory_files.create_reply_file(100)
    try:
        for size in (99, 101):
            with pytest.raises(PermissionError):
                os.ftruncate(memory, size)
        os.pwrite(memory, b"hello", 0)
        assert memory_files.read_reply(memory, 100) == b"hello".ljust(100, b"\0")
        with pytest.raises(PermissionError):
            os.pwrite(memory, b"later", 0)
    finally:
        os.close(memory)


def test_reply_that_can_still_change_is_rejected() -> None:
    memory = memory_files.create_reply_file(4096)
    try:
        with mmap.mmap(memory, 4096), pytest.raises(memory_files.ReplyTampered):
            memory_files.read_reply(memory, 4096)
    finally:
        os.close(memory)


def test_mapping_that_ends_late_is_waited_for() -> None:
    """As that of an ended child does while a monitoring agent reads its /proc."""
    memory = memory_files.create_reply_file(4096)
    mapping = mmap.mmap(memory, 4096)
    ending = threading.Timer(0.2, mapping.close)
    ending.start()
    try:
        assert memory_files.read_reply(memory, 4096) == bytes(4096)
        assert mapping.closed
    finally:
        ending.join()
        os.close(memory)


def test_staging_links_open_own_descriptor() -> None:
    staging = StagingFolder((".pkl", ".h5"))
    try:
        assert staging.link(".h5").name == "model.h5"
        assert str(staging.link(".pkl").readlink()) == f"/proc/self/fd/{memory_files.MODEL_DESCRIPTOR}"
    finally:
        staging.close()
    assert not staging.link(".pkl").parent.exists()


def test_private_folder_is_closed_and_removed() -> None:
    staging = StagingFolder(())
    try:
        with pytest.raises(KeyError), staging.private(None) as folder:
            assert folder.stat().st_mode & 0o077 == 0
            (folder / "deep").mkdir()
            raise KeyError
        assert not folder.exists()
    finally:
        staging.close()


def test_folders_of_ended_servers_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / "backtesting-service-models-left"
    left.mkdir()
    (left / "model.onnx").symlink_to("/proc/self/fd/3")
    staging = StagingFolder(())
    assert not left.exists()
    staging.close()
    assert list(tmp_path.iterdir()) == []
