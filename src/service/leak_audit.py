"""Audit whether a model's predictions depend on other rows: ask the second and third question if the first one fails.

1. Do the same rows get the same predictions among other rows? The sandbox checks this with every prediction.
2. If not: do they get the same predictions when all rows are predicted once more?
3. If so: which signals change if the later bars are left out? If none: do any change if other bars replace them?
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.errors import ModelRejected, ServiceError
from src.domain.leaks import RowAudit, SignalChanges
from src.domain.runs import BacktestRequest
from src.domain.signals import Predictions, Signals
from src.domain.verdict import NotChecked
from src.judgement.benchmarks import Simulate
from src.judgement.leaks import (
    RowComparison,
    choose_differing_prefixes,
    choose_prefixes,
    compare_rows,
    compare_signals,
    differ_at_end_only,
    differ_like_rounding,
    find_sides,
    invent_futures,
)
from src.judgement.row_order import Rows
from src.judgement.verdict import LEAK_AUDIT
from src.service.computing import ComputeQueue
from src.service.pipeline import decide

logger = logging.getLogger(__name__)

PREFIX_AUDIT: Final = "PREFIX_AUDIT"

PredictPrefixes = Callable[[Sequence[int]], Awaitable[Sequence[Predictions]]]
PredictOrder = Callable[[Rows], Awaitable[Predictions]]
"""Predicts the rows of these bars, in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakAudit:
    """The finding about the rows, None if there is none, and the questions that could not be asked."""

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
    predict_order: PredictOrder
    simulate: Simulate
    seed: int
    history: Bars | None = None


async def audit_leaks(model: AuditedModel, computing: ComputeQueue, *, deadline_s: float) -> LeakAudit:
    """Audit a model; checks not finished before `deadline_s` (the event loop's time) are reported as not made."""
    predictions = model.predictions
    if predictions.among_others is None:
        why = predictions.audit_failure or "The model's rows were predicted once only."
        return LeakAudit(not_checked=(NotChecked(code=LEAK_AUDIT, why=why),))
    comparison = await computing.run(_compare_all, model, predictions.among_others)
    if comparison.are_equal:
        return LeakAudit(rows=_report(comparison))
    try:
        async with asyncio.timeout_at(deadline_s):
            repeated = await _repeat(model)
    except (ServiceError, TimeoutError) as error:
        return LeakAudit(rows=_report(comparison), not_checked=_not_asked(_describe(error)))
    if not (await computing.run(_compare_all, model, repeated.values)).are_equal:
        return LeakAudit(rows=_report(comparison, is_repeatable=False))
    lengths_at_differing, others = await computing.run(_choose_lengths, model, comparison)
    tries = _Tries(at_differing=frozenset(lengths_at_differing))
    for lengths in (lengths_at_differing, others):
        await tries.predict(model, lengths, deadline_s)
    if tries.failure is None and await computing.run(_are_equal, model, tries.found):
        await tries.predict_futures(model, deadline_s)
    rows = await computing.run(_explain, model, comparison, tries)
    return LeakAudit(rows=rows, not_checked=() if tries.failure is None else _not_asked(tries.describe()))


