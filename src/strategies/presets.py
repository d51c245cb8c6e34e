"""Shared parts of the preset strategies: the indicators that they read, and signals from bars that mean buy or sell.

A preset's target is neither long nor short at the first bar of the range, and turns at bars that mean buy or sell. Its
signals are the turns, so they alternate. The first signal may be a sell: with the direction LONG it does nothing.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.intervals import Interval
from src.domain.parameters import Bounds
from src.domain.signals import Predictions, Signals, StrategyDescription
from src.domain.strategy import MAX_WARM_UP_BARS, StrategyInputs, StrategyParams
from src.indicators.indicator import Series, read_columns
from src.indicators.registry import INDICATORS, MAX_LENGTH, MAX_MULTIPLIER

Flags = NDArray[np.bool_]

LENGTH: Final = Bounds(minimum=1, maximum=MAX_LENGTH)
LENGTH_OF_TWO: Final = Bounds(minimum=2, maximum=MAX_LENGTH)
MULTIPLIER: Final = Bounds(minimum=0, maximum=MAX_MULTIPLIER, is_minimum_open=True)

ROUNDING: Final = 1e-12
"""Relative difference up to which two numbers are equal: means are rounded, and the tick of a price is far larger."""


class Reading(NamedTuple):
    """An indicator of the registry, with its numbers."""

    name: str
    numbers: tuple[float, ...]

    @property
    def lookback(self) -> int:
        """The number of bars before the first value."""
        return INDICATORS[self.name].lookback(*self.numbers)

    @property
    def history(self) -> int:
        """The bars before a value that no longer depends on where the history begins, within limits."""
        memory = INDICATORS[self.name].memory(*self.numbers)
        return MAX_WARM_UP_BARS if memory is None else self.lookback + memory

    def compute(self, bars: Bars) -> Series:
        """Return the indicator [n] of these bars, NaN where it is missing."""
        indicator = INDICATORS[self.name]
        return indicator.compute(read_columns(bars, indicator.columns), *self.numbers)

    def read(self, inputs: StrategyInputs) -> Series:
        """Return the indicator [n] of the inputs' bars; computed once if the inputs are shared."""
        return inputs.recall(self, lambda: self.compute(inputs.bars))


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetParams(StrategyParams):
    """The base class of the parameters of strategies that read indicators."""

    bars_before: ClassVar[int] = 1
    """How many bars before this one the strategy compares: 1 for crossings."""

    def __post_init__(self) -> None:
        self.check_values()

    @property
    @abstractmethod
    def readings(self) -> tuple[Reading, ...]:
        """The indicators that the strategy reads."""

    @property
    def lookback_bars(self) -> int:
        return self.bars_before + max(reading.lookback for reading in self.readings)

    def warm_up_bars(self, interval: Interval) -> int:  # noqa: ARG002  (no preset reads whole days)
        needed = self.bars_before + max(reading.history for reading in self.readings)
        return min(MAX_WARM_UP_BARS, needed)


def is_above(a: Series, b: Series | float) -> Flags:
    """Return whether a > b [n], false if they are equal up to rounding, or one is missing."""
    return a - b > ROUNDING * np.maximum(np.abs(a), np.abs(b))


def crosses_above(a: Series, b: Series | float, *, scale: Series | float = 0.0) -> Flags:
    """Return whether a ≤ b at the bar before and a > b at this bar [n]; false if one of the four is missing.

    Parameters
    ----------
    scale
        The size of what a and b were computed from, if they are differences: their rounding is relative to it.
    """
    difference = a - b
    margin = ROUNDING * np.maximum(np.maximum(np.abs(a), np.abs(b)), np.abs(scale))
    crosses = np.zeros(difference.size, dtype=np.bool_)
    # NaN makes both comparisons false.
    crosses[1:] = (difference[:-1] <= margin[:-1]) & (difference[1:] > margin[1:])
    return crosses


def crosses_below(a: Series, b: Series | float, *, scale: Series | float = 0.0) -> Flags:
    """Return whether a ≥ b at the bar before and a < b at this bar [n]; see `crosses_above`."""
    return crosses_above(-a, -b, scale=scale)


class Preset(Protocol):
    """A strategy with declared parameters, and the name that people read."""

    @property
    def label(self) -> str: ...

    @property
    def params(self) -> StrategyParams: ...

    def describe(self, predictions: Predictions | None = None) -> StrategyDescription: ...


def to_signals(inputs: StrategyInputs, preset: Preset, *, buys: Flags, sells: Flags) -> Signals:
    """Return the signals of the range from the bars [n] that mean buy and sell, history included."""
    return Signals(
        action=_find_turns(buys[inputs.warm_up :], sells[inputs.warm_up :]),
        strategy=preset.describe(),
        warnings=_few_bars_warnings(len(inputs.bars), preset.params.lookback_bars or 0, preset.label),
    )


def _find_turns(buys: Flags, sells: Flags) -> NDArray[np.int8]:
    """Return the action [n]: each buy or sell that differs from the last one; both at one bar count as neither."""
    meant = buys.astype(np.int8) - sells.astype(np.int8)
    bars = np.flatnonzero(meant)
    turns = meant[bars]
    repeats = turns[1:] == turns[:-1]
    action = np.zeros_like(meant)
    action[bars] = turns
    action[bars[1:][repeats]] = 0
    return action


def _few_bars_warnings(bars: int, lookback: int, label: str) -> tuple[str, ...]:
    """Return a warning if the indicators have no value at any bar."""
    if bars > lookback:
        return ()
    return (
        f"{bars} bars are too few for {label}, which gives no signal before bar {lookback + 1}. "
        "Ask for more bars (limit) or shorter lengths.",
    )
