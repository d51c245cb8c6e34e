"""Keep copies of objects on this host's disk, up to a total size; the least recently used is removed first.

A file that is in use holds a shared lock, so no process of this host removes it; a killed process holds no lock.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from src.domain.errors import StoreUnavailable
from src.files.disk_work import DiskWork
from src.files.unfinished import open_in_folder, remove_unfinished, unfinished_name
from src.files.writing import sync

_MAX_ATTEMPTS: Final = 5

logger = logging.getLogger(__name__)

_disk: Final = DiskWork("cached objects")
_on_disk: Final = _disk.run

Fetch = Callable[[BinaryIO], Awaitable[None]]
"""Writes the checked content to a file; raises if it cannot."""


class ObjectCache:
    """Copies under one folder; all processes of a host share it.

    Parameters
    ----------
    max_bytes
        Size of all copies together. Files in use are not removed, so many large files in use may exceed it.

    Every method raises StoreUnavailable if the disk cannot be read or written.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self._root = folder.absolute()
        self._max_bytes = max_bytes
        self._fetching: dict[str, asyncio.Lock] = {}

    def path(self, place: str) -> Path:
        """Return the path that the copy of a place has, even if there is no copy yet."""
        return self._root / place

    def place(self, path: Path) -> str:
        """Return the place of a path; raises ValueError if the path is outside the cache."""
        return path.relative_to(self._root).as_posix()

    @asynccontextmanager
    async def hold(self, place: str, size_bytes: int, fetch: Fetch) -> AsyncIterator[Path]:
        """Yield the path of a copy, which is fetched if absent, and stays while the block runs."""
        descriptor = await self._take(place, size_bytes, fetch)
        try:
            yield self.path(place)
        finally:
            os.close(descriptor)
            if size_bytes > self._max_bytes:
                await asyncio.shield(_on_disk(self._make_room, 0))

    async def insert(self, place: str, source: Path) -> None:
        """Move a file into the cache, or remove it if it does not fit; a failing disk is only logged."""
        try:
            await asyncio.to_thread(self._insert_or_remove, place, source)
        except OSError as error:
            logger.warning("object not cached: file=%s error=%s", source.name, error.strerror)

    async def discard(self, place: str) -> None:
        """Remove a copy, or all copies below a folder; readers that have them open can still read them."""
        await _on_disk(self._discard, place)

    async def retain(self, folder: str, is_kept: Callable[[str], bool]) -> int:
        """Remove the copies below a folder that are not in use and that `is_kept` does not keep; return how many."""
        return await _on_disk(self._retain, folder, is_kept)

    async def remove_leftovers(self) -> int:
        """Remove incomplete files that killed processes left; return how many."""
        return await _on_disk(lambda: remove_unfinished(self._root.rglob(".*.part")))

    async def _take(self, place: str, size_bytes: int, fetch: Fetch) -> int:
        """Return a descriptor that holds the lock of a copy."""
        lock = self._fetching.setdefault(place, asyncio.Lock())
        try:
            async with lock:
                for _ in range(_MAX_ATTEMPTS):
                    descriptor = await _on_disk(_lock_shared, self.path(place), size_bytes)
                    if descriptor is not None:
                        return descriptor
                    descriptor = await self._fetch(place, size_bytes, fetch)
                    if descriptor is not None:
                        return descriptor
        finally:
            if not lock.locked():
                self._fetching.pop(place, None)
        raise StoreUnavailable("A cached object is removed again and again.", retry_after_s=1.0)

    async def _fetch(self, place: str, size_bytes: int, fetch: Fetch) -> int | None:
        """Fetch a copy; return a descriptor that holds its lock, None if another process has fetched it meanwhile."""
        await _on_disk(self._make_room, size_bytes)
        hidden = self.path(place).with_name(unfinished_name())
        descriptor = await _on_disk(open_in_folder, hidden)
        is_kept = False
        try:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                await fetch(file)
            await asyncio.to_thread(_publish, hidden, self.path(place), descriptor)
            is_kept = True
        except FileExistsError:
            return None
        except FileNotFoundError:  # `fetch` reports that the object does not exist
            raise
        except OSError as error:
            raise _disk.translate(error) from error
        finally:
            if not is_kept:
                hidden.unlink(missing_ok=True)
                os.close(descriptor)
        return descriptor

    def _insert_or_remove(self, place: str, source: Path) -> None:
        try:
            self._insert(place, source)
        except OSError:
            source.unlink(missing_ok=True)
            raise

    def _insert(self, place: str, source: Path) -> None:
        target, size_bytes = self.path(place), source.stat().st_size
        if size_bytes > self._max_bytes:
            source.unlink()
            return
        self._make_room(size_bytes)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync(source, follows_link=False)
        source.replace(target)
        os.utime(target)

    def _discard(self, place: str) -> None:
        path = self.path(place)
        files = [found for found in path.rglob("*") if not found.is_dir()] if path.is_dir() else [path]
        for file in files:
            self._remove(file)

    def _retain(self, folder: str, is_kept: Callable[[str], bool]) -> int:
        removed = 0
        for file in self._files(self.path(folder)):
            if not is_kept(self.place(file)) and _is_free(file):
                self._remove(file)
                removed += 1
        return removed

    def _make_room(self, needed_bytes: int) -> None:
        """Remove copies that are not in use, the least recently used first, until this many bytes fit."""
        found = []
        for file in self._files(self._root):
            with suppress(FileNotFoundError):
                status = file.stat()
                found.append((status.st_mtime_ns, status.st_size, file))
        total = sum(size for _, size, _ in found) + needed_bytes
        for _, size, file in sorted(found):
            if total <= self._max_bytes:
                return
            if _is_free(file):
                self._remove(file)
                total -= size

    def _files(self, folder: Path) -> list[Path]:
        return [path for path in folder.rglob("*") if not path.name.startswith(".") and path.is_file()]

    def _remove(self, file: Path) -> None:
        file.unlink(missing_ok=True)
        folder = file.parent
        while folder != self._root:
            try:
                folder.rmdir()
            except OSError:  # not empty
                return
            folder = folder.parent


def _lock_shared(path: Path, size_bytes: int) -> int | None:
    """Lock a file (shared), mark it as just used, and return a descriptor that holds the lock; None if it is absent.

    A file of another length, which was damaged, is removed.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        status = os.fstat(descriptor)
        if status.st_nlink and status.st_size != size_bytes:
            path.unlink(missing_ok=True)
        elif status.st_nlink:  # else it was removed before it was locked
            os.utime(descriptor)
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _publish(hidden: Path, target: Path, descriptor: int) -> None:
    """Give a file its final name while it is locked; raises FileExistsError if another process was first."""
    os.fsync(descriptor)  # else a crash of the machine could leave a copy of the right length with other content
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    target.hardlink_to(hidden)
    hidden.unlink()


def _is_free(file: Path) -> bool:
    """Return whether no process uses a file."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
