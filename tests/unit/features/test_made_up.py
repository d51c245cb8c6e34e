"""The rows that a model file is tried on."""

from __future__ import annotations

import numpy as np
import pytest

from src.features.made_up import made_up_features
from src.features.names import FEATURE_NAMES


def column(name: str) -> np.ndarray:
    return made_up_features().values[:, FEATURE_NAMES.index(name)]


def test_made_up_rows_are_always_the_same() -> None:
    first = made_up_features().values.copy()
    made_up_features.cache_clear()
    np.testing.assert_array_equal(made_up_features().values, first)
    assert first.shape == (320, len(FEATURE_NAMES))


def test_made_up_bars_are_valid_and_consecutive() -> None:
    opening, high, low, close = map(column, ("Open", "High", "Low", "Close"))
    assert opening[0] == 30_000
    np.testing.assert_array_equal(opening[1:], close[:-1])
    assert (high >= np.maximum(opening, close)).all()
    assert (low <= np.minimum(opening, close)).all()
    assert (high > np.maximum(opening, close)).any()
    assert (low < np.minimum(opening, close)).any()


def test_made_up_bars_move_like_hourly_bars() -> None:
    opening, high, low, close, volume = map(column, ("Open", "High", "Low", "Close", "Volume"))
    steps = np.diff(np.log(close))
    assert steps.std() == pytest.approx(0.006, rel=0.15)
    assert abs(steps.mean()) < 4 * 0.006 / np.sqrt(320)
    # A wick is the absolute value of a normal with deviation 0.003.
    for wick in (high / np.maximum(opening, close) - 1, np.minimum(opening, close) / low - 1):
        assert np.sqrt((wick**2).mean()) == pytest.approx(0.003, rel=0.15)
    assert np.median(volume) == pytest.approx(1000, rel=0.15)
    assert np.log(volume).std() == pytest.approx(0.5, rel=0.15)


def test_rows_stay_the_same_between_releases() -> None:
    # What a model file is refused for, or warned about, must not change by itself.
    ohlcv = made_up_features().values[[0, 319], :5]
    expected = [
        [30_000.0, 30_069.575821209703, 29_917.8649035005, 30_000.22142842152, 2_529.1711280400023],
        [23_506.974412215488, 23_739.08347926857, 23_484.559998547014, 23_632.06959689749, 1_178.5983194895593],
    ]
    np.testing.assert_allclose(ohlcv, expected, rtol=1e-9)
