"""Run the strategy and rules of a stored result on other markets whose bars are in the bar cache."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from src.domain.bars import Bars
from src.domain.errors import (
    Busy,
    Conflict,
    MissingLibrary,
    ModelNotFound,
    SandboxUnavailable,
    ServiceError,
    UnsupportedFormat,
)
from src.domain.exchange_rules import ExchangeRules, Filters
from src.domain.later_checks import OtherMarket, OtherMarkets, SkippedMarket
from src.domain.market import CachedMarket
from src.domain.model_files import ModelFile
from src.domain.runs import BacktestRequest, BacktestResult
from src.domain.signals import Predictions
from src.domain.symbols import normalize_symbol
from src.domain.trading import EngineName
from src.domain.verdict import Unchecked, UncheckedCode
from src.features.ohlcv import build_features
from src.judgement.other_markets import (
    MAX_MARKETS,
    MAX_SKIPPED,
    describe_market,
    has_enough,
    rank_markets,
    summarize_markets,
)
from src.ports.computing import Engine, ModelRunner
from src.ports.market import CachedMarkets
from src.service.computing import ComputeQueue
from src.service.models import ModelService
from src.service.pipeline import compute_outcome
from src.service.sources import SourceCatalog

logger = logging.getLogger(__name__)

_NOT_OF_A_MARKET: Final = (Busy, Conflict, MissingLibrary, ModelNotFound, SandboxUnavailable, UnsupportedFormat)
"""Errors that every market would give: the check fails with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRuns:
    """Runs stored results on other markets."""

    sources: SourceCatalog
    engines: Mapping[EngineName, Engine]
    computing: ComputeQueue
    models: ModelService
    runner: ModelRunner

    async def run(self, result: BacktestResult) -> OtherMarkets | Unchecked:
        """Run a result's strategy and rules on up to 3 other markets, one after the other.

        A model predicts each market in the sandbox. A market that fails is skipped. Raises Busy if too much work is
        queued; MissingLibrary, UnsupportedFormat, Conflict or SandboxUnavailable if the model cannot be opened at all.
        """
        cached = self.sources.find_cached(result.request.market.source)
        if cached is None:
            return Unchecked.because(UncheckedCode.NO_BAR_CACHE)
        try:
            return await self._run(result, cached)
        except ModelNotFound:
            return Unchecked.because(UncheckedCode.MODEL_NOT_STORED)

    async def _run(self, result: BacktestResult, cached: CachedMarkets) -> OtherMarkets | Unchecked:
        request = result.request
        model_file = await self._find_model(result)
        first_ms, last_ms = int(result.time_ms[0]), int(result.time_ms[-1])
        stored = await cached.cached_markets(request.market.interval, first_ms, last_ms)
        ranked = rank_markets(stored, normalize_symbol(request.market.symbol), len(result.time_ms))
        async with self.computing.slot(request.user_id):
            found, skipped = await self._run_each(result, ranked, cached, model_file)
        if found:
            return summarize_markets(found, skipped)
        if skipped:
            names = "; ".join(f"{one.symbol}: {one.why}" for one in skipped)
            return Unchecked.because(UncheckedCode.ALL_MARKETS_FAILED, f"Each market that was tried failed. {names}")
        return Unchecked.because(UncheckedCode.NO_OTHER_MARKET)

    async def _run_each(
        self,
        result: BacktestResult,
        ranked: Sequence[CachedMarket],
        cached: CachedMarkets,
        model_file: ModelFile | None,
    ) -> tuple[list[OtherMarket], list[SkippedMarket]]:
        found: list[OtherMarket] = []
        skipped: list[SkippedMarket] = []
        for market in ranked:
            try:
                bars = await cached.cached_bars(market)
                # The bars may have been evicted, and the file names do not show which bars the exchange lacks.
                if bars is not None and has_enough(len(bars), len(result.time_ms)):
                    found.append(await self._run_one(result.request, bars, model_file))
            except _NOT_OF_A_MARKET:
                raise
            except ServiceError as error:
                skipped.append(SkippedMarket(symbol=market.symbol, why=error.message))
            except Exception:
                logger.exception("other market failed: result=%s symbol=%s", result.id, market.symbol)
                skipped.append(SkippedMarket(symbol=market.symbol, why="The run failed inside the service."))
            if len(found) == MAX_MARKETS or len(skipped) == MAX_SKIPPED:
                break
        return found, skipped

    async def _run_one(self, request: BacktestRequest, bars: Bars, model_file: ModelFile | None) -> OtherMarket:
        if request.rules.exchange.filters is Filters.EXCHANGE:
            # The filters that were read are those of the result's market, whose tick may exceed a price of another
            # market.
            request = replace(request, rules=replace(request.rules, exchange=ExchangeRules()))
        predictions = await self._predict(request, bars, model_file)
        outcome = await self.computing.run(compute_outcome, request, bars, predictions, self.engines)
        return await self.computing.run(describe_market, bars, outcome.metrics)

    async def _find_model(self, result: BacktestResult) -> ModelFile | None:
        """Return the file that a result was computed with, None without a model; raises ModelNotFound."""
        model = result.request.strategy.model
        if model is None:
            return None
        if model.reference is None:
            raise ModelNotFound("The model came with the request and was not stored.")
        file = await self.models.get(result.request.user_id, model.reference)
        if file.sha256 != result.fingerprints.model:
            raise ModelNotFound("Another file has the model's name now.")
        return file

    async def _predict(self, request: BacktestRequest, bars: Bars, model_file: ModelFile | None) -> Predictions | None:
        model = request.strategy.model
        if model is None or model_file is None:
            return None
        features = await self.computing.run(build_features, bars)
        return await self.runner.predict(model_file, features, model.feature_columns, model.output_kind)
