"""Give each waiting job in MongoDB to one process, users in turn, without transactions."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from pymongo.errors import DuplicateKeyError

from src.domain.jobs import Lease
from src.stores import job_changes as changes
from src.stores.job_documents import JOB_FIELDS, read_job
from src.stores.mongo_connection import MongoDatabase
from src.stores.mongo_heads import read_number

LEASE_FIELDS: Final = ("lease_token", "lease_holder", "lease_expires_ms")
FIELDS: Final = {name: True for name in (*JOB_FIELDS, "size_bytes", "fruitful_attempt", *LEASE_FIELDS) if name != "id"}
"""What is read of a job: not its spans, of which a long job has thousands."""

Row = Mapping[str, Any]


class MongoTurns:
    """Who is served next. `job_turns` has one document, the newest lease; `job_users` the last turn of each user.

    To take a job, in order: 1. finish the newest lease, if its process has stopped before it could; 2. choose a job;
    3. note it as the newest lease, unless another process has done so since step 1, else go back to 1; 4. set the job
    RUNNING. So users take turns as exactly as in one process. The caller bounds the time.
    """

    def __init__(self, database: MongoDatabase) -> None:
        self._jobs = database.collection("jobs")
        self._turns = database.collection("job_turns")
        self._users = database.collection("job_users")

    async def take(self, *, holder: str, now_ms: int, duration_ms: int) -> Row | None:
        """Return the job whose turn it is, which is RUNNING now; None if none waits."""
        while True:
            newest = await self._turns.find_one({"_id": "newest"}) or {"turn": 0}
            await self._finish(newest)
            chosen = await self._choose()
            if chosen is None:
                return None
            token = uuid.uuid4().hex
            begun = changes.begin(chosen, token=token, holder=holder, now_ms=now_ms, duration_ms=duration_ms)
            taken = {"turn": newest["turn"] + 1, "job_id": chosen["id"], "user_id": chosen["user_id"], "set": begun}
            if not await self._note(newest["turn"], taken):
                continue
            await self._finish(taken)
            head = await self._jobs.find_one({"_id": chosen["id"]}, FIELDS)
            if head is not None and changes.has_lease(
                row := to_row(head), token
            ):  # else cancelled or deleted meanwhile
                return row

    async def _choose(self) -> Row | None:
        """Return the job whose turn it is."""
        held = {"$cond": [{"$in": ["$state", list(changes.HELD)]}, 1, 0]}
        waits = {"$cond": [{"$in": ["$state", list(changes.WAITING)]}, "$created_ms", None]}
        first = {"$min": waits}  # which ignores null
        users = await self._jobs.aggregate(
            [
                {"$match": {"state": {"$in": [*changes.WAITING, *changes.HELD]}}},
                {"$group": {"_id": "$user_id", "held": {"$sum": held}, "all": {"$sum": 1}, "first_ms": first}},
            ]
        ).to_list(None)
        waiting = [user for user in users if user["all"] > user["held"]]
        known = self._users.find({"_id": {"$in": [user["_id"] for user in waiting]}})
        turns = {user["_id"]: user["turn"] async for user in known}

        def order(user: Row) -> tuple[int, int, int, str]:
            last_turn = read_number(turns.get(user["_id"]))
            return user["held"], last_turn, read_number(user["first_ms"]), str(user["_id"])

        for user in sorted(waiting, key=order):
            query = {"user_id": user["_id"], "state": {"$in": changes.WAITING}}
            oldest = await self._jobs.find(query, FIELDS).sort([("created_ms", 1), ("_id", 1)]).limit(1).to_list(1)
            if oldest:
                return to_row(oldest[0])
        return None

    async def _note(self, seen: int, taken: Row) -> bool:
        """Note the newest lease; return False if another process has noted one since `seen`."""
        try:
            noted = await self._turns.replace_one(
                {"_id": "newest", "turn": seen}, {"_id": "newest", **taken}, upsert=seen == 0
            )
        except DuplicateKeyError:
            return False
        return bool(noted.matched_count or noted.upserted_id)

    async def _finish(self, taken: Row) -> None:
        """Set the job of a noted lease RUNNING, unless that was done; its `turn` says so for good."""
        if not taken["turn"]:
            return
        waits = {"_id": taken["job_id"], "state": {"$in": changes.WAITING}, "turn": {"$not": {"$gte": taken["turn"]}}}
        await self._jobs.update_one(waits, {"$set": {**taken["set"], "turn": taken["turn"]}})
        await self._users.update_one({"_id": taken["user_id"]}, {"$max": {"turn": taken["turn"]}}, upsert=True)


def to_row(head: Row) -> Row:
    """Return the fields of a job; a damaged document may lack those that decide how it changes."""
    given = {
        "state": None,
        "started_ms": None,
        "attempt": 0,
        "fruitful_attempt": 0,
        "size_bytes": 0,
        **dict.fromkeys(LEASE_FIELDS),
    }
    return {**given, **head, "id": head["_id"]}


def to_lease(row: Row) -> Lease:
    return Lease(job=read_job(row), token=row["lease_token"], expires_ms=row["lease_expires_ms"])
