"""The MACD strategy: signals at the bars at which MACD crosses its signal line (Gerald Appel)."""

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
class MacdParams(PresetParams):
    """Buy if MACD crosses above its signal line, sell if it crosses below."""

    ordered_pairs: ClassVar = (("fast", "slow"),)

    fast: int = parameter(
        name="fast",
        meaning="Length of the fast exponential average of the close; less than slow",
        default=12,
        unit="bars",
        bounds=LENGTH,
    )
    slow: int = parameter(
        name="slow",
        meaning="Length of the slow exponential average of the close",
        default=26,
        unit="bars",
        bounds=LENGTH_OF_TWO,
    )
    signal: int = parameter(
        name="signal",
        meaning="Length of the signal line, the exponential average of fast less slow",
        default=9,
        unit="bars",
        bounds=LENGTH_OF_TWO,
    )

    @property
    def readings(self) -> tuple[Reading, ...]:
        return Reading("macd", (self.fast, self.slow)), Reading("macd_signal", (self.fast, self.slow, self.signal))


@dataclass(frozen=True, slots=True)
class Macd:
    """MACD: buy if it crosses from ≤ to > its signal line, sell if it crosses from ≥ to <."""

    label: ClassVar[str] = "MACD"

    params: MacdParams

    def describe(self, predictions: Predictions | None = None) -> StrategyDescription:  # noqa: ARG002
        """Return the name and the declared parameters; see `ports.Strategy`."""
        return self.params.describe(self.label)

    def signals(self, inputs: StrategyInputs) -> Signals:
        """Return the crossings in the range."""
        line, signal = (reading.read(inputs) for reading in self.params.readings)
        # Both are differences of averages of the close, and near 0 if the close hardly moves.
        close = inputs.bars.close
        buys, sells = crosses_above(line, signal, scale=close), crosses_below(line, signal, scale=close)
        return to_signals(inputs, self, buys=buys, sells=sells)
