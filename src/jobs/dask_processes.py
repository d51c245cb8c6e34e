"""Run the scheduler or a worker of a cluster in this process, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
from typing import Final
from urllib.parse import urlsplit

import dask
from distributed import Scheduler, Status, Worker

from src.jobs.cluster_access import ClusterAccess
from src.jobs.dask_security import build_security

_RETRY_PAUSE_S: Final = 1.0
_CLOSE_S: Final = 5.0
_CONNECT_S: Final = 10
_NOWHERE: Final = "127.0.0.1:0"
"""The address of Dask's web pages: they authenticate no user, so no other machine may reach them."""

logger = logging.getLogger(__name__)


def configure() -> None:
    """Serve none of Dask's web pages, check often for lost members, and let each worker keep its copy of the bars.

    Dask pauses up to a fifth of its limit before it connects again. Its memory manager drops data that several workers
    hold and no task waits for, so bars would be sent again after a pause of the sweep.
    """
    dask.config.set(
        {
            "distributed.scheduler.http.routes": [],
            "distributed.worker.http.routes": [],
            "distributed.scheduler.active-memory-manager.start": False,
            "distributed.comm.timeouts.connect": f"{_CONNECT_S}s",
        }
    )


async def run_scheduler(access: ClusterAccess, stop: asyncio.Event) -> None:
    """Listen at the port of `access`, on all addresses, until `stop` is set."""
    configure()
    parts = urlsplit(access.scheduler)
    security = build_security(access.certificates)
    options = {} if security is None else {"security": security}
    scheduler = Scheduler(
        protocol=f"{parts.scheme}://",
        host="127.0.0.1" if parts.hostname in {"127.0.0.1", "localhost"} else "",
        port=parts.port or 0,
        dashboard=False,
        dashboard_address=_NOWHERE,
        **options,
    )
    async with scheduler:
        logger.info("scheduler started: address=%s version=%s", scheduler.address, access.version)
        await stop.wait()


async def run_worker(access: ClusterAccess, threads: int, stop: asyncio.Event) -> None:
    """Compute rows of this version until `stop` is set; if the scheduler is lost, wait for it and join again.

    A worker that is stopped while it computes loses its chunks; other workers compute them again.
    """
    configure()
    security = build_security(access.certificates)
    options = {} if security is None else {"security": security}
    while not stop.is_set():
        worker = Worker(
            access.scheduler,
            nthreads=threads,
            resources={access.resource: threads},
            memory_limit=0,  # the container's limit counts: a paused worker would hold its chunks forever
            dashboard=False,
            dashboard_address=_NOWHERE,
            death_timeout=access.timeout_s,
            **options,
        )
        try:
            async with asyncio.timeout(access.timeout_s):
                await worker
        except (OSError, RuntimeError) as error:  # Dask hides the reason of a failed start in a RuntimeError
            logger.warning(
                "scheduler not reached, trying again: address=%s error=%s", access.scheduler, error.__cause__ or error
            )
            await worker.close(timeout=_CLOSE_S)
            await _pause(stop)
            continue
        logger.info("worker started: threads=%d version=%s", threads, access.version)
        finished, stopped = asyncio.create_task(worker.finished()), asyncio.create_task(stop.wait())
        await asyncio.wait([finished, stopped], return_when=asyncio.FIRST_COMPLETED)
        if worker.status is not Status.closed:
            await worker.close(timeout=_CLOSE_S)
        for task in (finished, stopped):
            task.cancel()
        if not stop.is_set():
            logger.warning("scheduler lost, joining again: address=%s", access.scheduler)
            await _pause(stop)


async def _pause(stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_RETRY_PAUSE_S):
            await stop.wait()
    except TimeoutError:
        return
