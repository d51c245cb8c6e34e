"""Report what MongoDB holds of each user, and delete a user's ledgers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from src.domain.user_usage import NOTHING, UserUsage
from src.stores.mongo_connection import MongoDatabase
from src.stores.mongo_driver import aggregate
from src.stores.mongo_ledger_documents import FOLDS, LEDGERS, TRIALS

_BY_USER: Final = {"_id": "$user_id", "count": {"$sum": 1}, "bytes": {"$sum": "$size_bytes"}}


class MongoUsers:
    """The UserRecords of a MongoDB database."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._results = database.collection("results")
        self._jobs = database.collection("jobs")
        self._turns = database.collection("job_users")
        self._ledgers = database.collection(LEDGERS)
        self._trials = database.collection(TRIALS)
        self._folds = database.collection(FOLDS)

    async def usage(self, user_id: str | None = None) -> Mapping[str, UserUsage]:
        of_user = {} if user_id is None else {"user_id": user_id}
        by_id = {} if user_id is None else _ids_of(user_id)
        found: dict[str, UserUsage] = {}
        async with self._database.session():
            for user, count, size in await _group(self._results, of_user):
                found[user] = UserUsage(results=count, result_bytes=size)
            for user, count, size in await _group(self._jobs, of_user):
                found[user] = found.get(user, NOTHING) + UserUsage(jobs=count, job_bytes=size)
            async for document in self._trials.find(by_id, {"_id": True}):
                user = str(document["_id"]).partition("\n")[0]
                found[user] = found.get(user, NOTHING) + UserUsage(trials=1)
            async for document in self._ledgers.find(by_id, {"size_bytes": True}):
                user, size = str(document["_id"]).partition("\n")[0], int(document.get("size_bytes", 0))
                found[user] = found.get(user, NOTHING) + UserUsage(ledger_bytes=size)
        return found

    async def result_ids(self, user_id: str) -> Sequence[str]:
        async with self._database.session():
            return [document["_id"] async for document in self._results.find({"user_id": user_id}, {"_id": True})]

    async def job_ids(self, user_id: str) -> Sequence[str]:
        async with self._database.session():
            return [document["_id"] async for document in self._jobs.find({"user_id": user_id}, {"_id": True})]

    async def forget(self, user_id: str) -> None:
        of_user = _ids_of(user_id)
        async with self._database.session():
            await self._trials.delete_many(of_user)
            await self._ledgers.delete_many(of_user)
            await self._folds.delete_many({"keeper": user_id})
            await self._turns.delete_one({"_id": user_id})


def _ids_of(user_id: str) -> dict[str, Any]:
    """Return the filter of a user's ledgers and trials: their ids begin with the user and a line break."""
    return {"_id": {"$gt": f"{user_id}\n", "$lt": f"{user_id}\v"}}  # no user's id holds a line break


async def _group(collection: Any, of_user: Mapping[str, str]) -> list[tuple[str, int, int]]:
    rows = await aggregate(collection, [{"$match": dict(of_user)}, {"$group": _BY_USER}])
    return [(str(row["_id"]), int(row["count"]), int(row["bytes"])) for row in rows]
