"""Runs at the same time: shared, cancelled, queued, timed out."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from src.domain.bars import Bars
from src.domain.errors import (
    Busy,
    TimedOut,
)
from src.domain.model_files import ModelFile
from src.domain.runs import BacktestResult
from src.domain.signals import Features, OutputKind, Predictions, Signals
from src.domain.simulation import Simulation
from src.domain.strategy import ModelParams
from src.domain.trading import EngineName, TradingRules
from src.engines.vectorized import VectorizedEngine
from src.strategies.crossover import CrossoverParams
from tests.factories import make_request
from tests.market import random_bars
from tests.unit.service.known_bars import KnownBars, MemoryStore, crossover_request, make_service, sent_model


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
