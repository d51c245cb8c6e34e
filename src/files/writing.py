"""Write files atomically, so that they are complete even after a crash."""

from __future__ import annotations

import os
from pathlib import Path

from src.files.unfinished import unfinished_name


def write_atomically(file: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash at any moment, leaves either the old content or the new."""
    temporary = file.with_name(unfinished_name())
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
