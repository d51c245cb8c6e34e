"""Give each waiting job in MongoDB to one process, users in turn, without transactions."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pymongo.errors import DuplicateKeyError

from src.domain.jobs import Lease
from src.stores import job_changes as changes
from src.stores.job_documents import JOB_FIELDS, read_job
from src.stores.mongo_connection import MongoDatabase
from src.stores.mongo_driver import aggregate
from src.stores.mongo_heads import read_number

LEASE_FIELDS: Final = ("lease_token", "lease_holder", "lease_expires_ms")
FIELDS: Final = {name: True for name in (*JOB_FIELDS, "size_bytes", "fruitful_attempt", *LEASE_FIELDS) if name != "id"}
"""The fields that are read of a job: not its spans, of which a long job has thousands."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _User:
    """A user's jobs that have not ended: those that run, those that wait, and when the first of these was created.

    `last_turn` is that of the newest lease of the user's jobs; 0 before the first one.
    """

    user_id: Any
    held: int
    waiting: int
    last_turn: int
    first_ms: int


class MongoTurns:
    """Decides who is next. `job_turns` has one document, the newest lease; `job_users` the last turn of each user.

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

    async def is_over(self, user_id: str) -> bool:
        """Return whether `take` would choose another user's job if one of this user's running jobs waited."""
        users = {user.user_id: user for user in await self._read_users()}
        mine = users.pop(user_id, None)
        if mine is None:
            return False
        order = (mine.held - 1, mine.last_turn)
        return any(user.waiting and (user.held, user.last_turn) < order for user in users.values())

    async def _choose(self) -> Row | None:
        """Return the job whose turn it is."""
        waiting = [user for user in await self._read_users() if user.waiting]
        for user in sorted(waiting, key=_order):
            query = {"user_id": user.user_id, "state": {"$in": changes.WAITING}}
            oldest = await self._jobs.find(query, FIELDS).sort([("created_ms", 1), ("_id", 1)]).limit(1).to_list(1)
            if oldest:
                return to_row(oldest[0])
        return None

    async def _read_users(self) -> Sequence[_User]:
        """Return the users who have jobs that have not ended."""
        held = {"$cond": [{"$in": ["$state", list(changes.HELD)]}, 1, 0]}
        waits = {"$cond": [{"$in": ["$state", list(changes.WAITING)]}, "$created_ms", None]}
        first = {"$min": waits}  # which ignores null
        users = await aggregate(
            self._jobs,
            [
                {"$match": {"state": {"$in": [*changes.WAITING, *changes.HELD]}}},
                {"$group": {"_id": "$user_id", "held": {"$sum": held}, "all": {"$sum": 1}, "first_ms": first}},
            ],
        )
        known = self._users.find({"_id": {"$in": [user["_id"] for user in users]}})
        turns = {user["_id"]: user["turn"] async for user in known}
        return [
            _User(
                user_id=user["_id"],
                held=user["held"],
                waiting=user["all"] - user["held"],
                last_turn=read_number(turns.get(user["_id"])),
                first_ms=read_number(user["first_ms"]),
            )
            for user in users
        ]

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
        """Set the job of a noted lease RUNNING, unless that was done, which its `turn` records permanently."""
        if not taken["turn"]:
            return
        waits = {"_id": taken["job_id"], "state": {"$in": changes.WAITING}, "turn": {"$not": {"$gte": taken["turn"]}}}
        await self._jobs.update_one(waits, {"$set": {**taken["set"], "turn": taken["turn"]}})
        await self._users.update_one({"_id": taken["user_id"]}, {"$max": {"turn": taken["turn"]}}, upsert=True)


def _order(user: _User) -> tuple[int, int, int, str]:
    return user.held, user.last_turn, user.first_ms, str(user.user_id)


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
