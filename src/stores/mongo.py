"""Store results in MongoDB, through motor: a head document for each result, and its columns in chunks."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, NamedTuple

from pymongo import ASCENDING, DESCENDING
from pymongo.errors import DuplicateKeyError

from src.concurrency.single_flight import mark_as_seen
from src.domain.error_text import quote_all
from src.domain.errors import Conflict, InvalidInput, StoreUnavailable, result_not_found
from src.domain.runs import BacktestResult, ResultPage, ResultQuota, ResultSummary, StoreUsage
from src.stores.documents import ResultDocument, UnreadableDocument, decode, decode_summary, encode
from src.stores.mongo_connection import MongoDatabase, bound_time
from src.stores.mongo_heads import (
    HAS_A_PLACE,
    HAS_NO_OWNER,
    OWNER_FIELDS,
    equals,
    read_lengths,
    read_number,
    read_owner,
)
from src.stores.mongo_ledger import TRIALS, TRIALS_IN_ORDER
from src.stores.pages import Position, check_page_size, check_result_id, is_storable_text
from src.stores.quotas import check_result_size
from src.stores.result_rows import build_page, in_order, reading

CHUNK_BYTES: Final = 8 * 1024 * 1024
"""Half of MongoDB's limit for a document, so that the other fields of a chunk fit too."""

ORPHAN_AGE_S: Final = 3600.0
"""After this time, a save that has not ended is taken for one of a process that died."""

SCHEMA_VERSION: Final = 4
"""The version of the database; a document has a version of its own. Builds of version 2 drop the links of trials, those
of version 3 the keys of a batch that was counted last."""

_SIZE: Final = {"$sum": {"$map": {"input": "$parts", "in": {"$arrayElemAt": ["$$this", 1]}}}}
_MAX_NAMED: Final = 5
_ORPHAN_BATCH: Final = 1000
_DELETE_BATCH: Final = 100
_READY_TIMEOUT_S: Final = 1.5

logger = logging.getLogger(__name__)


class _Collections(NamedTuple):
    """`results` holds heads, `chunks` their bytes, `intents` the writes in progress, `schema` the version of all three.

    A chunk belongs to one save (a random token in its head), so that two saves of one id never mix.
    """

    results: Any
    chunks: Any
    intents: Any
    schema: Any


