"""Judge a backtest: the whole run, and the part after a model's training window, among all trials of its user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from src.domain.annualization import annualize
from src.domain.bars import Bars
from src.domain.judgement import Judgement, LedgerSnapshot, SampleResult, SweepChoice
from src.domain.leaks import RowAudit, TrainingOverlap
from src.domain.market import SIMULATED, MarketSeries, source_of
from src.domain.performance import Metrics
from src.domain.runs import BacktestRequest
from src.domain.signals import Predictions, StrategyDescription
from src.domain.trading import EngineName, TradingRules
from src.domain.training import DEFAULT_LABEL_HORIZON, NO_TRAINING_WINDOW
from src.domain.trial_states import LedgerUpdate, TrialLedgerState
from src.domain.trials import LedgerEntry, Trial
from src.domain.verdict import NotChecked, VerdictLevel
from src.judgement.report import Examination, JudgedRun, examine, judge, trials_of
from src.judgement.row_keys import row_keys
from src.judgement.trial_keys import RunSetting, run_key
from src.ports.computing import Engine
from src.service.pipeline import Computation, Outcome, compute_outcome

OUT_OF_SAMPLE: Final = "Out of sample"
"""How sentences about the part after the training window begin."""

MIN_COUNTED_BARS: Final = 30
"""Minimum number of bars after the training window that count as the trial. The t of fewer returns says hardly
anything, and the ledger would count them in finer slots than days, apart from all similar runs."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunParts:
    """The parts of a backtest that are judged, and the entry that it adds to its user's ledger.

    `out_of_sample` is the run on the bars after the training window; None if none was declared or no bars are left.
    `in_sample` are the metrics up to the window's end; None without a window in these bars.
    """

    whole: JudgedRun
    out_of_sample: JudgedRun | None
    in_sample: Metrics | None
    training: TrainingOverlap | None
    entry: LedgerEntry


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExaminedRun:
    """The examinations of a backtest's parts."""

    parts: RunParts
    whole: Examination
    out_of_sample: Examination | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInputs:
    """The bars, predictions and history of one run."""

    bars: Bars
    predictions: Predictions | None
    history: Bars | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The judgement of a backtest and of its parts, and the trials that they were deflated with."""

    judgement: Judgement
    in_sample: SampleResult | None
    out_of_sample: SampleResult | None
    ledger: LedgerSnapshot

    @property
    def out_of_sample_level(self) -> VerdictLevel | None:
        """Return the level of the part after the training window; None without one."""
        after = self.out_of_sample
        return None if after is None or after.judgement is None else after.judgement.verdict.level


def split_run(
    request: BacktestRequest,
    series: MarketSeries,
    predictions: Predictions | None,
    computed: Computation,
    engines: Mapping[EngineName, Engine],
    bars_fingerprint: str,
) -> RunParts:
    """Return the parts that are judged: the whole run, and the part after the training window if one was declared."""
    bars = series.bars
    differing = None if computed.cross_check is None else len(computed.cross_check.differences)
    whole = _to_judge(request, series, bars, computed.outcome, differing_fills=differing)
    training = find_training_overlap(request, bars)
    in_sample = after = None
    if training is not None and training.bars_seen:
        first, after_window = _find_trained(request, bars)
        in_sample = (
            computed.outcome.metrics
            if training.bars_seen == len(bars)
            else compute_part(request, series, predictions, engines, first, after_window).metrics
        )
        if training.bars_after:
            start = len(bars) - training.bars_after
            outcome = compute_part(request, series, predictions, engines, start, len(bars))
            after = _to_judge(request, series, bars.slice(start, len(bars)), outcome, differing_fills=None)
    total, active = _find_trials(whole, after, training)
    growth = min(_smallest_growth(part) for part in (whole, after) if part is not None)
    setting = run_setting(request, bars, training, bars_fingerprint)
    key = run_key(setting, whole.signals.strategy, request.rules, smallest_growth=growth)
    entry = LedgerEntry(key=key, total=total, active=active)
    return RunParts(whole=whole, out_of_sample=after, in_sample=in_sample, training=training, entry=entry)


def examine_parts(parts: RunParts, request: BacktestRequest, engines: Mapping[EngineName, Engine]) -> ExaminedRun:
    """Examine each part on its own."""
    simulate, after = engines.get(EngineName.EVENT_DRIVEN, engines[request.engine]).run, parts.out_of_sample
    return ExaminedRun(
        parts=parts,
        whole=examine(parts.whole, simulate),
        out_of_sample=None if after is None else examine(after, simulate),
    )


def conclude(
    examined: ExaminedRun,
    ledger: LedgerSnapshot,
    *,
    rows: RowAudit | None,
    not_checked: tuple[NotChecked, ...],
    choice: SweepChoice | None = None,
) -> Judged:
    """Judge an examined run and its part after the training window among the trials of a ledger.

    `choice` applies to both, because a sweep chooses on all bars.
    """
    parts, after = examined.parts, examined.out_of_sample
    training = parts.training
    out_of_sample = None
    if after is not None and training is not None:
        clean = replace(training, bars_seen=0, share_seen=0.0, bars_before=0, bars_after=len(after.run.bars))
        judgement = judge(after, ledger, rows=rows, training=clean, not_checked=not_checked, choice=choice)
        out_of_sample = SampleResult(metrics=after.run.metrics, judgement=judgement)
    in_sample = None if parts.in_sample is None else SampleResult(metrics=parts.in_sample, judgement=None)
    return Judged(
        judgement=judge(examined.whole, ledger, rows=rows, training=training, not_checked=not_checked, choice=choice),
        in_sample=in_sample,
        out_of_sample=out_of_sample,
        ledger=ledger,
    )


def verdict_sentences(judged: Judged) -> tuple[str, ...]:
    """Return the sentences of both verdicts, first those of the part after the training window, which say so.

    A note on both parts appears once, for the whole.
    """
    whole, after = judged.judgement.verdict.reasons, judged.out_of_sample
    own = () if after is None or after.judgement is None else after.judgement.verdict.reasons
    known = {reason.text for reason in whole if reason.level is None}
    return (
        *(f"{OUT_OF_SAMPLE}: {reason.text}" for reason in own if reason.text not in known),
        *(reason.text for reason in whole),
    )


def take_snapshot(update: LedgerUpdate) -> LedgerSnapshot:
    """Return what a result keeps of its user's ledger: enough to deflate it again in the same way."""
    before, after = update.before, update.after
    return LedgerSnapshot(
        total=after.total.statistics,
        active=after.active.statistics,
        total_before=before.total.statistics,
        active_before=before.active.statistics,
        head_before=before.head,
        head_after=after.head,
        runs=count_runs(after),
        reduced_runs=after.reduced_runs,
        missing_runs=after.missing_runs,
    )


