"""Reserve disk space, so that deleting works on a full disk."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Final

_CHUNK_BYTES: Final = 1024 * 1024

logger = logging.getLogger(__name__)


class DiskReserve:
    """A file of `size_bytes` that is deleted when a deletion needs its space, and created again when it fits.

    SQLite writes a deletion to its log before it frees space. All processes of a store share one file.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes

    def fill(self) -> bool:
        """Create the file if it is missing or incomplete; log it and return False if the disk has no space."""
        try:
            if not self._size_bytes or self._is_whole():
                return True
            # Random bytes, because some file systems store zeros without taking space.
            with open(self._path, "wb", opener=_open_privately) as file:
                for written in range(0, self._size_bytes, _CHUNK_BYTES):
                    file.write(os.urandom(min(_CHUNK_BYTES, self._size_bytes - written)))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            logger.warning("disk reserve not created: file=%s error=%s", self._path.name, error.strerror)
            self._path.unlink(missing_ok=True)
            return False
        return True

    def release(self) -> bool:
        """Delete the file; return whether that freed space."""
        try:
            self._path.unlink()
        except OSError:
            return False
        logger.warning("disk full, reserve released: bytes=%d", self._size_bytes)
        return True

    def _is_whole(self) -> bool:
        return self._path.exists() and self._path.stat().st_size == self._size_bytes


def _open_privately(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
