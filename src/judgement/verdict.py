"""Reach a verdict on a result: collect what each check objects, and take the gravest level.

There is no score, and p-values are never combined: the checks share their data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from src.domain.instants import iso_time
from src.domain.judgement import (
    Benchmarks,
    Confidence,
    Deflation,
    FillBand,
    Leaks,
    NotChecked,
    Reason,
    ReasonCode,
    Verdict,
    VerdictLevel,
)
from src.domain.market import Gap
from src.domain.performance import Metrics
from src.domain.trading import TradingRules
from src.judgement.leaks import MAX_CHANGED_SIGNALS, MAX_HIT_RATE, MAX_KUIPER_RANGE, MAX_LAG_Z

MIN_TRADES: Final = 20
MIN_BARS: Final = 250
MIN_DEFLATED_SHARPE: Final = 0.95
MAX_TIMING_P: Final = 0.05
MAX_OVERFITTING: Final = 0.7
"""On pure noise the probability of overfitting is 0.50 ± 0.15: only above this does it say anything."""
MAX_SUPERIORITY_P: Final = 0.05
MIN_FEE_MARGIN: Final = 2.0
MIN_AMBIGUOUS_BARS: Final = 5
MIN_AMBIGUOUS_SHARE: Final = 0.01
"""Bars that do not tell what they hit are worth a note from so many on, or from this share of the closed trades."""
MAX_NAMED_GAPS: Final = 3

_NO_MODEL_ALARM: Final = 0.0
"""No alarm on 100 honest models."""
_TEST_LEVEL: Final = 0.05

ALWAYS_UNCHECKED: Final = (
    NotChecked(code="OTHER_SEARCHES", why="Trials made elsewhere, or by this person as another user, are not counted."),
    NotChecked(code="LIQUIDITY", why="Orders are taken to fill whatever their size; they move no price."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a verdict is made from.

    `gaps_traded` are the long gaps that a trade was held through, the longest first. `engines_differ` counts the fills
    in which both engines differ, None if they were not compared. `not_checked` are checks that failed. The last two are
    those of a parameter sweep.
    """

    metrics: Metrics
    rules: TradingRules
    confidence: Confidence
    deflation: Deflation
    leaks: Leaks | None
    benchmarks: Benchmarks
    fill_band: FillBand | None
    gaps_traded: tuple[Gap, ...]
    engines_differ: int | None
    is_simulated: bool
    reduced_entries: int
    has_model: bool
    not_checked: tuple[NotChecked, ...]
    overfitting_probability: float | None = None
    superiority_p_value: float | None = None


def reach_verdict(evidence: Evidence) -> Verdict:
    """Return the verdict: DISPROVED before TOO_LITTLE_DATA before UNDERPOWERED before DOUBTFUL before NO_OBJECTION."""
    found = [reason for check in _CHECKS for reason in check(evidence)]
    power = _explain_power(evidence, found)
    if power is not None:
        found.append(power)
    found.sort(key=_rank)
    levels = [reason.level for reason in found if reason.level is not None]
    level = levels[0] if levels else VerdictLevel.NO_OBJECTION
    return Verdict(
        level=level,
        reasons=tuple(found),
        not_checked=(*evidence.not_checked, *ALWAYS_UNCHECKED),
    )


_LEVELS: Final = tuple(VerdictLevel)
_CODES: Final = tuple(ReasonCode)


def _rank(reason: Reason) -> tuple[int, int]:
    level = len(_LEVELS) if reason.level is None else _LEVELS.index(reason.level)
    return level, _CODES.index(reason.code)


def _reason(
    code: ReasonCode,
    level: VerdictLevel | None,
    text: str,
    value: float | None = None,
    threshold: float | None = None,
    unit: str = "",
    false_alarm_rate: float | None = None,
) -> Reason:
    return Reason(
        code=code,
        level=level,
        value=value,
        threshold=threshold,
        unit=unit,
        text=text,
        false_alarm_rate=false_alarm_rate,
    )


