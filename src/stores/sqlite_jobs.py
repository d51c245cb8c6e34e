"""Store jobs and their chunks in the SQLite file of the results, which several processes may use at once."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from src.domain.errors import UnreadableResult, job_not_found
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
from src.stores import job_changes as changes
from src.stores.job_documents import (
    check_job_id,
    encode_document,
    read_job,
    required,
    to_fields,
)
from src.stores.job_reading import JobReading
from src.stores.pages import Position
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_job_rows import (
    ENDED,
    HELD,
    IS_TURN_OVER,
    READ,
    READ_PARTS,
    WAITING,
    Row,
    change_job,
    expire_leases,
    find_by_key,
    find_held,
    find_job,
    find_overlap,
    insert_job,
    insert_part,
    take_turn,
    to_lease,
    to_row,
)

_HAS_WORK: Final = (
    f"SELECT EXISTS (SELECT 1 FROM jobs WHERE {WAITING}) "  # noqa: S608
    f"OR EXISTS (SELECT 1 FROM jobs WHERE {HELD} AND lease_expires_ms <= ?)"
)
_DELETE_CHUNKS: Final = """
    DELETE FROM job_chunks WHERE rowid IN (
        SELECT id FROM (
            SELECT id, sum(size) OVER (ORDER BY first ROWS UNBOUNDED PRECEDING) - size AS before FROM (
                SELECT rowid AS id, first, length(content) AS size FROM job_chunks
                WHERE job_id = ? ORDER BY first LIMIT 256
            )
        ) WHERE before < 16777216
    )"""
"""Delete some chunks of a job: at most 256, and at most one beyond 16 MiB, so that other writes wait only briefly."""

_DELETE_OLDER: Final = (
    f"DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE ended_ms < ? AND {ENDED} LIMIT 100) RETURNING id"  # noqa: S608
)
_IDS_PER_QUERY: Final = 500


class SqliteJobs(JobReading):
    """A JobStore in a SQLite file; each change of a job is one transaction.

    Chunks and leases do not wait for the disk: they outlive the process, and a loss of power costs the newest chunks,
    which are computed again. A deleted job is gone at once, and its chunks follow in small transactions.
    """

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def submit(self, job: Job, request: JobRequest, *, idempotency: Idempotency | None, quota: JobQuota) -> Job:
        content = await asyncio.to_thread(encode_document, request)
        await self._database.open()
        self._database.check_room(len(content))

        def work(connection: sqlite3.Connection) -> tuple[Row, Sequence[str]]:
            earlier = None if idempotency is None else find_by_key(connection, job.user_id, idempotency)
            if earlier is not None:
                return earlier, ()
            mine = [
                dict(zip(("id", "created_ms", "state", "size_bytes"), row, strict=True))
                for row in connection.execute(
                    "SELECT id, created_ms, state, size_bytes FROM jobs WHERE user_id = ?", [job.user_id]
                )
            ]
            changes.check_unfinished(sum(row["state"] not in changes.FINAL for row in mine), quota)
            row = {**to_fields(job), "size_bytes": len(content)}
            insert_job(connection, {**row, **changes.key_of(idempotency)})
            connection.execute("INSERT INTO job_documents VALUES (?, 'request', ?)", [job.id, content])
            surplus = changes.surplus([*mine, row], quota)
            connection.executemany("DELETE FROM jobs WHERE id = ?", [[old] for old in surplus])
            return required(find_job(connection, job.id), job.id), surplus

        row, surplus = await self._database.transact(work)
        for old in surplus:
            await self._delete_chunks(old)
        return read_job(row)

    async def lease(self, *, holder: str, now_ms: int, duration_ms: int) -> Lease | None:
        [[has_work]] = await self._database.read(_HAS_WORK, [now_ms])  # without the lock that writers wait for
        while has_work:
            token = uuid.uuid4().hex

            def work(connection: sqlite3.Connection, token: str = token) -> Row | None:
                expire_leases(connection, now_ms)
                row = take_turn(connection)
                if row is None:
                    return None
                taken = changes.begin(row, token=token, holder=holder, now_ms=now_ms, duration_ms=duration_ms)
                return change_job(connection, row, taken)

            row = await self._database.transact(work, is_durable=False)
            if row is None:
                return None
            try:
                return to_lease(row)
            except UnreadableResult as error:
                await self._change_held(row["id"], token, partial(_always, changes.fail_unreadable(error, now_ms)))
        return None

    async def is_turn_over(self, user_id: str) -> bool:
        [[is_over]] = await self._database.read(IS_TURN_OVER, [user_id])
        return bool(is_over)

    async def renew(self, lease: Lease, *, now_ms: int, duration_ms: int) -> tuple[Lease, JobState]:
        later = {"lease_expires_ms": now_ms + duration_ms}
        row = await self._change_held(lease.job.id, lease.token, partial(_always, later), is_durable=False)
        return to_lease(row), JobState(row["state"])

    async def commit(
        self, lease: Lease, span: ChunkSpan, content: bytes, progress: JobProgress, *, now_ms: int, duration_ms: int
    ) -> tuple[Lease, JobState]:
        self._database.check_room(len(content))
        made = changes.progress(progress, now_ms=now_ms, duration_ms=duration_ms)
        job_id = lease.job.id

        def work(connection: sqlite3.Connection) -> Row:
            row = find_held(connection, job_id, lease.token)
            if not changes.is_new_chunk(span, find_overlap(connection, job_id, span)):
                return change_job(connection, row, made)
            connection.execute("INSERT INTO job_chunks VALUES (?, ?, ?, ?)", [job_id, span.first, span.count, content])
            sums = {"done": row["done"] + span.count, "size_bytes": row["size_bytes"] + len(content)}
            return change_job(connection, row, {**made, **sums, **changes.count_as_fruitful(row["attempt"])})

        row = await self._database.transact(work, is_durable=False)
        return to_lease(row), JobState(row["state"])

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
        if part is not None:
            self._database.check_room(len(part.content))
        made = changes.note(stage, progress, now_ms=now_ms, duration_ms=duration_ms)

        def work(connection: sqlite3.Connection) -> Row:
            row = find_held(connection, lease.job.id, lease.token)
            if part is None or not insert_part(connection, lease.job.id, part):
                return change_job(connection, row, made)
            size = {"size_bytes": row["size_bytes"] + len(part.content)}
            return change_job(connection, row, {**made, **size, **changes.count_as_fruitful(row["attempt"])})

        row = await self._database.transact(work, is_durable=False)
        return to_lease(row), JobState(row["state"])

    async def parts(self, job_id: str) -> Mapping[str, bytes]:
        rows = await self._database.read(READ_PARTS, [check_job_id(job_id)])
        return dict(rows)

    async def spans(self, job_id: str) -> Sequence[ChunkSpan]:
        rows = await self._database.read(
            "SELECT first, count FROM job_chunks WHERE job_id = ? ORDER BY first", [check_job_id(job_id)]
        )
        return [ChunkSpan(first=first, count=count) for first, count in rows]

    async def chunks(self, job_id: str) -> AsyncIterator[bytes]:
        next_chunk = "SELECT first, content FROM job_chunks WHERE job_id = ? AND first > ? ORDER BY first LIMIT 1"
        after = -1
        while rows := await self._database.read(next_chunk, [check_job_id(job_id), after]):
            [[after, content]] = rows
            yield content
        await self.owner(job_id)  # the chunks that were missing are those of a job deleted meanwhile

    async def end(
        self,
        lease: Lease,
        state: JobState,
        *,
        now_ms: int,
        outcome: JobOutcome = NOTHING_MADE,
        failure: JobFailure | None = None,
    ) -> Job:
        found = outcome.conclusion
        content = None if found is None else await asyncio.to_thread(encode_document, found)

        def work(connection: sqlite3.Connection) -> Row:
            row = find_held(connection, lease.job.id, lease.token)
            made = dict(changes.end(row, state, outcome, now_ms=now_ms, failure=failure))
            if content is not None:
                named = [lease.job.id, content]
                connection.execute("INSERT OR REPLACE INTO job_documents VALUES (?, 'conclusion', ?)", named)
                made["size_bytes"] = row["size_bytes"] + len(content)
            return change_job(connection, row, made)

        return read_job(await self._database.transact(work))

    async def cancel(self, job_id: str, *, now_ms: int) -> Job:
        return read_job(await self._change_any(job_id, lambda row: changes.cancel(row, now_ms)))

    async def resume(self, job_id: str, *, quota: JobQuota) -> Job:
        def work(connection: sqlite3.Connection) -> Row:
            row = required(find_job(connection, job_id), job_id)
            resumed = changes.resume(row)
            unfinished = f"SELECT count(*) FROM jobs WHERE user_id = ? AND NOT {ENDED} AND id <> ?"  # noqa: S608
            [count] = connection.execute(unfinished, [row["user_id"], job_id]).fetchone()
            changes.check_unfinished(count, quota)
            return change_job(connection, row, resumed)

        check_job_id(job_id)
        return read_job(await self._database.transact(work))

    async def delete(self, job_id: str) -> None:
        check_job_id(job_id)

        def work(connection: sqlite3.Connection) -> None:
            changes.check_deletable(required(find_job(connection, job_id), job_id))
            connection.execute("DELETE FROM jobs WHERE id = ?", [job_id])

        await self._database.transact(work, frees_space=True)
        await self._delete_chunks(job_id)

    async def delete_older(self, before_ms: int) -> int:
        deleted = 0
        while ids := await self._database.transact(
            lambda connection: connection.execute(_DELETE_OLDER, [before_ms]).fetchall(), frees_space=True
        ):
            for [job_id] in ids:
                await self._delete_chunks(job_id)
            deleted += len(ids)
        return deleted

    async def remove_leftovers(self) -> int:
        orphans = await self._database.read(
            "SELECT DISTINCT job_id FROM job_chunks WHERE job_id NOT IN (SELECT id FROM jobs)"
        )
        for [job_id] in orphans:
            await self._delete_chunks(job_id)
        return len(orphans)

    async def _read(self, job_id: str) -> Row:
        rows = await self._database.read(f"SELECT {READ} FROM jobs WHERE id = ?", [check_job_id(job_id)])  # noqa: S608
        return to_row(required(next(iter(rows), None), job_id))

    async def _read_many(self, job_ids: Sequence[str]) -> Sequence[Row]:
        rows: list[Row] = []
        for start in range(0, len(job_ids), _IDS_PER_QUERY):
            some = job_ids[start : start + _IDS_PER_QUERY]
            marks = ", ".join("?" * len(some))
            found = await self._database.read(f"SELECT {READ} FROM jobs WHERE id IN ({marks})", some)  # noqa: S608
            rows += map(to_row, found)
        return rows

    async def _read_page(
        self, user_id: str, after: Position | None, state: JobState | None, most: int
    ) -> Sequence[Row]:
        conditions: dict[str, Sequence[Any]] = {"user_id = ?": [user_id]}
        if after is not None:
            conditions["(created_ms, id) < (?, ?)"] = after
        if state is not None:
            conditions["state = ?"] = [str(state)]
        rows = await self._database.read(
            f"SELECT {READ} FROM jobs WHERE {' AND '.join(conditions)} "  # noqa: S608
            "ORDER BY created_ms DESC, id DESC LIMIT ?",
            [*(value for values in conditions.values() for value in values), most],
        )
        return [to_row(row) for row in rows]

    async def _read_document(self, job_id: str, name: str) -> bytes | None:
        rows = await self._database.read(
            "SELECT (SELECT content FROM job_documents WHERE job_id = id AND name = ?) FROM jobs WHERE id = ?",
            [name, check_job_id(job_id)],
        )
        if not rows:
            raise job_not_found(job_id)
        content: bytes | None = rows[0][0]
        return content

    async def _delete_chunks(self, job_id: str) -> None:
        while await self._database.write((_DELETE_CHUNKS, [(job_id,)]), frees_space=True):
            continue

    async def _change_any(self, job_id: str, decide: Callable[[Row], Row]) -> Row:
        def work(connection: sqlite3.Connection) -> Row:
            row = required(find_job(connection, job_id), job_id)
            return change_job(connection, row, decide(row))

        check_job_id(job_id)
        return await self._database.transact(work)

    async def _change_held(
        self, job_id: str, token: str, decide: Callable[[Row], Row], *, is_durable: bool = True
    ) -> Row:
        def work(connection: sqlite3.Connection) -> Row:
            row = find_held(connection, job_id, token)
            return change_job(connection, row, decide(row))

        return await self._database.transact(work, is_durable=is_durable)


def _always(changed: Row, _: Row) -> Row:
    """Return these changes, whatever the row is."""
    return changed
