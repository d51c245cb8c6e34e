"""Yield the objections that a model's leaks give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from src.domain.leaks import OverlapSigns, RowAudit, SignalChanges, TrainingOverlap
from src.domain.verdict import Reason, ReasonCode, VerdictLevel
from src.judgement.evidence import Evidence, count_noun, format_figure, make_objection
from src.judgement.leaks import MAX_CHANGED_SIGNALS, MAX_KUIPER_RANGE, MAX_LAG_Z, hit_rate_limit

ROW_AUDIT_FALSE_ALARMS: Final = 0.03
"""Of 109 honest models in 8 formats none differed in the comparison of rows, so none was called unrepeatable or looking
ahead. With a rate of 3 %, 4 % of such samples would have no alarm, so the rate is at most about 3 %. Of 364 dynamically
quantized networks, which do differ, 1 is called looking ahead."""

OVERLAP_FALSE_ALARMS: Final = 0.03
"""Of 100 honest models none had any of the three signs: at most 3 %, likewise. Of 27 others 1 had an uneven hit
rate."""


def leak_objections(evidence: Evidence) -> Iterator[Reason]:
    """Yield the objections to a model; none for strategies without a model."""
    leaks = evidence.leaks
    if leaks is None:
        return
    if leaks.rows is not None:
        yield from _row_objections(leaks.rows)
    if leaks.training is not None:
        yield from _training_objections(leaks.training, evidence.metrics.bars)
    if leaks.overlap is not None and (leaks.training is None or leaks.training.bars_seen == 0):
        yield from _overlap_objections(leaks.overlap)


def _row_objections(rows: RowAudit) -> Iterator[Reason]:
    if rows.is_repeatable is False:
        yield make_objection(
            VerdictLevel.DISPROVED,
            ReasonCode.NOT_REPEATABLE,
            "The model predicts something else when it is asked for the same rows again, so this result cannot be "
            "repeated.",
            false_alarm_rate=ROW_AUDIT_FALSE_ALARMS,
        )
        return
    signals = rows.signals
    if rows.differing == 0 or signals is None:
        found = None
    elif signals.differs_at_end_only:
        found = _describe_end(signals)
    else:
        found = _describe_share(signals)
    if found is not None:
        yield found
    elif rows.differing > 0 and not reads_earlier_rows_only(rows):
        rounding = (
            " The differences look like rounding, small and without pattern, as in a dynamically quantized network."
            if signals is not None and signals.differs_like_rounding
            else ""
        )
        yield make_objection(
            VerdictLevel.DOUBTFUL,
            ReasonCode.DEPENDS_ON_OTHER_ROWS,
            f"The prediction of a bar depends on the bars that are predicted with it: {rows.differing:,} of "
            f"{count_noun(rows.rows, 'row')} differ among other rows, where 0 should.{rounding} In live trading its "
            "signals may differ.",
            value=float(rows.differing),
            threshold=0.0,
            unit="rows",
        )


def reads_earlier_rows_only(rows: RowAudit) -> bool:
    """Return whether predictions depend on other rows, and no tried prefix shows that a later row is read."""
    signals = rows.signals
    if rows.differing == 0 or signals is None:
        return False
    return signals.prefixes > 0 and (signals.differing, signals.failed) == (0, 0)


def _describe_end(signals: SignalChanges) -> Reason:
    """Return the objection to a model that reads the next bars."""
    differing = signals.differing or 0
    if signals.changed:
        first = "" if signals.first_bar is None else f", the first at bar {signals.first_bar:,}"
        meaning = f"{count_noun(signals.changed, 'signal')} changed with them{first}."
    else:
        meaning = (
            "No signal changed in these tries, but each prediction of the backtest was made with bars that do not "
            "exist yet in live trading."
        )
    return make_objection(
        VerdictLevel.DISPROVED,
        ReasonCode.LOOKS_AHEAD,
        "The model looks ahead: if the bars are cut off, its predictions for the last bars before the cut change, and "
        f"no others do. In {signals.prefixes:,} such tries {count_noun(differing, 'prediction')} changed, where 0 "
        f"should. {meaning}",
        value=float(differing),
        threshold=0.0,
        unit="predictions",
        false_alarm_rate=ROW_AUDIT_FALSE_ALARMS,
    )


def _describe_share(signals: SignalChanges) -> Reason | None:
    """Return the objection to a model whose signals change throughout if the later bars are left out.

    None if too few change, or only by rounding, as dynamic quantization does to signals close to the threshold.
    """
    if signals.differs_like_rounding:
        return None
    share = signals.changed / signals.compared if signals.compared else 0.0
    if share <= MAX_CHANGED_SIGNALS and not signals.changes_sign:
        return None
    limit = MAX_CHANGED_SIGNALS * 100
    sign = " The net return has another sign without the later bars." if signals.changes_sign else ""
    first = "" if signals.first_bar is None else f", the first at bar {signals.first_bar:,}"
    return make_objection(
        VerdictLevel.DISPROVED,
        ReasonCode.LOOKS_AHEAD,
        f"The model looks ahead: without the later bars {signals.changed:,} of "
        f"{count_noun(signals.compared, 'signal')} change ({format_figure(share * 100, limit)} %; at most "
        f"{limit:g} % are allowed){first}.{sign}",
        value=share * 100,
        threshold=limit,
        unit="per cent",
        false_alarm_rate=ROW_AUDIT_FALSE_ALARMS,
    )


def _training_objections(training: TrainingOverlap, bars: int) -> Iterator[Reason]:
    seen = training.bars_seen
    if seen <= 0:
        return
    if seen >= bars or (training.bars_before == 0 and training.bars_after == 0):
        yield make_objection(
            VerdictLevel.DISPROVED,
            ReasonCode.TRAINED_ON_THIS_WINDOW,
            f"The model was trained on {'all of ' if seen >= bars else ''}these bars ({seen:,} of {bars:,}): it knew "
            "how they end, and no bar is left to test it on.",
            value=float(seen),
            threshold=0.0,
            unit="bars",
        )
        return
    advice = (
        "no bar is left after them. Those before it has not seen: test it on them alone"
        if training.bars_after == 0
        else "read the out-of-sample part instead, which trades only the bars after the training"
    )
    yield make_objection(
        VerdictLevel.DOUBTFUL,
        ReasonCode.TRAINED_ON_PART_OF_THIS_WINDOW,
        f"The model was trained on {seen:,} of these {bars:,} bars, where 0 should be: {advice}.",
        value=float(seen),
        threshold=0.0,
        unit="bars",
    )


def _overlap_objections(overlap: OverlapSigns) -> Iterator[Reason]:
    if overlap.has_high_hit_rate and overlap.hit_rate is not None:
        limit, rate = hit_rate_limit(overlap.hit_bars) * 100, overlap.hit_rate * 100
        yield _overlap_objection(
            ReasonCode.HIGH_HIT_RATE,
            f"The next bar went the position's way in {format_figure(rate, limit)} % of "
            f"{count_noun(overlap.hit_bars, 'bar')}; over {format_figure(limit)} % is rarely seen on so many "
            "bars that a model was not trained on.",
            (rate, limit, "per cent"),
        )
    if overlap.has_wide_kuiper_range and overlap.kuiper_range is not None:
        found = overlap.kuiper_range
        yield _overlap_objection(
            ReasonCode.UNEVEN_HIT_RATE,
            "The model is right far more often in one part of the bars than in the rest, as if it was trained on that "
            f"part: the hits' unevenness is {format_figure(found, MAX_KUIPER_RANGE)}, the limit {MAX_KUIPER_RANGE:g}.",
            (found, MAX_KUIPER_RANGE, "deviations"),
        )
    if overlap.has_high_lag_z and overlap.lag_z is not None:
        found = overlap.lag_z
        yield _overlap_objection(
            ReasonCode.LOSES_WHEN_DELAYED,
            "The profit depends on acting at the very bar of the signal, as if the model knew the next one: one bar "
            f"later the loss is {format_figure(found, MAX_LAG_Z)} standard errors, the limit {MAX_LAG_Z:g}.",
            (found, MAX_LAG_Z, "standard errors"),
        )


def _overlap_objection(code: ReasonCode, text: str, figure: tuple[float, float, str]) -> Reason:
    value, threshold, unit = figure
    return make_objection(
        VerdictLevel.DOUBTFUL,
        code,
        text,
        value=value,
        threshold=threshold,
        unit=unit,
        false_alarm_rate=OVERLAP_FALSE_ALARMS,
    )
