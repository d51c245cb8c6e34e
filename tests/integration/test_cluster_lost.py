"""A sweep in a whole service whose cluster is lost half way: interrupted, and continued once the cluster responds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from src.domain.errors import ClusterUnavailable
from src.domain.jobs import Job, JobState
from src.domain.sweep_rows import EvaluatedRows, SweepInputs
from src.domain.sweeps import SweepRequest, SweptParameter
from src.jobs.runner import JobRunner
from src.ports.jobs import JobHandle, OpenSweep
from src.service.services import Services
from src.service.sweep_threads import ThreadExecutor
from src.settings import Settings
from src.strategies.crossover import CrossoverParams
from src.wiring import services as wiring
from tests.factories import make_market, make_request


class LostAfter:
    """Computes rows in threads, but is away once it has computed some chunks, until it is `back`."""

    def __init__(self, chunks: int) -> None:
        self.chunks, self.opened, self.back = chunks, 0, asyncio.Event()

    @asynccontextmanager
    async def open(self, inputs: SweepInputs, handle: JobHandle) -> AsyncIterator[OpenSweep]:
        self.opened += 1
        if self.opened > 1:
            await self.back.wait()
        async with ThreadExecutor().open(inputs, handle) as sweep:
            yield LostSweep(sweep, self.chunks if self.opened == 1 else 1_000)


class LostSweep:
    width = 1

    def __init__(self, sweep: OpenSweep, chunks: int) -> None:
        self.sweep, self.chunks = sweep, chunks

    async def evaluate(self, values: NDArray[np.float64], *, first: int, total: int) -> EvaluatedRows:
        self.chunks -= 1
        if self.chunks < 0:
            raise ClusterUnavailable("The cluster does not respond.")
        return await self.sweep.evaluate(values, first=first, total=total)


async def until(services: Services, job_id: str, condition: Callable[[Job], bool]) -> Job:
    async with asyncio.timeout(60):
        async for job in services.jobs.watch(job_id):
            if condition(job):
                return job
    raise AssertionError("the job has ended")


async def test_sweep_continues_once_its_cluster_responds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = LostAfter(chunks=1)
    monkeypatch.setattr(wiring, "build_executor", lambda *_: executor)
    services = wiring.build_services(Settings(_env_file=None, storage_dir=tmp_path))
    started = [step for step in services.steps.following if isinstance(getattr(step, "__self__", None), JobRunner)]
    services.steps = replace(services.steps, warming=(), following=started)
    market = make_market(source="simulated", seed=1, limit=300)
    backtest = make_request(user_id="ann", market=market, strategy=CrossoverParams(fast=2, slow=4))
    slow = SweptParameter(name="slow", values=tuple(range(4, 151)))
    await services.start()
    try:
        job = await services.sweeps.start(SweepRequest(backtest=backtest, parameters=(slow,), keep_best=1))
        interrupted = await until(services, job.id, lambda job: bool(job.warnings))
        assert interrupted.warnings == ("The cluster does not respond.",)
        assert 0 < interrupted.done < 147
        executor.back.set()
        ended = await until(services, job.id, lambda job: job.state.is_final)
    finally:
        await services.stop()
    assert (ended.state, ended.done, ended.attempt, ended.failure) == (JobState.SUCCEEDED, 147, 1, None)
    assert executor.opened == 2
