"""Reach the verdict on a result.

1. Each check objects with a reason that has a level, or adds a note that has none.
2. If the run gains, only luck objects, and the bars are too few to find an edge of the measured size, a reason says so.
3. The level is the gravest of the reasons. Without an objection it is NO_OBJECTION, which does not mean that the
   result is good.
4. Checks that were not made are listed, so that they do not look passed.

Nothing is added up: the checks share their data, so their p-values cannot be combined.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from src.domain.verdict import NotChecked, Reason, ReasonCode, Verdict, VerdictLevel
from src.judgement.evidence import Evidence, format_figure, make_objection
from src.judgement.leak_reasons import leak_objections
from src.judgement.notes import list_notes
from src.judgement.reasons import (
    data_objections,
    deflated_sharpe,
    describe_trials,
    execution_objections,
    luck_objections,
    ruin_objections,
)
from src.judgement.unpriced import find_unpriced_costs

__all__ = ["LEAK_AUDIT", "Evidence", "reach_verdict"]

LEAK_AUDIT: Final = "LEAK_AUDIT"
"""The check whose failure is reported by the caller."""

_LEVELS: Final = tuple(VerdictLevel)
_CODES: Final = tuple(ReasonCode)
_LUCK: Final = frozenset({ReasonCode.LOW_DEFLATED_SHARPE, ReasonCode.TIMING_NOT_FOUND})


def reach_verdict(evidence: Evidence) -> Verdict:
    """Return the level, the reasons (the gravest first, notes last) and the checks that were not made."""
    objections = [
        *leak_objections(evidence),
        *data_objections(evidence.metrics),
        *ruin_objections(evidence.metrics),
        *luck_objections(evidence),
        *execution_objections(evidence),
    ]
    objections += _power_objections(evidence, objections)
    reasons = sorted([*objections, *list_notes(evidence)], key=rank_reason)
    return Verdict(
        level=next((reason.level for reason in reasons if reason.level is not None), VerdictLevel.NO_OBJECTION),
        reasons=tuple(reasons),
        not_checked=tuple(_list_not_checked(evidence)),
    )


def rank_reason(reason: Reason) -> tuple[int, int]:
    """Return the sort key of a reason in a verdict: the gravest first, notes last."""
    gravity = len(_LEVELS) if reason.level is None else _LEVELS.index(reason.level)
    return gravity, _CODES.index(reason.code)


def _power_objections(evidence: Evidence, objections: Sequence[Reason]) -> Iterator[Reason]:
    """Yield the reason that luck and the edge cannot be distinguished, if the run gains and only luck objects."""
    timing, smallest = evidence.benchmarks.timing, evidence.benchmarks.smallest_visible_edge_deflated
    if timing is None or not objections or any(reason.code not in _LUCK for reason in objections):
        return
    if timing.edge <= 0 or evidence.metrics.total_return <= 0 or (smallest is not None and timing.edge >= smallest):
        return
    trials, needed = describe_trials(evidence), evidence.benchmarks.bars_needed_deflated
    among = "" if trials is None else f" among {trials} independent trials"
    seen = (
        f"no edge can be found on them{among}"
        if smallest is None
        else f"the smallest edge that can be found on them{among} is {format_figure(smallest)} % a year"
    )
    yield make_objection(
        VerdictLevel.UNDERPOWERED,
        ReasonCode.UNDERPOWERED,
        f"These bars are too few to tell: the timing earned {format_figure(timing.edge, smallest)} % a year, but "
        f"{seen}. {'More bars are needed.' if needed is None else f'About {needed:,} bars would do.'}",
        value=timing.edge,
        threshold=smallest,
        unit="per cent a year",
    )


def _list_not_checked(evidence: Evidence) -> Iterator[NotChecked]:
    """Yield the caller's list, then the checks that could not be computed, then those that the service never makes."""
    yield from evidence.not_checked
    known = {item.code for item in evidence.not_checked}
    for code, why in _missing_checks(evidence):
        if code not in known:
            yield NotChecked(code=code, why=why)


def _missing_checks(evidence: Evidence) -> Iterator[tuple[str, str]]:
    if evidence.has_model and (evidence.leaks is None or evidence.leaks.rows is None):
        yield LEAK_AUDIT, "The model's predictions were not compared among other rows, so it may look ahead."
    if deflated_sharpe(evidence.deflation) is None:
        yield "DEFLATED_SHARPE", "The returns have no variance, or are too few for a standard error."
    if evidence.benchmarks.break_even_fee is None and evidence.metrics.total_return >= 0:
        yield "COST_MARGIN", "The fee at which the return is 0 could not be found."
    if evidence.engines_differ is None:
        yield "OTHER_ENGINE", "The other engine did not run: ask for the cross-check to compare every fill."
    yield from find_unpriced_costs(evidence.rules)
    yield "TRIALS_ELSEWHERE", "Trials that were made outside of this service are not counted."
