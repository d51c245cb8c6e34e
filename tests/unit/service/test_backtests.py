"""The service with sources and stores in memory: what a request becomes, and what it warns of."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.domain.bar_quality import DataQuality
from src.domain.bars import Bars
from src.domain.errors import (
    Busy,
    InvalidInput,
    ResultNotFound,
    SourceNotFound,
    TimedOut,
    UnreadableResult,
)
from src.domain.market import Listing, MarketRequest, MarketSeries
from src.domain.model_files import ModelFile
from src.domain.runs import BacktestRequest, BacktestResult, ResultPage, ResultSummary
from src.domain.signals import Features, OutputKind, Predictions, Signals
from src.domain.strategy import ModelParams
from src.domain.trading import EngineName, Exits, FillTiming, Simulation, Sizing, TradingRules
from src.engines.event_driven import EventDrivenEngine
from src.engines.vectorized import VectorizedEngine
from src.features.ohlcv import build_features
from src.service.backtests import BacktestService
from src.service.computing import ComputeQueue
from src.service.models import ModelService
from src.service.sources import SourceCatalogue
from src.strategies.crossover import CrossoverParams
from tests.factories import make_market, make_request
from tests.ledgers import MemoryLedger
from tests.market import bars_of_closes, random_bars
from tests.rest_app import summary_of


class KnownBars:
    """A source of bars made beforehand."""

    def __init__(self, bars: Bars, *, warnings: tuple[str, ...] = (), delay_s: float = 0.0) -> None:
        self.bars, self.warnings, self.delay_s = bars, warnings, delay_s

    async def fetch(self, market: MarketRequest) -> MarketSeries:
        await asyncio.sleep(self.delay_s)
        quality = DataQuality(expected_bars=len(self.bars), present_bars=len(self.bars))
        return MarketSeries(bars=self.bars, quality=quality, origin="made by hand", warnings=self.warnings)

    async def listings(self) -> Sequence[Listing]:
        return (
            Listing(symbol="OLDBTC", base="OLD", quote="BTC", is_trading=False),
            Listing(symbol="TESTUSDT", base="TEST", quote="USDT"),
        )

    async def close(self) -> None: ...


class MemoryStore:
    """A store that forgets."""

    def __init__(self) -> None:
        self.results: dict[str, BacktestResult] = {}

    async def save(self, result: BacktestResult) -> None:
        self.results[result.id] = result

    async def get(self, result_id: str) -> BacktestResult:
        if result_id not in self.results:
            raise ResultNotFound(f"no result {result_id}")
        return self.results[result_id]

    async def summaries(self, result_ids: Sequence[str]) -> Sequence[ResultSummary]:
        return [summary_of(await self.get(result_id)) for result_id in result_ids]

    async def list(self, **_: Any) -> ResultPage:
        return ResultPage(summaries=(), next_cursor=None)

    async def owner(self, result_id: str) -> str:
        return (await self.get(result_id)).request.user_id

    async def delete(self, result_id: str) -> None:
        del self.results[result_id]

    async def is_reachable(self) -> bool:
        return True

    async def close(self) -> None: ...


class FixedClock:
    def now_ms(self) -> int:
        return 1_700_000_000_000


def make_service(source: KnownBars, *, timeout_s: float = 30.0, engines: Any = None) -> BacktestService:
    return BacktestService(
        sources=SourceCatalogue(sources={"known": source}),
        engines=engines or {EngineName.VECTORIZED: VectorizedEngine(), EngineName.EVENT_DRIVEN: EventDrivenEngine()},
        store=MemoryStore(),
        ledger=MemoryLedger(),
        models=ModelService(files=None),  # type: ignore[arg-type]
        runner=None,  # type: ignore[arg-type]
        clock=FixedClock(),
        versions={"service": "test"},
        computing=ComputeQueue(threads=1, max_waiting=8),
        timeout_s=timeout_s,
    )


def sent_model(name: str) -> ModelFile:
    return ModelFile(
        path=Path(name),
        user_id="someone",
        original_filename=name,
        model_name="model",
        extension=Path(name).suffix,
        size_bytes=1,
        sha256="0" * 64,
    )


def crossover_request(**overrides: Any) -> BacktestRequest:
    return replace(make_request(strategy=CrossoverParams(fast=5, slow=12)), **overrides)


async def test_result_is_stored_with_its_origin() -> None:
    bars = random_bars(300, seed=4)
    service = make_service(KnownBars(bars, warnings=("a hole",)))
    result = await service.run(crossover_request())
    assert await service.get(result.id) is result
    assert result.created_ms == FixedClock().now_ms()
    assert result.origin == "made by hand"
    assert result.fingerprints.bars == bars.fingerprint()
    assert "a hole" in result.warnings
    assert set(result.timings_ms) == {"marketData", "signals", "engine", "metrics", "judgement"}
    assert result.metrics.total_trades == len(result.simulation.trades) - result.metrics.open_trades


async def test_equal_requests_at_once_share_one_result() -> None:
    source = KnownBars(random_bars(300, seed=4), delay_s=0.02)
    service = make_service(source)
    other = crossover_request(strategy=CrossoverParams(fast=6, slow=12))
    results = await asyncio.gather(*(service.run(request) for request in (*[crossover_request()] * 5, other)))
    assert len({id(result) for result in results[:5]}) == 1
    assert results[5].id != results[0].id
    assert isinstance(service.store, MemoryStore)
    assert len(service.store.results) == 2
    assert (await service.run(crossover_request())).id != results[0].id


async def test_cancelled_caller_does_not_end_shared_run() -> None:
    service = make_service(KnownBars(random_bars(300, seed=4), delay_s=0.05))
    leaving, staying = [asyncio.create_task(service.run(crossover_request())) for _ in range(2)]
    await asyncio.sleep(0.01)
    leaving.cancel()
    assert (await staying).metrics.bars == 300
    assert leaving.cancelled()


async def test_runs_beyond_queue_are_rejected_at_once() -> None:
    service = make_service(KnownBars(random_bars(100), delay_s=0.1))
    requests = [crossover_request(strategy=CrossoverParams(fast=5, slow=10 + number)) for number in range(12)]
    ended: list[int] = []

    async def run(number: int) -> BacktestResult:
        try:
            return await service.run(requests[number])
        finally:
            ended.append(number)

    outcomes = await asyncio.gather(*map(run, range(12)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Busy)]
    assert [isinstance(outcome, Busy) for outcome in outcomes] == [False] * 9 + [True] * 3
    assert all(error.retry_after_s for error in refused)
    assert ended[:3] == [9, 10, 11]
    assert (await service.run(requests[-1])).metrics.bars == 100


async def test_same_request_gives_same_bits() -> None:
    service = make_service(KnownBars(random_bars(300, seed=4)))
    first, second = [await service.run(crossover_request()) for _ in range(2)]
    assert first.id != second.id
    assert first.simulation.equity.tobytes() == second.simulation.equity.tobytes()
    assert first.metrics == second.metrics


@pytest.mark.parametrize("fill", FillTiming)
async def test_cross_check_of_equal_engines_finds_no_difference(fill: FillTiming) -> None:
    service = make_service(KnownBars(random_bars(400, seed=9)))
    rules = TradingRules(fill=fill, exits=Exits(stop_loss_rate=0.05))
    result = await service.run(crossover_request(engine=EngineName.EVENT_DRIVEN, rules=rules, cross_check=True))
    assert result.cross_check is not None
    assert result.cross_check.differences == ()
    assert result.cross_check.left_out == ("stopLoss",)
    assert result.cross_check.largest_equity_difference < 1e-9


async def test_cross_check_names_differing_fills() -> None:
    class HalfAsleep(EventDrivenEngine):
        def run(self, bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
            late = np.roll(signals.action, 1)
            return super().run(bars, replace(signals, action=late), rules)

    engines = {EngineName.VECTORIZED: VectorizedEngine(), EngineName.EVENT_DRIVEN: HalfAsleep()}
    service = make_service(KnownBars(random_bars(300, seed=9)), engines=engines)
    result = await service.run(crossover_request(cross_check=True))
    assert result.cross_check is not None
    first = result.cross_check.differences[0]
    assert first.index == 0
    assert first.vectorized is not None
    assert first.vectorized.startswith("bar ")
    assert first.vectorized != first.event_driven


async def test_fallback_trades_only_if_requested_with_warning() -> None:
    service = make_service(KnownBars(bars_of_closes([5, 4, 6, 7, 5, 6])))
    silent = await service.run(crossover_request())
    assert not silent.signals.action.any()
    spoken = await service.run(crossover_request(use_fallback=True))
    assert spoken.signals.strategy.name == "Up/Down Day"
    assert spoken.metrics.strategy_name == "Up/Down Day"
    assert any("useFallback" in warning for warning in spoken.warnings)


@pytest.mark.parametrize(
    ("period", "is_warned"),
    [
        (None, False),
        ("1D", False),
        ("1d", False),
        ("24h", False),
        ("D", False),
        ("1H", True),
        ("1min", True),
        ("1W", True),
        ("1M", True),
    ],
)
async def test_contradicting_period_only_adds_warning(period: str | None, is_warned: bool) -> None:
    service = make_service(KnownBars(random_bars(300, seed=4)))
    result = await service.run(crossover_request(period=period))
    assert result.metrics.bars_per_year == 365
    warned = [warning for warning in result.warnings if warning.startswith("period")]
    assert bool(warned) is is_warned
    if warned:
        assert repr(period) in warned[0]
        assert "1d" in warned[0]


@pytest.mark.parametrize("period", ["soon", "", "-1D", "0D", "1Q", "999999999999D"])
async def test_invalid_period_is_rejected(period: str) -> None:
    service = make_service(KnownBars(random_bars(60)))
    with pytest.raises(InvalidInput) as caught:
        await service.run(crossover_request(period=period))
    assert caught.value.field == "period"


async def test_sentences_of_verdict_come_first_in_warnings() -> None:
    service = make_service(KnownBars(random_bars(300, seed=4), warnings=("a hole",)))
    rules = TradingRules(fill=FillTiming.SAME_CLOSE, sizing=Sizing(fixed_units=1e6))
    result = await service.run(crossover_request(rules=rules))
    assert result.judgement is not None
    verdict = result.judgement.verdict
    assert result.verdict_level == verdict.level
    assert {"FEW_TRADES", "ENTRIES_REDUCED"} < {reason.code for reason in verdict.reasons}
    texts = [reason.text for reason in verdict.reasons]
    assert result.warnings == (*texts, "a hole")


async def test_unknown_source_lists_known_ones() -> None:
    service = make_service(KnownBars(random_bars(60)))
    request = make_request()
    with pytest.raises(SourceNotFound, match="Allowed: known"):
        await service.run(replace(request, market=replace(request.market, source="elsewhere")))


async def test_slow_source_times_out() -> None:
    service = make_service(KnownBars(random_bars(60), delay_s=3600), timeout_s=0.05)
    with pytest.raises(TimedOut, match=r"0\.05 s"):
        await service.run(crossover_request())


async def test_equal_bytes_with_other_extension_are_another_model() -> None:
    class Named:
        async def predict(self, file: ModelFile, features: Features, *_: object, **__: object) -> Predictions:
            await asyncio.sleep(0.02)
            columns = ("Open",) if file.extension == ".pkl" else ("Close",)
            return Predictions(values=features.values[:, 0], kind=OutputKind.VALUE, feature_columns=columns)

    service = replace(make_service(KnownBars(random_bars(60))), runner=Named())  # type: ignore[arg-type]
    request = make_request(strategy=ModelParams())
    names = ("a.pkl", "b.pkl", "a.pt")
    results = await asyncio.gather(*(service.run(request, sent_model(name)) for name in names))
    assert results[0] is results[1]
    assert results[2] is not results[0]
    assert [result.signals.strategy.parameters["featureColumns"] for result in results] == [
        ("Open",),
        ("Open",),
        ("Close",),
    ]


async def test_model_without_slot_times_out_with_retry_advice() -> None:
    class Crowded:
        async def predict(self, *_: object, **__: object) -> None:
            await asyncio.sleep(30)

    service = make_service(KnownBars(random_bars(60)), timeout_s=0.05)
    service = replace(service, runner=Crowded())  # type: ignore[arg-type]
    with pytest.raises(TimedOut, match=r"0\.05 s .* still queued. Try again later") as caught:
        await service.run(make_request(strategy=ModelParams()), sent_model("m.pkl"))
    assert "fewer" not in caught.value.message


async def test_failed_run_stores_nothing() -> None:
    class Broken(VectorizedEngine):
        def run(self, bars: Bars, signals: Signals, rules: TradingRules) -> Simulation:
            raise RuntimeError("broken on purpose")

    service = make_service(KnownBars(random_bars(60)), engines={EngineName.VECTORIZED: Broken()})
    with pytest.raises(RuntimeError, match="on purpose"):
        await service.run(crossover_request())
    assert isinstance(service.store, MemoryStore)
    assert service.store.results == {}


@pytest.mark.parametrize(
    ("quote", "is_trading_only", "expected"),
    [
        (None, True, ["TESTUSDT"]), (None, False, ["OLDBTC", "TESTUSDT"]), ("usdt", False, ["TESTUSDT"]),
        ("BTC", True, []), ("BTC", False, ["OLDBTC"]), ("EUR", False, []),
    ],
)  # fmt: skip
async def test_coins_are_filtered(quote: str | None, is_trading_only: bool, expected: list[str]) -> None:
    service = make_service(KnownBars(random_bars(10)))
    assert await service.coins(quote_asset=quote, is_trading_only=is_trading_only) == expected


@pytest.mark.parametrize("quote", ["", "US DT", "USDT;", "US/DT", "A" * 33])
async def test_invalid_asset_is_rejected(quote: str) -> None:
    with pytest.raises(InvalidInput, match="quoteAsset is ") as caught:
        await make_service(KnownBars(random_bars(10))).coins(quote_asset=quote)
    assert caught.value.field == "quoteAsset"


async def test_results_are_listed_by_any_spelling_of_a_symbol() -> None:
    service = make_service(KnownBars(random_bars(10)))
    await service.list(user_id="me", symbol="btc/usdt", first=1, after=None)
    with pytest.raises(InvalidInput, match="symbol is "):
        await service.list(user_id="me", symbol="btc usdt", first=1, after=None)


async def test_only_its_owner_deletes_a_result() -> None:
    service = make_service(KnownBars(random_bars(100)))
    kept = await service.run(crossover_request())
    owner = kept.request.user_id
    for result_id, user_id in ((kept.id, "somebody"), ("none", owner)):
        with pytest.raises(ResultNotFound):
            await service.delete(result_id, user_id=user_id)
    with pytest.raises(InvalidInput):
        await service.delete(kept.id, user_id="../etc")
    assert (await service.get(kept.id)).id == kept.id
    assert (await service.delete(kept.id, user_id=owner)).id == kept.id
    with pytest.raises(ResultNotFound):
        await service.get(kept.id)


@pytest.mark.parametrize(
    ("costs", "words"),
    [
        ({"fee_rate": 0.1}, "fees is 0.1, which is 10 % of the value on each side. If you meant 0.1 %, send 0.001."),
        (
            {"slippage_rate": 0.02},
            "slippage is 0.02, which is 2 % of the value on each side. If you meant 0.02 %, send 0.0002.",
        ),
        ({"fee_rate": 0.01, "slippage_rate": 0.01}, None),
    ],
)
async def test_unusual_costs_are_warned_of(costs: dict[str, float], words: str | None) -> None:
    service = make_service(KnownBars(random_bars(300, seed=4)))
    result = await service.run(crossover_request(rules=TradingRules(fill=FillTiming.SAME_CLOSE, **costs)))
    assert [warning for warning in result.warnings if "on each side" in warning] == ([] if words is None else [words])


async def test_column_without_values_is_warned_of_in_result() -> None:
    class Volumes:
        async def predict(self, file: ModelFile, features: Features, *_: object, **__: object) -> Predictions:
            column = features.names.index("Volume_Ratio")
            return Predictions(
                values=features.values[:, column], kind=OutputKind.VALUE, feature_columns=("Volume_Ratio",)
            )

    bars = random_bars(60)
    service = make_service(KnownBars(replace(bars, volume=np.zeros(60))))
    service = replace(service, runner=Volumes())  # type: ignore[arg-type]
    result = await service.run(make_request(strategy=ModelParams()), sent_model("m.pkl"))
    assert any("missing there: Volume_Ratio on 60" in warning for warning in result.warnings)


async def test_unreadable_result_is_deleted_by_its_owner_only() -> None:
    class UnreadableStore(MemoryStore):
        async def summaries(self, result_ids: Sequence[str]) -> Sequence[ResultSummary]:
            raise UnreadableResult("its summary is damaged")

    service = replace(make_service(KnownBars(random_bars(60))), store=UnreadableStore())
    kept = await service.run(make_request())
    with pytest.raises(ResultNotFound):
        await service.delete(kept.id, user_id="stranger")
    assert await service.delete(kept.id, user_id=kept.request.user_id) is None
    with pytest.raises(ResultNotFound):
        await service.get(kept.id)


async def test_features_are_those_of_fetched_bars() -> None:
    bars = random_bars(40)
    series, features = await make_service(KnownBars(bars)).features(make_market())
    assert series.bars == bars
    assert np.array_equal(features.values, build_features(bars).values, equal_nan=True)
