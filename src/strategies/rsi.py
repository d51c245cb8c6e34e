"""The RSI strategy: buy what stops being oversold, sell what stops being overbought.

The index and its levels are Wilder's (New Concepts in Technical Trading Systems, 1978). The signals, on its return
across a level, are those of the RSI Strategy that TradingView ships.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from src.domain.parameters import Bounds, parameter
from src.domain.signals import Predictions, Signals, StrategyDescription
from src.domain.strategy import StrategyInputs
from src.strategies.presets import LENGTH_OF_TWO, PresetParams, Reading, crosses_above, crosses_below, to_signals

_LEVEL = Bounds(minimum=0, maximum=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class RsiParams(PresetParams):
    """Buy if the RSI rises above the low level again, sell if it falls below the high level again."""

    ordered_pairs: ClassVar = (("low", "high"),)

    length: int = parameter(
        name="length",
        meaning="Length of Wilder's means of rises and falls of the close",
        default=14,
        unit="bars",
        bounds=LENGTH_OF_TWO,
    )
    low: float = parameter(
        name="low",
        meaning="Oversold below this level: a rise from there above it buys; less than high",
        default=30.0,
        unit="0…100",
        bounds=_LEVEL,
    )
    high: float = parameter(
        name="high",
        meaning="Overbought above this level: a fall from there below it sells",
        default=70.0,
        unit="0…100",
        bounds=_LEVEL,
    )

    @property
    def readings(self) -> tuple[Reading, ...]:
        return (Reading("rsi", (self.length,)),)


@dataclass(frozen=True, slots=True)
class Rsi:
    """RSI: buy if it crosses from ≤ to > the low level, sell if it crosses from ≥ to < the high level."""

    label: ClassVar[str] = "RSI"

    params: RsiParams

    def describe(self, predictions: Predictions | None = None) -> StrategyDescription:  # noqa: ARG002
        """Return the name and the declared parameters; see `ports.Strategy`."""
        return self.params.describe(self.label)

    def signals(self, inputs: StrategyInputs) -> Signals:
        """Return the crossings in the range that change the side."""
        [strength] = (reading.read(inputs) for reading in self.params.readings)
        buys = crosses_above(strength, self.params.low)
        sells = crosses_below(strength, self.params.high)
        return to_signals(inputs, self, buys=buys, sells=sells)
