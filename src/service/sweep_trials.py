"""Count the rows of a sweep in their user's ledger of trials, each as a run of its own would be counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from src.domain.market import MarketSeries
from src.domain.strategy import StrategyParams
from src.domain.sweep_rows import EvaluatedRows, SweepInputs
from src.domain.sweeps import SweepRequest
from src.domain.trading import TradingRules
from src.domain.trials import TrialBatch, TrialTable
from src.service.judging import MIN_COUNTED_BARS, find_training_overlap, sweep_keys
from src.sweeps.evaluation import Evaluator
from src.sweeps.variants import RowReader

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """Evaluated rows, and the numbers of those that are counted as trials."""

    found: EvaluatedRows
    rows: Rows
    is_known: bool
    """Whether the model knew these bars, so that t counts as 0."""


class SweepTrials:
    """Builds what the rows of one sweep add to the ledger.

    If the declared training window covers some of the bars, the rows also run on the bars after it, which are the trial
    (see `service.judging`).
    """

    def __init__(self, request: SweepRequest, series: MarketSeries, inputs: SweepInputs) -> None:
        self._request = request
        self._series = series
        self._reader = RowReader(request)
        self._training = find_training_overlap(request.backtest, series.bars)
        self._after: Evaluator | None = None
        knows_some = self._training is not None and self._training.bars_seen > 0
        after = (self._training.bars_after if knows_some and self._training is not None else None) or 0
        if after >= MIN_COUNTED_BARS:
            self._after = Evaluator(_cut_inputs(inputs, series, len(series.bars) - after))

    def build(self, values: Floats, found: EvaluatedRows, *, total: int) -> Iterator[TrialBatch]:
        """Yield the trials of rows with these values [k, p]; a failed row is no trial."""
        after = None
        if self._after is not None:
            after = self._after.evaluate(values, first=found.rows.first, total=total)
        keys = self._build_keys(values, found, after)
        for counted in self._split(found, after):
            if counted.rows.size:
                yield TrialBatch(
                    keys=tuple(keys[row] for row in counted.rows.tolist()),
                    slots=counted.found.slots,
                    total=_take(counted.found.total, counted),
                    active=_take(counted.found.active, counted),
                )

    def _split(self, found: EvaluatedRows, after: EvaluatedRows | None) -> Iterator[_Counted]:
        ran = np.flatnonzero(~np.isnan(found.lowest_growth))
        is_known = self._training is not None and bool(self._training.bars_seen)
        if after is None:
            yield _Counted(found=found, rows=ran, is_known=is_known)
            return
        moved = after.total.moves[ran]
        yield _Counted(found=after, rows=ran[moved], is_known=False)
        yield _Counted(found=found, rows=ran[~moved], is_known=True)

    def _build_keys(self, values: Floats, found: EvaluatedRows, after: EvaluatedRows | None) -> Sequence[str]:
        growth = found.lowest_growth if after is None else np.fmin(found.lowest_growth, after.lowest_growth)
        rules = self._rules_of(values)
        descriptions = list(found.descriptions)
        keys = [""] * len(values)
        for series, rows in self._with_own_history(values):
            own = sweep_keys(
                self._request.backtest,
                series,
                [descriptions[row] for row in rows],
                [rules[row] for row in rows],
                [float(growth[row]) if np.isfinite(growth[row]) else 1.0 for row in rows],
            )
            for row, key in zip(rows, own, strict=True):
                keys[row] = key
        return keys

    def _rules_of(self, values: Floats) -> Sequence[TradingRules]:
        variants = self._reader.find_rules(values)
        base = self._request.backtest.rules
        parts = [part.rules or base for part in variants.parts]
        return [parts[place] for place in variants.of_row.tolist()]

    def _with_own_history(self, values: Floats) -> Iterator[tuple[MarketSeries, list[int]]]:
        """Yield each series that single runs would read, with its rows, which need equally many bars before it."""
        history = self._series.history
        if history is None:
            yield self._series, list(range(len(values)))
            return
        variants = self._reader.find_strategies(values)
        asked = [_warm_up_of(part.strategy, self._request) for part in variants.parts]
        bars = np.minimum(np.array(asked, np.int64), len(history))[variants.of_row]
        for count in np.unique(bars).tolist():
            own = history.slice(len(history) - count, len(history)) if count else None
            series = replace(self._series, history=own)
            yield series, np.flatnonzero(bars == count).tolist()


def _warm_up_of(strategy: StrategyParams | None, request: SweepRequest) -> int:
    pinned = request.backtest.pinned_warm_up_bars
    if pinned is not None or strategy is None:
        return pinned or 0
    return strategy.warm_up_bars(request.backtest.market.interval)


def _cut_inputs(inputs: SweepInputs, series: MarketSeries, start: int) -> SweepInputs:
    """Return the inputs of the bars from `start` on; all bars before are history."""
    predictions = inputs.predictions
    if predictions is not None:
        predictions = replace(predictions, values=predictions.values[start:], among_others=None, warnings=())
    return replace(
        inputs,
        bars=inputs.bars.slice(start, len(inputs.bars)),
        history=series.history_before(start, series.history_bars),
        predictions=predictions,
    )


def _take(table: TrialTable, counted: _Counted) -> TrialTable:
    t = table.t[counted.rows]
    return TrialTable(
        directions=table.directions[counted.rows],
        t=np.zeros_like(t) if counted.is_known else t,
        moves=table.moves[counted.rows],
    )