async def _repeat(model: AuditedModel) -> Predictions:
    """Predict all bars again, after their first part.

    Every child starts with the same random numbers and an unused model. If all bars came first, a model that draws
    numbers or counts its calls would predict as before, and its predictions for fewer bars would then look like
    knowledge of later ones.
    """
    whole, part = len(model.bars), max(_first_row(model) + 1, len(model.bars) // 2)
    if part < whole:
        try:
            return (await model.predict_prefixes((part, whole)))[-1]
        except ModelRejected:
            logger.debug("the first part of the bars is not predicted", exc_info=True)
    [repeated] = await model.predict_prefixes((whole,))
    return repeated


@dataclass(slots=True)
class _Tries:
    """Predictions of the first bars without the later ones, or with others in their place.

    `at_differing` are the lengths of the prefixes that end at differing rows. `failed` are the attempts without
    predictions, and `failure` is why the last of them failed.
    """

    at_differing: frozenset[int]

    found: list[Predictions] = field(default_factory=list)
    failed: int = 0
    failure: ServiceError | TimeoutError | None = None

    async def predict(self, model: AuditedModel, lengths: Sequence[int], deadline_s: float) -> None:
        """Predict prefixes at once; if that fails, one by one: dividing by a deviation fails only on a single row."""
        known = len(self.found)
        try:
            async with asyncio.timeout_at(deadline_s):
                try:
                    self.found += await model.predict_prefixes(lengths) if lengths else ()
                except ServiceError:
                    logger.debug("prefixes are predicted one by one", exc_info=True)
                    await self._predict_singly(model, lengths)
        except TimeoutError as error:
            self.failure = error
        self.failed += known + len(lengths) - len(self.found)

    async def _predict_singly(self, model: AuditedModel, lengths: Sequence[int]) -> None:
        for length in lengths:
            try:
                self.found += await model.predict_prefixes((length,))
            except ServiceError as error:
                self.failure = error

    async def predict_futures(self, model: AuditedModel, deadline_s: float) -> None:
        """Predict the first half of the bars with other bars after it."""
        known = np.flatnonzero(~np.isnan(model.predictions.values))
        kept, futures = invent_futures(known, model.predictions.values[known])
        for done, bars in enumerate(futures):
            try:
                async with asyncio.timeout_at(deadline_s):
                    found = await model.predict_order(bars)
            except (ServiceError, TimeoutError) as error:
                self.failed, self.failure = self.failed + len(futures) - done, error
                return
            self.found.append(replace(found, values=found.values[:kept]))

    def describe(self) -> str:
        said = "" if self.failure is None else _describe(self.failure)
        return f"{self.failed} of {self.failed + len(self.found)} tries failed, one so: {said}"


def _not_asked(reason: str) -> tuple[NotChecked, ...]:
    why = f"The model's predictions depend on other rows, but asking for the first rows alone failed. {reason}"
    return (NotChecked(code=PREFIX_AUDIT, why=why),)


def _describe(error: Exception) -> str:
    return error.message if isinstance(error, ServiceError) else "It took too long."


def _compare_all(model: AuditedModel, others: NDArray[np.float64]) -> RowComparison:
    """Compare the model's predictions with others of all bars, and their signals too if they are not the same."""
    values, has_turned = model.predictions.values, None
    if not np.array_equal(values, others, equal_nan=True):
        try:
            signals = decide(model.request, model.bars, replace(model.predictions, values=others), model.history)
        except ServiceError:
            # Predictions that the strategy rejects, such as a probability over 1, are compared as numbers only.
            logger.debug("predictions among other rows give no signals", exc_info=True)
        else:
            has_turned = find_sides(signals.action) != find_sides(model.signals.action)
    return _compare(values, others, has_turned)


def _compare(
    values: NDArray[np.float64], others: NDArray[np.float64], has_turned: NDArray[np.bool_] | None
) -> RowComparison:
    is_known = ~np.isnan(values)
    return compare_rows(
        values[is_known], others[is_known], has_turned=None if has_turned is None else has_turned[is_known]
    )


def _are_equal(model: AuditedModel, prefixes: Sequence[Predictions]) -> bool:
    return all(_compare_prefix(model, prefix, _decide_prefix(model, prefix)).are_equal for prefix in prefixes)


def _choose_lengths(model: AuditedModel, comparison: RowComparison) -> tuple[Sequence[int], Sequence[int]]:
    """Return the lengths of the prefixes that end at differing rows, and of further ones."""
    differing = choose_differing_prefixes(np.flatnonzero(~np.isnan(model.predictions.values)), comparison, model.seed)
    others = choose_prefixes(_first_row(model), model.signals.action, model.seed)
    return differing, sorted(set(others) - set(differing))


def _first_row(model: AuditedModel) -> int:
    return int(np.argmin(np.isnan(model.predictions.values)))


def _explain(model: AuditedModel, comparison: RowComparison, tries: _Tries) -> RowAudit:
    prefixes = sorted(tries.found, key=lambda prefix: len(prefix.values))
    signals = [_decide_prefix(model, prefix) for prefix in prefixes]
    rows = [_compare_prefix(model, *prefix) for prefix in zip(prefixes, signals, strict=True)]
    is_at_end = differ_at_end_only(rows)
    # The limits for changed signals and for rounding assume prefixes that are chosen regardless of differences: at
    # differing rows, honest quantized networks exceed the limit for signals three times as often.
    counted = [
        place for place, prefix in enumerate(prefixes) if is_at_end or len(prefix.values) not in tries.at_differing
    ]
    first_row = _first_row(model)
    changes = [compare_signals(model.signals.action, signals[place].action, first_bar=first_row) for place in counted]
    firsts = [change.first_bar for change in changes if change.first_bar is not None]
    return _report(
        comparison,
        is_repeatable=True,
        signals=SignalChanges(
            prefixes=len(prefixes),
            compared=sum(change.compared for change in changes),
            changed=sum(change.changed for change in changes),
            first_bar=min(firsts, default=None),
            changes_sign=bool(signals) and _changes_sign(model, signals[-1]),
            differs_at_end_only=is_at_end,
            differs_like_rounding=differ_like_rounding(
                model.predictions.values, [prefixes[place].values for place in counted]
            ),
            differing=sum(one.differing for one in rows),
            failed=tries.failed,
        ),
    )


def _decide_prefix(model: AuditedModel, prefix: Predictions) -> Signals:
    return decide(model.request, model.bars.slice(0, len(prefix.values)), prefix, model.history)


def _compare_prefix(model: AuditedModel, prefix: Predictions, signals: Signals) -> RowComparison:
    bars = len(prefix.values)
    has_turned = find_sides(signals.action) != find_sides(model.signals.action[:bars])
    return _compare(model.predictions.values[:bars], prefix.values, has_turned)


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