def count_runs(state: TrialLedgerState) -> int:
    """Return how many runs a ledger has counted, also those that did not move: the number that `run.py ledger` prints.

    Versions that kept no links did not store that number; then the runs that moved are counted.
    """
    return max(state.runs, state.total.trials)


def ledger_market(symbol: str, origin: str) -> str:
    """Return the market of a ledger: trials on another source's bars, or on simulated ones, are counted apart.

    Bars made from finer bars of the source count as the source's, because the cache decides which bars are made so.
    """
    return f"{symbol} ({source_of(origin)})"


def find_training_overlap(request: BacktestRequest, bars: Bars) -> TrainingOverlap | None:
    """Return how the declared training window overlaps the bars; None if none was declared."""
    model = request.strategy.model
    window = NO_TRAINING_WINDOW if model is None else model.training
    if window.trained_to_ms is None:
        return None
    horizon = DEFAULT_LABEL_HORIZON if window.label_horizon is None else window.label_horizon
    first, after = _find_trained(request, bars)
    seen = after - first
    return TrainingOverlap(
        trained_from_ms=window.trained_from_ms,
        trained_to_ms=window.trained_to_ms,
        label_horizon=horizon,
        bars_seen=seen,
        share_seen=seen / len(bars),
        bars_before=first,
        bars_after=max(len(bars) - after - (horizon if seen else 0), 0),
    )


def _find_trained(request: BacktestRequest, bars: Bars) -> tuple[int, int]:
    """Return the first bar that opens inside the training window, and the first after it."""
    model = request.strategy.model
    window = NO_TRAINING_WINDOW if model is None else model.training
    if window.trained_to_ms is None:
        return 0, 0
    after = int(np.searchsorted(bars.open_time_ms, window.trained_to_ms, side="right"))
    first = 0 if window.trained_from_ms is None else int(np.searchsorted(bars.open_time_ms, window.trained_from_ms))
    return min(first, after), after


def compute_part(
    request: BacktestRequest,
    series: MarketSeries,
    predictions: Predictions | None,
    engines: Mapping[EngineName, Engine],
    start: int,
    stop: int,
) -> Outcome:
    """Run some of the bars anew: flat, with the initial cash, and predictions from features of all earlier bars.

    The strategy warms up on the bars before the part.
    """
    part = part_of(request, series, predictions, start, stop)
    return compute_outcome(request, part.bars, part.predictions, engines, history=part.history)


