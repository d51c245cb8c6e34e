"""Report what the SQLite file holds of each user, and delete a user's ledgers."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

from src.domain.user_usage import NOTHING, UserUsage
from src.stores.sqlite_database import SqliteDatabase

_RESULTS: Final = "SELECT user_id, count(*), coalesce(sum(size_bytes), 0) FROM results{where} GROUP BY user_id"
_JOBS: Final = "SELECT user_id, count(*), coalesce(sum(size_bytes), 0) FROM jobs{where} GROUP BY user_id"
_TRIALS: Final = "SELECT user_id, count(*) FROM trials{where} GROUP BY user_id"
_LEDGERS: Final = "SELECT user_id, coalesce(sum(size_bytes), 0) FROM trial_ledgers{where} GROUP BY user_id"
_FORGET: Final = (
    "DELETE FROM trials WHERE user_id = ?",
    "DELETE FROM trial_ledgers WHERE user_id = ?",
    "DELETE FROM ledger_folds WHERE keeper = ?",
    "DELETE FROM job_turns WHERE user_id = ?",
)


class SqliteUsers:
    """The UserRecords of a SQLite file."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def usage(self, user_id: str | None = None) -> Mapping[str, UserUsage]:
        where, values = ("", []) if user_id is None else (" WHERE user_id = ?", [user_id])
        found: dict[str, UserUsage] = {}

        async def read(statement: str) -> list[tuple[Any, ...]]:
            return list(await self._database.read(statement.format(where=where), values))

        for user, count, size in await read(_RESULTS):
            found[user] = UserUsage(results=count, result_bytes=size)
        for user, count, size in await read(_JOBS):
            found[user] = found.get(user, NOTHING) + UserUsage(jobs=count, job_bytes=size)
        for user, count in await read(_TRIALS):
            found[user] = found.get(user, NOTHING) + UserUsage(trials=count)
        for user, size in await read(_LEDGERS):
            found[user] = found.get(user, NOTHING) + UserUsage(ledger_bytes=size)
        return found

    async def result_ids(self, user_id: str) -> Sequence[str]:
        return [row[0] for row in await self._database.read("SELECT id FROM results WHERE user_id = ?", [user_id])]

    async def job_ids(self, user_id: str) -> Sequence[str]:
        return [row[0] for row in await self._database.read("SELECT id FROM jobs WHERE user_id = ?", [user_id])]

    async def forget(self, user_id: str) -> None:
        def work(connection: sqlite3.Connection) -> None:
            for statement in _FORGET:
                connection.execute(statement, [user_id])

        await self._database.transact(work, frees_space=True)
