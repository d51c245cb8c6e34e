"""Compute the average true range, the unit of some exits' distances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.arrays import freeze
from src.domain.order_rules import Exits
from src.indicators.registry import INDICATORS

Prices = NDArray[np.float64]

NO_RANGES: Final[Prices] = freeze(np.empty(0), np.float64)


def atr_bars_of(exits: Exits) -> int:
    """Return the length of the ATR that the exits use; 0 if none uses it."""
    return exits.atr.bars if exits.atr.is_used else 0


def measure_ranges(columns: Sequence[Prices], length: int) -> Prices:
    """Return Wilder's ATR [n] of high, low and close; NaN in the first `length` bars. A length of 0 gives `NO_RANGES`.

    Each value reads the bars up to its own. The result is read-only: numba would compile again for a writable array.
    """
    return freeze(INDICATORS["atr"].compute(columns, length), np.float64) if length else NO_RANGES
