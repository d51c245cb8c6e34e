"""Results in MongoDB, through motor: a head document for each, and its columns in chunks beside it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, NamedTuple

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import ASCENDING, DESCENDING, ReadPreference, WriteConcern
from pymongo.errors import ConfigurationError, DuplicateKeyError, InvalidURI, PyMongoError

from src.domain.errors import Conflict, InvalidInput, StoreUnavailable
from src.domain.runs import BacktestResult, ResultPage, ResultSummary
from src.stores.documents import ResultDocument, UnreadableDocument, decode, decode_summary, encode
from src.stores.pages import (
    PageBuilder,
    Position,
    check_page_size,
    check_result_id,
    is_storable_text,
    result_not_found,
    unreadable_result,
)

CHUNK_BYTES: Final = 8 * 1024 * 1024
"""Half of what MongoDB allows a document, which leaves room for whatever else a chunk says."""

ORPHAN_AGE_S: Final = 3600.0
"""A save that has not ended after this long never will: its process is gone."""

_SCHEMES: Final = ("mongodb://", "mongodb+srv://")
_SWEEP_BATCH: Final = 1000
_WRITE_CONCERN: Final = WriteConcern(w="majority", j=True, wtimeout=30_000)

_log = logging.getLogger(__name__)


class _Collections(NamedTuple):
    """`results` holds heads; `chunks` their bytes; `intents` the writes that are under way.

    A chunk belongs to one save (a random token in its head), so that two saves of one id can never mix.
    """

    results: Any
    chunks: Any
    intents: Any


class MongoStore:
    """Keep results in a MongoDB database.

    A save writes an intent, then the chunks, then the head, then drops the intent. A result exists once its head does,
    so a crash leaves no half result; what it leaves is swept when a store opens `ORPHAN_AGE_S` or more later. Writes
    are acknowledged by the journals of a majority.

    Parameters
    ----------
    uri
        MongoDB connection string; appears in no message.
    server_selection_timeout_s
        How long to look for a server before a call gives up.

    Raises
    ------
    StoreUnavailable
        From the constructor where `uri` is not a connection string; from every method where no server answers.
    """

    def __init__(
        self,
        uri: str,
        database: str,
        *,
        server_selection_timeout_s: float = 5.0,
        chunk_bytes: int = CHUNK_BYTES,
        orphan_age_s: float = ORPHAN_AGE_S,
    ) -> None:
        self._client = _client(uri, timeout_ms=round(server_selection_timeout_s * 1000))
        self._in = _Collections(
            *(
                self._client[database].get_collection(
                    name, write_concern=_WRITE_CONCERN, read_preference=ReadPreference.PRIMARY
                )
                for name in ("results", "result_chunks", "result_intents")
            )
        )
        self._chunk_bytes = chunk_bytes
        self._orphan_age_s = orphan_age_s
        self._opening = asyncio.Lock()
        self._is_open = False
        self._is_closed = False

    async def save(self, result: BacktestResult) -> None:
        document = await asyncio.to_thread(encode, result)
        # The summary is kept as BSON, for people who query the database by hand; it must be valid Unicode.
        if not is_storable_text(json.dumps(document.summary, ensure_ascii=False)):
            raise InvalidInput("the request holds text that is not valid Unicode")
        token = uuid.uuid4().hex
        head = {
            "_id": result.id,
            "created_ms": result.created_ms,
            "user_id": result.request.user_id,
            "symbol": result.request.market.symbol,
            "save": token,
            "parts": [[name, len(content)] for name, content in document.parts.items()],
            "summary": document.summary,
        }
        await self._open()
        with _translated():
            await self._begin(token, result.id)
            try:
                for number, chunk in enumerate(self._cut(document.parts)):
                    await self._in.chunks.insert_one({"save": token, "number": number, "content": chunk})
                await self._in.results.insert_one(head)
            except DuplicateKeyError as error:
                await self._drop_chunks(token)
                raise Conflict(f"there is a result {result.id!r} already") from error
            await self._in.intents.delete_one({"_id": token})

    async def get(self, result_id: str) -> BacktestResult:
        check_result_id(result_id)
        await self._open()
        with _translated():
            head = await self._in.results.find_one({"_id": result_id})
            if head is None:
                raise result_not_found(result_id)
            chunks = self._in.chunks.find({"save": head["save"]}, {"content": True, "_id": False})
            content = b"".join([chunk["content"] async for chunk in chunks.sort("number", ASCENDING)])
            if len(content) != sum(length for _, length in head["parts"]):
                if await self._in.results.find_one({"_id": result_id}, {"_id": True}) is None:
                    raise result_not_found(result_id)  # deleted while we were reading it
                raise unreadable_result(result_id, "its columns are not whole")
        with _reading(result_id):
            parts = _split(content, head["parts"])
            return await asyncio.to_thread(decode, ResultDocument(summary=head["summary"], parts=parts))

    async def summaries(self, result_ids: Sequence[str]) -> Sequence[ResultSummary]:
        wanted = list(dict.fromkeys(check_result_id(result_id) for result_id in result_ids))
        await self._open()
        with _translated():
            heads = self._in.results.find({"_id": {"$in": wanted}}, {"summary": True})
            found = {head["_id"]: _summary(head) async for head in heads}
        for result_id in result_ids:
            if result_id not in found:
                raise result_not_found(result_id)
        return [found[result_id] for result_id in result_ids]

    async def list(self, *, user_id: str | None, symbol: str | None, first: int, after: str | None) -> ResultPage:
        check_page_size(first)
        query: dict[str, Any] = {}
        if after is not None:
            position = Position.from_cursor(after)
            query["$or"] = [
                {"created_ms": {"$lt": position.created_ms}},
                {"created_ms": position.created_ms, "_id": {"$lt": position.id}},
            ]
        for name, wanted in (("user_id", user_id), ("symbol", symbol)):
            if wanted is not None:
                if not is_storable_text(wanted):
                    return ResultPage(summaries=(), next_cursor=None)
                query[name] = wanted
        await self._open()
        newest_first = [("created_ms", DESCENDING), ("_id", DESCENDING)]
        with _translated():
            found = self._in.results.find(query, {"summary": True, "created_ms": True}).sort(newest_first)
            heads = await found.limit(first + 1).to_list(length=first + 1)
        builder = PageBuilder(first=first, row_count=len(heads))
        for head in heads[:first]:
            builder.add(Position(head["created_ms"], head["_id"]), partial(_summary, head))
        return builder.page()

    async def owner(self, result_id: str) -> str:
        check_result_id(result_id)
        await self._open()
        with _translated():
            head = await self._in.results.find_one({"_id": result_id}, {"user_id": True})
        if head is None:
            raise result_not_found(result_id)
        return str(head["user_id"])

    async def delete(self, result_id: str) -> None:
        check_result_id(result_id)
        await self._open()
        with _translated():
            head = await self._in.results.find_one({"_id": result_id}, {"save": True})
            if head is None:
                raise result_not_found(result_id)
            await self._begin(head["save"], result_id)
            deleted = await self._in.results.delete_one({"_id": result_id, "save": head["save"]})
            await self._drop_chunks(head["save"])
        if not deleted.deleted_count:
            raise result_not_found(result_id)

    async def is_reachable(self) -> bool:
        try:
            await self._open()
            with _translated():
                await self._client.admin.command("ping")
        except StoreUnavailable as error:
            _log.warning("the result store is not reachable: %s", error.__cause__ or error)
            return False
        return True

    async def close(self) -> None:
        self._is_closed = True
        self._client.close()

    async def sweep_orphans(self) -> int:
        """Remove what writes that never ended left behind; return how many there were."""
        before_ms = _now_ms() - round(self._orphan_age_s * 1000)
        swept = 0
        with _translated():
            abandoned = self._in.intents.find({"started_ms": {"$lt": before_ms}}).limit(_SWEEP_BATCH)
            for intent in await abandoned.to_list(length=_SWEEP_BATCH):
                if await self._in.results.find_one({"save": intent["_id"]}, {"_id": True}) is None:
                    await self._in.chunks.delete_many({"save": intent["_id"]})
                    swept += 1
                await self._in.intents.delete_one({"_id": intent["_id"]})
        if swept:
            _log.info("removed what %d unfinished writes had left in the result store", swept)
        return swept

    async def _open(self) -> None:
        if self._is_closed:
            raise StoreUnavailable("the result store is closed")
        if not self._is_open:
            await self._prepare()

    async def _prepare(self) -> None:
        """Make the indexes and sweep, once; where that fails, the next call tries again."""
        newest = [("created_ms", DESCENDING), ("_id", DESCENDING)]
        async with self._opening:
            if self._is_open:
                return
            with _translated():
                for filters in ([], ["user_id"], ["symbol"], ["user_id", "symbol"]):
                    await self._in.results.create_index([*((name, ASCENDING) for name in filters), *newest])
                await self._in.results.create_index([("save", ASCENDING)], unique=True)
                await self._in.chunks.create_index([("save", ASCENDING), ("number", ASCENDING)], unique=True)
                await self._in.intents.create_index([("started_ms", ASCENDING)])
            await self.sweep_orphans()
            self._is_open = True

    async def _begin(self, token: str, result_id: str) -> None:
        intent = {"_id": token, "started_ms": _now_ms(), "result_id": result_id}
        with suppress(DuplicateKeyError):  # another delete of the same result has begun: its intent serves both
            await self._in.intents.insert_one(intent)

    async def _drop_chunks(self, token: str) -> None:
        await self._in.chunks.delete_many({"save": token})
        await self._in.intents.delete_one({"_id": token})

    def _cut(self, parts: Mapping[str, bytes]) -> Iterator[bytes]:
        """Cut the parts, laid end to end, into chunks: a short result takes one."""
        content = b"".join(parts.values())
        for start in range(0, len(content), self._chunk_bytes):
            yield content[start : start + self._chunk_bytes]


def _client(uri: str, *, timeout_ms: int) -> Any:
    """Make a client; nothing connects before the first call."""
    try:
        with warnings.catch_warnings():
            # The driver only warns of options that it does not know or cannot read, and goes on without them.
            warnings.simplefilter("error", UserWarning)
            if not uri.startswith(_SCHEMES):  # the driver would take it for the name of a host
                raise InvalidURI("no scheme")
            options: dict[str, Any] = {
                "serverSelectionTimeoutMS": timeout_ms,
                "connectTimeoutMS": timeout_ms,
                "appname": "backtesting",
            }
            # What the string itself says counts for more, and a keyword would count for most.
            said = {option.partition("=")[0].lower() for option in uri.partition("?")[2].split("&")}
            return AsyncIOMotorClient(uri, **{name: ours for name, ours in options.items() if name.lower() not in said})
    except (ConfigurationError, ValueError, TypeError, UserWarning):
        # Not chained: these errors may quote parts of the string, and it holds a password.
        raise StoreUnavailable(
            f"MONGODB_URI is not a MongoDB connection string; it begins with {' or '.join(_SCHEMES)}, "
            "has known options only, and its user and password are percent-encoded"
        ) from None


def _split(content: bytes, lengths: Sequence[tuple[str, int]]) -> dict[str, bytes]:
    parts = {}
    start = 0
    for name, length in lengths:
        parts[name] = content[start : start + length]
        start += length
    return parts


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the driver's errors into the service's own."""
    try:
        yield
    except DuplicateKeyError:
        raise
    except PyMongoError as error:
        # The driver's words name hosts and ports: they are for the log, not for clients.
        raise StoreUnavailable("the result store cannot be used: MongoDB does not answer as it should") from error


@contextmanager
def _reading(result_id: str) -> Iterator[None]:
    try:
        yield
    except UnreadableDocument as error:
        raise unreadable_result(result_id, str(error)) from error


def _summary(head: Mapping[str, Any]) -> ResultSummary:
    with _reading(str(head["_id"])):
        return decode_summary(head.get("summary"))
