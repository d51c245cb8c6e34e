"""All services that the APIs call, their start and stop, and whether they are ready."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from src.domain.errors import ServiceError
from src.domain.runs import StoreUsage
from src.ports.market import DownloadBoard
from src.ports.signing import Signer
from src.service.backtests import BacktestService
from src.service.datasets import DatasetService
from src.service.jobs import JobService
from src.service.later_checks import LaterChecks
from src.service.markets import MarketService
from src.service.models import ModelService
from src.service.portfolios import PortfolioService
from src.service.results import ResultService
from src.service.sweeps import SweepService
from src.service.tearsheets import TearSheets
from src.service.usage import UsageService

logger = logging.getLogger(__name__)

READY = "ready"
_USAGE_TIMEOUT_S: Final = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Each part's name with `ready` or the reason why it is not."""

    parts: Mapping[str, str]

    @property
    def is_ready(self) -> bool:
        return all(state == READY for state in self.parts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What a process does at its start and stop besides serving requests.

    Parameters
    ----------
    opening
        Called in order at start, before the first request: they open stores and remove leftovers.
    warming
        Run in the background after that; `/ready` waits for them.
    following
        Run in the background after the warm-up; nothing waits for them, and a failure is retried when needed.
    draining
        Called when a stop begins, while requests are still served.
    closing
        Called in order at stop, even if an earlier one fails.
    """

    opening: Sequence[Callable[[], Awaitable[object]]] = ()
    warming: Sequence[Callable[[], Awaitable[object]]] = ()
    following: Sequence[Callable[[], Awaitable[object]]] = ()
    draining: Sequence[Callable[[], object]] = ()
    closing: Sequence[Callable[[], Awaitable[object]]] = ()


class Services:
    """The services of one process, from start to stop."""

    def __init__(
        self,
        *,
        backtests: BacktestService,
        results: ResultService,
        markets: MarketService,
        later_checks: LaterChecks,
        tearsheets: TearSheets,
        models: ModelService,
        datasets: DatasetService,
        jobs: JobService,
        sweeps: SweepService,
        portfolios: PortfolioService,
        usage: UsageService,
        downloads: DownloadBoard,
        signer: Signer,
        steps: Steps,
    ) -> None:
        self.backtests = backtests
        self.results = results
        self.markets = markets
        self.later_checks = later_checks
        self.tearsheets = tearsheets
        self.models = models
        self.datasets = datasets
        self.jobs = jobs
        self.sweeps = sweeps
        self.portfolios = portfolios
        self.usage = usage
        self.downloads = downloads
        self.signer = signer
        self.steps = steps
        self._is_draining = False
        self._warm_up: asyncio.Task[None] | None = None
        self._follow_up: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open every part, and start the warm-up in the background."""
        for open_part in self.steps.opening:
            await open_part()
        self._warm_up = asyncio.create_task(self._warm())
        self._follow_up = asyncio.create_task(self._follow(self._warm_up))

    async def stop(self) -> None:
        """Close everything; log a part that fails to close and close the others."""
        tasks = [task for task in (self._follow_up, self._warm_up) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for close_part in self.steps.closing:
            try:
                await close_part()
            except Exception:
                logger.exception("part failed to close")

    async def store_usage(self) -> StoreUsage | None:
        """Return the number and size of stored results; None if the store does not respond in time."""
        try:
            async with asyncio.timeout(_USAGE_TIMEOUT_S):
                return await self.results.store.usage()
        except (ServiceError, TimeoutError) as error:
            logger.warning("size of the result store unknown: error=%s", error)
            return None

    def start_draining(self) -> None:
        """Report not ready from now on, so that no more requests are sent here; later ones are still served."""
        self._is_draining = True
        for drain_part in self.steps.draining:
            drain_part()

    async def readiness(self) -> Readiness:
        """Return whether each part can serve requests."""
        is_reachable = await self.results.store.is_reachable()
        parts = {"warmUp": self._warm_up_state(), "store": READY if is_reachable else "not reachable"}
        return Readiness(parts=parts | ({"process": "stopping"} if self._is_draining else {}))

    def _warm_up_state(self) -> str:
        if self._warm_up is None or not self._warm_up.done():
            return "warming up"
        return "failed; see the log" if self._warm_up.exception() else READY

    async def _warm(self) -> None:
        try:
            for warm_part in self.steps.warming:
                await warm_part()
        except Exception:
            logger.exception("warm-up failed")
            raise

    async def _follow(self, warm_up: asyncio.Task[None]) -> None:
        await asyncio.wait([warm_up])
        if warm_up.cancelled() or warm_up.exception() is not None:
            return
        for follow_part in self.steps.following:
            try:
                await follow_part()
            except Exception:
                logger.exception("part failed to prepare")
