"""Run a stored result on other markets: which are taken, and what happens if one fails."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.errors import (
    Busy,
    Conflict,
    InvalidInput,
    MissingLibrary,
    ModelNotFound,
    ModelRejected,
    SandboxUnavailable,
    ServiceError,
    StoreUnavailable,
    TimedOut,
    UnsupportedFormat,
)
from src.domain.exchange_rules import ExchangeRules, Filters
from src.domain.intervals import Interval
from src.domain.later_checks import OtherMarkets, SkippedMarket
from src.domain.market import SIMULATED, CachedMarket
from src.domain.model_files import ModelFile
from src.domain.runs import BacktestResult, Fingerprints
from src.domain.signals import Features, OutputKind, Predictions, Signals
from src.domain.simulation import Simulation
from src.domain.strategy import ModelParams
from src.domain.trading import EngineName, FillTiming, TradingRules
from src.domain.verdict import Unchecked, UncheckedCode
from src.engines.event_driven import EventDrivenEngine
from src.engines.vectorized import VectorizedEngine
from src.features.ohlcv import build_features
from src.service.computing import ComputeQueue
from src.service.market_runs import MarketRuns
from src.service.pipeline import compute_outcome
from src.service.sources import SourceCatalog
from src.strategies.crossover import CrossoverParams
from tests.factories import make_market, make_request, make_result
from tests.market import random_bars

BARS = 200
SHA256 = "a" * 64


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


class OneModel:
    """A `ModelService` that knows one model file of one user."""

    def __init__(self, sha256: str = SHA256) -> None:
        self.sha256 = sha256

    async def get(self, user_id: str, reference: str) -> ModelFile:
        if (user_id, reference) != ("alice", "model.pkl"):
            raise ModelNotFound("There is no such model.")
        return ModelFile(
            path=Path(reference), user_id=user_id, original_filename=reference, model_name="model",
            extension=".pkl", size_bytes=1, sha256=self.sha256,
        )  # fmt: skip


class PriceModel:
    """A `ModelRunner` whose model predicts a rise at an open over 100; the calls are remembered, or fail in order."""

    def __init__(self, *failures: Exception | None) -> None:
        self.failures = list(failures)
        self.calls: list[tuple[Any, ...]] = []

    async def predict(
        self, file: ModelFile, features: Features, feature_columns: Sequence[str] | None, kind: OutputKind | None
    ) -> Predictions:
        self.calls.append((file.path.name, feature_columns, kind))
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        return Predictions(values=predict_rise(features), kind=OutputKind.PROBABILITY)


def predict_rise(features: Features) -> NDArray[np.float64]:
    return np.where(features.values[:, features.names.index("Open")] > 100, 0.75, 0.25)


def make_runs(
    cache: MemoryCache,
    failures: Mapping[str, Exception] | None = None,
    models: OneModel | None = None,
    runner: PriceModel | None = None,
) -> MarketRuns:
    return MarketRuns(
        sources=SourceCatalog(sources={"binance": None, SIMULATED: None}, cached={"binance": cache}),  # type: ignore[dict-item]
        engines={EngineName.VECTORIZED: FailingEngine(failures or {})},
        computing=ComputeQueue(threads=1, max_waiting=8),
        models=models or OneModel(),  # type: ignore[arg-type]
        runner=runner or PriceModel(),  # type: ignore[arg-type]
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


@pytest.mark.parametrize(("filters", "ticks"), [(Filters.EXCHANGE, {None}), (Filters.NONE, {5.0})])
async def test_filters_read_for_a_market_stay_there(filters: Filters, ticks: set[float | None]) -> None:
    seen: list[TradingRules] = []

    class Noting(EventDrivenEngine):
        def run(self, bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
            seen.append(rules)
            return super().run(bars, signals, rules)

    rules = TradingRules(fill=FillTiming.NEXT_OPEN, exchange=ExchangeRules(filters=filters, tick_size=5.0))
    request = make_request(strategy=CrossoverParams(fast=3, slow=9), engine=EngineName.EVENT_DRIVEN, rules=rules)
    runs = make_runs(MemoryCache({"A": bars_of("A")}))
    runs = dataclasses.replace(runs, engines={EngineName.EVENT_DRIVEN: Noting()})
    assert symbols(await runs.run(make_result(BARS, request=request))) == ["A"]
    assert {one.exchange.tick_size for one in seen} == ticks


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


def model_result(**changes: Any) -> BacktestResult:
    model = ModelParams(reference="model.pkl", feature_columns=("Open",), output_kind=OutputKind.PROBABILITY)
    return make_result(
        BARS,
        request=make_request(strategy=dataclasses.replace(model, **changes)),
        fingerprints=Fingerprints(bars="0" * 64, model=SHA256, versions={}),
    )


async def test_model_predicts_each_market_by_its_own_features() -> None:
    runner = PriceModel()
    runs = make_runs(MemoryCache({symbol: bars_of(symbol) for symbol in "AB"}), runner=runner)
    found = await runs.run(model_result())
    assert symbols(found) == ["A", "B"]
    assert runner.calls == [("model.pkl", ("Open",), OutputKind.PROBABILITY)] * 2
    assert isinstance(found, OtherMarkets)
    for one in found.markets:
        bars = bars_of(one.symbol)
        predictions = Predictions(values=predict_rise(build_features(bars)), kind=OutputKind.PROBABILITY)
        engines = {EngineName.VECTORIZED: VectorizedEngine()}
        metrics = compute_outcome(model_result().request, bars, predictions, engines).metrics
        assert metrics.total_trades > 0
        assert (one.total_return, one.sharpe_ratio) == (metrics.total_return, metrics.sharpe_ratio)


@pytest.mark.parametrize("failure", [ModelRejected("NaN."), TimedOut("Too slow.")])
async def test_market_that_the_model_cannot_predict_is_skipped(failure: ServiceError) -> None:
    cache = MemoryCache({symbol: bars_of(symbol) for symbol in "AB"})
    found = await make_runs(cache, runner=PriceModel(failure)).run(model_result())
    assert symbols(found) == ["B"]
    assert isinstance(found, OtherMarkets)
    assert found.skipped == (SkippedMarket(symbol="A", why=failure.message),)


@pytest.mark.parametrize(
    "failure", [SandboxUnavailable("x"), MissingLibrary("x"), UnsupportedFormat("x"), Conflict("x"), Busy("x")]
)
async def test_model_that_cannot_be_opened_fails_the_check(failure: ServiceError) -> None:
    cache = MemoryCache({symbol: bars_of(symbol) for symbol in "AB"})
    with pytest.raises(type(failure)):
        await make_runs(cache, runner=PriceModel(failure)).run(model_result())


@pytest.mark.parametrize(
    ("changes", "models", "failure"),
    [
        ({"reference": None}, OneModel(), None),  # it came with the request
        ({"reference": "deleted.pkl"}, OneModel(), None),
        ({}, OneModel(sha256="b" * 64), None),  # another file has its name
        ({}, OneModel(), ModelNotFound("Deleted.")),  # since it was found
    ],
)
async def test_model_that_is_not_stored_is_a_cause(
    changes: Mapping[str, Any], models: OneModel, failure: Exception | None
) -> None:
    runs = make_runs(MemoryCache({"A": bars_of("A")}), models=models, runner=PriceModel(failure))
    assert await runs.run(model_result(**changes)) == Unchecked.because(UncheckedCode.MODEL_NOT_STORED)
