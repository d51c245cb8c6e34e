"""The stores that the contract suites run over.

MongoDB is the server that MONGODB_TEST_URI names, else SecantusDB on loopback, which speaks its wire protocol.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from src.domain.runs import ResultQuota
from src.ports.stores import ResultStore
from src.stores.mongo import MongoStore
from src.stores.mongo_connection import MongoDatabase
from src.stores.sqlite import SqliteStore
from src.stores.sqlite_database import SqliteDatabase
from tests.contracts.result_stores import OpenStore
from tests.mongo_server import backend_uri


@pytest.fixture(scope="module")
def mongo_uri() -> str:
    return os.environ.get("MONGODB_TEST_URI") or backend_uri()


@pytest.fixture(params=["sqlite", "mongo"])
async def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenStore]:
    """Open stores of one file or database; they are closed after the test."""
    opened: list[ResultStore] = []
    database = f"test_{uuid.uuid4().hex}"

    def open_one(quota: ResultQuota | None) -> ResultStore:
        if request.param == "sqlite":
            opened.append(SqliteStore(SqliteDatabase(tmp_path / "new folder" / "results.sqlite3"), quota=quota))
        else:
            opened.append(MongoStore(MongoDatabase(request.getfixturevalue("mongo_uri"), database), quota=quota))
        return opened[-1]

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
def store(open_store: OpenStore) -> ResultStore:
    return open_store(None)
