"""A file while it arrives: written under a hidden name, kept under its own once whole, or gone."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from pathlib import Path
from typing import BinaryIO, Final

_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class IncomingFile:
    """Receive a file into `hidden`; its methods block, so they run on worker threads.

    One that is not `is_lasting` is gone with its request: it need not survive a crash, and waits for no disk.

    A cancelled request cannot stop a thread that is writing for it. Each method therefore holds a lock, and once
    `abandon` has run, whatever comes late finds the file abandoned and does nothing.
    """

    def __init__(self, hidden: Path, *, is_lasting: bool = True) -> None:
        self.size_bytes = 0
        self._hidden = hidden
        self._is_lasting = is_lasting
        self._made: list[Path] = []
        self._digest = hashlib.sha256()
        self._file: BinaryIO | None = None
        self._is_abandoned = False
        self._lock = threading.Lock()

    def open(self) -> None:
        """Make the folder and the hidden file in it.

        Raises
        ------
        OSError
            Where that cannot be, a folder that is a symbolic link included.
        """
        with self._lock:
            if self._is_abandoned:
                return
            self._hidden.parent.mkdir(parents=True, exist_ok=True)
            if self._hidden.parent.is_symlink():
                raise NotADirectoryError("the folder is a symbolic link")
            self._file = os.fdopen(os.open(self._hidden, _NEW_FILE, 0o644), "wb")
            self._made.append(self._hidden)

    def write(self, content: bytes) -> None:
        with self._lock:
            if self._file is not None:
                self._file.write(content)
                self._digest.update(content)
                self.size_bytes += len(content)

    def finish(self) -> str:
        """Put a lasting file on the disk; return the SHA-256 of what was written."""
        with self._lock:
            if self._file is not None:
                self._file.flush()
                if self._is_lasting:
                    os.fsync(self._file.fileno())
                self._file.close()
                self._file = None
            return self._digest.hexdigest()

    def keep(self, path: Path, companion: Path | None, companion_content: bytes) -> None:
        """Give the file its name, with a small companion file beside it that is there before it."""
        with self._lock:
            if self._is_abandoned:
                return
            if companion is not None:
                self._made.append(companion)
                write_whole(companion, companion_content)
            self._made.append(path)
            self._hidden.rename(path)
            if self._is_lasting:
                sync_folder(path.parent)

    def abandon(self) -> None:
        """Remove the file, whatever name it has by now."""
        with self._lock:
            self._is_abandoned = True
            if self._file is not None:
                with contextlib.suppress(OSError):  # closing writes what is buffered, and the disk may be full
                    self._file.close()
                self._file = None
            for path in self._made:
                path.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file so that a reader, or the disk after a crash, sees all of it or what was there before."""
    hidden = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with hidden.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        hidden.rename(path)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Put a folder's list of names on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
