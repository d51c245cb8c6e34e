"""Candles for tests: random ones with gaps, hand-made ones, and the real ones where they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from src.domain.bars import Bars
from src.domain.intervals import INTERVALS


def random_bars(n: int, *, seed: int = 0, interval: str = "1d", volatility: float = 0.02) -> Bars:
    """Return a random walk whose opens differ from the last close, as real candles' do."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, volatility, n)))
    open_ = np.concatenate(([100.0], close[:-1])) * np.exp(rng.normal(0, volatility / 2, n))
    reach = np.exp(np.abs(rng.normal(0, volatility / 2, (2, n))))
    return Bars(
        symbol="TESTUSDT",
        interval=INTERVALS[interval],
        open_time_ms=1_600_000_000_000 // 86_400_000 * 86_400_000
        + np.arange(n, dtype=np.int64) * INTERVALS[interval].milliseconds,
        open=open_,
        high=np.maximum(open_, close) * reach[0],
        low=np.minimum(open_, close) / reach[1],
        close=close,
        volume=rng.gamma(2.0, 100.0, n),
    )


def bars_of_closes(closes: ArrayLike, *, interval: str = "1d") -> Bars:
    """Return bars that stand still at each close."""
    close: NDArray[np.float64] = np.asarray(closes, dtype=np.float64)
    return Bars(
        symbol="TESTUSDT",
        interval=INTERVALS[interval],
        open_time_ms=np.arange(close.size, dtype=np.int64) * INTERVALS[interval].milliseconds,
        open=close,
        high=close,
        low=close,
        close=close,
        volume=np.ones(close.size),
    )


def bars_at(open_times_ms: ArrayLike, closes: ArrayLike | None = None, *, interval: str = "1d") -> Bars:
    """Return bars that open at these times and stand still, at 100 if no closes are given."""
    times: NDArray[np.int64] = np.asarray(open_times_ms, dtype=np.int64)
    close = np.full(times.size, 100.0) if closes is None else np.asarray(closes, dtype=np.float64)
    return replace(bars_of_closes(close, interval=interval), open_time_ms=times)


def read_klines(path: Path, *, interval: str, rows: int | None = None) -> Bars:
    """Read a file of real klines (CSV with a header, or Parquet)."""
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    frame = frame.head(rows) if rows else frame
    frame.columns = [str(name).lower().replace(" ", "_") for name in frame.columns]
    times = frame.iloc[:, 0]
    if not pd.api.types.is_integer_dtype(times):
        times = pd.to_datetime(times, utc=True).dt.as_unit("ms").astype("int64")
    prices = {name: frame[name].to_numpy(np.float64) for name in ("open", "high", "low", "close", "volume")}
    return Bars(
        symbol=path.name.split("-")[0],
        interval=INTERVALS[interval],
        open_time_ms=times.to_numpy(np.int64),
        **prices,
    )
