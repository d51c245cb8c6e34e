"""Say what the SQLite file holds of each user, and forget a user's ledgers."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

from src.domain.user_usage import NOTHING, UserUsage
from src.stores.sqlite_database import SqliteDatabase

_RESULTS: Final = "SELECT user_id, count(*), coalesce(sum(size_bytes), 0) FROM results GROUP BY user_id"
_JOBS: Final = "SELECT user_id, count(*), coalesce(sum(size_bytes), 0) FROM jobs GROUP BY user_id"
_TRIALS: Final = "SELECT user_id, count(*) FROM trials GROUP BY user_id"
_LEDGERS: Final = "SELECT user_id FROM trial_ledgers GROUP BY user_id"
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

    async def usage(self) -> Mapping[str, UserUsage]:
        found: dict[str, UserUsage] = {}
        for user_id, count, size in await self._database.read(_RESULTS):
            found[user_id] = UserUsage(results=count, result_bytes=size)
        for user_id, count, size in await self._database.read(_JOBS):
            found[user_id] = found.get(user_id, NOTHING) + UserUsage(jobs=count, job_bytes=size)
        for user_id, count in await self._database.read(_TRIALS):
            found[user_id] = found.get(user_id, NOTHING) + UserUsage(trials=count)
        for (user_id,) in await self._database.read(_LEDGERS):
            found.setdefault(user_id, NOTHING)
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
