"""Write files atomically, so that they are complete even after a crash."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from src.files.unfinished import unfinished_name


def write_atomically(file: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash at any moment, leaves either the old content or the new."""
    temporary = file.with_name(unfinished_name())
    try:
        with temporary.open("wb") as stream:
            write_synced(stream, content)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(file.parent)


def write_synced(stream: IO[bytes], content: bytes) -> None:
    """Write to a file, and wait until its content is on the disk."""
    stream.write(content)
    stream.flush()
    os.fsync(stream.fileno())


def sync(path: Path, *, follows_link: bool = True) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk.

    Raises OSError, also if the path is a symbolic link and `follows_link` is False.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if follows_link else os.O_NOFOLLOW))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
