"""Open the results file for writing: with all that it should have, or with what a full disk allows."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from src.domain.errors import StoreUnavailable
from src.stores.migrations import DELETE_PARTS_TOO, MIGRATIONS, SCHEMA_WITH_TRIGGER

_WAL_LIMIT_BYTES: Final = 64 * 1024 * 1024
_INCREMENTAL: Final = 2
"""SQLite's number of that `auto_vacuum`."""
_PAGES_IN_MEMORY: Final = 512
"""Two mebibytes: what is written anew with its journal in memory, which takes milliseconds."""

logger = logging.getLogger(__name__)


def open_database(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """Open the file with a write-ahead log and bring its tables up to date.

    Raises
    ------
    sqlite3.Error
    StoreUnavailable
        If its tables are of a newer version.
    """
    connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
    try:
        # Read by a new file only; `_compact` changes one of an older version.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _switch_to_write_ahead_log(connection, busy_timeout_s)
        connection.execute("PRAGMA synchronous = FULL")
        # Some systems overwrite what is deleted by default: then a deletion needs as much room as a save.
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
        with transaction(connection):
            _migrate(connection)
        _compact(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def open_without_room(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """Open a file of any released version so that reading and deleting need no space on the disk.

    The write-ahead log and its index take space at once; a rollback journal takes a little when something is deleted.

    Raises
    ------
    sqlite3.Error
    """
    connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
    try:
        # Held alone, the log needs no index on the disk; with the journal in memory, leaving it changes one page.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        connection.execute("PRAGMA journal_mode = MEMORY").fetchall()
        connection.execute("PRAGMA locking_mode = NORMAL").fetchall()
        connection.execute("PRAGMA journal_mode = TRUNCATE").fetchall()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = OFF")
        if pragma(connection, "user_version") in range(1, SCHEMA_WITH_TRIGGER):
            connection.execute(DELETE_PARTS_TOO.format(kind="TEMP TRIGGER"))
    except BaseException:
        connection.close()
        raise
    return connection


def journal_in_memory(connection: sqlite3.Connection) -> bool:
    """Keep the journal of a connection that was opened without room in memory; return whether that is new.

    For deletions for which the disk has no page left: if the process is killed within the milliseconds of such a
    commit, the file may be damaged. Nothing else can be deleted then.
    """
    [[before]] = connection.execute("PRAGMA journal_mode").fetchall()
    connection.execute("PRAGMA journal_mode = MEMORY").fetchall()
    return bool(before != "memory")


def shrink(connection: sqlite3.Connection, path: Path) -> None:
    """Give the free pages of a connection that was opened without room back to the disk, if what is left is small."""
    used_pages = pragma(connection, "page_count") - pragma(connection, "freelist_count")
    free_bytes = shutil.disk_usage(path.parent).free
    if used_pages <= _PAGES_IN_MEMORY:
        connection.execute("PRAGMA journal_mode = MEMORY").fetchall()
    elif free_bytes < 2 * used_pages * pragma(connection, "page_size"):
        return
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("VACUUM")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
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
    if pragma(connection, "auto_vacuum") == _INCREMENTAL:
        return
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("VACUUM")
    except sqlite3.OperationalError as error:
        logger.warning("the result store keeps free pages until its file can be written anew: %s", error)


def pragma(connection: sqlite3.Connection, name: str) -> int:
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
