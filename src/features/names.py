"""The names of the feature columns, in the order in which a model receives them.

This module imports no numeric library, because the sandbox's child uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

OHLCV_NAMES: Final = ("Open", "High", "Low", "Close", "Volume")

FEATURE_NAMES: Final = (
    *OHLCV_NAMES,
    "SMA_5",
    "SMA_10",
    "SMA_20",
    "Returns",
    "Returns_5",
    "Volatility_5",
    "Volatility_10",
    "Volume_SMA_5",
    "Volume_Ratio",
)

FEATURE_WINDOWS: Final[Mapping[str, int]] = {
    **dict.fromkeys(OHLCV_NAMES, 1),
    "SMA_5": 5,
    "SMA_10": 10,
    "SMA_20": 20,
    "Returns": 2,
    "Returns_5": 6,
    "Volatility_5": 6,
    "Volatility_10": 11,
    "Volume_SMA_5": 5,
    "Volume_Ratio": 5,
}
"""How many bars each column reads, its own included; with fewer bars it is missing."""
