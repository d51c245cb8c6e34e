"""Open the results file for writing: normally, or on a full disk for reading and deleting only."""

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
"""SQLite's number for `auto_vacuum = INCREMENTAL`."""
_CACHE_KIB: Final = 16 * 1024
"""The keys of trials lie at random places of their table: with the default of 2 MiB, counting 100,000 of a sweep reads
most of its pages again for each batch and takes a third longer."""
_PAGES_IN_MEMORY: Final = 512
"""Two mebibytes: a file up to this size is rewritten with its journal in memory, which takes milliseconds."""

logger = logging.getLogger(__name__)


def open_database(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """Open the file with a write-ahead log and migrate its tables.

    Raises sqlite3.Error; StoreUnavailable if its tables are of a newer version.
    """
    connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
    try:
        # This affects a new file only; `_compact` changes one of an older version.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _switch_to_write_ahead_log(connection, busy_timeout_s)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        # Some builds of SQLite overwrite deleted content by default: then a deletion needs as much space as a save.
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

    A write-ahead log and its index take space at once; a rollback journal takes a little per deletion. Raises
    sqlite3.Error.
    """
    connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
    try:
        # An exclusive lock needs no index of the log on disk; with the journal in memory, leaving WAL changes one page.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        connection.execute("PRAGMA journal_mode = MEMORY").fetchall()
        connection.execute("PRAGMA locking_mode = NORMAL").fetchall()
        connection.execute("PRAGMA journal_mode = TRUNCATE").fetchall()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = OFF")
        if read_pragma(connection, "user_version") in range(1, SCHEMA_WITH_TRIGGER):
            connection.execute(DELETE_PARTS_TOO.format(kind="TEMP TRIGGER"))
    except BaseException:
        connection.close()
        raise
    return connection


def move_journal_to_memory(connection: sqlite3.Connection) -> bool:
    """Keep the journal of a connection from `open_without_room` in memory; return whether it was on disk before.

    This allows deletions if the disk has no page left. If the process is killed during the milliseconds of such a
    commit, the file may be damaged.
    """
    [[before]] = connection.execute("PRAGMA journal_mode").fetchall()
    connection.execute("PRAGMA journal_mode = MEMORY").fetchall()
    return bool(before != "memory")


def shrink(connection: sqlite3.Connection, path: Path) -> None:
    """Return free pages to the disk, on a connection from `open_without_room`, if the remaining file is small."""
    used_pages = read_pragma(connection, "page_count") - read_pragma(connection, "freelist_count")
    free_bytes = shutil.disk_usage(path.parent).free
    if used_pages <= _PAGES_IN_MEMORY:
        connection.execute("PRAGMA journal_mode = MEMORY").fetchall()
    elif free_bytes < 2 * used_pages * read_pragma(connection, "page_size"):
        return
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("VACUUM")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run the block in a transaction; roll it back if the block raises."""
    # IMMEDIATE takes the write lock at once, for which SQLite waits; a later upgrade could fail without waiting.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        # After some errors, such as a full disk, SQLite has rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def check_schema(version: int, *, is_migrated: bool) -> None:
    """Raise StoreUnavailable if the tables are of a newer version, or of an older one that should be migrated."""
    if version > len(MIGRATIONS):
        raise StoreUnavailable(
            "The result store was written by a newer version of this service (schema {version}; this build knows up "
            "to {known}).",
            version=version,
            known=len(MIGRATIONS),
        )
    if is_migrated and version < len(MIGRATIONS):
        raise StoreUnavailable(
            "The result store was written by an older version of this service (schema {version}; this build needs "
            "{known}). Start this version of the service once, which migrates it.",
            version=version,
            known=len(MIGRATIONS),
        )


def _migrate(connection: sqlite3.Connection) -> None:
    version = read_pragma(connection, "user_version")
    check_schema(version, is_migrated=False)
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _compact(connection: sqlite3.Connection) -> None:
    """Rewrite a file of an older version once, so that it can return free pages to the disk."""
    if read_pragma(connection, "auto_vacuum") == _INCREMENTAL:
        return
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("VACUUM")
    except sqlite3.OperationalError as error:
        logger.warning("result store not compacted, it keeps free pages: error=%s", error)


def read_pragma(connection: sqlite3.Connection, name: str) -> int:
    [[value]] = connection.execute(f"PRAGMA {name}").fetchall()
    return int(value)


def _switch_to_write_ahead_log(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    # SQLite does not apply its busy timeout to this switch, which several processes may try at once.
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
            logger.warning("write-ahead log not available on this file system, readers wait for writers: mode=%s", mode)
        return
