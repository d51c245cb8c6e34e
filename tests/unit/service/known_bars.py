"""A backtest service over bars made beforehand, with a store that forgets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from src.domain.bar_quality import DataQuality
from src.domain.bars import Bars
from src.domain.errors import (
    ResultNotFound,
)
from src.domain.exchange_rules import ExchangeRules
from src.domain.market import Listing, MarketRequest, MarketSeries
from src.domain.model_files import ModelFile
from src.domain.runs import BacktestRequest, BacktestResult, ResultPage, ResultSummary
from src.domain.trading import EngineName
from src.engines.event_driven import EventDrivenEngine
from src.engines.vectorized import VectorizedEngine
from src.service.backtests import BacktestService
from src.service.computing import ComputeQueue
from src.service.models import ModelService
from src.service.sources import SourceCatalog
from src.strategies.crossover import CrossoverParams
from tests.factories import make_request
from tests.ledgers import MemoryLedger
from tests.rest_app import summary_of


class KnownBars:
    """A source of bars made beforehand."""

    def __init__(self, bars: Bars, *, warnings: tuple[str, ...] = (), delay_s: float = 0.0) -> None:
        self.bars, self.warnings, self.delay_s = bars, warnings, delay_s
        self.filters: ExchangeRules | None = None

    async def fetch(self, market: MarketRequest) -> MarketSeries:
        await asyncio.sleep(self.delay_s)
        quality = DataQuality(expected_bars=len(self.bars), present_bars=len(self.bars))
        return MarketSeries(bars=self.bars, quality=quality, origin="made by hand", warnings=self.warnings)

    async def listings(self) -> Sequence[Listing]:
        return (
            Listing(symbol="OLDBTC", base="OLD", quote="BTC", is_trading=False),
            Listing(symbol="TESTUSDT", base="TEST", quote="USDT", filters=self.filters),
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
        detailing_engine=EventDrivenEngine(),
        sources=SourceCatalog(sources={"known": source}),
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
