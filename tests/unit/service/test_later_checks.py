"""Check stored results further: what several callers share."""

from __future__ import annotations

import asyncio

from src.domain.errors import ResultNotFound
from src.domain.runs import BacktestResult
from src.service.computing import ComputeQueue
from src.service.later_checks import LaterChecks
from src.service.sources import SourceCatalogue
from tests.factories import make_result
from tests.judgements import make_judgement
from tests.ledgers import MemoryLedger


class CountingStore:
    """A store of one result that counts how often its curves are read."""

    def __init__(self, result: BacktestResult) -> None:
        self.result = result
        self.reads = 0

    async def get(self, result_id: str) -> BacktestResult:
        self.reads += 1
        await asyncio.sleep(0)
        if result_id != self.result.id:
            raise ResultNotFound(f"no result {result_id}")
        return self.result


def make_checks(store: CountingStore) -> LaterChecks:
    return LaterChecks(
        store=store,  # type: ignore[arg-type]
        sources=SourceCatalogue(sources={}),
        engines={},
        settling_engine=None,  # type: ignore[arg-type]
        ledger=MemoryLedger(),
        computing=ComputeQueue(threads=1, max_waiting=8),
        timeout_s=30.0,
    )


async def test_simultaneous_deflations_read_result_once() -> None:
    store = CountingStore(make_result(bars=300, judgement=make_judgement()))
    checks = make_checks(store)
    first, *others = await asyncio.gather(*(checks.deflation_now("result-1") for _ in range(9)))
    assert first is not None
    assert others == [first] * 8
    assert store.reads == 1
    assert await checks.deflation_now("result-1") == first
    assert store.reads == 2, "trials may have been counted since"


async def test_result_without_judgement_is_not_deflated() -> None:
    assert await make_checks(CountingStore(make_result())).deflation_now("result-1") is None
