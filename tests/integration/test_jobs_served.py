"""Check jobs in a whole service: taken after its start, followed, given back at a stop and continued by the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from src import wiring
from src.domain.errors import ClusterUnavailable
from src.domain.jobs import Job, JobKind, JobState
from src.domain.sweep_rows import EvaluatedRows, SweepInputs
from src.domain.sweeps import SweepRequest, SweptParameter
from src.jobs.runner import JobRunner
from src.ports import Clock, JobHandle, JobStore, JobTask, OpenSweep
from src.service.services import Services
from src.service.sweep_threads import ThreadExecutor
from src.settings import Settings
from src.strategies.crossover import CrossoverParams
from tests.factories import make_market, make_request
from tests.jobs import ChunkTask, make_sweep, undisturbed

ROWS = 200


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Start services that run `ChunkTask` for sweeps; the warm-up of engines and models is left out."""

    made: list[JobRunner] = []

    @asynccontextmanager
    async def running(*, pause_s: float, **settings: Any) -> AsyncIterator[Services]:
        def make_runner(store: JobStore, clock: Clock, _: Mapping[JobKind, JobTask], **options: Any) -> JobRunner:
            made.append(JobRunner(store, clock, {JobKind.SWEEP: ChunkTask(pause_s=pause_s)}, **options))
            return made[-1]

        monkeypatch.setattr(wiring, "JobRunner", make_runner)
        services = wiring.build_services(Settings(_env_file=None, storage_dir=tmp_path, **settings))
        services._warming = ()
        services._following = (made[-1].start,)
        await services.start()
        try:
            yield services
        finally:
            await services.stop()

    return running


async def until(services: Services, job_id: str, condition: Callable[[Job], bool]) -> Job:
    async with asyncio.timeout(60):
        async for job in services.jobs.watch(job_id):
            if condition(job):
                return job
    raise AssertionError("the job has ended")


async def test_job_outlives_the_process_that_began_it(serve: Callable[..., Any]) -> None:
    async with serve(pause_s=0.02) as services:
        job = await services.jobs.submit(make_sweep(ROWS))
        await until(services, job.id, lambda job: job.done > 0)
        services.start_draining()
        given = await until(services, job.id, lambda job: job.state is JobState.QUEUED)
        assert (given.attempt, 0 < given.done < ROWS) == (0, True)
        assert await services.jobs.submit(make_sweep(3))
    async with serve(pause_s=0.0) as services:
        done = await until(services, job.id, lambda job: job.state.is_final)
        assert (done.state, done.attempt, done.done) == (JobState.SUCCEEDED, 1, ROWS)
        content = [chunk async for chunk in services.jobs.chunks(job.id)]
        assert b"".join(content) == undisturbed(ROWS)
        page = await services.jobs.list(user_id="ann", first=10)
        assert len(page.jobs) == 2


async def test_stop_without_draining_gives_jobs_back(serve: Callable[..., Any]) -> None:
    async with serve(pause_s=0.02) as services:
        job = await services.jobs.submit(make_sweep(ROWS))
        await until(services, job.id, lambda job: job.done > 0)
    async with serve(pause_s=0.0, job_workers=0) as services:
        given = await services.jobs.get(job.id)
        assert (given.state, given.attempt) == (JobState.QUEUED, 0)


async def test_other_process_cancels_a_running_job(serve: Callable[..., Any]) -> None:
    async with serve(pause_s=0.02) as running, serve(pause_s=0.0, job_workers=0) as serving:
        job = await serving.jobs.submit(make_sweep(ROWS))
        await until(serving, job.id, lambda job: job.done > 0)
        assert (await serving.jobs.cancel(job.id, user_id="ann")).state is JobState.CANCELLING
        cancelled = await until(serving, job.id, lambda job: job.state.is_final)
        assert cancelled.state is JobState.CANCELLED
        assert cancelled.done < ROWS
        kept = [chunk async for chunk in running.jobs.chunks(job.id)]
        assert b"".join(kept) == undisturbed(cancelled.done)
        await running.jobs.delete(job.id, user_id="ann")


class LostAfter:
    """Computes rows in threads, but is away once it has computed some chunks, until it is opened again."""

    def __init__(self, chunks: int) -> None:
        self.chunks, self.opened = chunks, 0

    @asynccontextmanager
    async def open(self, inputs: SweepInputs, handle: JobHandle) -> AsyncIterator[OpenSweep]:
        self.opened += 1
        async with ThreadExecutor().open(inputs, handle) as sweep:
            yield LostSweep(sweep, self.chunks if self.opened == 1 else 1_000)


class LostSweep:
    width = 2

    def __init__(self, sweep: OpenSweep, chunks: int) -> None:
        self.sweep, self.chunks = sweep, chunks

    async def evaluate(self, values: NDArray[np.float64], *, first: int, total: int) -> EvaluatedRows:
        self.chunks -= 1
        if self.chunks < 0:
            raise ClusterUnavailable("The cluster does not respond.")
        return await self.sweep.evaluate(values, first=first, total=total)


async def test_sweep_continues_once_its_cluster_responds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = LostAfter(chunks=1)
    monkeypatch.setattr(wiring, "build_executor", lambda _: executor)
    services = wiring.build_services(Settings(_env_file=None, storage_dir=tmp_path))
    services._warming = ()
    market = make_market(source="simulated", seed=1, limit=300)
    backtest = make_request(user_id="ann", market=market, strategy=CrossoverParams(fast=2, slow=150))
    fast = SweptParameter(name="fast", values=tuple(range(2, 149)))
    await services.start()
    try:
        job = await services.sweeps.start(SweepRequest(backtest=backtest, parameters=(fast,), keep_best=1))
        interrupted = await until(services, job.id, lambda job: bool(job.warnings))
        assert interrupted.warnings == ("The cluster does not respond.",)
        assert 0 < interrupted.done < 147
        ended = await until(services, job.id, lambda job: job.state.is_final)
    finally:
        await services.stop()
    assert (ended.state, ended.done, ended.attempt, ended.failure) == (JobState.SUCCEEDED, 147, 1, None)
    assert executor.opened == 2
