"""Compute the signals of the distinct strategies of rows, with shared indicators."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.errors import InvalidInput
from src.domain.runs import BacktestRequest
from src.domain.signals import OutputKind, Predictions, StrategyDescription
from src.domain.strategy import ModelParams, StrategyInputs, StrategyParams
from src.strategies.model_signals import check_threshold, check_values
from src.strategies.registry import strategy_for
from src.strategies.up_down import UpDown
from src.sweeps.crossings import Events
from src.sweeps.series_memory import SeriesCache, SeriesView
from src.sweeps.thresholds import find_threshold_events

NO_ACTIONS: Final = np.empty((0, 0), np.int8)
KEPT_INPUTS: Final = 8
"""Lengths of history whose bars are kept: they are views of the same numbers, but creating one checks them again."""


class SignalSource:
    """The signals of strategies on the bars of a sweep, each with the same history as a run of its own.

    Raises InvalidInput if the predictions do not match their declared kind: then no row is possible.
    """

    def __init__(
        self, backtest: BacktestRequest, bars: Bars, history: Bars | None, predictions: Predictions | None
    ) -> None:
        self._backtest = backtest
        self._bars = bars
        self._history_bars = 0 if history is None else len(history)
        self._all_bars = bars if history is None else bars.after(history)
        self._predictions = predictions
        self._cache = SeriesCache()
        self._inputs: OrderedDict[int, StrategyInputs] = OrderedDict()
        self._lock = threading.Lock()
        if predictions is not None:
            check_values(predictions)

    def describe(self, strategy: StrategyParams) -> StrategyDescription:
        """Return the description that signals of this strategy carry, unless the fallback replaces them."""
        return strategy_for(strategy).describe(self._predictions)

    def find_events(
        self, strategies: Sequence[StrategyParams], *, needs_actions: bool
    ) -> tuple[Events, NDArray[np.int8], list[StrategyDescription], dict[int, str]]:
        """Return the events of strategies [g], their actions [g, n] if needed, their descriptions, and errors by place.

        A strategy with an error has no events.
        """
        if not needs_actions and self._reads_thresholds(strategies):
            return self._find_thresholds(strategies)
        n = len(self._bars)
        actions = np.zeros((len(strategies), n), np.int8) if needs_actions else NO_ACTIONS
        offsets = np.zeros(len(strategies) + 1, np.int64)
        bars: list[NDArray[np.int32]] = []
        found: list[NDArray[np.int8]] = []
        descriptions: list[StrategyDescription] = []
        errors: dict[int, str] = {}
        for place, strategy in enumerate(strategies):
            try:
                action, description = self._decide(strategy)
            except InvalidInput as error:
                errors[place] = str(error)
                action, description = np.zeros(0, np.int8), self.describe(strategy)
            where = np.flatnonzero(action)
            bars.append(where.astype(np.int32))
            found.append(action[where])
            descriptions.append(description)
            offsets[place + 1] = offsets[place] + where.size
            if needs_actions and action.size:
                actions[place] = action
        return Events(offsets, np.concatenate(bars), np.concatenate(found)), actions, descriptions, errors

    def _decide(self, strategy: StrategyParams) -> tuple[NDArray[np.int8], StrategyDescription]:
        """Return the actions and the description of a run with this strategy; see `service.pipeline.decide`."""
        signals = strategy_for(strategy).signals(self._inputs_of(strategy))
        if self._backtest.use_fallback and not signals.action.any():
            signals = UpDown().signals(StrategyInputs(bars=self._bars))
        return signals.action, signals.strategy

    def _inputs_of(self, strategy: StrategyParams) -> StrategyInputs:
        pinned = self._backtest.pinned_warm_up_bars
        asked = strategy.warm_up_bars(self._bars.interval) if pinned is None else pinned
        history = min(asked, self._history_bars)
        with self._lock:
            if history not in self._inputs:
                start = self._history_bars - history
                self._inputs[history] = StrategyInputs(
                    bars=self._all_bars.slice(start, len(self._all_bars)),
                    predictions=self._predictions,
                    warm_up=history,
                    memory=SeriesView(self._cache, history),
                )
                if len(self._inputs) > KEPT_INPUTS:
                    self._inputs.popitem(last=False)
            return self._inputs[history]

    def _reads_thresholds(self, strategies: Sequence[StrategyParams]) -> bool:
        kind = None if self._predictions is None else self._predictions.kind
        is_level = kind in (OutputKind.PROBABILITY, OutputKind.VALUE)
        return is_level and not self._backtest.use_fallback and all(isinstance(one, ModelParams) for one in strategies)

    def _find_thresholds(
        self, strategies: Sequence[StrategyParams]
    ) -> tuple[Events, NDArray[np.int8], list[StrategyDescription], dict[int, str]]:
        """Do the same as `find_events` for a model's number against thresholds."""
        predictions = StrategyInputs(bars=self._bars, predictions=self._predictions).required_predictions()
        thresholds = np.empty(len(strategies))
        errors: dict[int, str] = {}
        for place, strategy in enumerate(strategies):
            thresholds[place] = strategy.threshold if isinstance(strategy, ModelParams) else np.nan
            try:
                check_threshold(float(thresholds[place]), predictions.kind)
            except InvalidInput as error:
                errors[place] = str(error)
                thresholds[place] = np.inf  # no number reaches it
        events = find_threshold_events(predictions.values, thresholds)
        return events, NO_ACTIONS, [self.describe(one) for one in strategies], errors
