"""The names of the feature columns, in the order in which a model receives them. Light: the sandbox reads it too."""

from __future__ import annotations

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
