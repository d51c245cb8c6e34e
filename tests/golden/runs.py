"""The four backtests of the golden documents, on simulated bars, with a clock that stands still."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from src.bars.simulated import SimulatedSource, simulate_bars
from src.domain.bars import Bars
from src.domain.intervals import Interval
from src.domain.market import SIMULATED, CachedMarket, MarketRequest
from src.domain.model_files import ModelFile
from src.domain.order_rules import EntryOrder, EntryType, Exits, Sizing
from src.domain.runs import BacktestRequest, BacktestResult
from src.domain.signals import Features, OutputKind, Predictions
from src.domain.strategy import ModelParams
from src.domain.trading import Direction, EngineName, FillTiming, IntrabarPolicy, TradingRules
from src.engines.event_driven import EventDrivenEngine
from src.engines.vectorized import VectorizedEngine
from src.ports.market import CachedMarkets
from src.ports.stores import ResultStore
from src.service.backtests import BacktestService
from src.service.computing import ComputeQueue
from src.service.later_checks import LaterChecks
from src.service.market_runs import MarketRuns
from src.service.models import ModelService
from src.service.sources import SourceCatalog
from src.strategies.crossover import CrossoverParams
from src.wiring.versions import versions
from tests.ledgers import MemoryLedger

NOW_MS: Final = 1_700_000_000_000
START_MS: Final = 1_600_041_600_000
BARS: Final = 30
DAY_MS: Final = 86_400_000


def golden_requests() -> dict[str, BacktestRequest]:
    """Return the request of each golden result by its id."""
    market = MarketRequest(
        symbol="BTCUSDT", interval=Interval.named("1d"), limit=BARS, source=SIMULATED, seed=7,
        start_ms=START_MS, end_ms=START_MS + (BARS - 1) * DAY_MS,
    )  # fmt: skip
    crossover = CrossoverParams(fast=2, slow=5)
    at_close = TradingRules(fill=FillTiming.SAME_CLOSE)
    all_settings = TradingRules(
        fill=FillTiming.NEXT_OPEN, initial_cash=5000.0, fee_rate=0.0005, slippage_rate=0.0002,
        sizing=Sizing(equity_fraction=0.5), direction=Direction.BOTH,
        entry=EntryOrder(type=EntryType.LIMIT, offset_rate=0.001, life_bars=3),
        exits=Exits(stop_loss_rate=0.04, take_profit_rate=0.06, trailing_stop_rate=0.05, max_bars=8),
        intrabar=IntrabarPolicy.OPTIMISTIC,
    )  # fmt: skip
    model = ModelParams(
        reference="storage/golden/golden_model_1.pkl", threshold=0.5, feature_columns=("Close", "Volume"),
        output_kind=OutputKind.PROBABILITY,
    )  # fmt: skip

    def request(strategy: Any, rules: TradingRules, engine: EngineName, **more: Any) -> BacktestRequest:
        return BacktestRequest(
            user_id="golden", market=market, strategy=strategy, rules=rules, engine=engine, **more
        )  # fmt: skip

    return {
        "golden-crossover": request(crossover, at_close, EngineName.VECTORIZED, period="1d"),
        "golden-model": request(model, at_close, EngineName.VECTORIZED, use_fallback=True),
        "golden-all-settings": request(crossover, all_settings, EngineName.EVENT_DRIVEN),
        "golden-cross-check": request(crossover, at_close, EngineName.EVENT_DRIVEN, cross_check=True),
    }


class AlternatingModel:
    """A `ModelRunner` whose model predicts a rise for three bars, then a fall for three."""

    async def predict(
        self,
        file: ModelFile,
        features: Features,
        feature_columns: Sequence[str] | None,
        kind: OutputKind | None,
        *,
        audit_seed: int | None = None,
    ) -> Predictions:
        values = np.where(np.arange(len(features.values)) // 3 % 2 == 0, 0.75, 0.25)
        return Predictions(
            values=values,
            kind=OutputKind.PROBABILITY,
            feature_columns=tuple(feature_columns or ()),
            among_others=None if audit_seed is None else values,
        )


class OneModel:
    """A `ModelService` that knows one model file."""

    async def get(self, user_id: str, reference: str) -> ModelFile:
        return ModelFile(
            path=Path(reference), user_id=user_id, original_filename="model.pkl", model_name="model",
            extension=".pkl", size_bytes=1, sha256="a" * 64,
        )  # fmt: skip


class _StillClock:
    def now_ms(self) -> int:
        return NOW_MS


class _NoStore:
    async def save(self, result: BacktestResult) -> None: ...


def golden_service(store: ResultStore | None = None) -> BacktestService:
    """Return the service that runs them; without a store, results are only returned."""
    clock = _StillClock()
    return BacktestService(
        detailing_engine=EventDrivenEngine(),
        sources=SourceCatalog(sources={SIMULATED: SimulatedSource(clock=clock)}),
        engines={EngineName.VECTORIZED: VectorizedEngine(), EngineName.EVENT_DRIVEN: EventDrivenEngine()},
        store=store or cast("ResultStore", _NoStore()),
        ledger=MemoryLedger(),
        models=cast("ModelService", OneModel()),
        runner=cast("Any", AlternatingModel()),
        clock=clock,
        versions=versions(),
        computing=ComputeQueue(threads=1, max_waiting=8),
        timeout_s=120.0,
    )


class KnownMarkets:
    """A cache that holds one other market: simulated bars, of the same days as the golden ones."""

    async def cached_markets(self, interval: Interval, start_ms: int, end_ms: int) -> Sequence[CachedMarket]:
        return [CachedMarket(symbol="ETHUSDT", interval=interval, start=0, stop=BARS, bars=BARS)]

    async def cached_bars(self, market: CachedMarket) -> Bars | None:
        return simulate_bars(market.symbol, market.interval, START_MS, BARS, 8)


def golden_checks(store: ResultStore, *, has_cache: bool) -> LaterChecks:
    """Return what checks them further; with a cache, as if their bars had come from the exchange."""
    service = golden_service(store)
    cached: dict[str, CachedMarkets] = {SIMULATED: KnownMarkets()} if has_cache else {}
    sources = SourceCatalog(sources=service.sources.sources, cached=cached)
    runs = MarketRuns(
        sources=sources,
        engines=service.engines,
        computing=service.computing,
        models=service.models,
        runner=service.runner,
    )
    return LaterChecks(
        store=store,
        sources=sources,
        engines=service.engines,
        settling_engine=EventDrivenEngine(),
        ledger=service.ledger,
        computing=service.computing,
        timeout_s=120.0,
        market_runs=runs,
    )
