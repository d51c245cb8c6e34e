"""The stores of jobs that the suites run over; for MongoDB see the folder above."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from src.ports.jobs import JobStore
from tests.contracts.stored_jobs import OpenStore
from tests.jobs import open_job_store
from tests.mongo_server import driver_of


@pytest.fixture
def place(store_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if store_kind == "sqlite":
        return str(tmp_path / "results.sqlite3")
    return f"{request.getfixturevalue('mongo_uri')}#test_{uuid.uuid4().hex}"


@pytest.fixture
async def open_store(store_kind: str, place: str) -> AsyncIterator[OpenStore]:
    """Open stores of one file or database, each as another process would; they are closed after the test."""
    opened = []

    def open_one() -> JobStore:
        store, database = open_job_store(place, driver_of(store_kind))
        opened.append(database)
        return store

    yield open_one
    for database in opened:
        await database.close()


@pytest.fixture
def store(open_store: OpenStore) -> JobStore:
    return open_store()
