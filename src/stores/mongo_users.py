"""Say what MongoDB holds of each user, and forget a user's ledgers."""

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

    async def usage(self) -> Mapping[str, UserUsage]:
        found: dict[str, UserUsage] = {}
        async with self._database.session():
            for user_id, count, size in await _group(self._results):
                found[user_id] = UserUsage(results=count, result_bytes=size)
            for user_id, count, size in await _group(self._jobs):
                found[user_id] = found.get(user_id, NOTHING) + UserUsage(jobs=count, job_bytes=size)
            async for document in self._trials.find({}, {"_id": True}):
                user_id = str(document["_id"]).partition("\n")[0]
                found[user_id] = found.get(user_id, NOTHING) + UserUsage(trials=1)
            async for document in self._ledgers.find({}, {"_id": True}):
                found.setdefault(str(document["_id"]).partition("\n")[0], NOTHING)
        return found

    async def result_ids(self, user_id: str) -> Sequence[str]:
        async with self._database.session():
            return [document["_id"] async for document in self._results.find({"user_id": user_id}, {"_id": True})]

    async def job_ids(self, user_id: str) -> Sequence[str]:
        async with self._database.session():
            return [document["_id"] async for document in self._jobs.find({"user_id": user_id}, {"_id": True})]

    async def forget(self, user_id: str) -> None:
        # The ids of ledgers and trials begin with the user and a line break, which no user's id holds.
        of_user = {"_id": {"$gt": f"{user_id}\n", "$lt": f"{user_id}\v"}}
        async with self._database.session():
            await self._trials.delete_many(of_user)
            await self._ledgers.delete_many(of_user)
            await self._folds.delete_many({"keeper": user_id})
            await self._turns.delete_one({"_id": user_id})


async def _group(collection: Any) -> list[tuple[str, int, int]]:
    rows = await aggregate(collection, [{"$group": _BY_USER}])
    return [(str(row["_id"]), int(row["count"]), int(row["bytes"])) for row in rows]
