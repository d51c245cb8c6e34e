"""Encode jobs, their requests and conclusions for every store of jobs, and check them when decoding.

A request or a conclusion is a document of its own: compressed JSON with its kind and version, by the rules of `plain`.
The fields of a job itself are kept apart, because they change while it runs and lists read nothing else.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final, TypeVar

from src.domain.errors import InvalidInput, UnreadableResult, job_not_found
from src.domain.jobs import Job, JobConclusion, JobKind, JobPage, JobRequest
from src.domain.portfolio import PortfolioConclusion, PortfolioRequest
from src.domain.runs import BacktestRequest
from src.domain.sweep_outcomes import SweepConclusion
from src.domain.sweeps import SweepRequest
from src.domain.walk_forward import WalkForwardConclusion, WalkForwardRequest
from src.stores.pages import MAX_ID_LENGTH, Position, is_storable_text
from src.stores.plain import from_plain, to_plain

Found = TypeVar("Found")

JOB_FIELDS: Final = tuple(item.name for item in fields(Job))

_SCHEMA_VERSION: Final = 1
"""Increased when old documents need more than defaults for missing fields."""
_MAX_DOCUMENT_BYTES: Final = 64 * 1024 * 1024
"""Of the JSON; a request of 8 parameters with 10,000 values each takes 2 MiB."""
_REQUESTS: Final[Mapping[str, type]] = {
    JobKind.SWEEP: SweepRequest,
    JobKind.WALK_FORWARD: WalkForwardRequest,
    JobKind.BACKTEST: BacktestRequest,
    JobKind.PORTFOLIO: PortfolioRequest,
}
_CONCLUSIONS: Final[Mapping[str, type]] = {
    JobKind.SWEEP: SweepConclusion,
    JobKind.WALK_FORWARD: WalkForwardConclusion,
    JobKind.PORTFOLIO: PortfolioConclusion,
}
_FAULTS: Final = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError, InvalidInput)
"""The exceptions that reading a damaged document can raise."""


def encode_document(value: JobRequest | JobConclusion) -> bytes:
    """Encode a request or a conclusion; call it on a worker thread, as 80,000 values take 0.1 s."""
    kinds = {kind: name for known in (_REQUESTS, _CONCLUSIONS) for name, kind in known.items()}
    document = {"schema_version": _SCHEMA_VERSION, "kind": str(kinds[type(value)]), "value": to_plain(value, {})}
    return zlib.compress(json.dumps(document, allow_nan=False).encode())


def decode_request(job_id: str, content: object) -> JobRequest:
    """Return the request of a job; raises UnreadableResult, which names the job."""
    request: JobRequest = _decode(job_id, "request", content, _REQUESTS)
    return request


def decode_conclusion(job_id: str, content: object) -> JobConclusion:
    """Return what a job found; raises UnreadableResult, which names the job."""
    conclusion: JobConclusion = _decode(job_id, "conclusion", content, _CONCLUSIONS)
    return conclusion


def to_fields(job: Job) -> dict[str, Any]:
    """Return the fields of a job as plain values."""
    plain: dict[str, Any] = to_plain(job, {})
    return plain


def read_job(stored: Mapping[str, Any]) -> Job:
    """Return the job that these stored fields describe; raises UnreadableResult, which names it."""
    try:
        job: Job = from_plain(Job, {name: stored[name] for name in JOB_FIELDS if name in stored}, {})
    except _FAULTS as error:
        raise unreadable_job(str(stored.get("id")), str(error)) from error
    return job


def build_job_page(rows: Sequence[Mapping[str, Any]], *, first: int) -> JobPage:
    """Build a page from stored jobs, newest first; one more than `first` means that a page follows."""
    jobs, warnings = [], []
    for row in rows[:first]:
        try:
            jobs.append(read_job(row))
        except UnreadableResult as error:
            warnings.append(f"{error.message} It is left out here, and can be deleted.")
    last = rows[first - 1] if len(rows) > first else None
    cursor = None if last is None else Position(last["created_ms"], last["id"]).to_cursor()
    return JobPage(jobs=tuple(jobs), next_cursor=cursor, warnings=tuple(warnings))


def read_readable(rows: Iterable[Mapping[str, Any]]) -> dict[str, Job]:
    """Return the jobs that can be read, by id."""
    found = {}
    for row in rows:
        try:
            found[row["id"]] = read_job(row)
        except UnreadableResult:
            continue
    return found


def check_job_id(job_id: str) -> str:
    """Return an id that a store can search for; raises JobNotFound if no job can have it."""
    if not job_id or len(job_id) > MAX_ID_LENGTH or not is_storable_text(job_id):
        raise job_not_found(job_id)
    return job_id


def required(found: Found | None, job_id: str) -> Found:
    """Return the row of a job if one was found; raises JobNotFound otherwise."""
    if found is None:
        raise job_not_found(job_id)
    return found


def _decode(job_id: str, name: str, content: object, known: Mapping[str, type]) -> Any:
    try:
        if not isinstance(content, bytes):
            raise ValueError(f"its {name} is missing")
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(content, _MAX_DOCUMENT_BYTES)
        if not unpacker.eof:
            raise ValueError(f"its {name} is cut off, or too long")
        document = json.loads(text)
        if document["schema_version"] != _SCHEMA_VERSION:
            raise ValueError(
                f"its {name} has schema version {document['schema_version']!r}; this build reads {_SCHEMA_VERSION}"
            )
        return from_plain(known[document["kind"]], document["value"], {})
    except (*_FAULTS, zlib.error) as error:
        raise unreadable_job(job_id, str(error)) from error


def unreadable_job(job_id: str, reason: str) -> UnreadableResult:
    """Build the error for a stored job that is damaged, or of another version."""
    return UnreadableResult("The stored job {id!r} cannot be read: {reason}.", id=job_id, reason=reason)
