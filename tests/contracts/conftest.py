"""The stores that the contract suites run over.

MongoDB is the server that MONGODB_TEST_URI names, else SecantusDB on loopback, which speaks its wire protocol. Suites
that use what its two drivers do differently (cursors, aggregations, cancelled commands, many calls at once) run over
both; the others test the service's own queries, over the default one.
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
from tests.mongo_server import backend_uri, driver_of

OVER_BOTH_DRIVERS = {
    "test_result_stores",
    "test_trial_ledgers",
    "test_user_records",
    "test_submissions",
    "test_leases",
    "test_turns",
}


@pytest.fixture(scope="module")
def mongo_uri() -> str:
    return os.environ.get("MONGODB_TEST_URI") or backend_uri()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "store_kind" in metafunc.fixturenames:
        is_over_both = metafunc.module.__name__.rpartition(".")[2] in OVER_BOTH_DRIVERS
        kinds = ["sqlite", "mongo", *(["pymongo"] if is_over_both else [])]
        metafunc.parametrize("store_kind", kinds, indirect=True, scope="function")


@pytest.fixture
def store_kind(request: pytest.FixtureRequest) -> str:
    """Return `sqlite`, `mongo` or `pymongo`, which is MongoDB with the other driver."""
    return str(request.param)


@pytest.fixture
async def open_store(store_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenStore]:
    """Open stores of one file or database; they are closed after the test."""
    opened: list[ResultStore] = []
    database = f"test_{uuid.uuid4().hex}"

    def open_one(quota: ResultQuota | None) -> ResultStore:
        if store_kind == "sqlite":
            opened.append(SqliteStore(SqliteDatabase(tmp_path / "new folder" / "results.sqlite3"), quota=quota))
        else:
            mongo = MongoDatabase(request.getfixturevalue("mongo_uri"), database, driver=driver_of(store_kind))
            opened.append(MongoStore(mongo, quota=quota))
        return opened[-1]

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
def store(open_store: OpenStore) -> ResultStore:
    return open_store(None)
