"""A store of jobs, and runners that are closed after a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from src.jobs.runner import JobRunner
from src.jobs.running_job import JobTiming
from src.ports.jobs import JobTask
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_jobs import SqliteJobs
from tests.clocks import MovingClock
from tests.factories import START_MS
from tests.unit.jobs.tasks import QUICK, MakeRunner


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteJobs]:
    database = SqliteDatabase(tmp_path / "results.sqlite3")
    yield SqliteJobs(database)
    await database.close()


@pytest.fixture
def clock() -> MovingClock:
    return MovingClock(START_MS)


@pytest.fixture
async def make_runner(store: SqliteJobs, clock: MovingClock) -> AsyncIterator[MakeRunner]:
    made = []

    def make(task: JobTask, *, workers: int = 1, timing: JobTiming = QUICK, over: Any = store) -> JobRunner:
        made.append(JobRunner(over, clock, {task.kind: task}, workers=workers, threads=2, timing=timing))
        return made[-1]

    yield make
    for runner in made:
        await runner.close()
