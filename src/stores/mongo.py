"""Store results in MongoDB: a head document for each result, and its columns in chunks."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError

from src.concurrency.single_flight import mark_as_seen
from src.domain.error_text import quote_all
from src.domain.errors import Conflict, InvalidInput, StoreUnavailable, result_not_found
from src.domain.runs import BacktestResult, ResultPage, ResultQuota, ResultSummary, StoreUsage
from src.stores.documents import ResultDocument, UnreadableDocument, decode, decode_summary, encode
from src.stores.mongo_connection import MongoDatabase, bound_time, finished
from src.stores.mongo_driver import aggregate
from src.stores.mongo_heads import (
    HAS_A_PLACE,
    OWNER_FIELDS,
    equals,
    read_lengths,
    read_number,
    read_owner,
)
from src.stores.mongo_opening import NEWEST_FIRST, create_indexes, migrate, report_ownerless
from src.stores.mongo_saves import Collections, Saves
from src.stores.pages import Position, check_page_size, check_result_id, is_storable_text
from src.stores.quotas import check_result_size
from src.stores.result_rows import build_page, in_order, reading

CHUNK_BYTES: Final = 8 * 1024 * 1024
"""Half of MongoDB's limit for a document, so that the other fields of a chunk fit too."""

ORPHAN_AGE_S: Final = 3600.0
"""After this time, an unfinished save is assumed to be that of a dead process."""

_MAX_NAMED: Final = 5
_DELETE_BATCH: Final = 100
_READY_TIMEOUT_S: Final = 1.5

logger = logging.getLogger(__name__)


class MongoStore:
    """A ResultStore in a MongoDB database.

    Writes are acknowledged by the journals of a majority. A store that opens `ORPHAN_AGE_S` or more after a crash
    removes the leftovers of its saves (see `mongo_saves`).

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
        self._in = Collections.of(database)
        self._saves = Saves(self._in, chunk_bytes=chunk_bytes)
        self._quota = quota
        self._orphan_age_s = orphan_age_s
        self._opening: asyncio.Task[None] | None = None
        self._is_open = False

    @finished
    async def save(self, result: BacktestResult) -> None:
        document = await asyncio.to_thread(encode, result)
        # The summary is stored as BSON, for people who query the database by hand; it must be valid Unicode.
        if not is_storable_text(json.dumps(document.summary, ensure_ascii=False)):
            raise InvalidInput("The request holds text that is not valid Unicode.")
        size_bytes = sum(map(len, document.parts.values()))
        check_result_size(size_bytes, self._quota)
        head = {
            "_id": result.id,
            "created_ms": result.created_ms,
            "user_id": result.request.user_id,
            "symbol": result.request.market.symbol,
            "size_bytes": size_bytes,
            "summary": document.summary,
        }
        async with self._session():
            try:
                await self._saves.insert(head, document.parts)
            except DuplicateKeyError as error:
                raise Conflict("Backtest {id!r} exists already.", id=result.id) from error
            await self._delete_surplus(result.id, result.request.user_id)

    async def get(self, result_id: str) -> BacktestResult:
        check_result_id(result_id)
        async with self._session():
            head = await self._in.results.find_one({"_id": result_id})
            if head is None:
                raise result_not_found(result_id)
            with reading(result_id):
                lengths = read_lengths(head)
            try:
                parts = await self._saves.read_parts(head["save"], lengths)
            except UnreadableDocument:
                if await self._in.results.find_one({"_id": result_id}, {"_id": True}) is None:
                    raise result_not_found(result_id) from None  # deleted while its chunks were read
                with reading(result_id):
                    raise
        with reading(result_id):
            document = ResultDocument(summary=head.get("summary"), parts=parts)
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
        async with self._session():
            found = self._in.results.find(query, {"summary": True, "created_ms": True}).sort(NEWEST_FIRST)
            heads = await found.limit(first + 1).to_list(length=first + 1)
            warnings = await self._misplaced(wanted) if after is None else ()
        rows = [(head["created_ms"], head["_id"], head.get("summary")) for head in heads]
        return build_page(rows, _read, first=first, warnings=warnings)

    async def _misplaced(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """Return a warning if no list can show some of the wanted results."""
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

    @finished
    async def delete(self, result_id: str) -> None:
        check_result_id(result_id)
        async with self._session():
            head = await self._in.results.find_one({"_id": result_id}, {"save": True})
            if head is None or not await self._saves.delete(head):
                raise result_not_found(result_id)

    async def delete_older(self, created_before_ms: int) -> int:
        deleted = 0
        is_older = {"created_ms": {"$lt": created_before_ms}}
        while True:
            async with self._session():
                found = self._in.results.find(is_older, {"save": True}).sort("created_ms", ASCENDING)
                heads = await found.limit(_DELETE_BATCH).to_list(length=_DELETE_BATCH)
                deleted += sum([await self._saves.delete(head) for head in heads])
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
        async with self._database.session():
            return await self._saves.remove_orphans(self._orphan_age_s)

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
        async with self._database.session():
            await migrate(self._in, self._database)
            await create_indexes(self._in, self._database)
            await self.remove_orphans()
            await report_ownerless(self._in)
            self._is_open = True

    async def _delete_surplus(self, saved_id: str, user_id: str) -> None:
        """Delete a user's oldest results until the rest is within the quota, except the one just saved."""
        if self._quota is None:
            return
        group = {"_id": None, "results": {"$sum": 1}, "size_bytes": {"$sum": "$size_bytes"}}
        match = {"user_id": equals(user_id)}
        [total] = await aggregate(self._in.results, [{"$match": match}, {"$group": group}])
        if total["results"] <= self._quota.max_results and total["size_bytes"] <= self._quota.max_bytes:
            return
        fields = {"save": True, "size_bytes": True, "created_ms": True}
        heads = await self._in.results.find(match, fields).sort(NEWEST_FIRST).to_list(None)
        heads.sort(key=lambda head: (head["_id"] != saved_id, -read_number(head.get("created_ms"))))
        size_bytes = 0
        for place, head in enumerate(heads, start=1):
            size_bytes += read_number(head.get("size_bytes"))
            if place > self._quota.max_results or size_bytes > self._quota.max_bytes:
                await self._saves.delete(head)


def _read(result_id: str, summary: Any) -> ResultSummary:
    with reading(result_id):
        return decode_summary(summary)
