"""The Donchian strategy: buy a close above the channel of the previous bars, sell a close below a shorter channel.

Richard Donchian's rule as the turtles traded it (Curtis Faith, Way of the Turtle, 2007, System 1), but decided at the
close.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from src.domain.parameters import parameter
from src.domain.signals import Predictions, Signals, StrategyDescription
from src.domain.strategy import StrategyInputs
from src.strategies.presets import LENGTH, PresetParams, Reading, is_above, to_signals


@dataclass(frozen=True, slots=True, kw_only=True)
class DonchianParams(PresetParams):
    """Buy a close above the highest high of the bars before, sell one below their lowest low."""

    bars_before: ClassVar[int] = 0

    entry_length: int = parameter(
        name="entry_length",
        meaning="A close above the highest high of so many bars before, this bar excluded, buys",
        default=20,
        unit="bars",
        bounds=LENGTH,
    )
    exit_length: int = parameter(
        name="exit_length",
        meaning="A close below the lowest low of so many bars before, this bar excluded, sells",
        default=10,
        unit="bars",
        bounds=LENGTH,
    )

    @property
    def readings(self) -> tuple[Reading, ...]:
        return Reading("donchian_high", (self.entry_length,)), Reading("donchian_low", (self.exit_length,))


@dataclass(frozen=True, slots=True)
class Donchian:
    """Donchian channel: buy a close above the highest high of the bars before, sell one below their lowest low."""

    label: ClassVar[str] = "Donchian"

    params: DonchianParams

    def describe(self, predictions: Predictions | None = None) -> StrategyDescription:  # noqa: ARG002
        """Return the name and the declared parameters; see `ports.Strategy`."""
        return self.params.describe(self.label)

    def signals(self, inputs: StrategyInputs) -> Signals:
        """Return the breakouts in the range that change the side."""
        highest, lowest = (reading.read(inputs) for reading in self.params.readings)
        close = inputs.bars.close
        return to_signals(inputs, self, buys=is_above(close, highest), sells=is_above(lowest, close))