def _check_rows(evidence: Evidence) -> Iterator[Reason]:
    rows = None if evidence.leaks is None else evidence.leaks.rows
    if rows is None or not rows.differing:
        return
    if rows.is_repeatable is False:
        yield _reason(
            ReasonCode.NOT_REPEATABLE,
            VerdictLevel.DISPROVED,
            "The model gives other predictions when it is asked again for the same rows: no run of it can be repeated.",
            false_alarm_rate=_NO_MODEL_ALARM,
        )
        return
    signals = rows.signals
    share = None if signals is None else signals.changed / max(signals.compared, 1)
    if signals is not None and share is not None and (share > MAX_CHANGED_SIGNALS or signals.changes_sign):
        first = "" if signals.first_bar is None else f", the first at bar {signals.first_bar:,}"
        sign = " The net return changes its sign." if signals.changes_sign else ""
        yield _reason(
            ReasonCode.LOOKS_AHEAD,
            VerdictLevel.DISPROVED,
            f"The model uses later bars: without them {signals.changed:,} of {signals.compared:,} signals change"
            f"{first}.{sign}",
            share,
            MAX_CHANGED_SIGNALS,
            "fraction of signals",
            _NO_MODEL_ALARM,
        )
        return
    changed = (
        "" if signals is None else f"; without later bars {signals.changed:,} of {signals.compared:,} signals change"
    )
    yield _reason(
        ReasonCode.DEPENDS_ON_OTHER_ROWS,
        VerdictLevel.DOUBTFUL,
        f"The model's prediction for a bar depends on which other bars are predicted with it: {rows.differing:,} of "
        f"{rows.rows:,} predictions differ{changed}.",
        rows.differing / rows.rows,
        0.0,
        "fraction of predictions",
        _NO_MODEL_ALARM,
    )


def _check_training(evidence: Evidence) -> Iterator[Reason]:
    leaks = evidence.leaks
    if leaks is None:
        return
    training = leaks.training
    if training is None:
        yield _reason(
            ReasonCode.TRAINING_WINDOW_UNKNOWN,
            None,
            "It is not known which bars the model was trained on; on those its figures mean nothing. Declare when its "
            "training ended to see the figures after it.",
        )
        return
    if not training.bars_seen:
        return
    until, bars = iso_time(training.trained_to_ms), evidence.metrics.bars
    if training.bars_seen >= bars:
        yield _reason(
            ReasonCode.TRAINED_ON_THIS_WINDOW,
            VerdictLevel.DISPROVED,
            f"The model was trained on bars until {until}, which are all bars of this backtest: it was asked for what "
            "it had been told.",
            1.0,
            0.0,
            "fraction of bars",
            0.0,
        )
        return
    yield _reason(
        ReasonCode.TRAINED_ON_PART_OF_THIS_WINDOW,
        VerdictLevel.DOUBTFUL,
        f"The model was trained on bars until {until}, which are {training.bars_seen:,} of these {bars:,} bars. Only "
        "the figures out of sample, after them, count.",
        training.share_seen,
        0.0,
        "fraction of bars",
        0.0,
    )


def _check_overlap(evidence: Evidence) -> Iterator[Reason]:
    leaks = evidence.leaks
    if leaks is None or leaks.overlap is None or (leaks.training is not None and leaks.training.bars_seen):
        return
    signs = leaks.overlap
    knew = "as if the model had been trained on these bars"
    if signs.has_high_hit_rate and signs.hit_rate is not None:
        yield _reason(
            ReasonCode.HIGH_HIT_RATE,
            VerdictLevel.DOUBTFUL,
            f"The next bar moved the position's way in {signs.hit_rate:.1%} of {signs.hit_bars:,} bars, over "
            f"{MAX_HIT_RATE:.0%}: {knew}.",
            signs.hit_rate,
            MAX_HIT_RATE,
            "fraction of bars",
            _NO_MODEL_ALARM,
        )
    if signs.has_wide_kuiper_range and signs.kuiper_range is not None:
        yield _reason(
            ReasonCode.UNEVEN_HIT_RATE,
            VerdictLevel.DOUBTFUL,
            f"The hits crowd into a part of the bars (Kuiper range {signs.kuiper_range:.2f}, over "
            f"{MAX_KUIPER_RANGE:.1f}): {knew} in part.",
            signs.kuiper_range,
            MAX_KUIPER_RANGE,
            "ratio",
            _NO_MODEL_ALARM,
        )
    if signs.has_high_lag_z and signs.lag_z is not None:
        yield _reason(
            ReasonCode.LOSES_WHEN_DELAYED,
            VerdictLevel.DOUBTFUL,
            f"One bar later the same signals earn less by {signs.lag_z:.1f} standard errors, over {MAX_LAG_Z:.1f}: "
            f"{knew}.",
            signs.lag_z,
            MAX_LAG_Z,
            "standard errors",
            _NO_MODEL_ALARM,
        )