def part_of(
    request: BacktestRequest, series: MarketSeries, predictions: Predictions | None, start: int, stop: int
) -> RunInputs:
    """Return the inputs of a run of some of the bars."""
    part = (
        None
        if predictions is None
        else replace(predictions, values=predictions.values[start:stop], among_others=None, warnings=())
    )
    bars = series.bars
    history = series.history_before(start, request.strategy.warm_up_bars(bars.interval))
    return RunInputs(bars=bars.slice(start, stop), predictions=part, history=history)


def runs_of(request: BacktestRequest, series: MarketSeries, predictions: Predictions | None) -> list[RunInputs]:
    """Return the inputs of each run that a result shows: the whole, and the parts in and after the training window."""
    bars = series.bars
    found = [RunInputs(bars=bars, predictions=predictions, history=series.history)]
    training = find_training_overlap(request, bars)
    if training is not None and training.bars_seen:
        spans = [_find_trained(request, bars), (len(bars) - (training.bars_after or 0), len(bars))]
        found += [part_of(request, series, predictions, first, stop) for first, stop in spans if first < stop]
    return found


def _to_judge(
    request: BacktestRequest,
    series: MarketSeries,
    bars: Bars,
    outcome: Outcome,
    *,
    differing_fills: int | None,
) -> JudgedRun:
    return JudgedRun(
        bars=bars,
        quality=series.quality,
        signals=outcome.signals,
        rules=request.rules,
        simulation=outcome.simulation,
        metrics=outcome.metrics,
        annualization=annualize(bars, request.annualization),
        has_model=request.strategy.model is not None,
        is_simulated=request.market.source == SIMULATED,
        differing_fills=differing_fills,
    )


def _find_trials(
    whole: JudgedRun, after: JudgedRun | None, training: TrainingOverlap | None
) -> tuple[Trial | None, Trial | None]:
    """Return what a run adds to the ledger: every run adds something, or a search could be hidden from the ledger.

    That is the part after the training window. If there is none, or it is too short or did not move, the returns of the
    whole run are counted with t = 0. They show how many different trials were made. Their real t is that of a model on
    bars that it knows: counting one such t would raise V, and with it the hurdle of every later run. 0 is what luck
    gives on average.
    """
    if training is None or not training.bars_seen:
        return trials_of(whole)
    if after is not None and len(after.bars) >= MIN_COUNTED_BARS:
        total, active = trials_of(after)
        if total is not None:
            return total, active
    known_total, known_active = (trial and replace(trial, t=0) for trial in trials_of(whole))
    return known_total, known_active


def run_setting(
    request: BacktestRequest, bars: Bars, training: TrainingOverlap | None, bars_fingerprint: str
) -> RunSetting:
    """Return what the keys of all runs of a request on some bars have in common, whatever its parameters are.

    A training window that covers some of the bars is part of it: another one counts other returns, or another t.
    """
    times, model = bars.open_time_ms, request.strategy.model
    declared = None
    if training is not None and training.bars_seen:
        seen = times[training.bars_before or 0 :][: training.bars_seen]
        declared = {"from": int(seen[0]), "to": int(seen[-1]), "labelHorizon": training.label_horizon}
    return RunSetting(
        symbol=bars.symbol,
        interval=bars.interval.name,
        window_ms=(int(times[0]), int(times[-1])),
        bars_fingerprint=bars_fingerprint,
        highest_price=float(bars.high.max()),
        model_sha256=None if model is None else model.sha256,
        training=declared,
    )


def sweep_keys(
    request: BacktestRequest,
    series: MarketSeries,
    strategies: Sequence[StrategyDescription],
    rules: TradingRules | Sequence[TradingRules],
    lowest_growth: Sequence[float],
) -> tuple[str, ...]:
    """Return the keys of the rows of a sweep: each is the key that the row would have as a run of its own.

    Parameters
    ----------
    request
        The backtest that is swept, with the model that was found.
    strategies, rules
        What each row runs; one object of rules for all, or one each.
    lowest_growth
        The lowest equity over 0 of each row, in units of its initial cash.
    """
    training = find_training_overlap(request, series.bars)
    setting = run_setting(request, series.bars, training, series.fingerprint())
    return row_keys(setting, strategies, rules, lowest_growth)


def _smallest_growth(run: JudgedRun) -> float:
    """Return the lowest equity over 0 in units of the initial cash."""
    equity, cash = run.simulation.equity, run.rules.initial_cash
    return float(np.min(equity, where=equity > 0, initial=cash)) / cash
