"""The tables and indexes of the SQLite store, as steps from each version to the next."""

from __future__ import annotations

from typing import Final

DELETE_PARTS_TOO: Final = """CREATE {kind} result_deleted AFTER DELETE ON results BEGIN
               DELETE FROM result_parts WHERE result_id = OLD.id;
           END"""
SCHEMA_WITH_TRIGGER: Final = 2
"""The first version that has `DELETE_PARTS_TOO`; an older one that cannot be migrated gets it for a connection."""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """CREATE TABLE results (
               id TEXT PRIMARY KEY NOT NULL,
               created_ms INTEGER NOT NULL,
               user_id TEXT NOT NULL,
               symbol TEXT NOT NULL,
               summary TEXT NOT NULL
           )""",
        """CREATE TABLE result_parts (
               result_id TEXT NOT NULL,
               name TEXT NOT NULL,
               content BLOB NOT NULL,
               PRIMARY KEY (result_id, name)
           )""",
        "CREATE INDEX results_newest ON results (created_ms, id)",
        "CREATE INDEX results_of_user ON results (user_id, created_ms, id)",
        "CREATE INDEX results_of_symbol ON results (symbol, created_ms, id)",
        "CREATE INDEX results_of_user_and_symbol ON results (user_id, symbol, created_ms, id)",
    ),
    (
        # What quotas count; the index alone then tells what a user's results take.
        "ALTER TABLE results ADD COLUMN size_bytes INTEGER NOT NULL DEFAULT 0",
        """UPDATE results SET size_bytes = length(CAST(summary AS BLOB)) + (
               SELECT coalesce(sum(length(content)), 0) FROM result_parts WHERE result_id = results.id
           )""",
        "DROP INDEX results_of_user",
        "CREATE INDEX results_of_user ON results (user_id, created_ms, id, size_bytes)",
        DELETE_PARTS_TOO.format(kind="TRIGGER"),
    ),
)
"""Statements that lead from each `PRAGMA user_version` to the next; never changed once released, only added to."""
