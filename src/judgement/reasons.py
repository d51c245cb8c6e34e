"""Yield the objections that a run's figures give: to the amount of data, luck, timing, costs and fills."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from src.domain.bar_quality import Gap
from src.domain.confidence import Deflation
from src.domain.instants import iso_time
from src.domain.judgement import FillBand
from src.domain.performance import Metrics
from src.domain.trading import Direction
from src.domain.verdict import Reason, ReasonCode, VerdictLevel
from src.judgement.deflation import LEVEL
from src.judgement.evidence import Evidence, count_noun, format_figure, make_objection
from src.judgement.notes import band_changes_sign
from src.judgement.timing import MIN_SHIFTS, MIN_TRADES

MIN_CLOSED_TRADES: Final = 20
MIN_BARS: Final = 250
"""Under either, no level below TOO_LITTLE_DATA is given. Chosen on simulated paths (JUDGEMENT.md, section 7), on which
strategies without an edge then pass in at most 5 % of cases."""

MIN_DEFLATED_SHARPE: Final = LEVEL
"""The best of 90 moving averages without an edge was over it in 5.0 % (long) and 2.0 % (long and short) of cases."""

MAX_TIMING_P_VALUE: Final = 0.05
"""By construction 5 % of the runs without any timing are under it."""

MAX_OVERFITTING_PROBABILITY: Final = 0.7
"""Pure noise gives 0.50 ± 0.15 with 12 blocks."""

MAX_SUPERIORITY_P_VALUE: Final = 0.05

MIN_COST_MARGIN: Final = 2.0
"""The multiple of its fee that a run must be able to pay: real costs are often higher than assumed."""

RUIN_DRAWDOWN: Final = 99.0
"""Per cent. Later trades are so small that a ratio of returns to their deviation may even be high."""

MAX_NAMED_GAPS: Final = 3
MIN_ROUNDED_TRIALS: Final = 10
"""Sentences give the effective trials as a whole number from this many on."""


def data_objections(metrics: Metrics) -> Iterator[Reason]:
    """Yield the objections to the amount of data."""
    trades, bars = metrics.total_trades, metrics.bars
    if trades < MIN_CLOSED_TRADES:
        yield make_objection(
            VerdictLevel.TOO_LITTLE_DATA,
            ReasonCode.FEW_TRADES,
            f"Too few trades to tell skill from luck: {trades:,} closed, where {MIN_CLOSED_TRADES} are needed.",
            value=float(trades),
            threshold=float(MIN_CLOSED_TRADES),
            unit="trades",
        )
    if bars < MIN_BARS:
        yield make_objection(
            VerdictLevel.TOO_LITTLE_DATA,
            ReasonCode.FEW_BARS,
            f"Too short to tell skill from luck: {count_noun(bars, 'bar')}, where {MIN_BARS} are needed.",
            value=float(bars),
            threshold=float(MIN_BARS),
            unit="bars",
        )


def ruin_objections(metrics: Metrics) -> Iterator[Reason]:
    """Yield the objection that nearly nothing of the account was left."""
    lost = metrics.max_drawdown
    if lost >= RUIN_DRAWDOWN:
        yield make_objection(
            VerdictLevel.DOUBTFUL,
            ReasonCode.RUINED,
            f"The account lost nearly everything: it fell by {format_figure(lost, RUIN_DRAWDOWN)} % from its peak, "
            f"where less than {RUIN_DRAWDOWN:g} % is allowed. The other figures describe trades of what was left.",
            value=lost,
            threshold=RUIN_DRAWDOWN,
            unit="per cent",
        )


def luck_objections(evidence: Evidence) -> Iterator[Reason]:
    """Yield the objections that luck may explain the result."""
    yield from sharpe_objections(evidence.metrics, evidence.deflation)
    probability = deflated_sharpe(evidence.deflation)
    yield from _timing_objections(evidence, probability is not None and probability >= MIN_DEFLATED_SHARPE)
    yield from _sweep_objections(evidence)


def deflated_sharpe(deflation: Deflation) -> float | None:
    """Return the smallest probability that the true Sharpe ratio is over the hurdle; None if there is none.

    With one trial the hurdle is 0, so that the probabilities against 0 count too.
    """
    found = [deflation.dsr, deflation.dsr_dependent]
    if deflation.trials <= 1:
        found += [deflation.psr, deflation.psr_dependent]
    return min((probability for probability in found if probability is not None), default=None)


def sharpe_objections(metrics: Metrics, deflation: Deflation) -> Iterator[Reason]:
    """Yield the objection that luck may explain the Sharpe ratio, given all trials."""
    probability, sharpe = deflated_sharpe(deflation), metrics.sharpe_ratio
    if probability is None or probability >= MIN_DEFLATED_SHARPE:
        return
    is_negative = sharpe is not None and sharpe < 0
    meaning = "The Sharpe ratio is negative" if is_negative else "Luck may explain the Sharpe ratio"
    hurdle = "0" if deflation.trials <= 1 else f"what luck alone gives the best of {deflation.trials:,} trials"
    yield make_objection(
        VerdictLevel.DOUBTFUL,
        ReasonCode.LOW_DEFLATED_SHARPE,
        f"{meaning}: the probability that the true one is over {hurdle} is "
        f"{format_figure(probability, MIN_DEFLATED_SHARPE)}, where at least {MIN_DEFLATED_SHARPE:g} is needed.",
        value=probability,
        threshold=MIN_DEFLATED_SHARPE,
        unit="probability",
    )


def _timing_objections(evidence: Evidence, has_high_sharpe: bool) -> Iterator[Reason]:
    deflated = evidence.benchmarks.timing_deflated
    in_sweep = None if evidence.choice is None else evidence.choice.timing_p_value
    if evidence.benchmarks.timing is None or deflated is None:
        yield make_objection(
            VerdictLevel.DOUBTFUL,
            ReasonCode.TIMING_NOT_TESTABLE,
            "It cannot be tested whether it matters when the strategy is in the market. The test needs at least "
            f"{MIN_TRADES} positions one after another, times without a position, and enough bars to move them by "
            f"{MIN_SHIFTS} different distances.",
        )
        return
    # The ledger also counts trials outside of the sweep; the sweep measures how similar its rows are at each bar.
    # Neither has all the information of the other, so the larger p-value counts.
    p_value = deflated if in_sweep is None else max(deflated, in_sweep)
    if p_value > MAX_TIMING_P_VALUE:
        shown = format_figure(p_value, MAX_TIMING_P_VALUE)
        chance = _say_deflated(evidence, shown) if p_value == deflated else _say_in_sweep(shown)
        meaning = f" The Sharpe ratio is high enough even so: {_explain_profit(evidence)}" if has_high_sharpe else ""
        yield make_objection(
            VerdictLevel.DOUBTFUL,
            ReasonCode.TIMING_NOT_FOUND,
            f"{chance}; at most {MAX_TIMING_P_VALUE:g} is allowed.{meaning}",
            value=p_value,
            threshold=MAX_TIMING_P_VALUE,
            unit="probability",
        )


def _say_deflated(evidence: Evidence, shown: str) -> str:
    trials = describe_trials(evidence)
    if trials is None:
        return f"The same trades at other times would earn as much with a probability of {shown}"
    return f"The chance that the best of {trials} such runs, traded at other times, would earn as much is {shown}"


def _say_in_sweep(shown: str) -> str:
    return f"The chance that a row of its sweep, traded at other times, would stand out as much as this run is {shown}"


def describe_trials(evidence: Evidence) -> str | None:
    """Return the independent trials that the timing is deflated with, as sentences write them; None for one."""
    trials = evidence.benchmarks.active_trials_effective
    shown = format_figure(trials) if trials < MIN_ROUNDED_TRIALS else f"{trials:,.0f}"
    return None if trials <= 1 or shown == "1" else f"about {shown}"


def _explain_profit(evidence: Evidence) -> str:
    """Return the end of the sentence that explains a high Sharpe ratio without timing."""
    held = evidence.benchmarks.buy_and_hold
    market = (evidence.metrics.buy_and_hold_return or 0.0) if held is None else held.total_return
    direction = evidence.rules.direction
    if direction is Direction.LONG and market > 0:
        return "holding while the market rose can explain it, and that it matters when it bought is not shown."
    if direction is Direction.SHORT and market < 0:
        return "being short while the market fell can explain it, and that it matters when it sold is not shown."
    return "holding positions at all can explain it, and that it matters when it bought and sold is not shown."


def _sweep_objections(evidence: Evidence) -> Iterator[Reason]:
    if evidence.choice is None:
        return
    probability, p_value = evidence.choice.overfitting_probability, evidence.choice.superiority_p_value
    if probability is not None and probability > MAX_OVERFITTING_PROBABILITY:
        limit = MAX_OVERFITTING_PROBABILITY
        yield make_objection(
            VerdictLevel.DOUBTFUL,
            ReasonCode.LIKELY_OVERFIT,
            "Parameters that are best on one half of the bars are below the median on the other with a probability of "
            f"{format_figure(probability, limit)}; at most {limit:g} is allowed.",
            value=probability,
            threshold=limit,
            unit="probability",
        )
    if p_value is not None and p_value > MAX_SUPERIORITY_P_VALUE:
        limit = MAX_SUPERIORITY_P_VALUE
        yield make_objection(
            VerdictLevel.DOUBTFUL,
            ReasonCode.NOT_SUPERIOR,
            "The best parameters may beat buying and holding by luck only: with a probability of "
            f"{format_figure(p_value, limit)} luck gives as much, where at most {limit:g} is allowed.",
            value=p_value,
            threshold=limit,
            unit="probability",
        )


def execution_objections(evidence: Evidence) -> Iterator[Reason]:
    """Yield the objections to costs and fills."""
    yield from _cost_objections(evidence)
    yield from fill_band_objections(evidence.fill_band)
    if evidence.gaps_traded:
        yield _gaps_objection(evidence.gaps_traded)
    if evidence.engines_differ:
        count = evidence.engines_differ
        yield make_objection(
            VerdictLevel.DOUBTFUL,
            ReasonCode.ENGINES_DIFFER,
            f"The two engines differ in {count_noun(count, 'fill')}, where 0 should: one of them fills orders wrongly.",
            value=float(count),
            threshold=0.0,
            unit="fills",
        )


def fill_band_objections(band: FillBand | None) -> Iterator[Reason]:
    """Yield the objection that the sign of the return depends on bars that do not tell what was hit first."""
    if band is None or not band_changes_sign(band.pessimistic_return, band.optimistic_return):
        return
    ambiguous = band.ambiguous_bars
    yield make_objection(
        VerdictLevel.DOUBTFUL,
        ReasonCode.FILL_BAND_CHANGES_SIGN,
        f"Whether this earns depends on {count_noun(ambiguous, 'bar')} that {'does' if ambiguous == 1 else 'do'} "
        "not tell what was hit first: the total return is "
        f"{format_figure(band.pessimistic_return, 0.0)} % if it was the stop, "
        f"{format_figure(band.optimistic_return, 0.0)} % if it was the target, one over 0 and the other not.",
        value=min(band.pessimistic_return, band.optimistic_return),
        threshold=0.0,
        unit="per cent",
    )


def _cost_objections(evidence: Evidence) -> Iterator[Reason]:
    """Yield the objection to a thin margin; without fees there is one only if the run earns nothing before costs."""
    break_even, fee = evidence.benchmarks.break_even_fee, evidence.rules.taker_rate
    if break_even is None:
        if evidence.metrics.total_return < 0:
            yield make_objection(
                VerdictLevel.DOUBTFUL,
                ReasonCode.THIN_COST_MARGIN,
                "It loses, and no fee of 0 or more was found at which it would not.",
            )
        return
    found, limit = break_even * 100, MIN_COST_MARGIN * fee * 100
    if break_even <= 0:
        needed = f"at least {format_figure(limit)} %" if limit > 0 else "over 0 %"
        yield _thin_cost_margin(
            f"It earns nothing even without fees: the return is 0 at a fee of {format_figure(found)} % a side, where "
            f"{needed} is needed.",
            found,
            limit,
        )
    elif break_even < MIN_COST_MARGIN * fee:
        meaning = "It loses at the fee charged" if break_even < fee else "Slightly higher costs take the profit"
        yield _thin_cost_margin(
            f"{meaning}: the return is 0 at a fee of {format_figure(found, limit)} % a side, where at least "
            f"{format_figure(limit)} % is needed ({MIN_COST_MARGIN:g} times the fee charged).",
            found,
            limit,
        )


def _thin_cost_margin(text: str, value: float, threshold: float) -> Reason:
    return make_objection(
        VerdictLevel.DOUBTFUL, ReasonCode.THIN_COST_MARGIN, text, value=value, threshold=threshold, unit="per cent"
    )


def _gaps_objection(gaps: tuple[Gap, ...]) -> Reason:
    longest = sorted(gaps, key=lambda gap: -gap.missing_bars)
    named = ", ".join(
        f"{count_noun(gap.missing_bars, 'bar')} between {iso_time(gap.after_ms)} and {iso_time(gap.next_ms)}"
        for gap in longest[:MAX_NAMED_GAPS]
    )
    which = "" if len(gaps) == 1 else "; the longest: " if len(gaps) > MAX_NAMED_GAPS else ": "
    count = count_noun(len(gaps), "long gap")
    held = f"{count} of {named}" if len(gaps) == 1 else f"{count}{which}{named}"
    return make_objection(
        VerdictLevel.DOUBTFUL,
        ReasonCode.GAPS_TRADED_ACROSS,
        f"Trades were held through {held}. What stops and signals would have done there is not known; 0 such gaps are "
        "allowed.",
        value=float(len(gaps)),
        threshold=0.0,
        unit="gaps",
    )