def _check_amount(evidence: Evidence) -> Iterator[Reason]:
    trades, bars = evidence.metrics.total_trades, evidence.metrics.bars
    if trades < MIN_TRADES:
        yield _reason(
            ReasonCode.FEW_TRADES,
            VerdictLevel.TOO_LITTLE_DATA,
            f"{_count(trades, 'closed trade')} cannot tell skill from luck: at least {MIN_TRADES} are needed.",
            float(trades),
            float(MIN_TRADES),
            "count",
        )
    if bars < MIN_BARS:
        yield _reason(
            ReasonCode.FEW_BARS,
            VerdictLevel.TOO_LITTLE_DATA,
            f"{_count(bars, 'bar')} cannot tell skill from luck: at least {MIN_BARS} are needed.",
            float(bars),
            float(MIN_BARS),
            "bars",
        )


def _check_sharpe(evidence: Evidence) -> Iterator[Reason]:
    deflation = evidence.deflation
    probability = _smaller(deflation.dsr, deflation.dsr_dependent)
    if probability is None or not probability < MIN_DEFLATED_SHARPE:
        return
    goal = "zero"
    if deflation.trials > 1:
        goal = f"what the best of {deflation.trials:,} trials ({deflation.trials_effective:.1f} in effect) has by luck"
    yield _reason(
        ReasonCode.LOW_DEFLATED_SHARPE,
        VerdictLevel.DOUBTFUL,
        f"The Sharpe ratio is truly better than {goal} with a probability of {probability:.2f}; "
        f"{MIN_DEFLATED_SHARPE:.2f} is asked for.",
        probability,
        MIN_DEFLATED_SHARPE,
        "probability",
        _TEST_LEVEL,
    )


def _check_timing(evidence: Evidence) -> Iterator[Reason]:
    benchmarks = evidence.benchmarks
    test, p_value = benchmarks.timing, benchmarks.timing_deflated
    if test is None or p_value is None:
        yield _reason(
            ReasonCode.TIMING_NOT_TESTABLE,
            VerdictLevel.DOUBTFUL,
            "Whether the timing of the trades mattered cannot be tested: the run has under 10 trades or too few bars, "
            "or is never in or never out of the market.",
        )
        return
    if not p_value > MAX_TIMING_P:
        return
    trials = ""
    if benchmarks.active_trials_effective > 1:
        trials = f" after {benchmarks.active_trials_effective:.1f} trials in effect"
    yield _reason(
        ReasonCode.TIMING_NOT_FOUND,
        VerdictLevel.DOUBTFUL,
        f"The same trades at other times earn as much in {p_value:.0%} of cases{trials}, over {MAX_TIMING_P:.0%}."
        f"{_explain_difference(evidence)}",
        p_value,
        MAX_TIMING_P,
        "probability",
        _TEST_LEVEL,
    )


def _explain_difference(evidence: Evidence) -> str:
    """Return what it means that the Sharpe ratio passes and the timing does not."""
    probability = _smaller(evidence.deflation.dsr, evidence.deflation.dsr_dependent)
    if probability is None or probability < MIN_DEFLATED_SHARPE:
        return ""
    return (
        f" The Sharpe ratio is over its hurdle with a probability of {probability:.2f} all the same: the run earned "
        "because the market moved its way, not because of when it bought and sold."
    )


