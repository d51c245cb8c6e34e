"""Run a stored result on other markets: which are taken, and what happens if one fails."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from src.domain.errors import Busy, InvalidInput, ServiceError, StoreUnavailable
from src.domain.judgement import OtherMarkets, Unchecked, UncheckedCode
from src.domain.market import SIMULATED, Bars, CachedMarket, Interval
from src.domain.runs import BacktestResult
from src.domain.signals import Signals
from src.domain.trading import EngineName, Simulation, TradingRules
from src.engines.vectorized import VectorizedEngine
from src.service.computing import ComputeQueue
from src.service.market_runs import MarketRuns
from src.service.pipeline import compute_outcome
from src.service.sources import SourceCatalogue
from src.strategies.crossover import CrossoverParams
from tests.factories import make_market, make_request, make_result
from tests.market import random_bars

BARS = 200


def bars_of(symbol: str, bars: int = BARS) -> Bars:
    made = random_bars(bars, seed=sum(symbol.encode()), volatility=0.03)
    return Bars(**{name: getattr(made, name) for name in made.__slots__} | {"symbol": symbol})


class FailingEngine:
    """The vectorized engine, which raises on the bars of some symbols."""

    def __init__(self, failures: Mapping[str, Exception]) -> None:
        self.failures = failures

    def run(self, bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
        if bars.symbol in self.failures:
            raise self.failures[bars.symbol]
        return VectorizedEngine().run(bars, signals, rules)


class MemoryCache:
    """The stored bars of some markets; a listed market without bars is read as None, an error is raised."""

    def __init__(self, listed: Mapping[str, Bars | ServiceError | None]) -> None:
        self.listed = listed
        self.read: list[str] = []

    async def cached_markets(self, interval: Interval, start_ms: int, end_ms: int) -> Sequence[CachedMarket]:
        return [
            CachedMarket(symbol=symbol, interval=interval, start=0, stop=BARS, bars=BARS)
            for symbol in sorted(self.listed)
        ]

    async def cached_bars(self, market: CachedMarket) -> Bars | None:
        self.read.append(market.symbol)
        found = self.listed[market.symbol]
        if isinstance(found, ServiceError):
            raise found
        return found


def stored_result(**market: Any) -> BacktestResult:
    strategy = CrossoverParams(fast=3, slow=9)
    return make_result(BARS, request=make_request(market=make_market(**market), strategy=strategy))


def make_runs(cache: MemoryCache, failures: Mapping[str, Exception] | None = None) -> MarketRuns:
    return MarketRuns(
        sources=SourceCatalogue(sources={"binance": None, SIMULATED: None}, cached={"binance": cache}),  # type: ignore[dict-item]
        engines={EngineName.VECTORIZED: FailingEngine(failures or {})},
        computing=ComputeQueue(threads=1, max_waiting=8),
    )


async def run(
    cache: MemoryCache, failures: Mapping[str, Exception] | None = None, result: BacktestResult | None = None
) -> OtherMarkets | Unchecked:
    return await make_runs(cache, failures).run(result or stored_result())


def symbols(found: OtherMarkets | Unchecked) -> list[str]:
    assert isinstance(found, OtherMarkets)
    return [one.symbol for one in found.markets]


async def test_three_markets_are_run_as_backtests_of_their_own() -> None:
    cache = MemoryCache({symbol: bars_of(symbol) for symbol in ("A", "B", "BTCUSDT", "C", "D")})
    found = await run(cache)
    assert symbols(found) == ["A", "B", "C"] == cache.read
    assert isinstance(found, OtherMarkets)
    assert found.skipped == ()
    engines = {EngineName.VECTORIZED: VectorizedEngine()}
    for one in found.markets:
        metrics = compute_outcome(stored_result().request, bars_of(one.symbol), None, engines).metrics
        shown = dataclasses.asdict(one)
        assert (shown.pop("symbol"), shown.pop("start_ms"), shown.pop("end_ms")) == (
            one.symbol,
            metrics.start,
            metrics.end,
        )
        assert shown == {name: getattr(metrics, name) for name in shown}


async def test_failed_market_is_named_and_next_is_run(caplog: pytest.LogCaptureFixture) -> None:
    cache = MemoryCache({symbol: bars_of(symbol) for symbol in "ABCDEF"} | {"C": StoreUnavailable("The disk failed.")})
    found = await run(cache, {"A": InvalidInput("The equity grows too much."), "D": RuntimeError("secret")}, None)
    # The third failure ends the check.
    assert symbols(found) == ["B"]
    assert isinstance(found, OtherMarkets)
    assert [(one.symbol, one.why) for one in found.skipped] == [
        ("A", "The equity grows too much."),
        ("C", "The disk failed."),
        ("D", "The run failed inside the service."),
    ]
    assert "symbol=D" in caplog.text
    assert "secret" in caplog.text, "the operator reads the cause"


async def test_two_failures_leave_three_markets() -> None:
    cache = MemoryCache({symbol: bars_of(symbol) for symbol in "ABCDEF"})
    found = await run(cache, dict.fromkeys("BD", InvalidInput("No.")))
    assert symbols(found) == ["A", "C", "E"]


async def test_only_failed_markets_are_a_cause() -> None:
    cache = MemoryCache({symbol: bars_of(symbol) for symbol in "AB"})
    found = await run(cache, dict.fromkeys("AB", InvalidInput("No.")))
    assert found == Unchecked(
        code=UncheckedCode.ALL_MARKETS_FAILED, why="Each market that was tried failed. A: No.; B: No."
    )


async def test_no_market_that_fits_is_a_cause() -> None:
    found = await run(MemoryCache({"A": None, "BTCUSDT": bars_of("BTCUSDT")}))
    assert found == Unchecked.because(UncheckedCode.NO_OTHER_MARKET)


async def test_error_of_every_market_fails_the_check() -> None:
    cache = MemoryCache({symbol: bars_of(symbol) for symbol in "AB"})
    with pytest.raises(Busy):
        await run(cache, {"A": Busy("Too much work.")})


async def test_evicted_and_short_markets_give_way_to_next() -> None:
    half, less = bars_of("B", BARS // 2), bars_of("C", BARS // 2 - 1)
    found = await run(MemoryCache({"A": None, "B": half, "C": less, "D": bars_of("D")}))
    assert symbols(found) == ["B", "D"]
    assert isinstance(found, OtherMarkets)
    assert found.skipped == ()
    assert [one.bars for one in found.markets] == [BARS // 2, BARS]


@pytest.mark.parametrize("source", [SIMULATED, "my-bars"])
async def test_bars_without_cache_have_no_other_markets(source: str) -> None:
    cache = MemoryCache({"A": bars_of("A")})
    seed = {"seed": 7} if source == SIMULATED else {}
    found = await run(cache, result=stored_result(source=source, **seed))
    assert found == Unchecked.because(UncheckedCode.NO_BAR_CACHE)
    assert cache.read == []


async def test_default_source_and_its_name_are_the_same() -> None:
    for source in (None, "binance"):
        assert symbols(await run(MemoryCache({"A": bars_of("A")}), result=stored_result(source=source))) == ["A"]


class HangingCache(MemoryCache):
    """A cache on a disk that hangs."""

    async def cached_bars(self, market: CachedMarket) -> Bars | None:
        await asyncio.sleep(30)
        return await super().cached_bars(market)


async def test_hanging_read_gives_its_slot_back() -> None:
    runs = make_runs(HangingCache({"A": bars_of("A")}))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await runs.run(stored_result())
    assert runs.computing.runs_under_way == 0
