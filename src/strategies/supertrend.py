"""The supertrend strategy: signals at the bars at which the close crosses Olivier Seban's line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from src.domain.parameters import parameter
from src.domain.signals import Predictions, Signals, StrategyDescription
from src.domain.strategy import StrategyInputs
from src.strategies.presets import LENGTH, MULTIPLIER, PresetParams, Reading, crosses_above, crosses_below, to_signals


@dataclass(frozen=True, slots=True, kw_only=True)
class SupertrendParams(PresetParams):
    """Buy if the supertrend turns to a rise, sell if it turns to a fall."""

    length: int = parameter(
        name="length", meaning="Length of the average true range", default=10, unit="bars", bounds=LENGTH
    )
    multiplier: float = parameter(
        name="multiplier",
        meaning="Distance of the line from the middle of the bar",
        default=3.0,
        unit="average true ranges",
        bounds=MULTIPLIER,
    )

    @property
    def readings(self) -> tuple[Reading, ...]:
        return (Reading("supertrend", (self.length, self.multiplier)),)


@dataclass(frozen=True, slots=True)
class Supertrend:
    """Supertrend: buy if the close crosses from ≤ to > the line, sell if it crosses from ≥ to <."""

    label: ClassVar[str] = "Supertrend"

    params: SupertrendParams

    def describe(self, predictions: Predictions | None = None) -> StrategyDescription:  # noqa: ARG002
        """Return the name and the declared parameters; see `ports.Strategy`."""
        return self.params.describe(self.label)

    def signals(self, inputs: StrategyInputs) -> Signals:
        """Return the crossings in the range; the line changes its side at the same bars."""
        [line] = (reading.read(inputs) for reading in self.params.readings)
        close = inputs.bars.close
        return to_signals(inputs, self, buys=crosses_above(close, line), sells=crosses_below(close, line))
