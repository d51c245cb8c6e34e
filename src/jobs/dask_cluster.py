"""Compute rows of sweeps on a Dask cluster: the same function as in threads, the same bits.

The cluster stores nothing of a job. If the scheduler, or the last worker of this version, is lost, the job is
interrupted, and later continues from the stored chunks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from distributed import Client, Future, KilledWorker
from distributed.security import Security
from numpy.typing import NDArray

from src.concurrency.paid_work import payer
from src.domain.errors import ClusterUnavailable, ServiceError
from src.domain.sweep_rows import EvaluatedRows, SweepInputs
from src.jobs.cluster_access import ClusterAccess
from src.jobs.cluster_rows import SweepParts, compute_rows, split_inputs
from src.jobs.dask_security import build_security
from src.jobs.loop_thread import LoopThread, loop_thread
from src.ports.jobs import JobHandle, OpenSweep
from src.ports.rates import CoreBudget

CHUNKS_PER_THREAD: Final = 2
"""Chunks submitted at once per thread of the cluster: one is computed while the next one waits there."""
_LOOK_S: Final = 0.2
_RETRY_PAUSE_S: Final = 1.0
_ATTEMPT_S: Final = 10.0
"""Seconds for one connection; within this time Dask tries again after up to a fifth of it."""
_CLOSE_S: Final = 5.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSweep:
    """One sweep on the cluster, which holds its parts; a chunk is sent as the values of its rows."""

    loop: LoopThread
    client: Client
    access: ClusterAccess
    keys: tuple[str | None, ...]
    sent: Mapping[str, Future]
    window: asyncio.Semaphore
    budget: CoreBudget | None = None
    width: int

    async def evaluate(self, values: NDArray[np.float64], *, first: int, total: int) -> EvaluatedRows:
        found = await self.loop.run(self._evaluate(values, first, total))
        user_id = payer()
        if self.budget is not None and user_id is not None:
            self.budget.charge(user_id, found.remote_core_s)
        return found

    async def _evaluate(self, values: NDArray[np.float64], first: int, total: int) -> EvaluatedRows:
        async with self.window:
            parts = [None if key is None else self.sent[key] for key in self.keys]
            future = self.client.submit(
                compute_rows, self.keys, *parts, values, first, total,
                key=f"rows-{first}-{uuid.uuid4().hex}", resources={self.access.resource: 1}, pure=False,
            )  # fmt: skip
            try:
                found: EvaluatedRows = await self._wait(future)
                return found
            except KilledWorker as error:
                raise ServiceError(
                    "The rows from {first} to {last} ended {count} workers of the cluster, one after another.",
                    first=first, last=first + len(values) - 1, count=error.allowed_failures + 1,
                ) from error  # fmt: skip
            except (CancelledError, OSError) as error:  # Dask's cancellation, not asyncio's
                logger.warning("cluster lost: first=%d error=%s", first, error)
                raise ClusterUnavailable(
                    "The connection to the cluster, or the bars on it, were lost. The job continues from its stored "
                    "rows once the cluster responds."
                ) from error
            finally:
                future.release()

    async def _wait(self, future: Future) -> Any:
        """Return what the future holds; raise ClusterUnavailable if no worker is left that could compute it."""
        result = asyncio.ensure_future(future.result())
        try:
            while True:
                done, _ = await asyncio.wait([result], timeout=self.access.timeout_s)
                if done:
                    return result.result()
                if not await count_threads(self.client, self.access):
                    raise no_worker()
        finally:
            result.cancel()


class DaskExecutor:
    """The `RowExecutor` of a cluster; `budget` charges users for its processors, None if that is not limited.

    Raises ClusterUnavailable if the certificates cannot be used.
    """

    def __init__(self, access: ClusterAccess, budget: CoreBudget | None = None) -> None:
        self._access = access
        self._budget = budget
        self._security = build_security(access.certificates)

    @asynccontextmanager
    async def open(self, inputs: SweepInputs, handle: JobHandle) -> AsyncIterator[OpenSweep]:
        parts = await handle.compute(split_inputs, inputs)
        async with loop_thread("cluster") as loop:
            client = await loop.run(connect(self._access, self._security))
            try:
                yield await loop.run(send_parts(loop, client, self._access, parts, self._budget))
            finally:
                await loop.run(_close(client))


async def connect(access: ClusterAccess, security: Security | None) -> Client:
    """Return a client of the scheduler; raises ClusterUnavailable if it does not respond in time.

    A refused certificate is tried again too, so that an interrupted job does not restart in a loop without a pause.
    """
    deadline_s = time.monotonic() + access.timeout_s
    while True:
        try:
            left_s = max(deadline_s - time.monotonic(), _LOOK_S)
            return await _connect_once(access, security, min(left_s, _ATTEMPT_S))
        except (OSError, ImportError) as error:
            if time.monotonic() + _RETRY_PAUSE_S >= deadline_s:
                logger.warning("scheduler not reached: address=%s error=%s", access.scheduler, error)
                raise ClusterUnavailable(
                    "The cluster's scheduler does not respond, or refuses this service's certificate. The job "
                    "continues once it does."
                ) from error
        await asyncio.sleep(_RETRY_PAUSE_S)


async def _connect_once(access: ClusterAccess, security: Security | None, timeout_s: float) -> Client:
    options = {} if security is None else {"security": security}
    client = Client(
        access.scheduler,
        asynchronous=True,
        timeout=timeout_s,
        set_as_default=False,
        name="backtesting-service",
        **options,
    )
    is_connected = False
    try:
        await client
        is_connected = True
    finally:
        if not is_connected:
            await _close(client)
    return client


async def send_parts(
    loop: LoopThread, client: Client, access: ClusterAccess, parts: SweepParts, budget: CoreBudget | None = None
) -> ClusterSweep:
    """Send each part once to every worker of this version; one that joins later gets them from its neighbors."""
    deadline_s = time.monotonic() + access.timeout_s
    while not (threads := await count_threads(client, access)):
        if time.monotonic() > deadline_s:
            raise no_worker()
        await asyncio.sleep(_LOOK_S)
    workers = list(threads)
    try:
        sent = await client.scatter(dict(parts.by_key), workers=workers, broadcast=True)
    except OSError as error:
        logger.warning("bars not sent: workers=%d error=%s", len(workers), error)
        raise ClusterUnavailable(
            "The bars could not be sent to the cluster. The job continues once it responds."
        ) from error
    width = CHUNKS_PER_THREAD * sum(threads.values())
    return ClusterSweep(
        loop=loop,
        client=client,
        access=access,
        keys=parts.keys,
        sent=sent,
        window=asyncio.Semaphore(width),
        width=width,
        budget=budget,
    )


async def count_threads(client: Client, access: ClusterAccess) -> dict[str, int]:
    """Return the threads of each worker of this version by address.

    Raises ClusterUnavailable if the scheduler does not respond.
    """
    if client.scheduler is None:
        raise no_worker()
    try:
        async with asyncio.timeout(access.timeout_s):
            identity = await client.scheduler.identity(n_workers=-1)
    except OSError as error:
        raise ClusterUnavailable("The cluster's scheduler does not respond. The job continues once it does.") from error
    workers = identity["workers"]
    found = {address: row["nthreads"] for address, row in workers.items() if access.resource in row["resources"]}
    if len(found) < len(workers):
        logger.debug("workers of other versions left out: count=%d", len(workers) - len(found))
    return found


def no_worker() -> ClusterUnavailable:
    return ClusterUnavailable(
        "The cluster has no worker of this version of the service. The job continues once there is one."
    )


async def _close(client: Client) -> None:
    """Close a client within some seconds, even if its scheduler does not respond."""
    with contextlib.suppress(OSError):
        await client.close(timeout=_CLOSE_S)
