"""The exponential moving-average crossover strategy: signals at the bars at which two averages of the close cross."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from src.domain.parameters import parameter
from src.domain.signals import Predictions, Signals, StrategyDescription
from src.domain.strategy import StrategyInputs
from src.strategies.presets import (
    LENGTH,
    LENGTH_OF_TWO,
    PresetParams,
    Reading,
    crosses_above,
    crosses_below,
    to_signals,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmaCrossoverParams(PresetParams):
    """Buy if the fast exponential average of closes crosses above the slow one, sell if it crosses below."""

    ordered_pairs: ClassVar = (("fast", "slow"),)

    fast: int = parameter(
        name="fast",
        meaning="Length of the fast exponential average of the close; less than slow",
        default=20,
        unit="bars",
        bounds=LENGTH,
    )
    slow: int = parameter(
        name="slow",
        meaning="Length of the slow exponential average of the close",
        default=50,
        unit="bars",
        bounds=LENGTH_OF_TWO,
    )

    @property
    def readings(self) -> tuple[Reading, ...]:
        return Reading("ema", (self.fast,)), Reading("ema", (self.slow,))


@dataclass(frozen=True, slots=True)
class EmaCrossover:
    """EMA crossover: buy if the fast average crosses from ≤ to > the slow one, sell if from ≥ to <."""

    label: ClassVar[str] = "EMA Crossover"

    params: EmaCrossoverParams

    def describe(self, predictions: Predictions | None = None) -> StrategyDescription:  # noqa: ARG002
        """Return the name and the declared parameters; see `ports.Strategy`."""
        return self.params.describe(self.label)

    def signals(self, inputs: StrategyInputs) -> Signals:
        """Return the crossings in the range."""
        fast, slow = (reading.read(inputs) for reading in self.params.readings)
        return to_signals(inputs, self, buys=crosses_above(fast, slow), sells=crosses_below(fast, slow))