def _check_sweep(evidence: Evidence) -> Iterator[Reason]:
    overfitting, p_value = evidence.overfitting_probability, evidence.superiority_p_value
    if overfitting is not None and overfitting > MAX_OVERFITTING:
        yield _reason(
            ReasonCode.LIKELY_OVERFIT,
            VerdictLevel.DOUBTFUL,
            f"The best row of the sweep falls into the worse half on other bars with a probability of "
            f"{overfitting:.2f}, over {MAX_OVERFITTING:.2f}.",
            overfitting,
            MAX_OVERFITTING,
            "probability",
        )
    if p_value is not None and p_value > MAX_SUPERIORITY_P:
        yield _reason(
            ReasonCode.NOT_SUPERIOR,
            VerdictLevel.DOUBTFUL,
            f"The best row of the sweep does not beat buying and holding: p is {p_value:.2f}, over "
            f"{MAX_SUPERIORITY_P:.2f}.",
            p_value,
            MAX_SUPERIORITY_P,
            "probability",
            _TEST_LEVEL,
        )


def _check_costs(evidence: Evidence) -> Iterator[Reason]:
    fee, break_even = evidence.rules.fee_rate, evidence.benchmarks.break_even_fee
    if break_even is None or (break_even > 0 and break_even >= MIN_FEE_MARGIN * fee):
        return
    if break_even <= 0:
        text = "The run loses even without fees."
    else:
        text = (
            f"Nothing is left at a fee of {break_even:.3%} a side; the run pays {fee:.3%}, and {MIN_FEE_MARGIN:g} "
            "times that is asked for as a margin."
        )
    yield _reason(
        ReasonCode.THIN_COST_MARGIN,
        VerdictLevel.DOUBTFUL,
        text,
        break_even,
        MIN_FEE_MARGIN * fee,
        "fraction of the value, a side",
    )


def _check_bars(evidence: Evidence) -> Iterator[Reason]:
    band, gaps = evidence.fill_band, evidence.gaps_traded
    if band is not None:
        low, high = sorted((band.pessimistic_return, band.optimistic_return))
        span = (
            f"{_count(band.ambiguous_bars, 'bar')} {_do(band.ambiguous_bars)} not tell whether the stop or the target "
            f"came first: the return is {low:+.2f} % or {high:+.2f} %"
        )
        if low < 0 < high:
            yield _reason(
                ReasonCode.FILL_BAND_CHANGES_SIGN,
                VerdictLevel.DOUBTFUL,
                f"{span}, a loss or a gain.",
                low,
                0.0,
                "per cent",
            )
        elif (
            band.ambiguous_bars >= MIN_AMBIGUOUS_BARS
            or band.ambiguous_bars >= MIN_AMBIGUOUS_SHARE * evidence.metrics.total_trades
        ):
            yield _reason(
                ReasonCode.AMBIGUOUS_BARS,
                None,
                f"{span}.",
                float(band.ambiguous_bars),
                None,
                "bars",
            )
    if gaps:
        yield _reason(
            ReasonCode.GAPS_TRADED_ACROSS,
            VerdictLevel.DOUBTFUL,
            _describe_gaps(gaps),
            float(len(gaps)),
            0.0,
            "count",
        )
    if evidence.engines_differ:
        yield _reason(
            ReasonCode.ENGINES_DIFFER,
            VerdictLevel.DOUBTFUL,
            f"Both engines differ in {_count(evidence.engines_differ, 'fill')}: report this as a fault of the service.",
            float(evidence.engines_differ),
            0.0,
            "count",
        )


def _describe_gaps(gaps: tuple[Gap, ...]) -> str:
    named = "; ".join(
        f"{_count(gap.missing_bars, 'bar')} between {iso_time(gap.after_ms)} and {iso_time(gap.next_ms)}"
        for gap in gaps[:MAX_NAMED_GAPS]
    )
    more = len(gaps) - MAX_NAMED_GAPS
    others = f"; and {_count(more, 'shorter one')}" if more > 0 else ""
    return (
        f"Trades were held through {_count(len(gaps), 'long gap')} in the bars ({named}{others}): what stops and "
        "signals would have done there is not known."
    )


