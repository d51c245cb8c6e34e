"""Unpack a TensorFlow SavedModel, which is a folder and so is sent as a zip; copy only the members that it needs."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from src.model_formats.failures import refused

MAX_UNPACKED_BYTES: Final = 1 << 30
_MAX_DIRECTORY_BYTES: Final = 1 << 20
"""A SavedModel has about ten members; a directory of this size lists about ten thousand."""

_GRAPH: Final = "saved_model.pb"
_VARIABLES: Final = re.compile(r"variables/variables\.(index|data-[0-9]{5}-of-[0-9]{5})")

_END_RECORD: Final = struct.Struct("<4s4H2LH")
_END_SIGNATURE: Final = b"PK\x05\x06"
_ZIP64_LOCATOR: Final = struct.Struct("<4sLQL")
_ZIP64_SIGNATURE: Final = b"PK\x06\x07"


def is_zip(file: Path) -> bool:
    """Return whether a file begins as a zip archive does."""
    with file.open("rb") as stream:
        return stream.read(4) in (b"PK\x03\x04", _END_SIGNATURE)


def unpack_saved_model(file: Path, folder: Path, *, max_bytes: int = MAX_UNPACKED_BYTES) -> Path:
    """Copy the SavedModel in the zip `file` into the empty `folder`; return its path, or `file` if it is not a zip.

    Only known names are written (`saved_model.pb`, `variables/variables.*`), so no member can leave the folder. Links,
    passwords and unusual compressions are rejected, and the unpacked bytes are counted.

    Raises ModelRejected if the archive is damaged, holds no SavedModel, or unpacks to more than `max_bytes`.
    """
    if not is_zip(file):
        if file.suffix.lower() == ".zip":
            raise refused("zip_none")
        return file
    _check_directory(file)
    target = folder / "saved_model"
    (target / "variables").mkdir(parents=True)
    left = max_bytes
    try:
        with zipfile.ZipFile(file) as archive:
            for member, name in _wanted(archive):
                with archive.open(member) as source, (target / name).open("xb") as copy:
                    while chunk := source.read(min(left + 1, 1 << 20)):
                        left -= len(chunk)
                        if left < 0:
                            raise refused("zip_too_large", mebibytes=max_bytes >> 20)
                        copy.write(chunk)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise refused("zip_damaged") from error
    return target


def _wanted(archive: zipfile.ZipFile) -> Iterator[tuple[zipfile.ZipInfo, str]]:
    """Yield the members of the one SavedModel in an archive, with the names they get on disk."""
    members = archive.infolist()
    graphs = [member for member in members if PurePosixPath(member.filename).name == _GRAPH]
    if len(graphs) != 1:
        raise refused("zip_graphs", count=len(graphs))
    root = graphs[0].filename.removesuffix(_GRAPH)
    seen = set()
    for member in members:
        name = member.filename.removeprefix(root)
        if not member.filename.startswith(root) or not (name == _GRAPH or _VARIABLES.fullmatch(name)):
            continue
        is_link = (member.external_attr >> 16) & 0o170000 == 0o120000
        is_plain = member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) and not member.flag_bits & 0x1
        if is_link or not is_plain or name in seen:
            raise refused("zip_odd_member", name=name)
        seen.add(name)
        yield member, name


def _check_directory(file: Path) -> None:
    """Reject archives with a large directory: Python's zipfile creates an object for each entry when it opens one."""
    tail_bytes = _END_RECORD.size + _ZIP64_LOCATOR.size
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - tail_bytes))
        tail = stream.read(tail_bytes)
    end = tail[-_END_RECORD.size :]
    # Without a comment, the end record is the file's last 22 bytes, where zipfile looks first too.
    if len(end) < _END_RECORD.size or not end.startswith(_END_SIGNATURE) or not end.endswith(b"\0\0"):
        raise refused("zip_cut")
    directory_bytes = _END_RECORD.unpack(end)[5]
    if tail.startswith(_ZIP64_SIGNATURE) or directory_bytes > _MAX_DIRECTORY_BYTES:
        raise refused("zip_members")
