"""Generate fixed feature rows on which a model file is tried at upload."""

from __future__ import annotations

import functools
from typing import Final

import numpy as np

from src.domain.bars import Bars
from src.domain.intervals import INTERVALS
from src.domain.signals import Features
from src.features.ohlcv import build_features

_BARS: Final = 320
_SEED: Final = 7
_HOUR_MS: Final = 3_600_000
_FIRST_PRICE: Final = 30_000.0
_HOURLY_DEVIATION: Final = 0.006
_MEAN_VOLUME: Final = 1_000.0


@functools.cache
def made_up_features() -> Features:
    """Return the features of 320 plausible hourly bars: a random walk from 30,000 with deviations of 0.6 % an hour."""
    draw = np.random.default_rng(_SEED)
    close = _FIRST_PRICE * np.exp(np.cumsum(draw.normal(0.0, _HOURLY_DEVIATION, _BARS)))
    opening = np.concatenate(([_FIRST_PRICE], close[:-1]))
    wicks = 1.0 + np.abs(draw.normal(0.0, _HOURLY_DEVIATION / 2, (2, _BARS)))
    bars = Bars(
        symbol="MADEUP",
        interval=INTERVALS["1h"],
        open_time_ms=_HOUR_MS * np.arange(_BARS, dtype=np.int64),
        open=opening,
        high=np.maximum(opening, close) * wicks[0],
        low=np.minimum(opening, close) / wicks[1],
        close=close,
        volume=_MEAN_VOLUME * np.exp(draw.normal(0.0, 0.5, _BARS)),
    )
    return build_features(bars)
