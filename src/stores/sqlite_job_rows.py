"""Read and write the rows of jobs in SQLite, inside a transaction of the writing connection."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

from src.domain.jobs import ChunkSpan, Idempotency, JobPart, Lease
from src.ports.jobs import LeaseLost
from src.stores import job_changes as changes
from src.stores.job_documents import JOB_FIELDS, read_job

_JSON: Final = ("failure", "stage", "warnings")
_COLUMNS: Final = (*JOB_FIELDS, "size_bytes", "fruitful_attempt", "lease_token", "lease_holder", "lease_expires_ms")
# The JSON is read as bytes: for text that is not UTF-8, Python's module raises the same error as for a damaged file.
READ: Final = ", ".join(f"CAST({name} AS BLOB)" if name in _JSON else name for name in _COLUMNS)
WAITING: Final = "state IN ('QUEUED', 'INTERRUPTED')"
HELD: Final = "state IN ('RUNNING', 'CANCELLING')"
ENDED: Final = "state IN ('SUCCEEDED', 'FAILED', 'CANCELLED')"
NEXT_USER: Final = f"""
    SELECT user_id FROM jobs WHERE {WAITING} GROUP BY user_id ORDER BY
        (SELECT count(*) FROM jobs AS held WHERE held.user_id = jobs.user_id AND held.{HELD}),
        (SELECT turn FROM job_turns WHERE job_turns.user_id = jobs.user_id), -- none comes first
        min(created_ms), user_id LIMIT 1"""  # noqa: S608
OLDEST: Final = f"SELECT {READ} FROM jobs WHERE user_id = ? AND {WAITING} ORDER BY created_ms, id LIMIT 1"  # noqa: S608
IS_TURN_OVER: Final = f"""
    WITH users AS (
        SELECT user_id, sum({HELD}) AS held, sum({WAITING}) AS waiting,
            coalesce((SELECT turn FROM job_turns WHERE job_turns.user_id = jobs.user_id), 0) AS turn
        FROM jobs WHERE {HELD} OR {WAITING} GROUP BY user_id
    )
    SELECT EXISTS (
        SELECT 1 FROM users AS mine JOIN users AS other ON other.user_id <> mine.user_id
        WHERE mine.user_id = ? AND other.waiting > 0 AND (other.held, other.turn) < (mine.held - 1, mine.turn)
    )"""  # noqa: S608
"""As `NEXT_USER` would choose if one of the user's running jobs waited."""
_TAKE_TURN: Final = (
    "INSERT OR REPLACE INTO job_turns (user_id, turn) SELECT ?, 1 + (SELECT coalesce(max(turn), 0) FROM job_turns)"
)

_PART: Final = "part:"
"""Prefix of a part's name, so that it is never that of a request or a conclusion."""
READ_PARTS: Final = (
    f"SELECT substr(name, {len(_PART) + 1}), content FROM job_documents WHERE job_id = ? AND name GLOB '{_PART}*'"  # noqa: S608
)

Row = Mapping[str, Any]


def find_job(connection: sqlite3.Connection, job_id: str) -> Row | None:
    """Return a job's row; None if there is none."""
    found = connection.execute(f"SELECT {READ} FROM jobs WHERE id = ?", [job_id]).fetchone()  # noqa: S608
    return None if found is None else to_row(found)


def find_held(connection: sqlite3.Connection, job_id: str, token: str) -> Row:
    """Return the row of the job that the holder of this token has; raises LeaseLost."""
    row = find_job(connection, job_id)
    if row is None or not changes.has_lease(row, token):
        raise LeaseLost(job_id)
    return row


def find_by_key(connection: sqlite3.Connection, user_id: str, given: Idempotency) -> Row | None:
    """Return the job that came with this key; raises Conflict if its request was another one."""
    found = connection.execute(
        f"SELECT idempotency_digest, {READ} FROM jobs WHERE user_id = ? AND idempotency_key = ?",  # noqa: S608
        [user_id, given.key],
    ).fetchone()
    if found is None:
        return None
    changes.check_same_request(found[0], given)
    return to_row(found[1:])


def find_overlap(connection: sqlite3.Connection, job_id: str, span: ChunkSpan) -> ChunkSpan | None:
    """Return a stored chunk that has units of this one."""
    before_end = "SELECT first, count FROM job_chunks WHERE job_id = ? AND first < ? ORDER BY first DESC LIMIT 1"
    found = connection.execute(before_end, [job_id, span.first + span.count]).fetchone()
    if found is None or found[0] + found[1] <= span.first:
        return None
    return ChunkSpan(first=found[0], count=found[1])


def expire_leases(connection: sqlite3.Connection, now_ms: int) -> None:
    """Take the jobs whose lease has expired from their processes."""
    expired = f"SELECT {READ} FROM jobs WHERE {HELD} AND lease_expires_ms <= ?"  # noqa: S608
    for row in map(to_row, connection.execute(expired, [now_ms]).fetchall()):
        change_job(connection, row, changes.expire(row, now_ms))


def take_turn(connection: sqlite3.Connection) -> Row | None:
    """Return the waiting job whose turn it is, and note that its user was served; None without one."""
    users = connection.execute(NEXT_USER).fetchall()
    if not users:
        return None
    connection.execute(_TAKE_TURN, users[0])
    return to_row(connection.execute(OLDEST, users[0]).fetchone())


def insert_job(connection: sqlite3.Connection, row: Row) -> None:
    """Store a new job."""
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO jobs ({names}) VALUES ({marks})", _to_values(row))  # noqa: S608


def insert_part(connection: sqlite3.Connection, job_id: str, part: JobPart) -> bool:
    """Store a part of a job; return False, and keep the earlier one, if it has one of that name."""
    given = [job_id, _PART + part.name, part.content]
    return bool(connection.execute("INSERT OR IGNORE INTO job_documents VALUES (?, ?, ?)", given).rowcount)


def change_job(connection: sqlite3.Connection, row: Row, changed: Row) -> Row:
    """Store the changed fields of a job; return all of them."""
    if changed:
        assignments = ", ".join(f"{name} = ?" for name in changed)
        connection.execute(f"UPDATE jobs SET {assignments} WHERE id = ?", [*_to_values(changed), row["id"]])  # noqa: S608
    return {**row, **changed}


def _to_values(row: Row) -> list[Any]:
    return [json.dumps(value) if name in _JSON and value is not None else value for name, value in row.items()]


def to_row(values: Sequence[Any]) -> Row:
    """Return what `READ` reads by name."""
    row = dict(zip(_COLUMNS, values, strict=True))
    for name in _JSON:
        try:
            row[name] = None if row[name] is None else json.loads(row[name])
        except ValueError:  # damaged: the field stays a text, and its reader reports that
            row[name] = "damaged"
    return row


def to_lease(row: Row) -> Lease:
    """Return the lease in a row; raises UnreadableResult."""
    return Lease(job=read_job(row), token=row["lease_token"], expires_ms=row["lease_expires_ms"])
