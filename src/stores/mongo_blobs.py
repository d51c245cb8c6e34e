"""Store bytes of any length in MongoDB, whose documents hold at most 16 MB, as numbered pieces."""

from __future__ import annotations

import time
import uuid
from typing import Any, Final

from src.stores.mongo_connection import MongoDatabase

PIECE_BYTES: Final = 8 * 1024 * 1024
"""Half of MongoDB's limit for a document, so that the other fields of a piece fit too."""


class MongoBlobs:
    """The collection `job_blobs`: a blob has a random name and belongs to a job.

    It is written completely before the job's document names it, so a job never names a missing one. A blob that no job
    names is removed with the job, or by `MongoJobs.remove_leftovers`. The caller bounds the time of each method.
    """

    def __init__(self, database: MongoDatabase, *, piece_bytes: int = PIECE_BYTES) -> None:
        self._pieces = database.collection("job_blobs")
        self._piece_bytes = piece_bytes

    async def prepare(self) -> None:
        """Create the indexes."""
        await self._pieces.create_index([("blob", 1), ("number", 1)], unique=True)
        await self._pieces.create_index([("job_id", 1), ("stored_ms", 1)])

    async def write(self, job_id: str, content: bytes) -> str:
        """Store a blob of a job; return its name."""
        blob = uuid.uuid4().hex
        head = {"job_id": job_id, "blob": blob, "stored_ms": now_ms()}
        for number, start in enumerate(range(0, max(1, len(content)), self._piece_bytes)):
            piece = content[start : start + self._piece_bytes]
            await self._pieces.insert_one({**head, "number": number, "content": piece})
        return blob

    async def read(self, blob: object) -> bytes | None:
        """Return a blob; None if it does not exist."""
        pieces = self._pieces.find({"blob": blob}, {"content": True, "_id": False}).sort("number", 1)
        contents = [piece.get("content") async for piece in pieces]
        return b"".join([content for content in contents if isinstance(content, bytes)]) if contents else None

    async def delete(self, blob: str) -> None:
        """Remove one blob."""
        await self._pieces.delete_many({"blob": blob})

    async def delete_all(self, job_id: Any) -> None:
        """Remove the blobs of a job."""
        await self._pieces.delete_many({"job_id": job_id})

    async def owners(self, stored_before_ms: int) -> list[Any]:
        """Return the ids of all jobs that have blobs stored before a time."""
        found: list[Any] = await self._pieces.distinct("job_id", {"stored_ms": {"$lt": stored_before_ms}})
        return found


def now_ms() -> int:
    """Return the time of this machine, by which leftovers age."""
    return time.time_ns() // 1_000_000
