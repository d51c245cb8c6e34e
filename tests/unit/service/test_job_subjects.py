"""What jobs are about, read off their requests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from src.domain.errors import UnreadableResult
from src.domain.jobs import JobRequest, JobSubject
from src.domain.strategy import ModelParams
from src.domain.walk_forward import WalkForwardRequest
from src.ports.jobs import JobStore
from src.service.job_subjects import JobSubjects, subject_of
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_jobs import SqliteJobs
from src.strategies.registry import PARAMS
from tests.factories import make_request
from tests.jobs import make_sweep, submit
from tests.portfolios import make_portfolio

SUBJECT = JobSubject(symbol="BTCUSDT", interval="1d", source=None, strategy="ma_crossover", model=None, swept=("fast",))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteJobs]:
    database = SqliteDatabase(tmp_path / "results.sqlite3")
    yield SqliteJobs(database)
    await database.close()


class CountingStore:
    """A store of jobs that counts reads of requests, and cannot read some."""

    def __init__(self, store: SqliteJobs) -> None:
        self.store = store
        self.reads: list[str] = []
        self.damaged: set[str] = set()

    async def read_request(self, job_id: str) -> JobRequest:
        self.reads.append(job_id)
        if job_id in self.damaged:
            raise UnreadableResult("damaged")
        return await self.store.read_request(job_id)


@pytest.mark.parametrize("name", [name for name in PARAMS if name not in {"rules", "model"}])
def test_subject_has_the_registered_name(name: str) -> None:
    assert subject_of(make_request(strategy=PARAMS[name]())).strategy == name


def test_every_kind_of_request_has_its_market() -> None:
    sweep = make_sweep()
    assert subject_of(sweep) == SUBJECT
    assert subject_of(WalkForwardRequest(sweep=sweep, train_bars=100, test_bars=20)) == SUBJECT
    assert subject_of(sweep.backtest) == replace(SUBJECT, swept=())


def test_subject_of_a_portfolio_names_its_first_symbols() -> None:
    request = make_portfolio()
    assert subject_of(request).symbol == "AAAUSDT, BBBUSDT, CCCUSDT"
    assert (
        subject_of(replace(request, symbols=(*request.symbols, "D", "E"))).symbol
        == "AAAUSDT, BBBUSDT, CCCUSDT and 2 more"
    )


def test_model_is_named_without_its_path() -> None:
    stored = ModelParams(reference="/data/models/ann/ann_m.onnx")
    assert subject_of(make_request(strategy=stored)).model == "ann_m.onnx"


async def test_subject_is_read_once_and_forgotten_in_turn(store: SqliteJobs) -> None:
    counting = CountingStore(store)
    subjects = JobSubjects(cast("JobStore", counting), max_kept=2)
    first, second, third = [(await submit(store)).id for _ in range(3)]
    for job_id in (first, second, first, third, first, second):
        assert await subjects.read(job_id) == SUBJECT
    assert counting.reads == [first, second, third, second]


async def test_subject_of_damaged_or_deleted_job_is_none(store: SqliteJobs) -> None:
    counting = CountingStore(store)
    subjects = JobSubjects(cast("JobStore", counting))
    job_id = (await submit(store)).id
    counting.damaged = {job_id}
    assert await subjects.read(job_id) is None
    assert await subjects.read("gone") is None
    counting.damaged = set()
    assert await subjects.read(job_id) == SUBJECT
