"""Compute a backtest from bars to metrics, with pure functions on one thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from src.domain.bars import Bars
from src.domain.funding import Funding, FundingKind
from src.domain.performance import Metrics
from src.domain.runs import BacktestRequest, CrossCheck, Detail
from src.domain.signals import Predictions, Signals
from src.domain.simulation import Simulation
from src.domain.strategy import StrategyInputs
from src.domain.trading import EngineName, TradingRules
from src.engines.funding_marks import find_missing
from src.metrics.summary import measure
from src.ports.computing import Engine
from src.service.cross_checks import cross_check
from src.service.periods import elapsed_time_warnings
from src.service.timing import Stopwatch
from src.strategies.registry import strategy_for
from src.strategies.up_down import UpDown


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a strategy did on some bars."""

    signals: Signals
    simulation: Simulation
    metrics: Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Computation:
    """The arrays and figures of a result."""

    outcome: Outcome
    cross_check: CrossCheck | None
    detail: Detail | None
    warnings: tuple[str, ...]


def compute(
    request: BacktestRequest,
    bars: Bars,
    predictions: Predictions | None,
    engines: Mapping[EngineName, Engine],
    stopwatch: Stopwatch,
    history: Bars | None = None,
) -> Computation:
    """Compute signals, fills, equity and metrics from bars and, if there is a model, its predictions.

    `history` are bars before these: the strategy reads them, and nothing else does.
    """
    outcome = compute_outcome(request, bars, predictions, engines, stopwatch, history=history)
    checked = None
    if request.cross_check:
        with stopwatch.step("crossCheck"):
            checked = cross_check(bars, outcome.signals, request.rules, engines)
    with stopwatch.step("engine"):
        detail = _describe_detail(request, bars, outcome.signals, outcome.simulation, engines[request.engine])
    return Computation(
        outcome=outcome,
        cross_check=checked,
        detail=detail,
        warnings=(
            *outcome.signals.warnings,
            *elapsed_time_warnings(bars),
            *funding_warnings(request.rules.funding, bars),
            *simulation_warnings(request, outcome.simulation),
        ),
    )


def compute_outcome(
    request: BacktestRequest,
    bars: Bars,
    predictions: Predictions | None,
    engines: Mapping[EngineName, Engine],
    stopwatch: Stopwatch | None = None,
    *,
    history: Bars | None = None,
) -> Outcome:
    """Compute a request on these bars, which may be only some of the request's own."""
    stopwatch = stopwatch or Stopwatch()
    with stopwatch.step("signals"):
        signals = decide(request, bars, predictions, history)
    with stopwatch.step("engine"):
        simulation = engines[request.engine].run(bars, signals, request.rules)
    with stopwatch.step("metrics"):
        metrics = measure(
            simulation,
            bars,
            initial_cash=request.rules.initial_cash,
            strategy_name=signals.strategy.name,
            settings=request.annualization,
        )
    return Outcome(signals=signals, simulation=simulation, metrics=metrics)


def decide(
    request: BacktestRequest, bars: Bars, predictions: Predictions | None, history: Bars | None = None
) -> Signals:
    """Return the strategy's signals; if there are none and the request allows it, those of the up/down-day rule."""
    if history is None:
        inputs = StrategyInputs(bars=bars, predictions=predictions)
    else:
        inputs = StrategyInputs(bars=bars.after(history), predictions=predictions, warm_up=len(history))
    signals = strategy_for(request.strategy).signals(inputs)
    if signals.action.any() or not request.use_fallback:
        return signals
    fallback = UpDown().signals(StrategyInputs(bars=bars))
    return Signals(
        action=fallback.action,
        strategy=fallback.strategy,
        warnings=(
            *signals.warnings,
            f"{signals.strategy.name} gave no signal at all; as useFallback asks, the {fallback.strategy.name} rule "
            "was traded instead.",
        ),
    )


def _describe_detail(
    request: BacktestRequest, bars: Bars, signals: Signals, simulation: Simulation, engine: Engine
) -> Detail | None:
    """Return what the finer bars settled, compared with the run without them; None if no detail was requested."""
    finer = request.rules.detail
    if finer is None:
        return None
    without = engine.run(replace(bars, inside=None), signals, request.rules)
    return Detail(
        interval=finer.name,
        resolved_bars=simulation.resolved_bars,
        unresolved_bars=simulation.unresolved_bars,
        ambiguous_bars_without=without.ambiguous_bars,
        total_return_without=(float(without.equity[-1]) / request.rules.initial_cash - 1) * 100,
        fingerprint=None if bars.inside is None else bars.inside.fingerprint(),
    )


USUAL_COST_RATE = 0.01
"""The spot fees of large exchanges are 0.02 % to about 1 % of the value; a larger fraction is probably meant as per
cent (0.1 for 0.1 %)."""


def simulation_warnings(request: BacktestRequest, simulation: Simulation) -> tuple[str, ...]:
    """Return the warnings about a simulation that are not among the reasons of its verdict."""
    found = [*simulation.warnings, *cost_warnings(request.rules)]
    if simulation.is_liquidated:
        found.append("Equity reached zero: the position was liquidated and trading stopped there.")
    if request.rules.margin.leverage > 1 and simulation.liquidations:
        found.append(f"Positions that were liquidated because their margin was used up: {simulation.liquidations}.")
    if request.rules.detail is not None and simulation.unresolved_bars:
        found.append(
            f"Bars for which {request.rules.detail.name} bars were needed, and are missing or do not make up the bar: "
            f"{simulation.unresolved_bars}. There intrabar decided."
        )
    return tuple(found)


def funding_warnings(funding: Funding, bars: Bars) -> list[str]:
    """Return a warning if a funding history lacks rates between the first bar and the last."""
    if funding.kind is not FundingKind.HISTORY:
        return []
    missing, marks = find_missing(bars, funding.known_rates)
    if not missing:
        return []
    return [
        f"Of the {marks:,} marks of funding (00:00, 08:00 and 16:00 UTC) in these bars, {missing:,} have no rate in "
        f"{'the history of the exchange' if funding.history is None else repr(funding.history)}; nothing is paid "
        "there."
    ]


def cost_warnings(rules: TradingRules) -> list[str]:
    """Return a warning for each cost rate that is unusually large."""
    return [
        f"{name} is {rate:g}, which is {rate * 100:g} % of the value on each side. If you meant {rate:g} %, send "
        f"{rate / 100:g}."
        for name, rate in (
            ("fees", rules.fee_rate),
            ("makerFee", rules.maker_fee_rate),
            ("takerFee", rules.taker_fee_rate),
            ("slippage", rules.slippage_rate),
        )
        if rate is not None and rate > USUAL_COST_RATE
    ]
