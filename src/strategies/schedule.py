"""Trade other strategies one after another, each in its own time range: the choices of a walk-forward for its tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from src.domain.instants import format_instant
from src.domain.intervals import Interval
from src.domain.signals import Action, Predictions, Signals, StrategyDescription
from src.domain.strategy import ModelChoice, StrategyInputs, StrategyParams
from src.ports.computing import Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledPart:
    """The strategy that trades the bars that open from `start_ms` to `end_ms`, both included; None trades nothing."""

    start_ms: int
    end_ms: int
    strategy: StrategyParams | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleParams(StrategyParams):
    """Parts in the order of their times, which do not overlap; between parts nothing is traded.

    Only jobs make it: a request cannot name this strategy.
    """

    parts: tuple[ScheduledPart, ...]

    def __post_init__(self) -> None:
        for part in self.parts:
            if part.end_ms < part.start_ms:
                raise ValueError("a part ends before it starts")
        for before, after in zip(self.parts, self.parts[1:], strict=False):
            if after.start_ms <= before.end_ms:
                raise ValueError("parts overlap, or are not in the order of their times")

    @property
    def strategies(self) -> tuple[StrategyParams, ...]:
        """The strategies of the parts that trade."""
        return tuple(part.strategy for part in self.parts if part.strategy is not None)

    @property
    def model(self) -> ModelChoice | None:
        """The model that the parts read; they differ in the threshold only."""
        return next((strategy.model for strategy in self.strategies if strategy.model is not None), None)

    @property
    def can_short(self) -> bool:
        return any(strategy.can_short for strategy in self.strategies)

    @property
    def lookback_bars(self) -> int | None:
        known = [bars for strategy in self.strategies if (bars := strategy.lookback_bars) is not None]
        return max(known, default=None)

    def warm_up_bars(self, interval: Interval) -> int:
        """Return the most bars that any part reads, so that the first part can trade from its first bar on."""
        return max(
            (max(strategy.warm_up_bars(interval), strategy.lookback_bars or 0) for strategy in self.strategies),
            default=0,
        )

    def with_model(self, model: ModelChoice) -> ScheduleParams:
        return replace(
            self,
            parts=tuple(
                part if part.strategy is None else replace(part, strategy=_with_model(part.strategy, model))
                for part in self.parts
            ),
        )


def _with_model(strategy: StrategyParams, model: ModelChoice) -> StrategyParams:
    return strategy if strategy.model is None else strategy.with_model(model)


FLAT_BARS: Final = 2
"""Bars at a part's end in which nothing is entered. The position is closed at the last bar but one, so that it is flat
at the part's end with either fill timing."""

_WITHOUT_ENTRY: Final = {int(Action.BUY): Action.CLOSE_SHORT, int(Action.SELL): Action.CLOSE_LONG}
"""The closing part of each signal that may not enter a position."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Each part's own strategy on the bars up to its end, flat at its beginning and at its end."""

    label: ClassVar[str] = "Walk-forward"

    params: ScheduleParams
    build: Callable[[StrategyParams], Strategy]

    def describe(self, predictions: Predictions | None = None) -> StrategyDescription:
        """Return the parts as text: when each begins, and its parameters."""
        return StrategyDescription(
            name=self.label,
            parameters={"schedule": tuple(self._describe(part, predictions) for part in self.params.parts)},
        )

    def signals(self, inputs: StrategyInputs) -> Signals:
        """Return the signals of all parts; bars outside of parts have none."""
        bars, warm_up = inputs.bars, inputs.warm_up
        action = np.zeros(len(bars) - warm_up, np.int8)
        warnings: dict[str, None] = {}
        for part in self.params.parts:
            first = max(int(np.searchsorted(bars.open_time_ms, part.start_ms)), warm_up)
            end = int(np.searchsorted(bars.open_time_ms, part.end_ms, side="right"))
            if part.strategy is None or end <= first:
                continue
            found = self.build(part.strategy).signals(_inputs_of(inputs, first, end))
            action[first - warm_up : end - warm_up] = end_flat(found.action)
            warnings |= dict.fromkeys(found.warnings)
        return Signals(action=action, strategy=self.describe(inputs.predictions), warnings=tuple(warnings))

    def _describe(self, part: ScheduledPart, predictions: Predictions | None) -> str:
        if part.strategy is None:
            return f"{format_instant(part.start_ms)}: no trades"
        described = self.build(part.strategy).describe(predictions)
        values = ", ".join(f"{name} {value}" for name, value in described.parameters.items())
        return f"{format_instant(part.start_ms)}: {described.name} ({values})"


def _inputs_of(inputs: StrategyInputs, first: int, end: int) -> StrategyInputs:
    """Return the inputs of a strategy that trades the bars `first` to before `end`; earlier bars are its history."""
    predictions: Predictions | None = None
    if inputs.predictions is not None:
        values = inputs.predictions.values[first - inputs.warm_up : end - inputs.warm_up]
        predictions = replace(inputs.predictions, values=values, among_others=None, warnings=())
    return StrategyInputs(bars=inputs.bars.slice(0, end), predictions=predictions, warm_up=first)


def end_flat(action: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return the action [n] of a part whose last bars close any position and enter none."""
    ended = action.copy()
    ended[-FLAT_BARS:] = Action.HOLD
    given = ended[ended != Action.HOLD]
    if given.size and len(ended) >= FLAT_BARS:
        if len(ended) > FLAT_BARS and ended[-FLAT_BARS - 1] in _WITHOUT_ENTRY:
            # An entry here would be closed a bar later: two fills paid to hold one bar.
            ended[-FLAT_BARS - 1] = _WITHOUT_ENTRY[ended[-FLAT_BARS - 1]]
        # A waiting entry is canceled too.
        if given[-1] == Action.BUY:
            ended[-FLAT_BARS] = Action.CLOSE_LONG
        elif given[-1] == Action.SELL:
            ended[-FLAT_BARS] = Action.CLOSE_SHORT
    return ended
