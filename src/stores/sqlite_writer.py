"""Writes to a SQLite file: what waits while one commit reaches the disk is committed with the next, all together."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from src.domain.errors import StoreUnavailable
from src.stores.disk_reserve import DiskReserve
from src.stores.migrations import MIGRATIONS

Statement = tuple[str, Sequence[Sequence[Any] | Mapping[str, Any]]]
"""A statement and the rows that it is executed with."""

_WAL_LIMIT_BYTES: Final = 64 * 1024 * 1024
_MAX_GROUP_WRITES: Final = 64
_KEPT_FREE_PAGES: Final = 256
"""A mebibyte that the next write can use; what is free beyond it goes back to the disk."""
_INCREMENTAL: Final = 2
"""SQLite's number of that `auto_vacuum`."""
_FULL_BELOW_BYTES: Final = 256 * 1024
_PAGES_A_STEP: Final = 512
"""Two mebibytes: other writes wait no longer than that takes, and the log of a full disk has room for it."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Write:
    """A transaction and the future that its caller waits for: how many rows its last statement touched."""

    statements: Sequence[Statement]
    outcome: asyncio.Future[int]
    frees_space: bool


class GroupWriter:
    """The one connection of a process that writes, in a thread of its own.

    Every write is on the disk before it is acknowledged (`synchronous=FULL`), and waiting for the disk is what it
    costs; one wait is enough for all writes that came in during the last one. They succeed or fail each by itself.
    When no write waits, free pages go back to the disk.

    Raises
    ------
    sqlite3.Error
        From every method.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float, reserve_bytes: int = 0) -> None:
        self._path = path
        self._reserve = DiskReserve(path.with_name(f"{path.name}-reserve"), reserve_bytes)
        self._busy_timeout_s = busy_timeout_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._connection: sqlite3.Connection | None = None
        self._waiting: list[_Write] = []
        self._committing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the file and bring its tables up to date; raises StoreUnavailable where they are of a newer version."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open)

    async def write(self, *statements: Statement, frees_space: bool = False) -> int:
        """Run statements in one transaction; return the number of rows that the last one touched.

        A caller that is cancelled leaves while the transaction runs to its end: it can never be left open.

        Parameters
        ----------
        frees_space
            Whether it may use the disk's reserve.
        """
        outcome: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        outcome.add_done_callback(_mark_as_seen)
        self._waiting.append(_Write(statements, outcome, frees_space))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_all())
        return await asyncio.shield(outcome)

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
                    if isinstance(outcome, int):
                        write.outcome.set_result(outcome)
                    else:
                        write.outcome.set_exception(outcome)
        finally:
            self._committing = None

    # What follows runs in the writer's thread.

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._connection = self._connect()
        except sqlite3.Error as error:
            if not (self._is_full(error) and self._reserve.release()):
                raise
            self._connection = self._connect()
        else:
            self._reserve.fill()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=self._busy_timeout_s, isolation_level=None)
        try:
            # Read by a new file only; `_compact` changes one of an older version.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            _switch_to_write_ahead_log(connection, self._busy_timeout_s)
            connection.execute("PRAGMA synchronous = FULL")
            # Some systems overwrite what is deleted by default: then a deletion needs as much room as a save.
            connection.execute("PRAGMA secure_delete = OFF")
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
            with _transaction(connection):
                _migrate(connection)
            _compact(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _commit(self, writes: Sequence[_Write]) -> Sequence[int | Exception]:
        """Commit all of them together; if one of them is at fault or the disk is full, each alone."""
        outcomes: list[int | Exception] = []
        is_begun = False
        try:
            with _transaction(self._required_connection()) as connection:
                is_begun = True
                outcomes = [_execute(connection, write.statements) for write in writes]
        except Exception as error:  # noqa: BLE001 - whatever it is, it goes to those who wait for these writes
            is_full = self._is_full(error)
            if len(writes) > 1 and is_begun and (is_full or len(outcomes) < len(writes)):
                logger.debug("one of %d writes failed: %s", len(writes), error)
                return [outcome for write in writes for outcome in self._commit([write])]
            if len(writes) == 1 and writes[0].frees_space and is_full and self._reserve.release():
                return self._commit(writes)
            return [error] * len(writes)
        return outcomes

    def _reclaim(self) -> bool:
        """Give some free pages back to the disk; return whether there are more."""
        try:
            connection = self._required_connection()
            free_pages = _pragma(connection, "freelist_count")
            if free_pages <= _KEPT_FREE_PAGES:
                return False
            _empty_log(connection, self._busy_timeout_s, to_the_end=False)  # so that the step can use it anew
            pages = min(free_pages - _KEPT_FREE_PAGES, _PAGES_A_STEP)
            # `execute` would run the first of its steps, which is one page.
            connection.executescript(f"PRAGMA incremental_vacuum({pages})")
            left_pages = _pragma(connection, "freelist_count")
            has_more = _KEPT_FREE_PAGES < left_pages < free_pages
            _empty_log(connection, self._busy_timeout_s, to_the_end=not has_more)
        except sqlite3.Error as error:
            logger.warning("free pages not returned to the disk: %s", error)
            return False
        if not has_more:
            self._reserve.fill()
        return has_more

    def _is_full(self, error: Exception) -> bool:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
        if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):  # the log or its index could not be made
            return shutil.disk_usage(self._path.parent).free < _FULL_BELOW_BYTES
        return code == sqlite3.SQLITE_FULL

    def _required_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.ProgrammingError("the writer is not open")
        return self._connection


def _execute(connection: sqlite3.Connection, statements: Sequence[Statement]) -> int:
    touched = 0
    for statement, rows in statements:
        touched = connection.executemany(statement, rows).rowcount
    return touched


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Commit what is done inside; roll it back where that raises."""
    # IMMEDIATE takes the write lock at once, where SQLite waits for it; a later upgrade could fail without waiting.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself after some errors (a full disk, for one).
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _migrate(connection: sqlite3.Connection) -> None:
    [[version]] = connection.execute("PRAGMA user_version").fetchall()
    if version > len(MIGRATIONS):
        raise StoreUnavailable(
            f"the result store was written by a newer version of this service (schema {version}; "
            f"this build knows up to {len(MIGRATIONS)})"
        )
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _compact(connection: sqlite3.Connection) -> None:
    """Let a file that an older version made give free pages back, which takes writing it anew once."""
    if _pragma(connection, "auto_vacuum") == _INCREMENTAL:
        return
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("VACUUM")
    except sqlite3.OperationalError as error:
        logger.warning("the result store keeps free pages until its file can be written anew: %s", error)


def _empty_log(connection: sqlite3.Connection, busy_timeout_s: float, *, to_the_end: bool) -> None:
    """Move what the write-ahead log holds to the file, without waiting for readers."""
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        connection.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if to_the_end else 'PASSIVE'})").fetchall()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {round(busy_timeout_s * 1000)}")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    [[value]] = connection.execute(f"PRAGMA {name}").fetchall()
    return int(value)


def _switch_to_write_ahead_log(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    # SQLite does not wait its busy timeout for this one switch, which several processes may try at once.
    deadline = time.monotonic() + busy_timeout_s
    while True:
        try:
            [[mode]] = connection.execute("PRAGMA journal_mode = WAL").fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
            continue
        if mode != "wal":
            logger.warning("this file system allows SQLite no write-ahead log: readers will wait for writers")
        return


def _mark_as_seen(outcome: asyncio.Future[int]) -> None:
    """Keep asyncio from reporting an error whose caller has left."""
    if not outcome.cancelled() and (error := outcome.exception()) is not None:
        logger.debug("a write failed: %s", error)
