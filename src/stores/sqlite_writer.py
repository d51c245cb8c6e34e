"""Write to a SQLite file from one thread; writes that wait for a commit are committed together in the next one."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from src.concurrency.single_flight import mark_as_seen
from src.stores.disk_reserve import DiskReserve
from src.stores.sqlite_opening import (
    move_journal_to_memory,
    open_database,
    open_without_room,
    read_pragma,
    shrink,
    transaction,
)

Outcome = TypeVar("Outcome")
Statement = tuple[str, Sequence[Sequence[Any] | Mapping[str, Any]]]
"""A statement and the rows that it is executed with."""

_MAX_GROUP_WRITES: Final = 64
_KEPT_FREE_PAGES: Final = 256
"""One mebibyte that the next write can use; free pages beyond it are returned to the disk."""
_FULL_BELOW_BYTES: Final = 256 * 1024
_PAGES_A_STEP: Final = 512
"""Two mebibytes, so that other writes wait only briefly and the log fits on a nearly full disk."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Write:
    """The work of a transaction, and the future of its outcome that the caller waits for."""

    work: Callable[[sqlite3.Connection], Any]
    outcome: asyncio.Future[Any]
    frees_space: bool
    is_durable: bool


class GroupWriter:
    """The one writing connection of a process, in a thread of its own.

    Every durable write is on the disk before it is acknowledged (`synchronous=FULL`), and all writes before it are too.
    Waiting for the disk is the main cost, so writes that arrive during one wait share the next one; each succeeds or
    fails by itself. When no write waits, free pages are returned to the disk. Every method raises sqlite3.Error.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float, reserve_bytes: int = 0) -> None:
        self._path = path
        self._reserve = DiskReserve(path.with_name(f"{path.name}-reserve"), reserve_bytes)
        self._busy_timeout_s = busy_timeout_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._connection: sqlite3.Connection | None = None
        self._is_waiting_for_disk = True
        self._lack: sqlite3.Error | None = None
        self._waiting: list[_Write] = []
        self._committing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the file and migrate its tables; raises StoreUnavailable if they are of a newer version."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open)

    async def write(self, *statements: Statement, frees_space: bool = False) -> int:
        """Run statements in one transaction; return the number of rows that the last one changed.

        If the caller is cancelled, the transaction still runs to its end. With `frees_space` it may use the disk's
        reserve.
        """
        return await self.transact(partial(_execute_all, statements), frees_space=frees_space)

    async def transact(
        self, work: Callable[[sqlite3.Connection], Outcome], *, frees_space: bool = False, is_durable: bool = True
    ) -> Outcome:
        """Run a function in one transaction, in the writer's thread; return what it returns.

        It runs again if another write of its group fails, so it must depend on the connection only. If it raises,
        nothing that it did is kept. A transaction that is not durable survives the process, and survives a loss of
        power once a later durable write ends.
        """
        outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        outcome.add_done_callback(mark_as_seen)
        self._waiting.append(_Write(work, outcome, frees_space, is_durable))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_all())
        result: Outcome = await asyncio.shield(outcome)
        return result

    async def close(self) -> None:
        """Finish the writes that were begun, then close the file."""
        if self._committing is not None:
            await self._committing
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    async def _commit_all(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            has_free_pages = True
            while self._waiting or has_free_pages:
                group, self._waiting = self._waiting[:_MAX_GROUP_WRITES], self._waiting[_MAX_GROUP_WRITES:]
                if not group:
                    has_free_pages = await loop.run_in_executor(self._thread, self._reclaim)
                    continue
                has_free_pages = True
                outcomes = await loop.run_in_executor(self._thread, self._commit, group)
                for write, outcome in zip(group, outcomes, strict=True):
                    if isinstance(outcome, Exception):
                        write.outcome.set_exception(outcome)
                    else:
                        write.outcome.set_result(outcome)
        finally:
            self._committing = None

    # The methods below run in the writer's thread.

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._connect()

    def _connect(self) -> None:
        """Open the file. On a full disk without a reserve, open it for deletions only and keep the error in `_lack`."""
        self._is_waiting_for_disk = True
        try:
            self._connection = open_database(self._path, self._busy_timeout_s)
            self._lack = None
            self._reserve.fill()
            return
        except sqlite3.Error as error:
            if not self._is_full(error):
                raise
            lack = error
        if self._reserve.release():
            with suppress(sqlite3.Error):
                self._connection = open_database(self._path, self._busy_timeout_s)
                self._lack = None
                return
        connection = open_without_room(self._path, self._busy_timeout_s)
        if not read_pragma(connection, "user_version"):  # a new file, or one whose tables were never created
            connection.close()
            raise lack
        self._connection, self._lack = connection, lack
        logger.warning("disk full, result store reads and deletes only: file=%s", self._path.name)

    def _connect_in_full(self) -> None:
        """Reopen the file normally if the disk has enough space again, the reserve included."""
        if self._lack is not None and self._reserve.fill():
            self._close()
            self._connect()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _commit(self, writes: Sequence[_Write]) -> Sequence[Any]:
        """Commit all writes together; if one of them fails or the disk is full, commit each by itself.

        Returns the outcome of each: what its work returned, or the exception.
        """
        outcomes: list[Any] = []
        is_begun = False
        try:
            if not all(write.frees_space for write in writes):
                self._connect_in_full()
            self._wait_for_disk(any(write.is_durable for write in writes))
            with transaction(self._required_connection()) as connection:
                is_begun = True
                outcomes = [self._execute(connection, write) for write in writes]
        except Exception as error:  # noqa: BLE001 - the callers that wait for these writes get it
            is_full = self._is_full(error)
            if len(writes) > 1 and is_begun and (is_full or len(outcomes) < len(writes)):
                logger.debug("group of writes failed: count=%d error=%s", len(writes), error)
                return [outcome for write in writes for outcome in self._commit([write])]
            if len(writes) == 1 and writes[0].frees_space and is_full and self._make_room():
                return self._commit(writes)
            return [error] * len(writes)
        return outcomes

    def _wait_for_disk(self, waits: bool) -> None:
        """Let the next commit wait until the log is on the disk, or not."""
        connection = self._required_connection()
        if waits is not self._is_waiting_for_disk:
            connection.execute(f"PRAGMA synchronous = {'FULL' if waits else 'NORMAL'}")
            self._is_waiting_for_disk = waits

    def _execute(self, connection: sqlite3.Connection, write: _Write) -> Any:
        if self._lack is not None and not write.frees_space:
            raise self._lack
        return write.work(connection)

    def _make_room(self) -> bool:
        """Free space for a deletion on a full disk; return whether any was freed."""
        if self._reserve.release():
            return True
        try:
            return self._lack is not None and move_journal_to_memory(self._required_connection())
        except sqlite3.Error as error:  # another process has opened the file normally meanwhile
            logger.debug("journal not moved to memory: error=%s", error)
            return False

    def _reclaim(self) -> bool:
        """Return some free pages to the disk; return whether more are left."""
        try:
            connection = self._required_connection()
            if self._lack is not None:
                connection.execute("PRAGMA journal_mode = TRUNCATE").fetchall()
                shrink(connection, self._path)
                self._connect_in_full()
                return False
            free_pages = read_pragma(connection, "freelist_count")
            if free_pages <= _KEPT_FREE_PAGES:
                return False
            _empty_log(connection, self._busy_timeout_s, to_the_end=False)  # so that the step can reuse its space
            pages = min(free_pages - _KEPT_FREE_PAGES, _PAGES_A_STEP)
            # `execute` would stop after the first page.
            connection.executescript(f"PRAGMA incremental_vacuum({pages})")
            left_pages = read_pragma(connection, "freelist_count")
            has_more = _KEPT_FREE_PAGES < left_pages < free_pages
            _empty_log(connection, self._busy_timeout_s, to_the_end=not has_more)
        except sqlite3.Error as error:
            logger.warning("free pages not returned to the disk: error=%s", error)
            return False
        if not has_more:
            self._reserve.fill()
        return has_more

    def _is_full(self, error: Exception) -> bool:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
        if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):  # the log or its index could not be created
            return shutil.disk_usage(self._path.parent).free < _FULL_BELOW_BYTES
        return code == sqlite3.SQLITE_FULL

    def _required_connection(self) -> sqlite3.Connection:
        if self._connection is None:  # reopening it has failed
            self._connect()
        if self._connection is None:
            raise sqlite3.ProgrammingError("the writer is not open")
        return self._connection


def _execute_all(statements: Sequence[Statement], connection: sqlite3.Connection) -> int:
    touched = 0
    for statement, rows in statements:
        touched = connection.executemany(statement, rows).rowcount
    return touched


def _empty_log(connection: sqlite3.Connection, busy_timeout_s: float, *, to_the_end: bool) -> None:
    """Move the content of the write-ahead log to the file, without waiting for readers."""
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        connection.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if to_the_end else 'PASSIVE'})").fetchall()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {round(busy_timeout_s * 1000)}")
