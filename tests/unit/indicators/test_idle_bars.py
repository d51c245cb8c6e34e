"""Values of bars at which nothing has moved are missing: the compiled loops do what numpy says step by step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from src.indicators.recursions import remove_rangeless, remove_undirected, remove_unmoved

Series = NDArray[np.float64]
Columns = tuple[Series, Series, Series]


def shift(values: Series) -> Series:
    return np.concatenate(([np.nan], values[:-1]))


def move(columns: Columns) -> Series:
    return np.abs(columns[2] - shift(columns[2]))


def direction(columns: Columns) -> Series:
    up, down = columns[0] - shift(columns[0]), shift(columns[1]) - columns[1]
    return np.where(up == down, 0.0, np.maximum(up, down))


def true_range(columns: Columns) -> Series:
    before = shift(columns[2])
    return np.maximum(columns[0], before) - np.minimum(columns[1], before)


CASES: dict[str, tuple[Callable[[Series, Columns, int], None], Callable[[Columns], Series]]] = {
    "unmoved": (lambda result, c, horizon: remove_unmoved(result, c[2], horizon), move),
    "undirected": (lambda result, c, horizon: remove_undirected(result, c[0], c[1], horizon), direction),
    "rangeless": (lambda result, c, horizon: remove_rangeless(result, *c, horizon), true_range),
}


def make_columns(seed: int, n: int = 400) -> Columns:
    """Return highs, lows and closes on a coarse grid, with quiet times and missing bars."""
    rng = np.random.default_rng(seed)
    close = 10.0 + np.cumsum(rng.integers(-1, 2, n) * (rng.random(n) < 0.15))
    high, low = close + (rng.random(n) < 0.1), close - (rng.random(n) < 0.1)
    is_missing = rng.random(n) < 0.02
    return tuple(np.where(is_missing, np.nan, column) for column in (high, low, close))  # type: ignore[return-value]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("horizon", [1, 2, 7, 30])
def test_idle_bars_are_those_of_numpy(name: str, horizon: int) -> None:
    remove, measure = CASES[name]
    removed = 0
    for seed in range(20):
        columns = make_columns(seed)
        result = np.arange(columns[0].size, dtype=np.float64)
        remove(result, columns, horizon)
        idle, expected = horizon, []
        for activity in measure(columns):
            idle = 0 if activity > 0 else horizon if np.isnan(activity) else idle + 1
            expected.append(idle >= horizon)
        np.testing.assert_array_equal(np.isnan(result), expected)
        removed += sum(expected)
    assert 0 < removed < 20 * 400
