"""Judge one run: examine it on its own, then judge it among all trials of its user.

The steps are separate because of the ledger of trials: `trials_of` returns what the run adds to it, and `judge` needs
its sums including this run. `examine`, which takes longest, needs no ledger, so a run can be counted meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from src.domain.annualization import Annualization
from src.domain.bar_quality import DataQuality
from src.domain.bars import Bars
from src.domain.benchmarks import Benchmarks
from src.domain.confidence import Confidence, Deflation
from src.domain.judgement import FillBand, Judgement, LedgerSnapshot, SweepChoice
from src.domain.leaks import Leaks, OverlapSigns, RowAudit, TrainingOverlap
from src.domain.performance import Metrics
from src.domain.signals import Signals
from src.domain.simulation import Simulation
from src.domain.trading import FillTiming, TradingRules
from src.domain.trials import Trial
from src.domain.verdict import NotChecked
from src.judgement import breakdowns, timing, trial_ledger
from src.judgement.benchmarks import Simulate, find_break_even_fee, hold_market, measure_costs
from src.judgement.crises import find_missing_crises
from src.judgement.deflation import deflate
from src.judgement.evidence import Evidence
from src.judgement.fill_band import measure_fill_band
from src.judgement.gap_trades import find_traded_gaps
from src.judgement.intervals import measure_confidence
from src.judgement.jumps import find_jump_rows, join_closes, join_prices
from src.judgement.leaks import measure_overlap
from src.judgement.verdict import reach_verdict
from src.metrics.returns import simple_returns

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JudgedRun:
    """A run and its inputs.

    `differing_fills` counts the fills in which both engines differ; None if they were not compared.
    """

    bars: Bars
    quality: DataQuality
    signals: Signals
    rules: TradingRules
    simulation: Simulation
    metrics: Metrics
    annualization: Annualization
    has_model: bool
    is_simulated: bool
    differing_fills: int | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examination:
    """The findings on a run by itself; `benchmarks` counts it as the only trial until it is judged."""

    run: JudgedRun
    confidence: Confidence
    overlap: OverlapSigns | None
    benchmarks: Benchmarks
    fill_band: FillBand | None


class _Returns(NamedTuple):
    """Returns per bar [n] of a run's equity and of its market, and the fraction of equity that was held over each.

    The market's closes [n] and returns are without price jumps across gaps; `jump_rows` are the bars after them.
    """

    equity: Floats
    market: Floats
    exposure: Floats
    closes: Floats
    jump_rows: tuple[int, ...]


def trials_of(run: JudgedRun) -> tuple[Trial | None, Trial | None]:
    """Return what a run adds to the ledger: trials of its returns, in total and without its average market exposure.

    Each is None if it did not move.
    """
    returns, market, exposure, *_ = _returns_of(run)
    total, active = trial_ledger.build_trials(
        run.bars.open_time_ms, returns, trial_ledger.active_returns(returns, market, exposure)
    )
    return total, active


def examine(run: JudgedRun, simulate: Simulate) -> Examination:
    """Compute everything about a run that needs no other run of its user; `simulate` runs an engine.

    Takes 1 to 2 ms for 1,000 bars, mostly for resampling.
    """
    bars, simulation, rules = run.bars, run.simulation, run.rules
    per_year, risk_free = run.annualization.bars_per_year, run.annualization.risk_free_per_bar
    returns, market, exposure, closes, jump_rows = _returns_of(run)
    joined = join_prices(bars, jump_rows)
    is_closed = ~simulation.trades["is_open"]
    profits = np.ascontiguousarray(simulation.trades["profit"][is_closed])
    entry_bars = simulation.trades["entry_bar"]
    costs = measure_costs(bars, run.signals, rules, simulation, run.annualization, simulate)
    scale = {"bars_per_year": per_year, "risk_free": risk_free}
    test = timing.measure_timing(exposure, market, bars_per_year=per_year)
    return Examination(
        run=run,
        confidence=measure_confidence(
            returns,
            profits,
            risk_free_per_bar=risk_free,
            bars_per_year=per_year,
            elapsed_years=None if run.annualization.is_too_short else run.annualization.elapsed_years,
        ),
        overlap=measure_overlap(simulation.position, market, returns, costs.delayed_returns) if run.has_model else None,
        benchmarks=Benchmarks(
            jumps_left_out=len(jump_rows),
            buy_and_hold=None if joined is None else hold_market(joined, rules, run.annualization, simulate),
            timing=test,
            timing_deflated=None if test is None else test.p_value,
            active_trials_effective=1.0,
            smallest_visible_edge_deflated=None if test is None else test.smallest_visible_edge,
            bars_needed_deflated=None if test is None else test.bars_needed,
            break_even_fee=find_break_even_fee(bars, run.signals, rules, simulation, simulate),
            cost_cases=costs.cases,
            years=breakdowns.split_by_year(bars.open_time_ms, returns, entry_bars, **scale),
            trends=breakdowns.split_by_trend(closes, returns, entry_bars, **scale),
            best_trades=breakdowns.measure_best_trades(
                profits, initial_cash=rules.initial_cash, final_equity=float(simulation.equity[-1])
            ),
            bars_below_peak=breakdowns.bars_below_last_peak(simulation.equity, rules.initial_cash),
            missing_crises=find_missing_crises(bars),
        ),
        fill_band=measure_fill_band(bars, run.signals, rules, simulation, simulate),
    )


def judge(
    found: Examination,
    ledger: LedgerSnapshot,
    *,
    rows: RowAudit | None,
    training: TrainingOverlap | None,
    not_checked: tuple[NotChecked, ...] = (),
    choice: SweepChoice | None = None,
) -> Judgement:
    """Judge a run among all trials of its user: the same findings and ledger give the same judgement to the bit.

    Parameters
    ----------
    ledger
        The trials with this run among them.
    rows, training
        Of a model: the audit of its rows, and how its training window lies in the bars; None if not made or declared.
    not_checked
        Checks that failed, and why.
    choice
        What a sweep says about the choice of this run; None unless the run is a row of a finished sweep.
    """
    run, deflation = found.run, _deflate(found, ledger)
    leaks = Leaks(rows=rows, overlap=found.overlap, training=training) if run.has_model else None
    benchmarks = _count_trials(found.benchmarks, deflation, len(run.bars))
    verdict = reach_verdict(
        Evidence(
            metrics=run.metrics,
            rules=run.rules,
            confidence=found.confidence,
            deflation=deflation,
            leaks=leaks,
            benchmarks=benchmarks,
            fill_band=found.fill_band,
            gaps_traded=find_traded_gaps(run.quality.gaps, run.simulation.trades),
            engines_differ=run.differing_fills,
            is_simulated=run.is_simulated,
            reduced_entries=run.simulation.reduced_entries,
            dropped_entries=run.simulation.dropped_entries,
            has_model=run.has_model,
            not_checked=not_checked,
            choice=choice,
        )
    )
    return Judgement(
        verdict=verdict,
        confidence=found.confidence,
        deflation=deflation,
        leaks=leaks,
        benchmarks=benchmarks,
        fill_band=found.fill_band,
        choice=choice,
    )


def _deflate(found: Examination, ledger: LedgerSnapshot) -> Deflation:
    """Return the run's figures, deflated by all trials."""
    run, test = found.run, found.benchmarks.timing
    return deflate(
        simple_returns(run.simulation.equity, run.rules.initial_cash),
        ledger.total,
        risk_free_per_bar=run.annualization.risk_free_per_bar,
        bars_per_year=run.annualization.bars_per_year,
        block_error=found.confidence.sharpe_error,
        runs=ledger.runs,
        active_trials=ledger.active.effective_trials,
        timing_p_value=None if test is None else test.p_value,
        reduced_trials=ledger.reduced_runs,
        missing_trials=ledger.missing_runs,
    )


def _returns_of(run: JudgedRun) -> _Returns:
    bars, simulation = run.bars, run.simulation
    jump_rows = find_jump_rows(bars)
    closes = join_closes(bars, jump_rows)
    exposure = timing.hold_exposure(
        simulation.position, bars.close, simulation.equity, is_filled_at_close=run.rules.fill is FillTiming.SAME_CLOSE
    )
    returns = simple_returns(simulation.equity, run.rules.initial_cash)
    return _Returns(returns, simple_returns(closes, float(closes[0])), exposure, closes, jump_rows)


def _count_trials(benchmarks: Benchmarks, deflation: Deflation, bars: int) -> Benchmarks:
    test, trials = benchmarks.timing, deflation.active_trials_effective or 1.0
    power = None if test is None else timing.deflate_power(test, bars, trials)
    return replace(
        benchmarks,
        timing_deflated=deflation.timing_deflated,
        active_trials_effective=trials,
        smallest_visible_edge_deflated=None if power is None else power.smallest_edge,
        bars_needed_deflated=None if power is None else power.bars_needed,
    )
