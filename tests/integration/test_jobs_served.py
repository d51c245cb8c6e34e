"""Check jobs in a whole service: taken after its start, followed, given back at a stop and continued by the next."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from src.domain.errors import InvalidInput
from src.domain.jobs import Job, JobKind, JobState
from src.domain.sweeps import SweepRequest
from src.domain.walk_forward import WalkForwardRequest
from src.jobs.runner import JobRunner
from src.ports.clock import Clock
from src.ports.jobs import JobStore, JobTask
from src.service.services import Services
from src.settings import Settings
from src.wiring import services as wiring
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
        services.steps = replace(services.steps, warming=(), following=(made[-1].start,))
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


async def test_backtests_do_not_wait_for_estimates(serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    go, begun = threading.Event(), list[str]()

    def estimate(request: SweepRequest, _: int) -> None:
        begun.append(request.user_id)
        go.wait(60)

    monkeypatch.setattr("src.service.sweeps.estimate_sweep", estimate)
    async with serve(pause_s=0.02, compute_threads=1) as services:
        waiting = [asyncio.create_task(services.sweeps.estimate(make_sweep(user_id=user))) for user in ("ann", "bob")]
        while not begun:
            await asyncio.sleep(0.005)
        async with asyncio.timeout(10), services.backtests.computing.slot("cid"):
            assert await services.backtests.computing.run(len, "abc") == 3
        assert begun == ["ann"]
        go.set()
        await asyncio.gather(*waiting)


async def test_walk_forward_beyond_all_rows_is_refused(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    estimate = SimpleNamespace(combinations=10)
    monkeypatch.setattr("src.service.sweeps.estimate_sweep", lambda request, most: estimate)
    request = WalkForwardRequest(sweep=make_sweep(10), train_bars=400, test_bars=2)
    folds = (request.sweep.backtest.market.limit - 402) // 2 + 1
    async with serve(pause_s=0.02, max_sweep_combinations=10 * folds) as services:
        assert await services.sweeps.start_walk_forward(request)
        estimate.combinations = 11
        with pytest.raises(InvalidInput, match=rf"sweep.parameters: 11 combinations in each of {folds} folds"):
            await services.sweeps.start_walk_forward(request)


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
