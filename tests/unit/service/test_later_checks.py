"""Check stored results further: what several callers share."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from src.domain.bar_quality import DataQuality
from src.domain.bars import Bars
from src.domain.confidence import Deflation
from src.domain.errors import ResultNotFound, TimedOut
from src.domain.intervals import INTERVALS
from src.domain.later_checks import OtherMarkets
from src.domain.market import MarketRequest, MarketSeries
from src.domain.runs import BacktestResult, Fingerprints
from src.domain.simulation import Simulation
from src.domain.strategy import ModelParams
from src.domain.verdict import Unchecked, UncheckedCode
from src.engines.event_driven import EventDrivenEngine
from src.judgement.other_markets import describe_market, summarize_markets
from src.service.computing import ComputeQueue
from src.service.later_checks import LaterChecks
from src.service.sources import SourceCatalog
from src.strategies.up_down import UpDownParams
from tests.factories import make_market, make_metrics, make_request, make_result
from tests.graphql_app import GraphQLClient, MemoryMarket
from tests.judgements import make_judgement
from tests.ledgers import MemoryLedger
from tests.market import random_bars
from tests.rest_app import MemoryServices


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

    async def run(self, result: BacktestResult) -> OtherMarkets | Unchecked:
        self.runs += 1
        if not self.markets:
            return Unchecked.because(UncheckedCode.NO_OTHER_MARKET)
        one = describe_market(random_bars(9), make_metrics())
        return summarize_markets([one] * self.markets, [])


MINUTES = make_market(interval=INTERVALS["1m"])


def ambiguous(bars: int) -> Simulation:
    return dataclasses.replace(make_result().simulation, ambiguous_bars=bars)


class KnownBars:
    """A source of bars made beforehand."""

    def __init__(self, bars: Bars) -> None:
        self.bars = bars

    async def fetch(self, market: MarketRequest) -> MarketSeries:
        quality = DataQuality(expected_bars=len(self.bars), present_bars=len(self.bars))
        return MarketSeries(bars=self.bars, quality=quality, origin="made by hand")


def make_checks(
    store: CountingStore,
    runs: CountingRuns | None = None,
    *,
    timeout_s: float = 30.0,
    sources: Mapping[str, Any] | None = None,
) -> LaterChecks:
    return LaterChecks(
        store=store,  # type: ignore[arg-type]
        sources=SourceCatalog(sources=sources or {}),
        engines={},
        settling_engine=EventDrivenEngine(),
        ledger=MemoryLedger(),
        computing=ComputeQueue(threads=1, max_waiting=8),
        timeout_s=timeout_s,
        market_runs=runs,  # type: ignore[arg-type]
    )


async def test_simultaneous_deflations_read_result_once() -> None:
    store = CountingStore(make_result(bars=300, judgement=make_judgement()))
    checks = make_checks(store)
    first, *others = await asyncio.gather(*(checks.deflation_now("result-1") for _ in range(9)))
    assert isinstance(first, Deflation)
    assert others == [first] * 8
    assert store.reads == 1
    assert await checks.deflation_now("result-1") == first
    assert store.reads == 2, "trials may have been counted since"


async def test_result_without_judgement_is_not_deflated() -> None:
    found = await make_checks(CountingStore(make_result())).deflation_now("result-1")
    assert found == Unchecked.because(UncheckedCode.NOT_JUDGED)


@pytest.mark.parametrize(("markets", "runs"), [(0, 2), (2, 2), (3, 1)])
async def test_only_full_number_of_markets_is_kept(markets: int, runs: int) -> None:
    counting = CountingRuns(markets)
    checks = make_checks(CountingStore(make_result()), counting)
    first = await checks.other_markets("result-1")
    assert await checks.other_markets("result-1") == first
    assert counting.runs == runs, "more markets may be stored later, unless there are 3 already"


@pytest.mark.parametrize(
    ("check", "changes", "code"),
    [
        ("neighbors", {"request": make_request(strategy=ModelParams(reference="m.pkl"))}, UncheckedCode.READS_MODEL),
        ("neighbors", {"request": make_request(strategy=UpDownParams())}, UncheckedCode.NO_NUMERIC_PARAMETER),
        ("resolved_fills", {}, UncheckedCode.NO_AMBIGUOUS_BARS),
        ("resolved_fills", {"simulation": ambiguous(1), "request": make_request(market=MINUTES)},
         UncheckedCode.NO_FINER_BARS),
        ("resolved_fills", {"simulation": ambiguous(51)}, UncheckedCode.TOO_MANY_AMBIGUOUS_BARS),
    ],
)  # fmt: skip
async def test_check_that_is_not_made_says_why(check: str, changes: dict[str, Any], code: UncheckedCode) -> None:
    bars = random_bars(10)
    result = make_result(**changes, fingerprints=Fingerprints(bars=bars.fingerprint(), model=None, versions={}))
    checks = make_checks(CountingStore(result), sources={"binance": KnownBars(bars)})
    assert await getattr(checks, check)("result-1") == Unchecked(code=code, why=code.meaning)


async def test_graphql_asks_for_report_and_cause_at_once() -> None:
    counting = CountingRuns(0)
    services = MemoryServices(backtests=MemoryMarket())
    services.backtests.results["result-1"] = make_result()
    services.later_checks = make_checks(CountingStore(make_result()), counting)  # type: ignore[attr-defined]
    query = '{ backtest(id: "result-1") { otherMarkets { summary } otherMarketsUnchecked { code why } } }'
    cause = {"code": "NO_OTHER_MARKET", "why": UncheckedCode.NO_OTHER_MARKET.meaning}
    assert (await GraphQLClient(services).data(query))["backtest"] == {
        "otherMarkets": None,
        "otherMarketsUnchecked": cause,
    }
    assert counting.runs == 1


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
