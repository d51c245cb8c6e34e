"""Reduce rows to points, beside pandas' resampling."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from src.tearsheet.reduction import count_bars_per_point, reduce_columns
from tests.market import random_bars


@pytest.mark.parametrize(
    ("bars", "points", "expected"),
    [(10, None, 1), (10, 10, 1), (10, 11, 1), (10, 9, 2), (10, 5, 2), (10, 4, 3), (10, 1, 10), (0, 5, 1)],
)
def test_bars_per_point_is_least_that_fits(bars: int, points: int | None, expected: int) -> None:
    assert count_bars_per_point(bars, points) == expected


def test_points_equal_those_of_pandas() -> None:
    bars = random_bars(101, seed=8)
    rng = np.random.default_rng(8)
    columns = {
        "date": bars.open_time_ms, "open": bars.open, "high": bars.high, "low": bars.low, "close": bars.close,
        "volume": bars.volume, "equity": rng.normal(100, 5, 101), "cash": rng.normal(100, 5, 101),
        "position": rng.normal(0, 1, 101), "drawdown": -rng.random(101), "buy_and_hold": rng.normal(100, 5, 101),
        "probability": rng.random(101),
    }  # fmt: skip
    found = reduce_columns(columns, 7)
    groups = pd.DataFrame(columns).groupby(np.arange(101) // 7)
    rules = {
        "date": "first", "open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum",
        "equity": "last", "cash": "last", "position": "last", "drawdown": "min", "buy_and_hold": "last",
        "probability": "last",
    }  # fmt: skip
    for name, rule in rules.items():
        assert found[name] == pytest.approx(getattr(groups[name], rule)().to_numpy()), name
    for name in ("equity", "close", "buy_and_hold"):
        assert found[f"{name}_low"] == pytest.approx(groups[name].min().to_numpy())
        assert found[f"{name}_high"] == pytest.approx(groups[name].max().to_numpy())
    assert len(found["date"]) == 15  # type: ignore[arg-type]
    assert set(found) == {*columns, *(f"{name}_{end}" for name in ("equity", "close", "buy_and_hold")
                                      for end in ("low", "high"))}  # fmt: skip


def test_signals_and_missing_columns_have_no_values() -> None:
    found = reduce_columns({"signal": np.ones(4, np.int8), "equity": None}, 2)
    assert found == {"signal": None, "equity": None, "equity_low": None, "equity_high": None}


def test_point_counts_what_is_a_number() -> None:
    found = reduce_columns({"high": np.array([1.0, np.nan, np.nan, np.nan])}, 2)
    assert found["high"] == pytest.approx([1.0, np.nan], nan_ok=True)
