"""Unpacking an archive from a stranger: nothing leaves the folder, and nothing is larger than allowed."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest

from src.domain.errors import ModelRejected
from src.model_formats.saved_model import unpack_saved_model

INDEX, DATA = "variables/variables.index", "variables/variables.data-00000-of-00001"


def archive(folder: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    file = folder / "model.zip"
    with zipfile.ZipFile(file, "w", compression) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return file


def unpacked(file: Path, *, max_bytes: int = 1 << 20) -> dict[str, bytes]:
    """Return what was written anywhere below the test's folder, the archive itself left out."""
    target = file.parent / "private"
    target.mkdir()
    unpack_saved_model(file, target, max_bytes=max_bytes)
    return written(file)


def written(file: Path) -> dict[str, bytes]:
    paths = (path for path in file.parent.rglob("*") if path.is_file() and path != file)
    return {path.relative_to(file.parent / "private").as_posix(): path.read_bytes() for path in paths}


def refused(file: Path, words: str, *, max_bytes: int = 1 << 20) -> None:
    with pytest.raises(ModelRejected, match=words):
        unpacked(file, max_bytes=max_bytes)


def test_only_known_members_are_copied(tmp_path: Path) -> None:
    members = {"m/saved_model.pb": b"graph", f"m/{INDEX}": b"index", f"m/{DATA}": b"data",
               "m/keras_metadata.pb": b"x", "m/assets/words.txt": b"x", "__MACOSX/m/._saved_model.pb": b"x",
               "other/variables/variables.index": b"x"}  # fmt: skip
    assert unpacked(archive(tmp_path, members)) == {
        "saved_model/saved_model.pb": b"graph", f"saved_model/{INDEX}": b"index", f"saved_model/{DATA}": b"data",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["../evil", "/etc/evil", "..\\evil", "variables/../../evil", "variables/variables.index/../../../x", "C:\\x"],
)
def test_no_member_leaves_the_folder(name: str, tmp_path: Path) -> None:
    assert unpacked(archive(tmp_path, {"saved_model.pb": b"g", name: b"evil"})) == {"saved_model/saved_model.pb": b"g"}


def test_root_with_parent_parts_stays_in_folder(tmp_path: Path) -> None:
    assert unpacked(archive(tmp_path, {"../../saved_model.pb": b"g"})) == {"saved_model/saved_model.pb": b"g"}


def test_zip_bomb_stops_at_limit(tmp_path: Path) -> None:
    refused(archive(tmp_path, {"saved_model.pb": b"g", DATA: bytes(3 << 20)}), "more than 1 MiB")
    assert sum(len(content) for content in written(tmp_path / "model.zip").values()) <= 1 << 20


def test_forged_member_size_is_rejected(tmp_path: Path) -> None:
    file = archive(tmp_path, {"saved_model.pb": bytes(2 << 20)})
    # The directory and the member itself now both say one byte.
    content = file.read_bytes().replace(struct.pack("<L", 2 << 20), struct.pack("<L", 1))
    file.write_bytes(content)
    refused(file, "damaged")
    assert sum(len(content) for content in written(file).values()) <= 1


def test_linked_member_is_rejected(tmp_path: Path) -> None:
    link = zipfile.ZipInfo(INDEX)
    link.external_attr = 0o120777 << 16
    file = archive(tmp_path, {"saved_model.pb": b"g"})
    with zipfile.ZipFile(file, "a") as opened:
        opened.writestr(link, b"/etc/passwd")
    refused(file, "is a link")
    assert INDEX not in "".join(written(file))


def test_repeated_member_is_rejected(tmp_path: Path) -> None:
    file = archive(tmp_path, {"saved_model.pb": b"g", INDEX: b"first"})
    with zipfile.ZipFile(file, "a") as opened, pytest.warns(UserWarning, match="Duplicate name"):
        opened.writestr(INDEX, b"second")
    refused(file, "repeated")


def test_encrypted_member_is_rejected(tmp_path: Path) -> None:
    file = archive(tmp_path, {"saved_model.pb": b"g"})
    content = bytearray(file.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    file.write_bytes(content)
    refused(file, "encrypted")


def test_unusual_compression_is_rejected(tmp_path: Path) -> None:
    refused(archive(tmp_path, {"saved_model.pb": b"g" * 99}, zipfile.ZIP_LZMA), "oddly compressed")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, "0 files named"),
        ({"model.h5": b""}, "0 files named"),
        ({"a/saved_model.pb": b"", "b/saved_model.pb": b""}, "2 files"),
    ],
)
def test_archive_without_saved_model_is_rejected(members: dict[str, bytes], words: str, tmp_path: Path) -> None:
    refused(archive(tmp_path, members), words)


def test_huge_directory_is_rejected_unread(tmp_path: Path) -> None:
    refused(archive(tmp_path, {"saved_model.pb": b"g"} | {f"{n:0200}": b"" for n in range(5000)}), "far too many files")


def test_damaged_archive_is_rejected(tmp_path: Path) -> None:
    whole = archive(tmp_path, {"saved_model.pb": bytes(range(256)) * 50, INDEX: b"index"}).read_bytes()
    for number, content in enumerate((whole[:-1], whole[:100], whole + b"x", whole[:60] + b"\xff" * 40 + whole[100:])):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "model.zip").write_bytes(content)
        refused(folder / "model.zip", "damaged")


def test_file_that_is_no_archive_passes_unless_zip(tmp_path: Path) -> None:
    (tmp_path / "model.pb").write_bytes(b"\x0a\x01")
    assert unpack_saved_model(tmp_path / "model.pb", tmp_path) == tmp_path / "model.pb"
    (tmp_path / "model.zip").write_bytes(b"\x0a\x01")
    refused(tmp_path / "model.zip", "not a zip archive")
