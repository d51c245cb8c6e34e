"""Store jobs and their chunks in MongoDB, whose documents change one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from src.domain.errors import UnreadableResult
from src.domain.jobs import (
    NOTHING_MADE,
    ChunkSpan,
    Idempotency,
    Job,
    JobFailure,
    JobOutcome,
    JobPart,
    JobProgress,
    JobQuota,
    JobRequest,
    JobStage,
    JobState,
    Lease,
)
from src.ports.jobs import LeaseLost
from src.stores import job_changes as changes
from src.stores.job_documents import (
    check_job_id,
    encode_document,
    read_job,
    required,
    to_fields,
    unreadable_job,
)
from src.stores.job_reading import JobReading
from src.stores.mongo_blobs import PIECE_BYTES, MongoBlobs
from src.stores.mongo_blobs import now_ms as machine_time_ms
from src.stores.mongo_connection import MongoDatabase, finished
from src.stores.mongo_heads import HAS_A_PLACE, equals
from src.stores.mongo_turns import FIELDS, LEASE_FIELDS, MongoTurns, Row, to_lease, to_row
from src.stores.pages import Position

ORPHAN_AGE_S: Final = 3600.0
"""After this time, a blob that no job names is assumed to be that of a dead process."""

_NEWEST_FIRST: Final = [("created_ms", -1), ("_id", -1)]
_DELETE_BATCH: Final = 100


class MongoJobs(JobReading):
    """A JobStore in a MongoDB database.

    `jobs` holds a document for each job, with the list of its chunks; `job_blobs` holds their bytes, the request and
    what was found. A blob is written before the document that names it, so one update of one document is the
    transaction: a chunk counts once its job names it. A change of state happens only if neither the state nor the lease
    has changed since it was decided.

    Jobs of one user that are submitted at the same moment may exceed the quota by their number.
    """

    def __init__(
        self, database: MongoDatabase, *, piece_bytes: int = PIECE_BYTES, orphan_age_s: float = ORPHAN_AGE_S
    ) -> None:
        self._database = database
        self._jobs = database.collection("jobs")
        self._turns = MongoTurns(database)
        self._blobs = MongoBlobs(database, piece_bytes=piece_bytes)
        self._orphan_age_s = orphan_age_s
        self._opening = asyncio.Lock()
        self._is_open = False

    @finished
    async def submit(self, job: Job, request: JobRequest, *, idempotency: Idempotency | None, quota: JobQuota) -> Job:
        content = await asyncio.to_thread(encode_document, request)
        async with self._session():
            if idempotency is not None and (earlier := await self._find_by_key(job.user_id, idempotency)):
                return read_job(earlier)
            fields = {"created_ms": True, "state": True, "size_bytes": True}
            mine = [to_row(head) async for head in self._jobs.find({"user_id": equals(job.user_id)}, fields)]
            changes.check_unfinished(sum(row["state"] not in changes.FINAL for row in mine), quota)
            row = {**to_fields(job), "size_bytes": len(content), **dict.fromkeys(LEASE_FIELDS)}
            blob = await self._blobs.write(job.id, content)
            head = {name: value for name, value in row.items() if name != "id"}
            head |= {"_id": job.id, "request": blob, "spans": [], **_key_of(job.user_id, idempotency)}
            try:
                await self._jobs.insert_one(head)
            except DuplicateKeyError:
                await self._blobs.delete(blob)
                if idempotency is None or (earlier := await self._find_by_key(job.user_id, idempotency)) is None:
                    raise
                return read_job(earlier)
            for old in changes.surplus([*mine, row], quota):
                await self._delete(old)
        return await self.get(job.id)

    async def lease(self, *, holder: str, now_ms: int, duration_ms: int) -> Lease | None:
        async with self._session():
            expired = {"state": {"$in": changes.HELD}, "lease_expires_ms": {"$lte": now_ms}}
            for head in await self._jobs.find(expired, FIELDS).to_list(None):
                held = to_row(head)
                await self._change_if_same(held, changes.expire(held, now_ms))
            while row := await self._turns.take(holder=holder, now_ms=now_ms, duration_ms=duration_ms):
                try:
                    return to_lease(row)
                except UnreadableResult as error:
                    await self._change_if_same(row, changes.fail_unreadable(error, now_ms))
        return None

    async def is_turn_over(self, user_id: str) -> bool:
        async with self._session():
            return await self._turns.is_over(user_id)

    async def renew(self, lease: Lease, *, now_ms: int, duration_ms: int) -> tuple[Lease, JobState]:
        row = await self._change_held(lease, {"$set": {"lease_expires_ms": now_ms + duration_ms}})
        if row is None:
            raise LeaseLost(lease.job.id)
        return to_lease(row), JobState(row["state"])

    @finished
    async def commit(
        self, lease: Lease, span: ChunkSpan, content: bytes, progress: JobProgress, *, now_ms: int, duration_ms: int
    ) -> tuple[Lease, JobState]:
        made = changes.progress(progress, now_ms=now_ms, duration_ms=duration_ms)
        stored = _overlap(await self.spans(lease.job.id), span)
        if changes.is_new_chunk(span, stored):
            async with self._session():
                blob = await self._blobs.write(lease.job.id, content)
            named = {"first": span.first, "count": span.count, "blob": blob}
            made = {**made, **changes.count_as_fruitful(lease.job.attempt)}
            update = {"$set": made, "$push": {"spans": named}, "$inc": {"done": span.count, "size_bytes": len(content)}}
            # Only the holder of the lease adds chunks, so the list is still the one that was read.
            row = await self._change_held(lease, update, {"spans.first": {"$ne": span.first}})
            if row is None:
                async with self._session():
                    await self._blobs.delete(blob)
        else:
            row = await self._change_held(lease, {"$set": made})
        if row is None:
            raise LeaseLost(lease.job.id)
        return to_lease(row), JobState(row["state"])

    @finished
    async def note(
        self,
        lease: Lease,
        stage: JobStage | None,
        part: JobPart | None,
        progress: JobProgress | None = None,
        *,
        now_ms: int,
        duration_ms: int,
    ) -> tuple[Lease, JobState]:
        made = changes.note(stage, progress, now_ms=now_ms, duration_ms=duration_ms)
        row = None if part is None else await self._add_part(lease, part, made)
        row = row or await self._change_held(lease, {"$set": made})
        if row is None:
            raise LeaseLost(lease.job.id)
        return to_lease(row), JobState(row["state"])

    async def _add_part(self, lease: Lease, part: JobPart, made: Row) -> Row | None:
        """Store a part with these changes; None if there is one of that name, or the lease is lost."""
        async with self._session():
            blob = await self._blobs.write(lease.job.id, part.content)
        name = f"parts.{part.name}"
        named = {**made, **changes.count_as_fruitful(lease.job.attempt), name: blob}
        update = {"$set": named, "$inc": {"size_bytes": len(part.content)}}
        row = await self._change_held(lease, update, {name: {"$exists": False}})
        if row is None:
            async with self._session():
                await self._blobs.delete(blob)
        return row

    async def parts(self, job_id: str) -> Mapping[str, bytes]:
        async with self._session():
            head = await self._jobs.find_one({"_id": check_job_id(job_id)}, {"parts": True})
            named = (head or {}).get("parts", {})
            if not isinstance(named, Mapping):
                raise unreadable_job(job_id, "its list of parts is damaged")
            found = {name: await self._blobs.read(blob) for name, blob in named.items()}
        contents = {name: content for name, content in found.items() if content is not None}
        if len(contents) < len(found):
            raise unreadable_job(job_id, "a part is missing")
        return contents

    async def spans(self, job_id: str) -> Sequence[ChunkSpan]:
        return [ChunkSpan(first=span["first"], count=span["count"]) for span in await self._named_spans(job_id)]

    async def chunks(self, job_id: str) -> AsyncIterator[bytes]:
        for span in await self._named_spans(job_id):
            async with self._session():
                content = await self._blobs.read(span["blob"])
            if content is None:
                await self.owner(job_id)  # raises JobNotFound if the job was deleted meanwhile
                raise unreadable_job(job_id, "a chunk is missing")
            yield content
        await self.owner(job_id)

    @finished
    async def end(
        self,
        lease: Lease,
        state: JobState,
        *,
        now_ms: int,
        outcome: JobOutcome = NOTHING_MADE,
        failure: JobFailure | None = None,
    ) -> Job:
        named: dict[str, Any] = {}
        job_id = lease.job.id
        if outcome.conclusion is not None:
            content = await asyncio.to_thread(encode_document, outcome.conclusion)
            async with self._session():
                named = {"conclusion": await self._blobs.write(job_id, content)}
        while True:
            row = await self._read(job_id) if await self._exists(job_id) else None
            if row is None or not changes.has_lease(row, lease.token):
                raise LeaseLost(job_id)
            made = changes.end(row, state, outcome, now_ms=now_ms, failure=failure)
            size = {"size_bytes": row["size_bytes"] + len(content)} if named else {}
            async with self._session():
                if changed := await self._change_if_same(row, {**made, **named, **size}):
                    return read_job(changed)

    async def cancel(self, job_id: str, *, now_ms: int) -> Job:
        return await self._decide(job_id, lambda row: changes.cancel(row, now_ms))

    @finished
    async def resume(self, job_id: str, *, quota: JobQuota) -> Job:
        row = await self._read(job_id)
        resumed = changes.resume(row)
        unfinished = {"user_id": equals(row["user_id"]), "state": {"$nin": changes.FINAL}, "_id": {"$ne": job_id}}
        async with self._session():
            changes.check_unfinished(await self._jobs.count_documents(unfinished), quota)
            changed = await self._change_if_same(row, resumed)
        return await self.get(job_id) if changed is None else read_job(changed)

    @finished
    async def delete(self, job_id: str) -> None:
        while True:
            row = await self._read(job_id)
            changes.check_deletable(row)
            async with self._session():
                deleted = await self._jobs.delete_one(_same(row))
                if deleted.deleted_count:
                    await self._blobs.delete_all(job_id)
                    return

    async def delete_older(self, before_ms: int) -> int:
        deleted = 0
        is_older = {"ended_ms": {"$lt": before_ms}, "state": {"$in": changes.FINAL}}
        while True:
            async with self._session():
                heads = await self._jobs.find(is_older, {"_id": True}).limit(_DELETE_BATCH).to_list(None)
                deleted += sum([await self._delete(head["_id"], is_older) for head in heads])
            if len(heads) < _DELETE_BATCH:
                return deleted

    async def remove_leftovers(self) -> int:
        removed = 0
        async with self._session():
            for job_id in await self._blobs.owners(machine_time_ms() - round(self._orphan_age_s * 1000)):
                if await self._jobs.find_one({"_id": job_id}, {"_id": True}) is None:
                    await self._blobs.delete_all(job_id)
                    removed += 1
        return removed

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[None]:
        """Create the indexes once, and bound the time of the calls inside."""
        async with self._database.session():
            if not self._is_open:
                async with self._opening:
                    if not self._is_open:
                        await self._prepare()
                        self._is_open = True
            yield

    async def _prepare(self) -> None:
        await self._blobs.prepare()
        await self._jobs.create_index([("user_id", 1), *_NEWEST_FIRST])
        await self._jobs.create_index([("state", 1), ("user_id", 1), ("created_ms", 1)])
        await self._jobs.create_index([("ended_ms", 1)])
        # Only jobs that came with a key have this field.
        await self._jobs.create_index([("idempotency_key", 1)], unique=True, sparse=True)

    async def _exists(self, job_id: str) -> bool:
        async with self._session():
            return await self._jobs.find_one({"_id": job_id}, {"_id": True}) is not None

    async def _read(self, job_id: str) -> Row:
        async with self._session():
            head = await self._jobs.find_one({"_id": check_job_id(job_id)}, FIELDS)
        return to_row(required(head, job_id))

    async def _read_many(self, job_ids: Sequence[str]) -> Sequence[Row]:
        async with self._session():
            found = self._jobs.find({"_id": {"$in": job_ids}}, FIELDS)
            return [to_row(head) async for head in found]

    async def _read_page(
        self, user_id: str, after: Position | None, state: JobState | None, most: int
    ) -> Sequence[Row]:
        query: dict[str, Any] = {"user_id": equals(user_id), **HAS_A_PLACE}
        if after is not None:
            query["$or"] = [
                {"created_ms": {"$lt": after.created_ms}},
                {"created_ms": after.created_ms, "_id": {"$lt": after.id}},
            ]
        if state is not None:
            query["state"] = str(state)
        async with self._session():
            heads = await self._jobs.find(query, FIELDS).sort(_NEWEST_FIRST).limit(most).to_list(None)
        return [to_row(head) for head in heads]

    async def _read_document(self, job_id: str, name: str) -> bytes | None:
        async with self._session():
            head = required(await self._jobs.find_one({"_id": check_job_id(job_id)}, {name: True}), job_id)
            return await self._blobs.read(head[name]) if name in head else None

    async def _named_spans(self, job_id: str) -> Sequence[Row]:
        async with self._session():
            head = await self._jobs.find_one({"_id": check_job_id(job_id)}, {"spans": True})
        spans = (head or {}).get("spans", [])
        if not isinstance(spans, list) or not all(map(_is_span, spans)):
            raise unreadable_job(job_id, "its list of chunks is damaged")
        return sorted(spans, key=lambda span: span["first"])

    async def _find_by_key(self, user_id: str, given: Idempotency) -> Row | None:
        """Return the job that came with this key; raises Conflict if its request was another one."""
        key = _key_of(user_id, given)["idempotency_key"]
        head = await self._jobs.find_one({"idempotency_key": key}, {**FIELDS, "idempotency_digest": True})
        if head is None:
            return None
        changes.check_same_request(head.get("idempotency_digest"), given)
        return to_row(head)

    async def _decide(self, job_id: str, decide: Callable[[Row], Row]) -> Job:
        while True:
            row = await self._read(job_id)
            async with self._session():
                if changed := await self._change_if_same(row, decide(row)):
                    return read_job(changed)

    async def _change_if_same(self, row: Row, changed: Row) -> Row | None:
        """Store changed fields of a job; None if its state or its lease has changed since it was read."""
        if not changed:
            return row
        head = await self._jobs.find_one_and_update(
            _same(row), {"$set": changed}, FIELDS, return_document=ReturnDocument.AFTER
        )
        return None if head is None else to_row(head)

    async def _change_held(self, lease: Lease, update: Row, condition: Row | None = None) -> Row | None:
        """Change a job if the lease still holds; return None if not."""
        held = {"_id": lease.job.id, "lease_token": lease.token, "state": {"$in": changes.HELD}, **(condition or {})}
        async with self._session():
            head = await self._jobs.find_one_and_update(held, update, FIELDS, return_document=ReturnDocument.AFTER)
        return None if head is None else to_row(head)

    async def _delete(self, job_id: str, condition: Row | None = None) -> int:
        """Delete a job that has ended, and its blobs; return how many were deleted."""
        ended = {"_id": job_id, "state": {"$in": changes.FINAL}, **(condition or {})}
        deleted = await self._jobs.delete_one(ended)
        if deleted.deleted_count:
            await self._blobs.delete_all(job_id)
        return int(deleted.deleted_count)


def _same(row: Row) -> Row:
    return {"_id": row["id"], "state": row["state"], "lease_token": row["lease_token"]}


def _key_of(user_id: str, given: Idempotency | None) -> Row:
    fields = changes.key_of(given)
    # Neither contains a line break, so keys of two users are never equal.
    return {**fields, "idempotency_key": f"{user_id}\n{fields['idempotency_key']}"} if fields else {}


def _overlap(spans: Sequence[ChunkSpan], span: ChunkSpan) -> ChunkSpan | None:
    """Return a stored chunk that has units of this one."""
    found = (old for old in spans if old.first < span.first + span.count and span.first < old.first + old.count)
    return next(found, None)


def _is_span(span: Any) -> bool:
    return isinstance(span, Mapping) and all(
        isinstance(span.get(name), kind) for name, kind in (("first", int), ("count", int), ("blob", str))
    )
