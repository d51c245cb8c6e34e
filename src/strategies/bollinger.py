"""The Bollinger strategy: follow a close beyond a band, or expect it to come back.

Breakout is Method I of John Bollinger, Bollinger on Bollinger Bands (2001), with the opposite band as the exit.
Reversion is the Bollinger Bands Strategy that TradingView ships, decided at the close and without its stop orders.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from src.domain.parameters import parameter
from src.domain.signals import Predictions, Signals, StrategyDescription
from src.domain.strategy import StrategyInputs
from src.strategies.presets import (
    LENGTH_OF_TWO,
    MULTIPLIER,
    PresetParams,
    Reading,
    crosses_above,
    crosses_below,
    to_signals,
)


class BollingerMode(StrEnum):
    """What a close beyond a Bollinger band means."""

    REVERSION = "REVERSION"
    BREAKOUT = "BREAKOUT"

    @property
    def meaning(self) -> str:
        """What buys and what sells, for the documentation."""
        return _MEANINGS[self]


_MEANINGS = {
    BollingerMode.REVERSION: "Buy if the close rises above the lower band again, sell if it falls below the upper one.",
    BollingerMode.BREAKOUT: "Buy if the close rises above the upper band, sell if it falls below the lower one.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BollingerParams(PresetParams):
    """Trade the crossings of the close with the Bollinger bands."""

    length: int = parameter(
        name="length",
        meaning="Length of the mean and of the deviation of the close",
        default=20,
        unit="bars",
        bounds=LENGTH_OF_TWO,
    )
    multiplier: float = parameter(
        name="multiplier",
        meaning="Distance of the bands from the mean",
        default=2.0,
        unit="population standard deviations",
        bounds=MULTIPLIER,
    )
    mode: BollingerMode = parameter(
        name="mode",
        meaning="REVERSION buys a rise back above the lower band and sells a fall back below the upper one; BREAKOUT "
        "buys a rise above the upper band and sells a fall below the lower one",
        default=BollingerMode.REVERSION,
    )

    @property
    def readings(self) -> tuple[Reading, ...]:
        numbers = (self.length, self.multiplier)
        return Reading("bb_lower", numbers), Reading("bb_upper", numbers)


@dataclass(frozen=True, slots=True)
class Bollinger:
    """Bollinger bands: buy and sell where the close crosses them, expecting a reversion or following a breakout."""

    label: ClassVar[str] = "Bollinger"

    params: BollingerParams

    def describe(self, predictions: Predictions | None = None) -> StrategyDescription:  # noqa: ARG002
        """Return the name and the declared parameters; see `ports.Strategy`."""
        return self.params.describe(self.label)

    def signals(self, inputs: StrategyInputs) -> Signals:
        """Return the crossings in the range that change the side."""
        lower, upper = (reading.read(inputs) for reading in self.params.readings)
        is_breakout = self.params.mode is BollingerMode.BREAKOUT
        close = inputs.bars.close
        buys = crosses_above(close, upper if is_breakout else lower)
        sells = crosses_below(close, lower if is_breakout else upper)
        return to_signals(inputs, self, buys=buys, sells=sells)
