"""Trailing volatility beside the rolling deviation of pandas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from src.domain.bars import Bars
from src.engines.volatility import measure_volatility
from tests.market import bars_of_closes, random_bars


def rolled_by_pandas(bars: Bars) -> pd.Series:
    times = pd.to_datetime(bars.open_time_ms, unit="ms")
    returns = pd.Series(np.log(bars.close), index=times).diff()
    rolled = returns.rolling("30D", min_periods=2).std(ddof=1)
    rolled[times < times[0] + pd.Timedelta(days=30)] = np.nan
    return rolled * np.sqrt(pd.Timedelta(days=365) / pd.Timedelta(milliseconds=bars.interval.milliseconds))


@pytest.mark.parametrize("interval", ["1h", "4h", "1d", "3d", "1w", "1M"])
@pytest.mark.parametrize("has_gaps", [False, True])
def test_volatility_equals_rolling_deviation_of_pandas(interval: str, has_gaps: bool) -> None:
    bars = random_bars(2_000 if interval == "1h" else 400, seed=4, interval=interval, volatility=0.02)
    if has_gaps:
        slots = np.cumsum(np.random.default_rng(5).choice([1, 1, 1, 4, 40], len(bars)))
        bars = replace(bars, open_time_ms=slots.astype(np.int64) * bars.interval.milliseconds)
    found = measure_volatility(bars)
    np.testing.assert_allclose(found, rolled_by_pandas(bars), rtol=1e-9, equal_nan=True)
    if interval != "1M":
        assert np.isfinite(found).sum() > 100


def test_volatility_of_prefix_is_prefix_of_volatility() -> None:
    bars = random_bars(900, seed=9, interval="4h")
    whole = measure_volatility(bars)
    for count in (0, 1, 2, 180, 181, 555):
        np.testing.assert_array_equal(measure_volatility(bars.slice(0, count)), whole[:count])


def test_calm_after_a_jump_is_exactly_calm() -> None:
    found = measure_volatility(bars_of_closes([1.0] * 5 + [1e6] * 60))
    assert found[30:35].min() > 40
    assert not found[35:].any()
