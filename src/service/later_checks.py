"""Check stored results further on request, with checks that are too expensive for every run."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from src.concurrency.single_flight import SingleFlight
from src.domain.bars import Bars
from src.domain.confidence import Deflation
from src.domain.errors import ServiceError, TimedOut
from src.domain.intervals import INTERVALS
from src.domain.later_checks import Neighbors, OtherMarkets, ResolvedFills
from src.domain.market import LimitOrigin, MarketRequest, MarketSeries
from src.domain.runs import BacktestResult
from src.domain.signals import Signals
from src.domain.simulation import Simulation
from src.domain.strategy import StrategyParams
from src.domain.trading import EngineName, TradingRules
from src.domain.verdict import Unchecked, UncheckedCode
from src.judgement.deflation import deflate
from src.judgement.fill_resolution import resolve_fills
from src.judgement.neighbors import RunFigures, find_neighbors, measure_neighbors
from src.judgement.other_markets import MAX_MARKETS
from src.metrics.returns import simple_returns
from src.ports.computing import Engine
from src.ports.stores import ResultStore, TrialLedger
from src.service.computing import ComputeQueue
from src.service.deadlines import deadline_after, until
from src.service.funding import read_funding_again
from src.service.judging import count_runs, ledger_market
from src.service.market_runs import MarketRuns
from src.service.pinned_bars import fetch_pinned_bars
from src.service.pipeline import compute_outcome
from src.service.sources import SourceCatalog

MAX_KEPT: Final = 256
FINER: Final = INTERVALS["1m"]


class SettlingEngine(Protocol):
    """An engine that can take the other intrabar policy in single bars."""

    def run_settled(
        self, bars: Bars, signals: Signals, rules: TradingRules, other_policy_bars: Sequence[int]
    ) -> Simulation: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterChecks:
    """Further checks of stored results; the last ones are kept in memory, as a stored result never changes.

    A check that cannot be made returns the reason instead of a report. Each raises ResultNotFound, and TimedOut after
    `timeout_s`; those that need the bars raise any ServiceError of their source, and Conflict if the bars have changed
    since.
    """

    store: ResultStore
    sources: SourceCatalog
    engines: Mapping[EngineName, Engine]
    settling_engine: SettlingEngine
    ledger: TrialLedger
    computing: ComputeQueue
    timeout_s: float
    market_runs: MarketRuns
    _kept: OrderedDict[tuple[str, str], Any] = field(default_factory=OrderedDict, init=False)
    _runs: SingleFlight[tuple[str, str], Any] = field(default_factory=SingleFlight, init=False)

    async def neighbors(self, result_id: str) -> Neighbors | Unchecked:
        """Run a result's strategy with nearby parameters, unless it reads a model or has no numbers."""
        found: Neighbors | Unchecked = await self._keep(("neighbors", result_id), lambda: self._neighbors(result_id))
        return found

    async def resolved_fills(self, result_id: str) -> ResolvedFills | Unchecked:
        """Settle a result's ambiguous bars by minutes, unless there are none or over 50."""
        key = ("resolved_fills", result_id)
        found: ResolvedFills | Unchecked = await self._keep(key, lambda: self._resolved_fills(result_id))
        return found

    async def other_markets(self, result_id: str) -> OtherMarkets | Unchecked:
        """Run a result's strategy on up to 3 other cached markets, if there are any."""
        found: OtherMarkets | Unchecked = await self._keep(
            ("other_markets", result_id),
            lambda: self._other_markets(result_id),
            # More markets may be stored later.
            is_final=lambda found: isinstance(found, OtherMarkets) and len(found.markets) == MAX_MARKETS,
        )
        return found

    async def deflation_now(self, result_id: str) -> Deflation | Unchecked:
        """Deflate a result with all trials that are counted by now, unless it was stored without a judgement."""
        # Aliases of one document ask for it at the same time, and each would decode the result's curves.
        key = ("deflation_now", result_id)
        found: Deflation | Unchecked = await self._run_in_time(key, lambda: self._deflation_now(result_id))
        return found

    async def _deflation_now(self, result_id: str) -> Deflation | Unchecked:
        result = await self.store.get(result_id)
        if result.judgement is None:
            return Unchecked.because(UncheckedCode.NOT_JUDGED)
        market = ledger_market(result.request.market.symbol, result.origin)
        state = await self.ledger.state(user_id=result.request.user_id, symbol=market)
        settings, confidence, metrics = result.request.annualization, result.judgement.confidence, result.metrics
        test = result.judgement.benchmarks.timing
        risk_free_per_bar = math.expm1(math.log1p(settings.risk_free_rate) / metrics.bars_per_year)
        return await self.computing.run(
            lambda: deflate(
                simple_returns(result.simulation.equity, result.request.rules.initial_cash),
                state.total.statistics,
                risk_free_per_bar=risk_free_per_bar,
                bars_per_year=metrics.bars_per_year,
                block_error=confidence.sharpe_error,
                runs=count_runs(state),
                active_trials=state.active.statistics.effective_trials,
                timing_p_value=None if test is None else test.p_value,
                reduced_trials=state.reduced_runs,
                missing_trials=state.missing_runs,
            )
        )

    async def _neighbors(self, result_id: str) -> Neighbors | Unchecked:
        result = await self._read(result_id)
        request, interval = result.request, result.request.market.interval
        if request.strategy.model is not None:
            return Unchecked.because(UncheckedCode.READS_MODEL)
        async with self.computing.slot(request.user_id):
            needed = [params.warm_up_bars(interval) for params in find_neighbors(request.strategy).values()]
            series = await self._fetch(result, max(needed, default=0))

            def evaluate(params: StrategyParams) -> RunFigures:
                asked = replace(request, strategy=params)
                is_chosen = params == request.strategy
                history = series.history_before(0, result.warm_up_bars if is_chosen else params.warm_up_bars(interval))
                metrics = compute_outcome(asked, series.bars, None, self.engines, history=history).metrics
                return RunFigures(total_return=metrics.total_return, sharpe_ratio=metrics.sharpe_ratio)

            found = await self.computing.run(measure_neighbors, request.strategy, evaluate)
        return found or Unchecked.because(UncheckedCode.NO_NUMERIC_PARAMETER)

    async def _other_markets(self, result_id: str) -> OtherMarkets | Unchecked:
        return await self.market_runs.run(await self._read(result_id))

    async def _resolved_fills(self, result_id: str) -> ResolvedFills | Unchecked:
        result = await self._read(result_id)
        if not result.simulation.ambiguous_bars:
            return Unchecked.because(UncheckedCode.NO_AMBIGUOUS_BARS)
        if (detail := result.request.rules.detail) is not None:
            why = f"The result was traded by {detail.name} bars already."
            return Unchecked.because(UncheckedCode.NO_FINER_BARS, why)
        if result.request.market.interval.milliseconds <= FINER.milliseconds:
            return Unchecked.because(UncheckedCode.NO_FINER_BARS)
        loop = asyncio.get_running_loop()
        async with self.computing.slot(result.request.user_id):
            bars = (await self._fetch(result)).bars

            def finer_bars(bar: int) -> Bars | None:
                return asyncio.run_coroutine_threadsafe(self._fetch_minutes(result, bars, bar), loop).result()

            # Not on a thread of `computing`: it waits for the exchange in between.
            found = await asyncio.to_thread(
                resolve_fills,
                bars,
                result.signals,
                result.request.rules,
                result.simulation,
                self.settling_engine.run_settled,
                finer_bars,
            )
        return found or Unchecked.because(UncheckedCode.TOO_MANY_AMBIGUOUS_BARS)

    async def _read(self, result_id: str) -> BacktestResult:
        """Return a stored result with its rates of funding."""
        return await read_funding_again(self.sources, await self.store.get(result_id))

    async def _fetch(self, result: BacktestResult, warm_up_bars: int = 0) -> MarketSeries:
        """Return the bars of a result, with a longer history if asked; raises Conflict if they have changed."""
        return await fetch_pinned_bars(self.sources, self.computing, result, warm_up_bars)

    async def _fetch_minutes(self, result: BacktestResult, bars: Bars, bar: int) -> Bars | None:
        """Return the minutes inside a bar; None if the source has none."""
        first_ms = int(bars.open_time_ms[bar])
        last_ms = bars.interval.next_open_ms(first_ms) - 1
        market = MarketRequest(
            symbol=bars.symbol,
            interval=FINER,
            limit=FINER.most_bars(first_ms, last_ms),
            start_ms=first_ms,
            end_ms=last_ms,
            source=result.request.market.source,
            seed=result.request.market.seed,
            limit_origin=LimitOrigin.RANGE,
        )
        try:
            source = await self.sources.find(market.source, user_id=result.request.user_id)
            return (await source.fetch(market)).bars
        except ServiceError:
            return None  # counted as unresolved

    async def _keep(
        self,
        key: tuple[str, str],
        compute: Callable[[], Coroutine[Any, Any, Any]],
        *,
        is_final: Callable[[Any], bool] | None = None,
    ) -> Any:
        if key in self._kept:
            self._kept.move_to_end(key)
            # It may have been deleted since.
            await self.store.owner(key[1])
            return self._kept[key]
        found = await self._run_in_time(key, compute)
        if is_final is not None and not is_final(found):
            return found
        self._kept[key] = found
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return found

    async def _run_in_time(self, key: tuple[str, str], compute: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run a check, waiting and reading included; several callers share it. Raises TimedOut after `timeout_s`."""
        too_late = TimedOut("The check took longer than the limit of {most:g} s.", most=self.timeout_s)
        async with until(deadline_after(self.timeout_s), too_late):
            return await self._runs.run(key, compute)
