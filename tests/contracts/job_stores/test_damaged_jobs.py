"""Name a damaged job instead of reading it: one suite over SQLite and MongoDB."""

from __future__ import annotations

import json
import sqlite3
import zlib
from contextlib import closing
from typing import Any

import pytest
from pymongo import MongoClient

from src.domain.errors import JobNotFound, UnreadableResult
from src.ports.jobs import JobStore
from tests.factories import START_MS
from tests.jobs import LEASE_MS, submit


def damage(place: str, job_id: str, name: str, value: Any) -> None:
    """Change a field of a stored job, or the content of its request or of a chunk, behind the store's back."""
    if place.startswith("mongodb"):
        uri, _, database = place.partition("#")
        with MongoClient[dict[str, Any]](uri) as client:
            jobs, blobs = client[database]["jobs"], client[database]["job_blobs"]
            if name == "request":
                head = jobs.find_one({"_id": job_id})
                assert head is not None
                blobs.update_one({"blob": head["request"]}, {"$set": {"content": value}})
            else:
                jobs.update_one({"_id": job_id}, {"$set": {name: value}})
        return
    with closing(sqlite3.connect(place)) as file, file:
        if name == "request":
            file.execute("UPDATE job_documents SET content = ? WHERE job_id = ?", [value, job_id])
        else:
            file.execute(f"UPDATE jobs SET {name} = ? WHERE id = ?", [value, job_id])


@pytest.mark.parametrize(
    ("name", "value"),
    [("kind", "DANCE"), ("done", "many"), ("total", "x"), ("created_ms", 2**62), ("stage", "BEST")],
)
async def test_damaged_job_is_named_and_deletable(store: JobStore, place: str, name: str, value: Any) -> None:
    good = await submit(store, created_ms=START_MS - 1)
    job = await submit(store)
    damage(place, job.id, name, value)
    with pytest.raises(UnreadableResult, match=job.id):
        await store.get(job.id)
    assert await store.get_many([job.id, good.id]) == {good.id: good}
    page = await store.list(user_id="ann", first=10, after=None)
    assert page.jobs == (good,)
    assert [job.id in warning for warning in page.warnings] == [True]
    assert await store.owner(job.id) == "ann"
    await store.cancel(good.id, now_ms=START_MS)
    # It does not stand in the way of others, and is not taken again and again.
    assert await store.lease(holder="a", now_ms=START_MS, duration_ms=LEASE_MS) is None
    await store.delete(job.id)
    with pytest.raises(JobNotFound):
        await store.owner(job.id)


def packed(**document: Any) -> bytes:
    return zlib.compress(json.dumps(document).encode())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no zlib",
        packed(),
        packed(schema_version=1, kind="SWEEP", value={}),
        packed(schema_version=1, kind="DANCE", value={}),
        packed(schema_version=2, kind="SWEEP", value={}),
        packed(schema_version=1, kind="SWEEP", value={"backtest": [], "parameters": "abc"}),
        zlib.compress(b"[" * 100_000),
        zlib.compress(b" " * (65 * 1024 * 1024)),
        packed(schema_version=1, kind="SWEEP", value={})[:-3],
    ],
)
async def test_hostile_request_is_refused_by_name(store: JobStore, place: str, content: bytes) -> None:
    job = await submit(store)
    damage(place, job.id, "request", content)
    with pytest.raises(UnreadableResult, match=job.id):
        await store.read_request(job.id)
    assert await store.get(job.id) == job


async def test_request_without_newer_fields_gets_their_defaults(store: JobStore, place: str) -> None:
    job = await submit(store)
    request = await store.read_request(job.id)
    value = {
        "backtest": {"user_id": "ann", "market": {"symbol": "BTCUSDT", "interval": "1d", "limit": 1000},
                     "strategy": {"kind": "ma_crossover"}, "rules": {"fill": "SAME_CLOSE"}, "engine": "VECTORIZED"},
        "parameters": [{"name": "fast", "values": [2, 3, 4, 5]}],
        "unknown": {"of": "a later version"},
    }  # fmt: skip
    damage(place, job.id, "request", packed(schema_version=1, kind="SWEEP", value=value))
    assert await store.read_request(job.id) == request
