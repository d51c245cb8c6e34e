"""Candles for tests: random ones from a seed, and the real daily ones."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np

from src.domain.bars import Bars
from src.domain.intervals import INTERVALS


def random_bars(count: int, *, seed: int = 7, silent_share: float = 0.0) -> Bars:
    """Return `count` daily candles of a random walk with gaps between close and open; some without any volume."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.02, count)))
    open_ = np.concatenate([[100.0], close[:-1]])[:count] * np.exp(random.normal(0, 0.003, count))
    reach = np.exp(np.abs(random.normal(0, 0.01, (2, count))))
    volume = random.lognormal(5, 1, count) * (random.random(count) >= silent_share)
    return Bars(
        symbol="BTCUSDT",
        interval=INTERVALS["1d"],
        open_time_ms=np.arange(count, dtype=np.int64) * INTERVALS["1d"].milliseconds,
        open=open_,
        high=np.maximum(open_, close) * reach[0],
        low=np.minimum(open_, close) / reach[1],
        close=close,
        volume=volume,
    )


def real_daily_bars(folder: Path) -> Bars:
    """Read every BTCUSDT day of the shared klines."""
    with gzip.open(folder / "BTCUSDT-1d.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    columns = {
        name: np.array([float(row[name]) for row in rows]) for name in ("open", "high", "low", "close", "volume")
    }
    return Bars(
        symbol="BTCUSDT",
        interval=INTERVALS["1d"],
        open_time_ms=np.array([int(row["open_time"]) for row in rows], dtype=np.int64),
        **columns,
    )
