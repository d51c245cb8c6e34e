"""Copy the results file while it is in use, and find out whether it is in use."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

_PAGES_A_STEP: Final = 4096
"""16 MiB; the copy reports its progress after each step."""


def copy_database(source: Path, target: Path, report: Callable[[int, int], None]) -> None:
    """Copy one consistent state of a database, even if others write meanwhile.

    Parameters
    ----------
    report
        Called with the number of pages copied and the number of all pages.

    Raises OSError if the file cannot be read or written, or is damaged.
    """
    try:
        with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(target)) as copy:
            # One read transaction: otherwise each write of another process restarts the copy.
            original.execute("BEGIN")
            original.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            original.backup(copy, pages=_PAGES_A_STEP, progress=lambda _, left, total: report(total - left, total))
            original.execute("ROLLBACK")
            copy.execute("PRAGMA journal_mode = DELETE").fetchall()
            [[verdict]] = copy.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.Error as error:
        raise OSError(f"the results file cannot be copied: {error}") from error
    if verdict != "ok":
        raise OSError(f"the results file is damaged: {verdict}")


def is_in_use(path: Path) -> bool:
    """Return whether another process has the database open; SQLite can leave write-ahead-log mode only if none has."""
    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(path, timeout=0.2)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    except sqlite3.DatabaseError:  # damaged: it may be replaced
        return False
    return False
