"""A store of jobs, and the pace at which jobs write."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from src.service import sweep_task, sweep_tests, walk_forward_task
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_jobs import SqliteJobs


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a chunk have two rows, however fast they are."""
    own = sweep_task._missing_spans
    pace = sweep_task._Pace(rows=2)
    monkeypatch.setattr(sweep_task, "_missing_spans", lambda stored, total, _: own(stored, total, pace))
    monkeypatch.setattr(sweep_task._Pace, "learn", lambda self, count, seconds: None)


@pytest.fixture
def unseen_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show no progress within a fold or a test: how many writes that takes depends on the machine."""
    monkeypatch.setattr(sweep_tests, "SHOW_S", 3600.0)
    monkeypatch.setattr(walk_forward_task, "SHOW_S", 3600.0)


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[SqliteJobs]:
    database = SqliteDatabase(tmp_path / "results.sqlite3")
    yield SqliteJobs(database)
    await database.close()
