"""Receive a file under a hidden name, name it once complete, and move it to its final folder or remove it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from pathlib import Path
from typing import BinaryIO

from src.files.unfinished import open_in_folder, remove_if_empty, unfinished_name
from src.files.writing import sync, write_synced


class IncomingFile:
    """Receive a file into `hidden`; the methods block, so they run on worker threads.

    The file need not survive a crash, so nothing is synced. A cancelled request cannot stop a thread that is writing
    for it: each method holds a lock, and does nothing after `abandon`.
    """

    def __init__(self, hidden: Path) -> None:
        self.size_bytes = 0
        self._hidden = hidden
        self._made: list[Path] = []
        self._digest = hashlib.sha256()
        self._file: BinaryIO | None = None
        self._is_abandoned = False
        self._lock = threading.Lock()

    def open(self) -> None:
        """Create the folder and the hidden file; raises OSError, also if the folder is a symbolic link."""
        with self._lock:
            if self._is_abandoned:
                return
            self._file = os.fdopen(open_in_folder(self._hidden), "wb")
            self._made.append(self._hidden)

    def write(self, content: bytes) -> None:
        with self._lock:
            if self._file is not None:
                self._file.write(content)
                self._digest.update(content)
                self.size_bytes += len(content)

    def finish(self) -> str:
        """Close the file; return the SHA-256 of its content."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
            return self._digest.hexdigest()

    def name(self, path: Path) -> None:
        """Give the file its name."""
        with self._lock:
            if not self._is_abandoned:
                self._made.append(path)
                self._hidden.rename(path)

    def abandon(self) -> None:
        """Remove the file, hidden or named."""
        with self._lock:
            self._is_abandoned = True
            if self._file is not None:
                with contextlib.suppress(OSError):  # closing writes the buffer, and the disk may be full
                    self._file.close()
                self._file = None
            for path in self._made:
                path.unlink(missing_ok=True)


class LastingMove:
    """Move a file to its final folder with a small companion file: both survive a crash, or neither.

    As with `IncomingFile`, a cancelled caller calls `undo`, after which `run` does nothing.
    """

    def __init__(self, source: Path, target: Path, companion: Path, companion_content: bytes) -> None:
        self._source, self._target = source, target
        self._companion, self._companion_content = companion, companion_content
        self._made: list[Path] = []
        self._is_undone = False
        self._lock = threading.Lock()

    def run(self) -> None:
        """Write the companion, move the file, and sync both; raises OSError, also if a folder is a symbolic link."""
        with self._lock:
            if self._is_undone:
                return
            sync(self._source, follows_link=False)
            write_whole(self._companion, self._companion_content)
            self._made.append(self._companion)
            self._source.rename(self._target)
            self._made.append(self._target)
            sync(self._target.parent, follows_link=False)

    def undo(self) -> None:
        """Remove the files that `run` created or moved."""
        with self._lock:
            self._is_undone = True
            for path in self._made:
                path.unlink(missing_ok=True)
            remove_if_empty(self._target.parent)


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file so that a reader, also after a crash, sees either its old or its new content.

    Create its folder if there is none.
    """
    hidden = path.with_name(unfinished_name())
    descriptor = open_in_folder(hidden)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write_synced(file, content)
        hidden.rename(path)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise
