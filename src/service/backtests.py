"""The service's one job: a request becomes a stored result."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, TypeVarTuple, Unpack

import anyio
import anyio.to_thread

from src.domain.errors import NotAvailable, SourceNotFound, TimedOut
from src.domain.market import MarketRequest, MarketSeries
from src.domain.model_files import ModelFile, check_user_id
from src.domain.runs import (
    BacktestRequest,
    BacktestResult,
    Fingerprints,
    ModelChoice,
    ResultPage,
    ResultSummary,
)
from src.domain.signals import Predictions
from src.domain.trading import EngineName
from src.features.ohlcv import build_features
from src.ports import BarSource, Clock, Engine, ModelRunner, ResultStore
from src.service.models import ModelService
from src.service.periods import period_warnings
from src.service.pipeline import Computation, compute
from src.service.timing import Stopwatch

Answer = TypeVar("Answer")
Arguments = TypeVarTuple("Arguments")


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestService:
    """Runs backtests and keeps their results.

    `sources` by the name that requests use; the first one is the default. `versions` are those of this program and
    of the libraries that the numbers depend on. `threads` bounds the computing that goes on at once.
    """

    sources: Mapping[str, BarSource]
    engines: Mapping[EngineName, Engine]
    store: ResultStore
    models: ModelService
    runner: ModelRunner | None
    clock: Clock
    versions: Mapping[str, str]
    threads: anyio.CapacityLimiter
    timeout_s: float

    async def run(self, request: BacktestRequest, model_file: ModelFile | None = None) -> BacktestResult:
        """Run a backtest and keep its result.

        Parameters
        ----------
        model_file
            The model that came with the request; None where `request.strategy` names a stored one, or none is needed.

        Raises
        ------
        ServiceError
            Any of the tree in `domain.errors`; TimedOut after `timeout_s`.
        """
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._run(request, model_file)
        except TimeoutError:
            raise TimedOut(
                f"The backtest took longer than the limit of {self.timeout_s:g} s; ask for fewer bars (limit)."
            ) from None

    async def _run(self, request: BacktestRequest, model_file: ModelFile | None) -> BacktestResult:
        stopwatch = Stopwatch()
        bar_warnings = period_warnings(request.period, request.market.interval)
        source = self._source(request.market)
        if isinstance(request.strategy, ModelChoice):
            if self.runner is None:
                raise NotAvailable("Opening model files is not available in this build; moving-average backtests are.")
            if model_file is None:
                model_file = await self.models.get(request.user_id, request.strategy.reference or "")
            request = replace(request, strategy=replace(request.strategy, sha256=model_file.sha256))
        with stopwatch.step("marketData"):
            series = await source.fetch(request.market)
        predictions = await self._predict(request, series, model_file, stopwatch)
        computed = await self._in_thread(compute, request, series.bars, predictions, self.engines, stopwatch)
        bars_fingerprint = await self._in_thread(series.bars.fingerprint)
        result = self._result(request, series, computed, bars_fingerprint, bar_warnings, stopwatch)
        await self.store.save(result)
        return result

    async def _predict(
        self, request: BacktestRequest, series: MarketSeries, model_file: ModelFile | None, stopwatch: Stopwatch
    ) -> Predictions | None:
        choice = request.strategy
        if not isinstance(choice, ModelChoice) or self.runner is None or model_file is None:
            return None
        with stopwatch.step("features"):
            features = await self._in_thread(build_features, series.bars)
        with stopwatch.step("model"):
            return await self.runner.predict(model_file, features, choice.feature_columns, choice.output_kind)

    def _result(
        self,
        request: BacktestRequest,
        series: MarketSeries,
        computed: Computation,
        bars_fingerprint: str,
        bar_warnings: tuple[str, ...],
        stopwatch: Stopwatch,
    ) -> BacktestResult:
        model = request.strategy.sha256 if isinstance(request.strategy, ModelChoice) else None
        return BacktestResult(
            id=str(uuid.uuid4()),
            created_ms=self.clock.now_ms(),
            request=request,
            time_ms=series.bars.open_time_ms,
            close=series.bars.close,
            signals=computed.signals,
            simulation=computed.simulation,
            metrics=computed.metrics,
            quality=series.quality,
            origin=series.origin,
            fingerprints=Fingerprints(bars=bars_fingerprint, model=model, versions=self.versions),
            warnings=(*series.warnings, *bar_warnings, *computed.warnings),
            timings_ms=stopwatch.elapsed_ms,
            cross_check=computed.cross_check,
        )

    async def get(self, result_id: str) -> BacktestResult:
        """Return a kept result; raises ResultNotFound."""
        return await self.store.get(result_id)

    async def list(self, *, user_id: str, symbol: str | None, first: int, after: str | None) -> ResultPage:
        """Return a page of a user's results, newest first."""
        return await self.store.list(user_id=check_user_id(user_id), symbol=symbol, first=first, after=after)

    async def compare(self, result_ids: Sequence[str]) -> Sequence[ResultSummary]:
        """Return summaries of kept results in the order asked for; raises ResultNotFound."""
        return await self.store.summaries(result_ids)

    async def candles(self, market: MarketRequest) -> MarketSeries:
        """Return the candles that a backtest of this market would use."""
        return await self._source(market).fetch(market)

    async def symbols(self) -> Sequence[str]:
        """Return the symbols of the default source, sorted."""
        return await next(iter(self.sources.values())).symbols()

    def _source(self, market: MarketRequest) -> BarSource:
        if market.source is None:
            return next(iter(self.sources.values()))
        if market.source not in self.sources:
            raise SourceNotFound(f"source is {market.source[:60]!r}; known: {', '.join(self.sources)}")
        return self.sources[market.source]

    async def _in_thread(self, function: Callable[[Unpack[Arguments]], Answer], *arguments: *Arguments) -> Answer:
        """Compute in a worker thread: the event loop stays free, and no more run at once than `threads` allows."""
        return await anyio.to_thread.run_sync(function, *arguments, abandon_on_cancel=True, limiter=self.threads)
