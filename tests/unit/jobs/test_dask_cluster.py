"""What becomes of a chunk that no worker computes: the job fails for its own fault, and else is interrupted."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from src.concurrency.paid_work import paid_by
from src.domain.errors import ClusterUnavailable, ServiceError
from src.jobs.cluster_access import ClusterAccess
from src.jobs.loop_thread import LoopThread, loop_thread

distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install '.[dask]'")

from src.jobs.dask_cluster import ClusterSweep  # noqa: E402

ACCESS = ClusterAccess(scheduler="tls://127.0.0.1:1", certificates=None, version="0", timeout_s=0.05)
KEYS = ("request-1", "bars-1", None, None)


class Scheduler:
    """Knows one worker, of another version."""

    async def identity(self, n_workers: int) -> dict[str, Any]:
        return {"workers": {"tls://127.0.0.1:2": {"nthreads": 1, "resources": {"backtesting-1": 1}}}}


class Future:
    def __init__(self, error: Exception | None) -> None:
        self.error, self.is_released = error, False

    async def result(self) -> None:
        if self.error is None:
            await asyncio.Event().wait()
        raise self.error or AssertionError("never set")

    def release(self) -> None:
        self.is_released = True


class Client:
    def __init__(self, error: Exception | None) -> None:
        self.future, self.scheduler = Future(error), Scheduler()
        self.resources: object = None

    def submit(self, *_: Any, resources: object, **__: Any) -> Future:
        self.resources = resources
        return self.future


def sweep_of(client: Any, loop: LoopThread) -> ClusterSweep:
    sent: Any = dict.fromkeys(KEYS[:2])
    return ClusterSweep(
        loop=loop, client=client, access=ACCESS, keys=KEYS, sent=sent, window=asyncio.Semaphore(2), width=2
    )


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (CancelledError(), ClusterUnavailable, "were lost"),
        (OSError("closed"), ClusterUnavailable, "were lost"),
        (None, ClusterUnavailable, "no worker of this version"),
        (
            distributed.KilledWorker("rows-8", None, 3),
            ServiceError,
            "The rows from 8 to 9 ended 4 workers of the cluster, one after another.",
        ),
    ],
)
async def test_chunk_that_is_lost_says_why(error: Exception | None, kind: type[ServiceError], text: str) -> None:
    client = Client(error)
    async with loop_thread("test") as loop:
        with pytest.raises(ServiceError, match=text) as caught:
            await sweep_of(client, loop).evaluate(np.zeros((2, 1)), first=8, total=10)
    assert type(caught.value) is kind
    assert client.future.is_released
    assert client.resources == {"backtesting-0": 1}


async def test_cancelled_chunk_is_released() -> None:
    client = Client(None)
    async with loop_thread("test") as loop:
        chunk = asyncio.create_task(sweep_of(client, loop).evaluate(np.zeros((2, 1)), first=0, total=2))
        while client.resources is None:
            await asyncio.sleep(0.001)
        chunk.cancel()
        with pytest.raises(asyncio.CancelledError):
            await chunk
    assert client.future.is_released


async def test_time_of_cluster_is_charged_to_user(monkeypatch: pytest.MonkeyPatch) -> None:
    class Budget:
        def __init__(self) -> None:
            self.charged: list[tuple[str, float]] = []

        def admit(self, user_id: str) -> None:
            raise AssertionError(user_id)

        def charge(self, user_id: str, seconds: float) -> None:
            self.charged.append((user_id, seconds))

    async def evaluate(*_: object) -> SimpleNamespace:
        return SimpleNamespace(remote_core_s=1.25)

    monkeypatch.setattr(ClusterSweep, "_evaluate", evaluate)
    budget = Budget()
    async with loop_thread("test") as loop:
        sweep = replace(sweep_of(Client(None), loop), budget=budget)
        with paid_by("ann"):
            await sweep.evaluate(np.zeros((2, 1)), first=0, total=2)
    assert budget.charged == [("ann", 1.25)]
