"""Run the strategy and rules of a stored result on other markets whose bars are in the bar cache."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from src.domain.errors import Busy, ServiceError
from src.domain.judgement import OtherMarket, OtherMarkets, SkippedMarket, Unchecked, UncheckedCode
from src.domain.market import Bars, CachedMarket, normalise_symbol
from src.domain.runs import BacktestRequest, BacktestResult
from src.domain.trading import EngineName
from src.judgement.other_markets import (
    MAX_MARKETS,
    MAX_SKIPPED,
    describe_market,
    has_enough,
    rank_markets,
    summarize_markets,
)
from src.ports import CachedMarkets, Engine
from src.service.computing import ComputeQueue
from src.service.pipeline import compute_outcome
from src.service.sources import SourceCatalogue

logger = logging.getLogger(__name__)

_NOT_OF_A_MARKET = (Busy,)
"""Errors that every market would give: the check fails with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRuns:
    """Runs stored results on other markets."""

    sources: SourceCatalogue
    engines: Mapping[EngineName, Engine]
    computing: ComputeQueue

    async def run(self, result: BacktestResult) -> OtherMarkets | Unchecked:
        """Run a result's strategy and rules on up to 3 other markets, one after the other.

        A market that fails is skipped. Raises Busy if too much work is queued.
        """
        request = result.request
        cached = self.sources.find_cached(request.market.source)
        if cached is None:
            return Unchecked.because(UncheckedCode.NO_BAR_CACHE)
        if request.strategy.model is not None:
            return Unchecked.because(UncheckedCode.READS_MODEL)
        first_ms, last_ms = int(result.time_ms[0]), int(result.time_ms[-1])
        stored = await cached.cached_markets(request.market.interval, first_ms, last_ms)
        ranked = rank_markets(stored, normalise_symbol(request.market.symbol), len(result.time_ms))
        async with self.computing.slot(request.user_id):
            found, skipped = await self._run_each(result, ranked, cached)
        if found:
            return summarize_markets(found, skipped)
        if skipped:
            names = "; ".join(f"{one.symbol}: {one.why}" for one in skipped)
            return Unchecked.because(UncheckedCode.ALL_MARKETS_FAILED, f"Each market that was tried failed. {names}")
        return Unchecked.because(UncheckedCode.NO_OTHER_MARKET)

    async def _run_each(
        self, result: BacktestResult, ranked: Sequence[CachedMarket], cached: CachedMarkets
    ) -> tuple[list[OtherMarket], list[SkippedMarket]]:
        found: list[OtherMarket] = []
        skipped: list[SkippedMarket] = []
        for market in ranked:
            try:
                bars = await cached.cached_bars(market)
                # They may be evicted since, and bars that the exchange does not have are counted by no file name.
                if bars is not None and has_enough(len(bars), len(result.time_ms)):
                    found.append(await self._run_one(result.request, market.symbol, bars))
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

    async def _run_one(self, request: BacktestRequest, symbol: str, bars: Bars) -> OtherMarket:
        outcome = await self.computing.run(compute_outcome, request, bars, None, self.engines)
        return describe_market(symbol, outcome.metrics)
