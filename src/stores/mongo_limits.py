"""Share the exchange's limits among hosts through MongoDB: its pauses, and the request weight of a minute."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from src.domain.errors import StoreUnavailable
from src.ports.market import SharedLimits
from src.stores.mongo_connection import MongoDatabase, bound_time
from src.stores.mongo_heads import read_number

DEFAULT_TIMEOUT_S: Final = 0.5
_SILENCE_S: Final = 10.0
"""Seconds before a server that did not respond is asked again, because each request would wait for it."""
_MAX_PAUSE_MS: Final = 7 * 86_400_000
"""The exchange's longest ban; a longer one was written while a clock was wrong."""
_MINUTE_MS: Final = 60_000
_LEARNED_S: Final = 1.0
"""A pause is shared with this host's other processes if it exceeds theirs by more than this."""

logger = logging.getLogger(__name__)


class MongoLimits:
    """The SharedLimits of several hosts: one document of `exchange_limits`, beside what one host shares.

    Minutes are those of the hosts' clocks, of which the latest counts; each process also keeps to a sliding minute. A
    host that cannot reach MongoDB continues with what it knows itself.

    Parameters
    ----------
    local
        What the processes of this host share.
    name
        The interface of the exchange that the limits are of.
    now_ms, monotonic
        Milliseconds since the epoch, and a clock in seconds that never goes back.
    timeout_s
        How long MongoDB may take to add a request's weight.
    """

    def __init__(
        self,
        local: SharedLimits,
        database: MongoDatabase,
        name: str,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic: Callable[[], float] = time.monotonic,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self._local = local
        self._database = database
        self._timeout_s = timeout_s
        self._limits = database.collection("exchange_limits")
        self._name = name
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._silent_until_s = 0.0
        self._is_reached = True
        self._until_ms = 0
        self._telling: set[asyncio.Task[None]] = set()

    def left_s(self) -> float:
        return max(self._local.left_s(), self._pause_ms() / 1000)

    def extend(self, seconds: float) -> None:
        self._local.extend(seconds)
        until_ms = self._now_ms() + round(seconds * 1000)
        self._until_ms = max(self._until_ms, until_ms)
        task = asyncio.get_running_loop().create_task(self._database.finish(self._tell(until_ms)))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def reserve(self, weight: int, *, per_minute: int) -> float:
        if self._monotonic() < self._silent_until_s:
            return 0.0
        token = uuid.uuid4().hex
        try:
            async with bound_time(self._timeout_s):
                limits = await self._add(weight, per_minute, token)
        except StoreUnavailable as error:
            self._note_silence(error)
            return 0.0
        self._note_reply()
        self._learn(read_number(limits.get("paused_until_ms")))
        if self._pause_ms() > 0:
            return self.left_s()
        if limits["counted"] == token:
            return 0.0
        return ((read_number(limits["minute"]) + 1) * _MINUTE_MS - self._now_ms()) / 1000

    async def _add(self, weight: int, per_minute: int, token: str) -> Mapping[str, Any]:
        """Count weight in the newest minute that any host has reached, if it fits; `counted` is `token` then.

        The first weight of a minute always fits, so that a request that is heavier than the limit is possible.
        """
        minute = self._now_ms() // _MINUTE_MS
        is_same = {"$gte": ["$minute", minute]}
        begun = {"minute": {"$cond": [is_same, "$minute", minute]}, "used": {"$cond": [is_same, "$used", 0]}}
        fits = {"$or": [{"$eq": ["$used", 0]}, {"$lte": ["$used", per_minute - weight]}]}
        added = {
            "counted": {"$cond": [fits, token, "$counted"]},
            "used": {"$cond": [fits, {"$add": ["$used", weight]}, "$used"]},
        }
        for _ in range(2):
            limits: Mapping[str, Any] | None = await self._limits.find_one_and_update(
                {"_id": self._name}, [{"$set": begun}, {"$set": added}], return_document=ReturnDocument.AFTER
            )
            if limits is not None:
                return limits
            with suppress(DuplicateKeyError):  # another host has inserted it at this moment
                await self._limits.insert_one({"_id": self._name, "minute": 0, "used": 0, "counted": ""})
        raise StoreUnavailable("The document of the exchange's limits is removed again and again.")

    async def _tell(self, until_ms: int) -> None:
        """Note a pause for the other hosts."""
        try:
            async with self._database.session():
                await self._limits.update_one({"_id": self._name}, {"$max": {"paused_until_ms": until_ms}}, upsert=True)
        except StoreUnavailable as error:
            self._note_silence(error)

    def _learn(self, until_ms: int) -> None:
        self._until_ms = max(self._until_ms, until_ms)
        left_s = self._pause_ms() / 1000
        if left_s > max(self._local.left_s(), 0.0) + _LEARNED_S:
            self._local.extend(left_s)

    def _pause_ms(self) -> int:
        left_ms = self._until_ms - self._now_ms()
        return left_ms if 0 < left_ms <= _MAX_PAUSE_MS else 0

    def _note_silence(self, error: StoreUnavailable) -> None:
        self._silent_until_s = self._monotonic() + _SILENCE_S
        if self._is_reached:
            logger.warning(
                "exchange limits not shared with other hosts, own ones are used: error=%s", error.__cause__ or error
            )
        self._is_reached = False

    def _note_reply(self) -> None:
        if not self._is_reached:
            logger.info("exchange limits shared with other hosts again")
        self._is_reached = True
