"""Compute the figures of each bar that trading rules use: average true range, volatility and volume."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.trading import TradingRules
from src.engines.ranges import NO_RANGES, atr_bars_of, measure_ranges
from src.engines.volatility import measure_volatility

Floats = NDArray[np.float64]


class BarMeasures(NamedTuple):
    """Figures of each bar [n], read-only; an array is empty if the rules do not use it."""

    atr: Floats
    volatility: Floats
    volume: Floats
    """Units of the base asset."""


NO_MEASURES: Final = BarMeasures(NO_RANGES, NO_RANGES, NO_RANGES)


def measure_bars(bars: Bars, rules: TradingRules) -> BarMeasures:
    """Return the figures of each bar that these rules use; each figure reads the bars up to its own."""
    return BarMeasures(
        atr=measure_ranges((bars.high, bars.low, bars.close), atr_bars_of(rules.exits)),
        volatility=NO_RANGES if rules.sizing.volatility_target is None else measure_volatility(bars),
        volume=bars.volume if rules.volume.is_used else NO_RANGES,
    )
