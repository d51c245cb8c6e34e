"""Write and delete one result in MongoDB, so that a crash leaves no half result.

MongoDB's transactions need a replica set; a single server has none. So each write has an intent, in order: 1. an intent
is written; 2. the chunks; 3. the head; 4. the intent is removed. A result exists while its head does. A delete writes
an intent, then removes the head, the chunks and the intent. An intent that remains is that of a dead process: its
chunks belong to no head, and `remove_orphans` removes them.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError

from src.stores.documents import UnreadableDocument
from src.stores.mongo_connection import MongoDatabase

_ORPHAN_BATCH: Final = 1000

logger = logging.getLogger(__name__)


class Collections(NamedTuple):
    """`results` holds heads, `chunks` their bytes, `intents` the writes in progress, `schema` the version of all three.

    A chunk belongs to one save (a random token in its head), so that two saves of one id never mix.
    """

    results: Any
    chunks: Any
    intents: Any
    schema: Any

    @staticmethod
    def of(database: MongoDatabase) -> Collections:
        """Return the collections of a database; nothing is sent."""
        names = ("results", "result_chunks", "result_intents", "result_schema")
        return Collections(*map(database.collection, names))


class Saves:
    """The writes of results into the collections; `chunk_bytes` is the length of a chunk."""

    def __init__(self, collections: Collections, *, chunk_bytes: int) -> None:
        self._in = collections
        self._chunk_bytes = chunk_bytes

    async def insert(self, head: Mapping[str, Any], parts: Mapping[str, bytes]) -> None:
        """Write a result; raises DuplicateKeyError, and leaves nothing, if there is a head with its id."""
        token = uuid.uuid4().hex
        await self._begin(token, head["_id"])
        try:
            for number, chunk in enumerate(self._cut(parts)):
                await self._in.chunks.insert_one({"save": token, "number": number, "content": chunk})
            lengths = [[name, len(content)] for name, content in parts.items()]
            await self._in.results.insert_one({**head, "save": token, "parts": lengths})
        except DuplicateKeyError:
            await self._drop_chunks(token)
            raise
        await self._in.intents.delete_one({"_id": token})

    async def read_parts(self, save: str, lengths: Sequence[tuple[str, int]]) -> dict[str, bytes]:
        """Return the parts of a save by name; raises UnreadableDocument if bytes are missing."""
        chunks = self._in.chunks.find({"save": save}, {"content": True, "_id": False})
        pieces = [chunk.get("content") async for chunk in chunks.sort("number", ASCENDING)]
        content = b"".join([piece for piece in pieces if isinstance(piece, bytes)])
        if len(content) != sum(length for _, length in lengths):
            raise UnreadableDocument("its columns are not whole")
        parts, start = {}, 0
        for name, length in lengths:
            parts[name] = content[start : start + length]
            start += length
        return parts

    async def delete(self, head: Mapping[str, Any]) -> bool:
        """Delete the head and chunks of one save; return whether the head still existed."""
        save = head.get("save")
        if not isinstance(save, str):  # damaged: its chunks are unknown
            deleted = await self._in.results.delete_one({"_id": head["_id"]})
            return bool(deleted.deleted_count)
        await self._begin(save, head["_id"])
        deleted = await self._in.results.delete_one({"_id": head["_id"], "save": save})
        await self._drop_chunks(save)
        return bool(deleted.deleted_count)

    async def remove_orphans(self, older_than_s: float) -> int:
        """Remove the chunks of writes that began so long ago and never ended; return the number of those writes."""
        before_ms = _now_ms() - round(older_than_s * 1000)
        removed = 0
        abandoned = self._in.intents.find({"started_ms": {"$lt": before_ms}}).limit(_ORPHAN_BATCH)
        for intent in await abandoned.to_list(length=_ORPHAN_BATCH):
            if await self._in.results.find_one({"save": intent["_id"]}, {"_id": True}) is None:
                await self._in.chunks.delete_many({"save": intent["_id"]})
                removed += 1
            await self._in.intents.delete_one({"_id": intent["_id"]})
        if removed:
            logger.info("unfinished writes removed from result store: count=%d", removed)
        return removed

    async def _begin(self, token: str, result_id: str) -> None:
        intent = {"_id": token, "started_ms": _now_ms(), "result_id": result_id}
        with suppress(DuplicateKeyError):  # another delete of the same result has begun; its intent covers both
            await self._in.intents.insert_one(intent)

    async def _drop_chunks(self, token: str) -> None:
        await self._in.chunks.delete_many({"save": token})
        await self._in.intents.delete_one({"_id": token})

    def _cut(self, parts: Mapping[str, bytes]) -> Iterator[bytes]:
        """Join the parts and cut them into chunks; a short result needs one."""
        content = b"".join(parts.values())
        for start in range(0, len(content), self._chunk_bytes):
            yield content[start : start + self._chunk_bytes]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
