"""One SQLite file that several processes may use at once: a few readers, and one connection that writes."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import aiosqlite

from src.domain.errors import StoreUnavailable
from src.stores.sqlite_opening import check_schema
from src.stores.sqlite_writer import GroupWriter, Statement

Outcome = TypeVar("Outcome")

_RETRY_AFTER_S: Final = 1.0
_MIN_ROOM_BYTES: Final = 1024 * 1024

_UNUSABLE: Final = "The result store cannot be used: {reason}."
_REASONS: Final = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_BUSY: "another process holds it locked",
    sqlite3.SQLITE_LOCKED: "another process holds it locked",
    sqlite3.SQLITE_CORRUPT: "its file is damaged",
    sqlite3.SQLITE_NOTADB: "its file is damaged or not a database",
    sqlite3.SQLITE_READONLY: "its file cannot be written to",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened",
    sqlite3.SQLITE_IOERR: "the disk cannot be read or written",
}


class SqliteDatabase:
    """The SQLite file `path`, which is created when first needed, and its connections.

    A write is one transaction, on the disk before it is acknowledged (`synchronous=FULL`). The write-ahead log lets
    readers read while another connection or process writes; writers wait for each other up to `busy_timeout_s`.

    Parameters
    ----------
    reserve_bytes
        Disk space that is reserved for deletions on a full disk.
    is_read_only
        Neither create nor migrate the file, and change nothing in it.

    Every method raises StoreUnavailable if the file is locked, damaged or not accessible, or the disk is full.
    """

    def __init__(
        self,
        path: Path,
        *,
        busy_timeout_s: float = 10.0,
        reader_count: int = 3,
        reserve_bytes: int = 0,
        is_read_only: bool = False,
    ) -> None:
        self._path = path
        self._is_read_only = is_read_only
        self._is_open = False
        self._reserve_bytes = reserve_bytes
        self._busy_timeout_s = busy_timeout_s
        self._reader_count = reader_count
        self._opening = asyncio.Lock()
        self._writer: GroupWriter | None = None
        self._readers: asyncio.LifoQueue[aiosqlite.Connection] = asyncio.LifoQueue()
        self._is_closed = False

    async def read(self, query: str, parameters: Sequence[Any] = ()) -> Sequence[Any]:
        """Return the rows of one statement, which sees one state of the file."""
        await self.open()
        reader = await self._readers.get()
        try:
            self._check_open()
            with _translate_errors():
                return list(await reader.execute_fetchall(query, parameters))
        finally:
            self._readers.put_nowait(reader)

    async def write(self, *statements: Statement, frees_space: bool = False) -> int:
        """Run statements in one transaction; return the number of rows that the last one changed.

        Raises sqlite3.IntegrityError if a primary key exists already.
        """
        writer = await self._open_writer()
        with _translate_errors():
            return await writer.write(*statements, frees_space=frees_space)

    async def transact(
        self, work: Callable[[sqlite3.Connection], Outcome], *, frees_space: bool = False, is_durable: bool = True
    ) -> Outcome:
        """Run a function on the writing connection in one transaction, in its thread; see `GroupWriter.transact`."""
        writer = await self._open_writer()
        with _translate_errors():
            return await writer.transact(work, frees_space=frees_space, is_durable=is_durable)

    def check_room(self, size_bytes: int) -> None:
        """Raise StoreUnavailable unless the disk has space for a row twice: in the log, and then in the file.

        A log that cannot be moved to the file would prevent deletions.
        """
        if shutil.disk_usage(self._path.parent).free < 2 * size_bytes + _MIN_ROOM_BYTES:
            raise StoreUnavailable(_UNUSABLE, reason=_REASONS[sqlite3.SQLITE_FULL])

    async def size_bytes(self) -> int:
        """Return the bytes of the file and its log on the disk."""
        return await asyncio.to_thread(_size_on_disk, self._path)

    async def close(self) -> None:
        """Finish the writes in progress, then close the file; calling it again does nothing."""
        self._is_closed = True
        async with self._opening:
            if not self._is_open:
                return
            readers = [await self._readers.get() for _ in range(self._reader_count)]
            with _translate_errors():
                if self._writer is not None:
                    await self._writer.close()
                for reader in readers:
                    await reader.close()
            self._writer, self._is_open = None, False
            for reader in readers:  # calls that wait for a reader then find the store closed
                self._readers.put_nowait(reader)

    async def open(self) -> None:
        """Open the file, once, and migrate its tables."""
        self._check_open()
        if self._is_open:
            return
        async with self._opening:
            self._check_open()
            if not self._is_open:
                await self._open_connections()
                self._is_open = True

    async def _open_writer(self) -> GroupWriter:
        await self.open()
        if self._writer is None:
            raise StoreUnavailable(_UNUSABLE, reason="it was opened for reading only")
        return self._writer

    def _check_open(self) -> None:
        if self._is_closed:
            raise StoreUnavailable("The result store is closed.")

    async def _open_connections(self) -> None:
        writer = None
        readers: list[aiosqlite.Connection] = []
        try:
            with _translate_errors():
                if not self._is_read_only:
                    writer = GroupWriter(
                        self._path, busy_timeout_s=self._busy_timeout_s, reserve_bytes=self._reserve_bytes
                    )
                    await writer.open()
                # Mode rw creates no file; a log that another process left can be read only if it may be written to.
                address = f"{self._path.absolute().as_uri()}?mode=rw"
                for _ in range(self._reader_count):
                    readers.append(await aiosqlite.connect(address, uri=True, timeout=self._busy_timeout_s))
                    await readers[-1].execute("PRAGMA query_only = ON")
                if self._is_read_only:
                    [[version]] = await readers[0].execute_fetchall("PRAGMA user_version")
                    check_schema(version, is_migrated=True)
        except BaseException:
            if writer is not None:
                await writer.close()
            for reader in readers:
                await reader.close()
            raise
        self._writer = writer
        for reader in readers:
            self._readers.put_nowait(reader)


def _size_on_disk(path: Path) -> int:
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Translate SQLite's errors to StoreUnavailable; a duplicate key passes, as only the caller knows which it is."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
            raise
        code = _primary_code(error)
        reason = _REASONS.get(code, "it returned an error")
        retry_after_s = _RETRY_AFTER_S if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) else None
        raise StoreUnavailable(_UNUSABLE, reason=reason, retry_after_s=retry_after_s) from error
    except OSError as error:
        raise StoreUnavailable(_UNUSABLE, reason="its folder cannot be made") from error


def _primary_code(error: sqlite3.Error) -> int:
    # Python's own errors (wrong use of the API) have no code.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
