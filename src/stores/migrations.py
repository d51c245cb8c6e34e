"""The tables and indexes of the SQLite store, as steps from each version to the next."""

from __future__ import annotations

from typing import Final

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
)
"""Statements that lead from each `PRAGMA user_version` to the next; never changed once released, only added to."""
