"""What is SQLite's own in the store of jobs: migration, locks, space on the disk, and what a poll reads."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from src.domain.errors import StoreUnavailable
from src.domain.jobs import JobState
from src.stores import sqlite_jobs
from src.stores.migrations import MIGRATIONS
from src.stores.sqlite import SqliteStore
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_job_rows import NEXT_USER, OLDEST
from src.stores.sqlite_jobs import SqliteJobs
from tests.factories import START_MS, make_result
from tests.jobs import LEASE_MS, commit, contents, lease, submit

WITHOUT_JOBS = next(version for version, step in enumerate(MIGRATIONS) if any("TABLE jobs " in one for one in step))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.sqlite3"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SqliteDatabase]:
    opened = SqliteDatabase(path, busy_timeout_s=0.2)
    yield opened
    await opened.close()


@pytest.fixture
def jobs(database: SqliteDatabase) -> SqliteJobs:
    return SqliteJobs(database)


@pytest.mark.parametrize("version", range(WITHOUT_JOBS + 1))
async def test_file_of_every_older_version_takes_jobs(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as old, old:
        for statement in (statement for step in MIGRATIONS[:version] for statement in step):
            old.execute(statement)
        old.execute(f"PRAGMA user_version = {version}")
    database = SqliteDatabase(path)
    jobs = SqliteJobs(database)
    job = await submit(jobs)
    await commit(jobs, await lease(jobs), 0)
    assert await contents(jobs, job.id) == [b"rows"]
    await SqliteStore(database).save(make_result())
    [[found]] = await database.read("PRAGMA user_version")
    assert found == len(MIGRATIONS)
    await database.close()


async def test_released_file_takes_jobs(path: Path) -> None:
    shutil.copy(Path(__file__).parents[2] / "golden/0.1.0-pre/results.sqlite3", path)
    database = SqliteDatabase(path)
    job = await submit(SqliteJobs(database))
    assert (await SqliteJobs(database).get(job.id)).state is JobState.QUEUED
    assert (await SqliteStore(database).usage()).results == 4
    await database.close()


async def test_poll_without_work_waits_for_no_writer(jobs: SqliteJobs, path: Path) -> None:
    await submit(jobs)
    held = await lease(jobs)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert await jobs.lease(holder="a", now_ms=START_MS, duration_ms=LEASE_MS) is None
        assert (await jobs.get(held.job.id)).state is JobState.RUNNING
        with pytest.raises(StoreUnavailable, match="another process holds it locked"):
            await commit(jobs, held, 0)
        other.execute("ROLLBACK")
    await commit(jobs, held, 0)


async def test_poll_reads_indexes_only_of_live_jobs(jobs: SqliteJobs, database: SqliteDatabase) -> None:
    await submit(jobs)
    for statement, values in ((sqlite_jobs._HAS_WORK, [0]), (NEXT_USER, []), (OLDEST, ["a"])):
        steps = [str(row[3]) for row in await database.read(f"EXPLAIN QUERY PLAN {statement}", values)]
        of_jobs = [step for step in steps if "jobs" in step or "held" in step]
        assert of_jobs
        assert all("USING" in step and "INDEX jobs_" in step for step in of_jobs), steps


async def test_deletion_frees_space_in_small_transactions(
    jobs: SqliteJobs, database: SqliteDatabase, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await submit(jobs)
    held = await lease(jobs)
    for first in range(20):
        held, _ = await commit(jobs, held, first, os.urandom(2_000_000))
    await jobs.end(held, JobState.SUCCEEDED, now_ms=START_MS)
    full = await database.size_bytes()
    deleted: list[int] = []
    write = database.write

    async def watched(*statements: object, frees_space: bool = False) -> int:
        deleted.append(await write(*statements, frees_space=frees_space))  # type: ignore[arg-type]
        assert frees_space
        return deleted[-1]

    monkeypatch.setattr(database, "write", watched)
    await jobs.delete(job.id)
    assert deleted == [9, 9, 2, 0]
    async with asyncio.timeout(60):
        while await database.size_bytes() > full - 30_000_000:
            await asyncio.sleep(0.01)
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT count(*) FROM job_documents").fetchall() == [(0,)]


async def test_chunk_that_fills_the_disk_is_refused(jobs: SqliteJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    job = await submit(jobs)
    held = await lease(jobs)
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_100_000))
    await commit(jobs, held, 0, b"x" * 10_000)
    with pytest.raises(StoreUnavailable, match="disk is full"):
        await commit(jobs, held, 1, b"x" * 100_000)
    assert (await jobs.get(job.id)).done == 1


async def test_commit_in_a_failing_group_is_stored_once(jobs: SqliteJobs, database: SqliteDatabase) -> None:
    job = await submit(jobs)
    held = await lease(jobs)
    store = SqliteStore(database)
    await store.save(make_result(id="there"))
    outcomes = await asyncio.gather(
        commit(jobs, held, 0), store.save(make_result(id="there")), commit(jobs, held, 1), return_exceptions=True
    )
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, True, False]
    assert (await jobs.get(job.id)).done == 2
    assert len(await jobs.spans(job.id)) == 2
