"""Check stored results further: what several callers share."""

from __future__ import annotations

import asyncio

import pytest

from src.domain.errors import ResultNotFound, TimedOut
from src.domain.judgement import OtherMarkets
from src.domain.runs import BacktestResult
from src.judgement.other_markets import describe_market, summarize_markets
from src.service.computing import ComputeQueue
from src.service.later_checks import LaterChecks
from src.service.sources import SourceCatalogue
from tests.factories import make_metrics, make_result
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

    async def owner(self, result_id: str) -> str:
        return self.result.request.user_id


class CountingRuns:
    """Answers with so many other markets, and counts how often it is asked."""

    def __init__(self, markets: int) -> None:
        self.markets = markets
        self.runs = 0

    async def run(self, result: BacktestResult) -> OtherMarkets | None:
        self.runs += 1
        if not self.markets:
            return None
        one = describe_market("ETHUSDT", make_metrics(buy_and_hold_return=1.0))
        return summarize_markets([one] * self.markets, [])


def make_checks(store: CountingStore, runs: CountingRuns | None = None, *, timeout_s: float = 30.0) -> LaterChecks:
    return LaterChecks(
        store=store,  # type: ignore[arg-type]
        sources=SourceCatalogue(sources={}),
        engines={},
        settling_engine=None,  # type: ignore[arg-type]
        ledger=MemoryLedger(),
        computing=ComputeQueue(threads=1, max_waiting=8),
        timeout_s=timeout_s,
        market_runs=runs,  # type: ignore[arg-type]
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


@pytest.mark.parametrize(("markets", "runs"), [(0, 2), (2, 2), (3, 1)])
async def test_only_full_number_of_markets_is_kept(markets: int, runs: int) -> None:
    counting = CountingRuns(markets)
    checks = make_checks(CountingStore(make_result()), counting)
    first = await checks.other_markets("result-1")
    assert await checks.other_markets("result-1") == first
    assert counting.runs == runs, "more markets may be stored later, unless there are 3 already"


class SlowStore(CountingStore):
    """A store whose disk hangs."""

    async def get(self, result_id: str) -> BacktestResult:
        await asyncio.sleep(30)
        return self.result


@pytest.mark.parametrize("check", ["neighbors", "other_markets", "resolved_fills", "deflation_now"])
async def test_slow_check_ends_at_the_limit(check: str) -> None:
    checks = make_checks(SlowStore(make_result()), CountingRuns(3), timeout_s=0.05)
    with pytest.raises(TimedOut, match=r"limit of 0\.05 s"):
        await getattr(checks, check)("result-1")