def _check_notes(evidence: Evidence) -> Iterator[Reason]:
    metrics, confidence, best = evidence.metrics, evidence.confidence, evidence.benchmarks.best_trades
    if evidence.is_simulated:
        yield _reason(ReasonCode.SIMULATED_PRICES, None, "The bars are simulated: no market ever printed these prices.")
    interval = confidence.sharpe_ratio
    if interval is not None and interval.low <= 0 <= interval.high:
        yield _reason(
            ReasonCode.SHARPE_MAY_BE_ZERO,
            None,
            f"The true Sharpe ratio may be zero: its {confidence.level:.0%} interval is {interval.low:.2f} to "
            f"{interval.high:.2f}.",
            interval.low,
            0.0,
            "ratio",
        )
    if metrics.total_return > 0 and best.return_without_best is not None and best.return_without_best <= 0:
        yield _reason(
            ReasonCode.PROFIT_NEEDS_BEST_TRADE,
            None,
            f"Without its best trade the run returns {best.return_without_best:+.2f} % in place of "
            f"{metrics.total_return:+.2f} %.",
            best.return_without_best,
            0.0,
            "per cent",
        )
    if evidence.deflation.trials <= 1:
        yield _reason(
            ReasonCode.ONLY_TRIAL_SEEN,
            None,
            "This is the only trial on this market that the service has seen of this user: searches made elsewhere "
            "are not counted, and make every figure look better.",
            float(evidence.deflation.trials),
            None,
            "count",
        )
    if confidence.are_trades_autocorrelated and confidence.trade_autocorrelation is not None:
        yield _reason(
            ReasonCode.TRADES_AUTOCORRELATED,
            None,
            f"Trades follow from those before them (autocorrelation {confidence.trade_autocorrelation:+.2f}): win rate "
            "and profit factor are less certain than their intervals say.",
            confidence.trade_autocorrelation,
            None,
            "ratio",
        )
    if evidence.reduced_entries:
        yield _reason(
            ReasonCode.ENTRIES_REDUCED,
            None,
            f"{_count(evidence.reduced_entries, 'entry', 'entries')} cost more than the cash that was left, and "
            f"{'was' if evidence.reduced_entries == 1 else 'were'} cut to it.",
            float(evidence.reduced_entries),
            None,
            "count",
        )


_STATISTICAL: Final = frozenset(
    {ReasonCode.LOW_DEFLATED_SHARPE, ReasonCode.TIMING_NOT_FOUND, ReasonCode.TIMING_NOT_TESTABLE}
)


def _explain_power(evidence: Evidence, found: Iterable[Reason]) -> Reason | None:
    """Return why the objections may come from too few bars alone; None if they do not.

    So it is if only the Sharpe ratio and the timing are objected to, and an edge was measured that is smaller than the
    smallest that the timing test could have seen.
    """
    test = evidence.benchmarks.timing
    objections = {reason.code for reason in found if reason.level is not None}
    if test is None or not objections or not objections <= _STATISTICAL:
        return None
    if not 0 < test.edge < test.smallest_visible_edge:
        return None
    needed = "" if test.bars_needed is None else f" About {test.bars_needed:,} bars would show it."
    return _reason(
        ReasonCode.UNDERPOWERED,
        VerdictLevel.UNDERPOWERED,
        f"An edge of {test.edge:.1f} % a year was measured, and only one of {test.smallest_visible_edge:.1f} % could "
        f"have been told from luck on {evidence.metrics.bars:,} bars.{needed}",
        test.edge,
        test.smallest_visible_edge,
        "per cent a year",
    )


def _smaller(*values: float | None) -> float | None:
    return min((value for value in values if value is not None), default=None)


def _count(number: int, noun: str, plural: str = "") -> str:
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def _do(number: int) -> str:
    return "does" if number == 1 else "do"


_CHECKS: Final[tuple[Callable[[Evidence], Iterator[Reason]], ...]] = (
    _check_rows,
    _check_training,
    _check_amount,
    _check_overlap,
    _check_sharpe,
    _check_timing,
    _check_sweep,
    _check_costs,
    _check_bars,
    _check_notes,
)
