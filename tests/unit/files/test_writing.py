"""Files appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.files.writing import sync, write_atomically


def test_file_is_replaced_completely(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_atomically(file, b"one")
    write_atomically(file, b"two")
    assert file.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [file]


def test_failed_write_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        write_atomically(tmp_path / "folder", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_folder_behind_a_link_is_synced_only_if_links_are_followed(tmp_path: Path) -> None:
    (link := tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    sync(link)
    with pytest.raises(OSError, match="symbolic link"):
        sync(link, follows_link=False)