class MongoStore:
    """A ResultStore in a MongoDB database.

    A save, in order: 1. writes an intent; 2. writes the chunks; 3. writes the head; 4. removes the intent. A result
    exists once its head does, so a crash leaves no half result; a store that opens `ORPHAN_AGE_S` or more later removes
    its chunks. Writes are acknowledged by the journals of a majority.

    Parameters
    ----------
    quota
        What one user may store; None for no limit.

    Every method raises StoreUnavailable if no server responds.
    """

    def __init__(
        self,
        database: MongoDatabase,
        *,
        quota: ResultQuota | None = None,
        chunk_bytes: int = CHUNK_BYTES,
        orphan_age_s: float = ORPHAN_AGE_S,
    ) -> None:
        self._database = database
        names = ("results", "result_chunks", "result_intents", "result_schema")
        self._in = _Collections(*map(database.collection, names))
        self._quota = quota
        self._chunk_bytes = chunk_bytes
        self._orphan_age_s = orphan_age_s
        self._opening: asyncio.Task[None] | None = None
        self._is_open = False

    async def save(self, result: BacktestResult) -> None:
        document = await asyncio.to_thread(encode, result)
        # The summary is stored as BSON, for people who query the database by hand; it must be valid Unicode.
        if not is_storable_text(json.dumps(document.summary, ensure_ascii=False)):
            raise InvalidInput("The request holds text that is not valid Unicode.")
        token = uuid.uuid4().hex
        size_bytes = sum(map(len, document.parts.values()))
        check_result_size(size_bytes, self._quota)
        head = {
            "_id": result.id,
            "created_ms": result.created_ms,
            "user_id": result.request.user_id,
            "symbol": result.request.market.symbol,
            "save": token,
            "parts": [[name, len(content)] for name, content in document.parts.items()],
            "size_bytes": size_bytes,
            "summary": document.summary,
        }
        async with self._session():
            await self._begin(token, result.id)
            try:
                for number, chunk in enumerate(self._cut(document.parts)):
                    await self._in.chunks.insert_one({"save": token, "number": number, "content": chunk})
                await self._in.results.insert_one(head)
            except DuplicateKeyError as error:
                await self._drop_chunks(token)
                raise Conflict("Backtest {id!r} exists already.", id=result.id) from error
            await self._in.intents.delete_one({"_id": token})
            await self._delete_surplus(result.id, result.request.user_id)

    async def get(self, result_id: str) -> BacktestResult:
        check_result_id(result_id)
        async with self._session():
            head = await self._in.results.find_one({"_id": result_id})
            if head is None:
                raise result_not_found(result_id)
            with reading(result_id):
                lengths = read_lengths(head)
            chunks = self._in.chunks.find({"save": head["save"]}, {"content": True, "_id": False})
            pieces = [chunk.get("content") async for chunk in chunks.sort("number", ASCENDING)]
            content = b"".join([piece for piece in pieces if isinstance(piece, bytes)])
            if len(content) != sum(length for _, length in lengths):
                if await self._in.results.find_one({"_id": result_id}, {"_id": True}) is None:
                    raise result_not_found(result_id)  # deleted while its chunks were read
                with reading(result_id):
                    raise UnreadableDocument("its columns are not whole")
        with reading(result_id):
            document = ResultDocument(summary=head.get("summary"), parts=_split(content, lengths))
            return await asyncio.to_thread(decode, document)

    async def summaries(self, result_ids: Sequence[str]) -> Sequence[ResultSummary]:
        wanted = list(dict.fromkeys(check_result_id(result_id) for result_id in result_ids))
        async with self._session():
            heads = self._in.results.find({"_id": {"$in": wanted}}, {"summary": True})
            found = {head["_id"]: _read(head["_id"], head.get("summary")) async for head in heads}
        return in_order(result_ids, found)

    async def list(self, *, user_id: str | None, symbol: str | None, first: int, after: str | None) -> ResultPage:
        check_page_size(first)
        wanted: dict[str, Any] = {}
        for name, value in (("user_id", user_id), ("symbol", symbol)):
            if value is not None:
                if not is_storable_text(value):
                    return ResultPage(summaries=(), next_cursor=None)
                wanted[name] = equals(value)
        query = {**wanted, **HAS_A_PLACE}
        if after is not None:
            position = Position.from_cursor(after)
            query["$or"] = [
                {"created_ms": {"$lt": position.created_ms}},
                {"created_ms": position.created_ms, "_id": {"$lt": position.id}},
            ]
        newest_first = [("created_ms", DESCENDING), ("_id", DESCENDING)]
        async with self._session():
            found = self._in.results.find(query, {"summary": True, "created_ms": True}).sort(newest_first)
            heads = await found.limit(first + 1).to_list(length=first + 1)
            warnings = await self._misplaced(wanted) if after is None else ()
        rows = [(head["created_ms"], head["_id"], head.get("summary")) for head in heads]
        return build_page(rows, _read, first=first, warnings=warnings)

    async def _misplaced(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """Return a warning if some of the wanted results have no place in a list."""
        misplaced = {**wanted, "$nor": [HAS_A_PLACE]}
        named = await self._in.results.find(misplaced, {"_id": True}).limit(_MAX_NAMED).to_list(length=_MAX_NAMED)
        if not named:
            return ()
        count = await self._in.results.count_documents(misplaced)
        ids = quote_all(head["_id"] for head in named) + (f" and {count - len(named)} more" * (count > len(named)))
        logger.warning("results whose time or id is damaged are left out of lists: count=%d ids=%s", count, ids)
        return (f"{count} stored result(s) cannot be placed in the list: {ids}. They can be read by id, and deleted.",)

    async def owner(self, result_id: str) -> str:
        check_result_id(result_id)
        async with self._session():
            head = await self._in.results.find_one({"_id": result_id}, OWNER_FIELDS)
        if head is None:
            raise result_not_found(result_id)
        with reading(result_id):
            return read_owner(head)

    async def delete(self, result_id: str) -> None:
        check_result_id(result_id)
        async with self._session():
            head = await self._in.results.find_one({"_id": result_id}, {"save": True})
            if head is None or not await self._delete_saved(head):
                raise result_not_found(result_id)

    async def delete_older(self, created_before_ms: int) -> int:
        deleted = 0
        is_older = {"created_ms": {"$lt": created_before_ms}}
        while True:
            async with self._session():
                found = self._in.results.find(is_older, {"save": True}).sort("created_ms", ASCENDING)
                heads = await found.limit(_DELETE_BATCH).to_list(length=_DELETE_BATCH)
                deleted += sum([await self._delete_saved(head) for head in heads])
            if len(heads) < _DELETE_BATCH:
                return deleted

    async def usage(self) -> StoreUsage:
        async with self._session():
            results = await self._in.results.estimated_document_count()
            statistics = await self._in.results.database.command("dbStats")
        size_bytes = int(statistics["storageSize"] + statistics["indexSize"])
        return StoreUsage(results=results, size_bytes=size_bytes)

    async def is_reachable(self) -> bool:
        try:
            async with bound_time(_READY_TIMEOUT_S):
                await self._open()
                await self._database.ping()
        except StoreUnavailable as error:
            logger.warning("result store not reachable: error=%s", error.__cause__ or error)
            return False
        return True

    async def close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
        await self._database.close()

    async def remove_orphans(self) -> int:
        """Remove the chunks of writes that never ended; return the number of those writes."""
        before_ms = _now_ms() - round(self._orphan_age_s * 1000)
        removed = 0
        async with self._database.session():
            abandoned = self._in.intents.find({"started_ms": {"$lt": before_ms}}).limit(_ORPHAN_BATCH)
            for intent in await abandoned.to_list(length=_ORPHAN_BATCH):
                if await self._in.results.find_one({"save": intent["_id"]}, {"_id": True}) is None:
                    await self._in.chunks.delete_many({"save": intent["_id"]})
                    removed += 1
                await self._in.intents.delete_one({"_id": intent["_id"]})
        if removed:
            logger.info("unfinished writes removed from result store: count=%d", removed)
        return removed

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[None]:
        """Open the store, and bound the time of the calls inside."""
        async with self._database.session():
            await self._open()
            yield

    async def _open(self) -> None:
        if self._is_open:
            return
        # One shared attempt: with one for each call, calls would wait for all attempts before their own.
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._prepare())
            self._opening.add_done_callback(mark_as_seen)
        await asyncio.shield(self._opening)

    async def _prepare(self) -> None:
        """Migrate, create the indexes and remove orphans, once; if that fails, the next call tries again."""
        newest = [("created_ms", DESCENDING), ("_id", DESCENDING)]
        async with self._database.session():
            await self._migrate()
            for filters in ([], ["symbol"], ["user_id", "symbol"]):
                await self._in.results.create_index([*((name, ASCENDING) for name in filters), *newest])
            # With the size, so that a user's total is read from the index alone.
            await self._in.results.create_index([("user_id", ASCENDING), *newest, ("size_bytes", ASCENDING)])
            await self._in.results.create_index([("save", ASCENDING)], unique=True)
            await self._in.chunks.create_index([("save", ASCENDING), ("number", ASCENDING)], unique=True)
            await self._in.intents.create_index([("started_ms", ASCENDING)])
            await self._database.collection(TRIALS).create_index(TRIALS_IN_ORDER)
            await self.remove_orphans()
            await self._report_ownerless()
            self._is_open = True

    async def _report_ownerless(self) -> None:
        """Log the results that no user's list can show."""
        found = self._in.results.find(HAS_NO_OWNER, {"_id": True}).limit(_MAX_NAMED + 1)
        ids = [head["_id"] for head in await found.to_list(length=_MAX_NAMED + 1)]
        if ids:
            shown = quote_all(ids[:_MAX_NAMED]) + " and more" * (len(ids) > _MAX_NAMED)
            logger.warning("results without an owner are in no list (docs/operations.md, MongoDB): ids=%s", shown)

    async def _migrate(self) -> None:
        """Migrate the database to this build's version: 1 had no sizes, 2 no links, 3 no batches."""
        marker = await self._in.schema.find_one({"_id": "results"}) or {"version": 1}
        if marker["version"] > SCHEMA_VERSION:
            raise StoreUnavailable(
                "The result store was written by a newer version of this service (schema {version}; this build knows "
                "up to {known}).",
                version=marker["version"],
                known=SCHEMA_VERSION,
            )
        if marker["version"] < SCHEMA_VERSION:
            await self._in.results.update_many({"size_bytes": {"$exists": False}}, [{"$set": {"size_bytes": _SIZE}}])
            version = {"$set": {"version": SCHEMA_VERSION}}
            await self._in.schema.update_one({"_id": "results"}, version, upsert=True)

    async def _delete_surplus(self, saved_id: str, user_id: str) -> None:
        """Delete a user's oldest results until the rest is within the quota, except the one just saved."""
        if self._quota is None:
            return
        group = {"_id": None, "results": {"$sum": 1}, "size_bytes": {"$sum": "$size_bytes"}}
        match = {"user_id": equals(user_id)}
        [total] = await self._in.results.aggregate([{"$match": match}, {"$group": group}]).to_list(length=1)
        if total["results"] <= self._quota.max_results and total["size_bytes"] <= self._quota.max_bytes:
            return
        newest_first = [("created_ms", DESCENDING), ("_id", DESCENDING)]
        fields = {"save": True, "size_bytes": True, "created_ms": True}
        heads = await self._in.results.find(match, fields).sort(newest_first).to_list(None)
        heads.sort(key=lambda head: (head["_id"] != saved_id, -read_number(head.get("created_ms"))))
        size_bytes = 0
        for place, head in enumerate(heads, start=1):
            size_bytes += read_number(head.get("size_bytes"))
            if place > self._quota.max_results or size_bytes > self._quota.max_bytes:
                await self._delete_saved(head)

    async def _delete_saved(self, head: Mapping[str, Any]) -> bool:
        """Delete the head and chunks of one save; return whether the head still existed."""
        save = head.get("save")
        if not isinstance(save, str):  # damaged: its chunks are unknown
            deleted = await self._in.results.delete_one({"_id": head["_id"]})
            return bool(deleted.deleted_count)
        await self._begin(save, head["_id"])
        deleted = await self._in.results.delete_one({"_id": head["_id"], "save": save})
        await self._drop_chunks(save)
        return bool(deleted.deleted_count)

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


def _split(content: bytes, lengths: Sequence[tuple[str, int]]) -> dict[str, bytes]:
    parts = {}
    start = 0
    for name, length in lengths:
        parts[name] = content[start : start + length]
        start += length
    return parts


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _read(result_id: str, summary: Any) -> ResultSummary:
    with reading(result_id):
        return decode_summary(summary)
