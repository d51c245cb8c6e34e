"""Check rows on a real cluster with TLS: equal to those of threads, with members killed, and without strangers."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.domain.errors import ClusterUnavailable
from src.domain.jobs import ChunkSpan, Job, JobKind, JobOutcome, JobState
from src.domain.signals import OutputKind, Predictions
from src.domain.strategy import ModelParams
from src.domain.sweep_rows import EvaluatedRows, SweepInputs
from src.domain.sweeps import SweepRequest
from src.domain.trading import EngineName, FillTiming, TradingRules
from src.jobs.cluster_rows import split_inputs
from src.jobs.runner import JobRunner
from src.jobs.running_job import JobTiming
from src.ports.jobs import JobHandle, RowExecutor
from src.runtime.cluster_certificates import make_certificates
from src.service.sweep_threads import ThreadExecutor
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_jobs import SqliteJobs
from src.strategies.crossover import CrossoverParams
from src.strategies.rsi import RsiParams
from src.sweeps.evaluation import Evaluator
from src.sweeps.row_bytes import from_bytes, to_bytes
from src.wiring.versions import cluster_version
from tests.clocks import MovingClock
from tests.cluster import Cluster, certificates_in, running_cluster
from tests.factories import START_MS, make_request
from tests.jobs import PROGRESS, contents, submit
from tests.market import random_bars
from tests.sweep_agreement import build_sweep

pytest.importorskip("distributed", reason="Dask is not installed: pip install '.[dask]'")

from src.jobs.dask_cluster import DaskExecutor, connect, send_parts
from src.jobs.dask_processes import run_worker
from src.jobs.dask_security import build_security
from src.jobs.loop_thread import loop_thread

ROWS = 24
CHUNK_ROWS = 2
SHORT_S = 1.0
"""How long is waited for what never comes."""


class Handle:
    """The part of a JobHandle that executors use."""

    threads = 2

    async def compute(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.to_thread(function, *arguments)


HANDLE: Any = Handle()


def long_sweep() -> tuple[SweepInputs, np.ndarray]:
    """A sweep whose chunks take long enough to be interrupted: each row has a distinct indicator on many bars."""
    lengths = {"length": list(range(5, 5 + ROWS)), "high": [70.0 + number / 8 for number in range(ROWS)]}
    request, values = build_sweep(make_request(strategy=RsiParams()), lengths)
    return SweepInputs(request=request, bars=random_bars(400_000, interval="1h", volatility=1e-4)), values


def short_sweeps() -> dict[str, tuple[SweepInputs, np.ndarray]]:
    bars = random_bars(900, seed=3, interval="1h", volatility=0.01)
    means = {"fast": [3, 4, 5, 6], "slow": [20, 20, 30, 30]}
    event_driven = make_request(engine=EngineName.EVENT_DRIVEN, rules=TradingRules(fill=FillTiming.NEXT_OPEN))
    model = make_request(strategy=ModelParams())
    predictions = Predictions(values=np.linspace(0, 1, len(bars)), kind=OutputKind.PROBABILITY, warnings=("seen",))
    with_history = make_request(strategy=CrossoverParams(fast=3, slow=20), pinned_warm_up_bars=200)
    found = {
        "means": (*build_sweep(make_request(), means), {"bars": bars}),
        "stops": (*build_sweep(event_driven, means | {"stop_loss": [0.01, 0.02, 0.03, 0.04]}), {"bars": bars}),
        "model": (
            *build_sweep(model, {"threshold": [0.3, 0.5, 0.7, 0.9]}),
            {"bars": bars, "predictions": predictions},
        ),
        "history": (*build_sweep(with_history, means), {"bars": bars.slice(200, 900), "history": bars.slice(0, 200)}),
    }
    return {name: (SweepInputs(request=request, **others), values) for name, (request, values, others) in found.items()}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    make_certificates(folder / "ours", now=datetime.datetime.now(datetime.UTC))
    with running_cluster(folder, certificates_in(folder / "ours"), cluster_version()) as running:
        yield running


def assert_same_bits(found: EvaluatedRows, expected: EvaluatedRows) -> None:
    assert to_bytes(found.rows) == to_bytes(expected.rows)
    assert found.slots.tobytes() == expected.slots.tobytes()
    assert found.lowest_growth.tobytes() == expected.lowest_growth.tobytes()
    for one, other in ((found.total, expected.total), (found.active, expected.active)):
        assert [getattr(one, name).tobytes() for name in ("directions", "t", "moves")] == [
            getattr(other, name).tobytes() for name in ("directions", "t", "moves")
        ]
    assert list(found.descriptions) == list(expected.descriptions)
    assert found.failures == expected.failures


@pytest.mark.parametrize("name", short_sweeps())
async def test_cluster_rows_equal_those_of_threads(cluster: Cluster, name: str) -> None:
    inputs, values = short_sweeps()[name]
    expected = Evaluator(inputs)
    async with DaskExecutor(cluster.access()).open(inputs, HANDLE) as sweep:
        assert sweep.width == 4
        spans = [(0, 1), (1, 4)]
        parts = await asyncio.gather(*(sweep.evaluate(values[a:b], first=a, total=4) for a, b in spans))
    for (first, end), found in zip(spans, parts, strict=True):
        assert_same_bits(found, expected.evaluate(values[first:end], first=first, total=4))


async def ask_who_has(client: Any) -> tuple[bool, dict[str, Any]]:
    """Return whether the scheduler drops copies by itself, and the workers that hold each key; close the client."""
    drops_copies, found = await client.amm.running(), await client.who_has()
    await client.close()
    return drops_copies, {key: workers for key, workers in found.items() if not key.startswith("rows-")}


async def test_bars_are_sent_once_to_each_worker(cluster: Cluster) -> None:
    inputs, values = short_sweeps()["history"]
    parts, access = split_inputs(inputs), cluster.access()
    async with loop_thread("test") as loop:
        client = await loop.run(connect(access, build_security(access.certificates)))
        sweep = await loop.run(send_parts(loop, client, access, parts))
        for first in range(4):
            await sweep.evaluate(values[first : first + 1], first=first, total=4)
        drops_copies, holders = await loop.run(ask_who_has(client))
    assert set(holders) == {key for key in parts.keys if key is not None}
    assert {key.partition("-")[0] for key in holders} == {"request", "bars"}
    assert all(len(found) == 2 for found in holders.values())
    assert not drops_copies


async def test_workers_of_other_versions_get_no_rows(cluster: Cluster) -> None:
    access = cluster.access(timeout_s=SHORT_S)
    inputs, _ = short_sweeps()["means"]
    other = type(access)(scheduler=access.scheduler, certificates=access.certificates, version="0", timeout_s=SHORT_S)
    with pytest.raises(ClusterUnavailable, match="no worker of this version"):
        async with DaskExecutor(other).open(inputs, HANDLE):
            pass


async def test_foreign_certificate_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    make_certificates(tmp_path, now=datetime.datetime.now(datetime.UTC))
    foreign = certificates_in(tmp_path)
    inputs, _ = short_sweeps()["means"]
    with pytest.raises(ClusterUnavailable, match="refuses this service's certificate"):
        async with DaskExecutor(cluster.access(certificates=foreign, timeout_s=SHORT_S)).open(inputs, HANDLE):
            pass
    # The client trusts the scheduler here, but shows a certificate that another authority has signed.
    posing = type(foreign)(authority=cluster.certificates.authority, certificate=foreign.certificate, key=foreign.key)
    with pytest.raises(ClusterUnavailable, match="refuses this service's certificate"):
        async with DaskExecutor(cluster.access(certificates=posing, timeout_s=SHORT_S)).open(inputs, HANDLE):
            pass


async def test_worker_with_foreign_certificate_keeps_out(
    cluster: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_certificates(tmp_path, now=datetime.datetime.now(datetime.UTC))
    access = cluster.access(certificates=certificates_in(tmp_path), timeout_s=2.0)
    stop = asyncio.Event()
    worker = asyncio.create_task(run_worker(access, 1, stop))
    async with asyncio.timeout(30):
        while "scheduler not reached, trying again" not in caplog.text:
            await asyncio.sleep(0.05)
        stop.set()
        await worker
    assert "worker started" not in caplog.text


async def test_impossible_request_fails_as_in_threads(cluster: Cluster) -> None:
    inputs, values = short_sweeps()["model"]
    assert inputs.predictions is not None
    wrong = Predictions(values=np.full(len(inputs.bars), 7.0), kind=OutputKind.PROBABILITY)
    broken = SweepInputs(request=inputs.request, bars=inputs.bars, predictions=wrong)
    with pytest.raises(Exception) as in_threads:
        Evaluator(broken)
    async with DaskExecutor(cluster.access()).open(broken, HANDLE) as sweep:
        with pytest.raises(type(in_threads.value)) as on_cluster:
            await sweep.evaluate(values, first=0, total=4)
    assert str(on_cluster.value) == str(in_threads.value)


async def test_killed_worker_loses_no_rows(cluster: Cluster) -> None:
    inputs, values = long_sweep()
    expected = Evaluator(inputs).evaluate(values, first=0, total=ROWS)
    async with DaskExecutor(cluster.access()).open(inputs, HANDLE) as sweep:
        chunks = [
            asyncio.create_task(sweep.evaluate(values[first : first + CHUNK_ROWS], first=first, total=ROWS))
            for first in range(0, ROWS, CHUNK_ROWS)
        ]
        await asyncio.wait(chunks, return_when=asyncio.FIRST_COMPLETED)
        cluster.kill("one")
        assert sum(chunk.done() for chunk in chunks) < len(chunks)
        found = await asyncio.gather(*chunks)
    cluster.start("one")
    assert np.concatenate([part.rows.figures for part in found]).tobytes() == expected.rows.figures.tobytes()


class RowsTask:
    """Computes the missing rows of one sweep chunk by chunk with an executor."""

    kind = JobKind.SWEEP

    def __init__(self, executor: RowExecutor, inputs: SweepInputs, values: np.ndarray) -> None:
        self.executor, self.inputs, self.values = executor, inputs, values

    async def run(self, handle: JobHandle) -> JobOutcome:
        done = {span.first for span in await handle.spans()}
        spans = iter([first for first in range(0, ROWS, CHUNK_ROWS) if first not in done])
        async with self.executor.open(self.inputs, handle) as sweep:

            async def work() -> None:
                for first in spans:
                    found = await sweep.evaluate(self.values[first : first + CHUNK_ROWS], first=first, total=ROWS)
                    await handle.commit(ChunkSpan(first=first, count=CHUNK_ROWS), to_bytes(found.rows), PROGRESS)

            await asyncio.gather(*(work() for _ in range(sweep.width)))
        return JobOutcome()


@asynccontextmanager
async def running_job(place: Path, task: RowsTask) -> Any:
    database = SqliteDatabase(place)
    store = SqliteJobs(database)
    runner = JobRunner(
        store, MovingClock(START_MS), {task.kind: task}, workers=1, threads=2, timing=JobTiming(poll_s=0.1)
    )
    job = await submit(store)
    await runner.start()
    try:
        yield store, job.id
    finally:
        await runner.close()
        await database.close()


async def until(store: SqliteJobs, job_id: str, condition: Any) -> Job:
    async with asyncio.timeout(60):
        while not condition(job := await store.get(job_id)):
            await asyncio.sleep(0.005)
    return job


async def rows_of(store: SqliteJobs, job_id: str) -> bytes:
    parts = [from_bytes(content) for content in await contents(store, job_id)]
    return b"".join(part.values.tobytes() + part.figures.tobytes() + part.block_sums.tobytes() for part in parts)


async def test_job_continues_after_its_scheduler_was_killed(cluster: Cluster, tmp_path: Path) -> None:
    inputs, values = long_sweep()
    assert isinstance(inputs.request, SweepRequest)
    async with running_job(tmp_path / "threads", RowsTask(ThreadExecutor(), inputs, values)) as (store, job_id):
        assert (await until(store, job_id, lambda job: job.state.is_final)).state is JobState.SUCCEEDED
        expected = await rows_of(store, job_id)
    task = RowsTask(DaskExecutor(cluster.access(timeout_s=30.0)), inputs, values)
    async with running_job(tmp_path / "cluster", task) as (store, job_id):
        await until(store, job_id, lambda job: job.done > 0)
        cluster.kill("scheduler")
        interrupted = await until(store, job_id, lambda job: job.warnings)
        assert 0 < interrupted.done < ROWS
        assert "The job continues from its stored rows once the cluster responds." in interrupted.warnings[0]
        cluster.start("scheduler")
        ended = await until(store, job_id, lambda job: job.state.is_final)
        assert (ended.state, ended.attempt, ended.failure) == (JobState.SUCCEEDED, 1, None)
        assert await rows_of(store, job_id) == expected
