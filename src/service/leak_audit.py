"""Audit a model's predictions for knowledge of other rows: the second and the third question, if the first one fails.

1. Do the same rows get the same predictions among other rows? The sandbox asks this with every prediction.
2. If not: do they get the same predictions at all, when they are asked for once more?
3. If so: which signals change if the later bars are left out?
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.errors import ServiceError
from src.domain.judgement import NotChecked, RowAudit, SignalChanges
from src.domain.market import Bars
from src.domain.runs import BacktestRequest
from src.domain.signals import Predictions, Signals
from src.judgement.benchmarks import Simulate
from src.judgement.leaks import RowComparison, choose_prefixes, compare_rows, compare_signals, differ_at_end_only
from src.judgement.verdict import LEAK_AUDIT
from src.service.computing import ComputeQueue
from src.service.pipeline import decide

logger = logging.getLogger(__name__)

PREFIX_AUDIT: Final = "PREFIX_AUDIT"

PredictPrefixes = Callable[[Sequence[int]], Awaitable[Sequence[Predictions]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakAudit:
    """What was found about the rows, None if nothing was; and the questions that could not be asked."""

    rows: RowAudit | None = None
    not_checked: tuple[NotChecked, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AuditedModel:
    """A model's predictions for all bars, the signals that they gave, and the ways to ask again."""

    request: BacktestRequest
    bars: Bars
    predictions: Predictions
    signals: Signals
    predict_prefixes: PredictPrefixes
    simulate: Simulate
    seed: int
    history: Bars | None = None


async def audit_leaks(model: AuditedModel, computing: ComputeQueue, *, deadline_s: float) -> LeakAudit:
    """Audit a model; a question that it fails to answer until `deadline_s` (the event loop's time) is not checked."""
    predictions = model.predictions
    if predictions.among_others is None:
        why = predictions.audit_failure or "The model's rows were predicted once only."
        return LeakAudit(not_checked=(NotChecked(code=LEAK_AUDIT, why=why),))
    comparison = await computing.run(_compare, predictions.values, predictions.among_others)
    if comparison.are_equal:
        return LeakAudit(rows=_report(comparison))
    try:
        async with asyncio.timeout_at(deadline_s):
            [repeated] = await model.predict_prefixes((len(model.bars),))
            if not (await computing.run(_compare, predictions.values, repeated.values)).are_equal:
                return LeakAudit(rows=_report(comparison, is_repeatable=False))
            lengths = await computing.run(_choose_lengths, model)
            prefixes, failure = await _predict_each(model, lengths)
    except (ServiceError, TimeoutError) as error:
        return LeakAudit(rows=_report(comparison), not_checked=_not_asked(_describe(error)))
    rows = await computing.run(_explain, model, comparison, prefixes)
    if failure is None:
        return LeakAudit(rows=rows)
    failed = len(lengths) - len(prefixes)
    return LeakAudit(rows=rows, not_checked=_not_asked(f"{failed} of {len(lengths)} tries failed, one so: {failure}"))


async def _predict_each(model: AuditedModel, lengths: Sequence[int]) -> tuple[Sequence[Predictions], str | None]:
    """Predict all prefixes at once; if that fails, one by one, and return those that succeed and the last failure.

    A model that divides by the deviation of its rows fails on one row only.
    """
    try:
        return await model.predict_prefixes(lengths), None
    except ServiceError:
        logger.debug("prefixes are predicted one by one", exc_info=True)
    found: list[Predictions] = []
    failure: ServiceError | None = None
    for length in lengths:
        try:
            found += await model.predict_prefixes((length,))
        except ServiceError as error:
            failure = error
    return found, None if failure is None else _describe(failure)


def _not_asked(reason: str) -> tuple[NotChecked, ...]:
    why = f"The model's predictions depend on other rows, but asking for the first rows alone failed. {reason}"
    return (NotChecked(code=PREFIX_AUDIT, why=why),)


def _describe(error: Exception) -> str:
    return error.message if isinstance(error, ServiceError) else "It took too long."


def _compare(values: NDArray[np.float64], others: NDArray[np.float64]) -> RowComparison:
    is_known = ~np.isnan(values)
    return compare_rows(values[is_known], others[is_known])


def _choose_lengths(model: AuditedModel) -> tuple[int, ...]:
    return choose_prefixes(_first_row(model), model.signals.action, model.seed)


def _first_row(model: AuditedModel) -> int:
    return int(np.argmin(np.isnan(model.predictions.values)))


def _explain(model: AuditedModel, comparison: RowComparison, prefixes: Sequence[Predictions]) -> RowAudit:
    signals = [
        decide(model.request, model.bars.slice(0, len(prefix.values)), prefix, model.history) for prefix in prefixes
    ]
    changes = [compare_signals(model.signals.action, prefix.action, first_bar=_first_row(model)) for prefix in signals]
    firsts = [change.first_bar for change in changes if change.first_bar is not None]
    rows = [_compare(model.predictions.values[: len(prefix.values)], prefix.values) for prefix in prefixes]
    return _report(
        comparison,
        is_repeatable=True,
        signals=SignalChanges(
            prefixes=len(changes),
            compared=sum(change.compared for change in changes),
            changed=sum(change.changed for change in changes),
            first_bar=min(firsts, default=None),
            changes_sign=bool(signals) and _changes_sign(model, signals[-1]),
            differs_at_end_only=differ_at_end_only(rows),
        ),
    )


def _changes_sign(model: AuditedModel, prefix: Signals) -> bool:
    """Return whether the signals of the longest prefix give a net return of another sign on its bars."""
    bars, rules = model.bars.slice(0, len(prefix)), model.request.rules
    known = Signals(action=model.signals.action[: len(prefix)], strategy=model.signals.strategy)
    gains = [model.simulate(bars, signals, rules).equity[-1] - rules.initial_cash for signals in (known, prefix)]
    return bool(np.sign(gains[0]) != np.sign(gains[1]))


def _report(
    comparison: RowComparison, *, is_repeatable: bool | None = None, signals: SignalChanges | None = None
) -> RowAudit:
    return RowAudit(
        rows=comparison.rows,
        differing=comparison.differing,
        largest_difference=comparison.largest if math.isfinite(comparison.largest) else None,
        is_repeatable=is_repeatable,
        signals=signals,
    )
