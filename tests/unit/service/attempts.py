"""Small sweeps and walk-forwards, and everything that outlives one of their attempts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from src.domain.jobs import JobOutcome, JobRequest
from src.domain.sweeps import SweepRequest
from src.domain.walk_forward import WalkForwardRequest, WindowKind
from src.service.backtests import BacktestService
from src.service.sweep_task import SweepTask
from src.service.sweep_threads import ThreadExecutor
from src.service.walk_forward_task import WalkForwardTask
from src.sweeps.row_bytes import from_bytes
from tests.factories import make_market, make_request
from tests.job_attempts import CountingStore, GrowingBars, StoredJob
from tests.ledgers import MemoryLedger
from tests.market import random_bars
from tests.unit.service.known_bars import make_service
from tests.unit.sweeps.requests import sweep, swept

BARS = 260
KNOWN = 400
"""Bars that the source has at first, so that those of the request have others before them."""
GROWTH = 7


@dataclass(kw_only=True)
class World:
    """Everything that outlives an attempt."""

    stored: StoredJob
    source: GrowingBars
    backtests: BacktestService
    ledger: MemoryLedger
    store: CountingStore
    task: SweepTask | WalkForwardTask

    @classmethod
    def of(cls, request: JobRequest, bars: int = KNOWN + 20 * GROWTH) -> World:
        source = GrowingBars(random_bars(bars, seed=14), known=KNOWN)
        ledger, store = MemoryLedger(), CountingStore()
        backtests = replace(make_service(source), ledger=ledger, store=store)
        kind = SweepTask if isinstance(request, SweepRequest) else WalkForwardTask
        task = kind(backtests=backtests, ledger=ledger, executor=ThreadExecutor(), max_combinations=10_000)
        return cls(
            stored=StoredJob.of(request), source=source, backtests=backtests, ledger=ledger, store=store, task=task
        )

    async def run(self) -> JobOutcome:
        return await self.task.run(self.stored.begin())

    def rows(self) -> bytes:
        parts = [from_bytes(content) for _, (_, content) in sorted(self.stored.chunks.items())]
        return b"".join(
            np.concatenate([getattr(part, name) for part in parts]).tobytes()
            for name in ("values", "figures", "block_sums", "block_squares")
        )

    def figures(self) -> Mapping[str, object]:
        """What a stored result says that does not depend on when it was made."""
        return {
            name: (result.metrics, result.simulation, result.fingerprints, result.request, result.judgement)
            for name, result in sorted(self.store.results.items())
        }

    def counted(self) -> object:
        [state] = self.ledger.states.values()
        return state.runs, state.total.to_bytes(), state.active.to_bytes(), sorted(self.ledger.keys)


def small_sweep(**others: Any) -> SweepRequest:
    """Six moving averages on the newest bars, a row in each chunk."""
    backtest = make_request(market=make_market(symbol="TESTUSDT", limit=BARS))
    return sweep(swept("fast", 3, 5, 8), swept("slow", 12, 20), backtest=backtest, keep_best=3, **others)


def small_walk_forward() -> WalkForwardRequest:
    return WalkForwardRequest(
        sweep=replace(small_sweep(), keep_best=1), window=WindowKind.ROLLING, train_bars=120, test_bars=60
    )


async def run_undisturbed(request: JobRequest) -> tuple[World, JobOutcome]:
    world = World.of(request)
    return world, await world.run()
