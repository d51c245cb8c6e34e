"""Give all attempts of a job the bars of the first attempt, and store one result even if several attempts run it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import starmap, zip_longest
from typing import Final

from src.domain.errors import Conflict, UnreadableResult
from src.domain.exchange_rules import ExchangeRules, Filters
from src.domain.jobs import JobPart
from src.domain.judgement import SweepChoice
from src.domain.market import MarketSeries, SymbolWarning
from src.domain.runs import BacktestRequest
from src.domain.signals import Predictions
from src.ports.jobs import JobHandle
from src.service.backtests import BacktestService
from src.service.funding import cut_funding, read_funding
from src.service.history import fetch_with_history
from src.service.reruns import pin_range
from src.service.results import is_stored

PART: Final = "bars"


@dataclass(frozen=True, slots=True, kw_only=True)
class _PinnedBars:
    """The bars of a job: their range, their fingerprint, and the warnings that the source gave at first.

    `kinds` are those of the warnings (`SymbolWarning`), empty if earlier versions stored them. `filters` are the tick
    size, step size and smallest value of an entry that the exchange had; None if the request did not ask for them.
    """

    first_ms: int
    last_ms: int
    fingerprint: str
    warnings: tuple[str, ...]
    filters: tuple[float | None, float | None, float | None] | None = None
    kinds: tuple[str, ...] = ()

    def pin(self, request: BacktestRequest) -> BacktestRequest:
        """Return the request with the range of these bars, and with their filters."""
        rules = request.rules
        if self.filters is not None:
            tick, step, least = self.filters
            exchange = ExchangeRules(tick_size=tick, step_size=step, min_notional=least)
            rules = replace(rules, exchange=exchange)
        return replace(request, market=pin_range(request.market, self.first_ms, self.last_ms), rules=rules)


async def prepare_pinned(
    backtests: BacktestService, handle: JobHandle, request: BacktestRequest, *, warm_up_bars: int, part: str = PART
) -> tuple[BacktestRequest, MarketSeries, Predictions | None]:
    """Return what `BacktestService.prepare` returns, with bars that do not change from one attempt to the next.

    The job's `part` records the bars; a job of several markets has one part for each. The market of the returned
    request is the range of these bars, so that its run has the same ones. Raises Conflict if the source now has
    different bars there.
    """
    stored = (await handle.parts()).get(part)
    pinned = None if stored is None else _read(stored)
    if pinned is not None:
        request = pinned.pin(request)
    backtest, series, predictions = await backtests.prepare(request, warm_up_bars=warm_up_bars)
    found = _PinnedBars(
        first_ms=int(series.bars.open_time_ms[0]),
        last_ms=int(series.bars.open_time_ms[-1]),
        fingerprint=await handle.compute(_fingerprint, backtest, series),
        warnings=series.warnings,
        filters=_filters_of(backtest),
        kinds=tuple(warning.kind if isinstance(warning, SymbolWarning) else "" for warning in series.warnings),
    )
    if pinned is None:
        await handle.note(None, JobPart(name=part, content=_write(found)))
        return found.pin(backtest), series, predictions
    if found.fingerprint != pinned.fingerprint:
        raise _changed(handle.job.id)
    return backtest, replace(series, warnings=pinned.warnings), predictions


async def run_once(
    backtests: BacktestService, request: BacktestRequest, result_id: str, *, choice: SweepChoice | None = None
) -> None:
    """Run a backtest and store its result under this id, unless an earlier attempt, killed since, has stored it.

    `choice` is what a sweep found about choosing this run; the verdict reads it. Raises what
    `BacktestService.run` raises.
    """
    if await is_stored(backtests.store, result_id):
        return
    try:
        await backtests.run(request, choice=choice, result_id=result_id)
    except Conflict as error:
        # A process that had lost the job may have stored it meanwhile.
        if not await is_stored(backtests.store, result_id):
            raise error


async def pin_request(
    backtests: BacktestService, parts: Mapping[str, bytes], request: BacktestRequest, *, warm_up_bars: int, job_id: str
) -> BacktestRequest:
    """Return the request with the range of the bars that a job had, and with the filters.

    Raises Conflict if the source has different bars there now, or the job did not record its bars.
    """
    if PART not in parts:
        raise Conflict("Job {id!r} does not say which bars it had. Start it again.", id=job_id)
    pinned = _read(parts[PART])
    request = pinned.pin(request)
    source = await backtests.sources.find(request.market.source, user_id=request.user_id)
    series = await fetch_with_history(source, request.market, warm_up_bars)
    known = cut_funding(await read_funding(backtests.sources, request), series.bars.open_time_ms)
    if await backtests.computing.run(_fingerprint, known, series) != pinned.fingerprint:
        raise _changed(job_id)
    return request


def _filters_of(request: BacktestRequest) -> tuple[float | None, float | None, float | None] | None:
    exchange = request.rules.exchange
    if exchange.filters is not Filters.EXCHANGE:
        return None
    return exchange.tick_size, exchange.step_size, exchange.min_notional


def _fingerprint(request: BacktestRequest, series: MarketSeries) -> str:
    """Return the fingerprint of the bars and, if the request has a funding history, of its rates."""
    funding = request.rules.funding.fingerprint
    return series.fingerprint() if funding is None else f"{series.fingerprint()} {funding}"


def _changed(job_id: str) -> Conflict:
    return Conflict("The bars of job {id!r} have changed since it was begun. Start it again.", id=job_id)


def _write(bars: _PinnedBars) -> bytes:
    return json.dumps(asdict(bars)).encode()


def _read(content: bytes) -> _PinnedBars:
    try:
        found = json.loads(content)
        filters = found.get("filters")  # earlier versions had none
        given = {
            "warnings": tuple(
                starmap(SymbolWarning, zip_longest(found["warnings"], found.get("kinds", []), fillvalue=""))
            ),
            "kinds": tuple(found.get("kinds", [])),
            "filters": None if filters is None else tuple(filters),
        }
        return _PinnedBars(**{**found, **given})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnreadableResult("The stored bars of a job cannot be read.") from error
