"""Check what the stores say of users, and the deletion of all of one: one suite over SQLite and MongoDB."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from src.domain.errors import Conflict, JobNotFound, ResultNotFound
from src.domain.jobs import JobState
from src.domain.trial_states import EMPTY_LEDGER
from src.domain.user_usage import NOTHING
from src.identity.key_file import KeyFile
from src.ports.jobs import JobStore
from src.ports.stores import ResultStore, TrialLedger, UserRecords
from src.service import users as service
from src.service.users import UserService
from src.stores.mongo import MongoStore
from src.stores.mongo_connection import MongoDatabase
from src.stores.mongo_jobs import MongoJobs
from src.stores.mongo_ledger import MongoTrialLedger
from src.stores.mongo_users import MongoUsers
from src.stores.sqlite import SqliteStore
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_jobs import SqliteJobs
from src.stores.sqlite_ledger import SqliteTrialLedger
from src.stores.sqlite_users import SqliteUsers
from src.stores.user_folders import UserFolders
from tests.clocks import FixedClock
from tests.factories import START_MS, make_result
from tests.jobs import lease, submit
from tests.mongo_server import driver_of
from tests.trial_batches import make_batch


@dataclass
class Stored:
    """The stores of one file or database, and a folder of users' files."""

    records: UserRecords
    results: ResultStore
    jobs: JobStore
    ledger: TrialLedger
    folder: Path
    keys: KeyFile

    def service(self, *, stopping_s: float = 10.0) -> UserService:
        return UserService(
            records=self.records,
            results=self.results,
            jobs=self.jobs,
            models=UserFolders(self.folder),
            datasets=UserFolders(self.folder / ".user_bars"),
            keys=self.keys,
            clock=FixedClock(START_MS + 1),
            stopping_s=stopping_s,
        )


@pytest.fixture
async def stored(store_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stored]:
    keys = KeyFile(tmp_path / "keys.sqlite3")
    folder = tmp_path / "storage"
    if store_kind == "sqlite":
        file = SqliteDatabase(tmp_path / "results.sqlite3")
        stores = (SqliteUsers(file), SqliteStore(file), SqliteJobs(file), SqliteTrialLedger(file))
        yield Stored(*stores, folder, keys)
        await file.close()
    else:
        uri, name = request.getfixturevalue("mongo_uri"), f"test_{uuid.uuid4().hex}"
        base = MongoDatabase(uri, name, driver=driver_of(store_kind))
        yield Stored(MongoUsers(base), MongoStore(base), MongoJobs(base), MongoTrialLedger(base), folder, keys)
        await base.close()
    keys.close()


async def fill(stored: Stored, user: str) -> tuple[str, str]:
    """Store one thing of each kind of a user; return the ids of the result and the job."""
    result = make_result(id=f"{user}-result")
    await stored.results.save(replace(result, request=replace(result.request, user_id=user)))
    job = await submit(stored.jobs, user_id=user)
    await stored.ledger.record_batch(make_batch(range(3)), user_id=user, symbol="BTCUSDT")
    for name in (f"{user}/{user}_m_1.pkl", f"{user}/{user}_m_1.pkl.json", f".user_bars/{user}/mine.bars"):
        path = stored.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 100)
    stored.keys.create(user, name="", now_ms=1, expires_ms=None)
    return f"{user}-result", job.id


async def test_usage_counts_everything_by_user(stored: Stored) -> None:
    assert await stored.service().usage() == {}
    await fill(stored, "ann")
    await fill(stored, "ann.b")
    found = await stored.service().usage()
    assert list(found) == ["ann", "ann.b"]
    ann = found["ann"]
    assert (ann.results, ann.jobs, ann.trials, ann.models, ann.model_bytes) == (1, 1, 3, 1, 200)
    assert (ann.datasets, ann.dataset_bytes, ann.keys) == (1, 100, 1)
    assert ann.result_bytes > 1000
    assert ann.job_bytes > 100


async def test_usage_of_one_user_is_that_among_all(stored: Stored) -> None:
    for user in ("ann", "ann.b", "an"):
        await fill(stored, user)
    found = await stored.records.usage()
    assert await stored.records.usage("ann") == {"ann": found["ann"]}
    assert await stored.records.usage("nobody") == {}
    assert found["ann"].ledger_bytes > 1000
    models = UserFolders(stored.folder)
    assert await models.usage("ann") == {"ann": (1, 200)}
    assert await models.usage("nobody") == {}


async def test_deletion_leaves_nothing_of_the_user(stored: Stored) -> None:
    await fill(stored, "bob")
    await fill(stored, "bo")  # the beginning of another's id
    before = await stored.service().usage()
    result_id, job_id = await fill(stored, "b")
    deleted = await stored.service().delete("b")
    assert (deleted.results, deleted.jobs, deleted.trials, deleted.models, deleted.datasets, deleted.keys) == (
        1, 1, 3, 1, 1, 1
    )  # fmt: skip
    assert await stored.service().usage() == before
    assert not (stored.folder / "b").exists()
    assert not (stored.folder / ".user_bars" / "b").exists()
    assert await stored.ledger.state(user_id="b", symbol="BTCUSDT") == EMPTY_LEDGER
    assert await stored.ledger.next_ledger(None, user_id="b") is None
    with pytest.raises(ResultNotFound):
        await stored.results.get(result_id)
    with pytest.raises(JobNotFound):
        await stored.jobs.get(job_id)
    assert await stored.service().delete("b") == NOTHING


async def test_running_job_is_cancelled_and_waited_for(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "POLL_S", 0.01)
    _, job_id = await fill(stored, "ann")
    held = await lease(stored.jobs)
    deletion = asyncio.create_task(stored.service().delete("ann"))
    while (await stored.jobs.get(job_id)).state is not JobState.CANCELLING:
        await asyncio.sleep(0.01)
    assert not deletion.done()
    await stored.jobs.end(held, JobState.CANCELLED, now_ms=START_MS + 1)
    assert (await deletion).jobs == 1
    assert await stored.service().usage() == {}


async def test_job_that_does_not_stop_is_a_conflict(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "POLL_S", 0.01)
    await fill(stored, "ann")
    await lease(stored.jobs)
    with pytest.raises(Conflict):
        await stored.service(stopping_s=0.05).delete("ann")
    left = (await stored.service().usage())["ann"]
    assert (left.jobs, left.keys) == (1, 0)


async def test_folder_of_another_kind_is_left_alone(stored: Stored, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"x")
    stored.folder.mkdir()
    (stored.folder / "ann").symlink_to(outside)
    (stored.folder / ".bars").mkdir()
    assert await stored.service().usage() == {}
    assert await stored.service().delete("ann") == NOTHING
    assert (outside / "precious").exists()


async def test_deletion_forgets_what_was_folded(stored: Stored) -> None:
    rows = [(user, 0, 1, 5) for user in ("b", "bo")]
    if isinstance(stored.records, SqliteUsers):
        insert = "INSERT INTO ledger_folds (keeper, is_simulated, markets, runs) VALUES (?, ?, ?, ?)"
        await stored.records._database.write((insert, rows))
    else:
        names = ("keeper", "is_simulated", "markets", "runs")
        documents = [{"_id": f"{row[0]}\n0", **dict(zip(names, row, strict=True))} for row in rows]
        await cast("MongoUsers", stored.records)._folds.insert_many(documents)
    await stored.service().delete("b")
    folded = [(await stored.ledger.count_folded(user_id=user)).runs for user in ("b", "bo")]
    assert folded == [0, 5]
