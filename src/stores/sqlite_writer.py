"""Writes to a SQLite file: what waits while one commit reaches the disk is committed with the next, all together."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from src.domain.errors import StoreUnavailable
from src.stores.migrations import MIGRATIONS

Statement = tuple[str, Sequence[Sequence[Any]]]
"""A statement and the rows that it is executed with."""

_WAL_LIMIT_BYTES: Final = 64 * 1024 * 1024
_MOST_IN_A_GROUP: Final = 64

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Write:
    """A transaction and the future that its caller waits for: how many rows its last statement touched."""

    statements: Sequence[Statement]
    outcome: asyncio.Future[int]


class GroupWriter:
    """The one connection of a process that writes, in a thread of its own.

    Every write is on the disk before it is acknowledged (`synchronous=FULL`), and waiting for the disk is what it
    costs; one wait is enough for all writes that came in during the last one. They succeed or fail each by itself.

    Raises
    ------
    sqlite3.Error
        From every method.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._connection: sqlite3.Connection | None = None
        self._waiting: list[_Write] = []
        self._committing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the file and bring its tables up to date; raises StoreUnavailable where they are of a newer version."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open)

    async def write(self, *statements: Statement) -> int:
        """Run statements in one transaction; return the number of rows that the last one touched.

        A caller that is cancelled leaves while the transaction runs to its end: it can never be left open.
        """
        outcome: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        outcome.add_done_callback(_mark_as_seen)
        self._waiting.append(_Write(statements, outcome))
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
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:_MOST_IN_A_GROUP], self._waiting[_MOST_IN_A_GROUP:]
                transactions = [write.statements for write in group]
                outcomes = await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, transactions)
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
        connection = sqlite3.connect(self._path, timeout=self._busy_timeout_s, isolation_level=None)
        try:
            _switch_to_write_ahead_log(connection, self._busy_timeout_s)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
            with _transaction(connection):
                _migrate(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _commit(self, transactions: Sequence[Sequence[Statement]]) -> Sequence[int | Exception]:
        """Commit all of them together; where one of them is at fault, each alone, which tells which."""
        outcomes: list[int | Exception] = []
        is_begun = False
        try:
            with _transaction(self._required_connection()) as connection:
                is_begun = True
                outcomes = [_execute(connection, statements) for statements in transactions]
        except Exception as error:  # noqa: BLE001 - whatever it is, it goes to those who wait for these writes
            if not is_begun or len(outcomes) == len(transactions) or len(transactions) == 1:
                return [error] * len(transactions)
            _log.debug("one of %d writes failed: %s", len(transactions), error)
            return [outcome for statements in transactions for outcome in self._commit([statements])]
        return outcomes

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
            _log.warning("this file system allows SQLite no write-ahead log: readers will wait for writers")
        return


def _mark_as_seen(outcome: asyncio.Future[int]) -> None:
    """Keep asyncio from reporting an error whose caller has left."""
    if not outcome.cancelled() and (error := outcome.exception()) is not None:
        _log.debug("a write failed: %s", error)
