"""Create temporary folders, and remove those of processes that were killed.

A process holds a lock (flock) on its folder, which the system releases when the process ends. So a folder that can be
locked is abandoned, even if its process id is in use again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

PREFIX: Final = "backtesting-service-"
"""The beginning of the names of all such folders."""


class TemporaryFolder:
    """A private folder (mode 0700) in the machine's temporary folder, removed when it is closed or the process exits.

    Parameters
    ----------
    purpose
        Part of its name, for operators.
    """

    def __init__(self, purpose: str) -> None:
        remove_abandoned_folders()
        self.path, descriptor = _make_locked(f"{PREFIX}{purpose}-")
        self._remove = weakref.finalize(self, _remove, self.path, descriptor, os.getpid())

    def close(self) -> None:
        """Remove the folder; do nothing the second time."""
        self._remove()

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def remove_abandoned_folders() -> None:
    """Remove this user's folders whose processes have ended."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), _opened(folder) as descriptor:
            if os.fstat(descriptor).st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)


def _make_locked(prefix: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(folder, descriptor):
                return folder, descriptor
            os.close(descriptor)
        # Another process found the folder before it was locked, and removed it.


def _is_at(folder: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(folder.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _remove(folder: Path, descriptor: int, owner: int) -> None:
    if os.getpid() != owner:  # a fork
        return
    shutil.rmtree(folder, ignore_errors=True)
    os.close(descriptor)
