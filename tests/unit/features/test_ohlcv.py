from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from src.domain.bars import MAX_PRICE, MIN_PRICE, Bars
from src.domain.intervals import INTERVALS
from src.features.names import FEATURE_NAMES, FEATURE_WINDOWS
from src.features.ohlcv import build_features
from src.features.rows import complete_rows
from tests.candles import random_bars, real_daily_bars
from tests.pandas_features import pandas_features


def flat_bars(count: int, *, price: float = 50.0, volume: float = 3.0) -> Bars:
    prices = np.full(count, price)
    return Bars(
        symbol="X", interval=INTERVALS["1d"], open_time_ms=np.arange(count) * 86_400_000, open=prices, high=prices,
        low=prices, close=prices, volume=np.full(count, volume),
    )  # fmt: skip


def assert_equals_pandas(bars: Bars) -> None:
    features = build_features(bars)
    expected = pandas_features(bars)
    assert features.names == tuple(expected.columns)
    np.testing.assert_allclose(features.values, expected.to_numpy(), rtol=1e-12, atol=1e-12, equal_nan=True)


def test_feature_names_are_those_of_the_contract() -> None:
    assert " ".join(FEATURE_NAMES) == (
        "Open High Low Close Volume SMA_5 SMA_10 SMA_20 Returns Returns_5 Volatility_5 Volatility_10 "
        "Volume_SMA_5 Volume_Ratio"
    )
    assert build_features(random_bars(3)).names == FEATURE_NAMES


def test_columns_equal_those_of_pandas() -> None:
    assert_equals_pandas(random_bars(500))
    assert_equals_pandas(random_bars(300, seed=3, silent_share=0.7))


def test_columns_equal_those_of_pandas_on_real_days(shared_data: Path) -> None:
    bars = real_daily_bars(shared_data)
    assert len(bars) == 3292
    assert_equals_pandas(bars)


def test_features_of_known_bars_are_exact() -> None:
    close = np.arange(1.0, 22.0)
    bars = Bars(
        symbol="X", interval=INTERVALS["1d"], open_time_ms=np.arange(21) * 86_400_000, open=close, high=close + 1,
        low=close / 2, close=close, volume=close * 10,
    )  # fmt: skip
    last = dict(zip(FEATURE_NAMES, build_features(bars).values[-1], strict=True))
    assert (last["Open"], last["High"], last["Low"], last["Close"], last["Volume"]) == (21, 22, 10.5, 21, 210)
    assert (last["SMA_5"], last["SMA_10"], last["SMA_20"]) == (19.0, 16.5, 11.5)
    assert last["Returns"] == pytest.approx(1 / 20)
    assert last["Returns_5"] == pytest.approx(5 / 16)
    assert last["Volatility_5"] == pytest.approx(np.std([1 / 16, 1 / 17, 1 / 18, 1 / 19, 1 / 20], ddof=1))
    assert last["Volume_SMA_5"] == 190.0
    assert last["Volume_Ratio"] == pytest.approx(210 / 190)


def test_first_bars_have_no_window_features() -> None:
    features = build_features(random_bars(25))
    first_row = {name: int(np.flatnonzero(~np.isnan(column))[0]) for name, column in zip(
        features.names, features.values.T, strict=True)}  # fmt: skip
    assert first_row == {
        "Open": 0, "High": 0, "Low": 0, "Close": 0, "Volume": 0, "SMA_5": 4, "SMA_10": 9, "SMA_20": 19, "Returns": 1,
        "Returns_5": 5, "Volatility_5": 5, "Volatility_10": 10, "Volume_SMA_5": 4, "Volume_Ratio": 4,
    }  # fmt: skip
    assert first_row == {name: bars - 1 for name, bars in FEATURE_WINDOWS.items()}


@pytest.mark.parametrize("count", [0, 1, 2, 19])
def test_too_few_bars_leave_no_complete_row(count: int) -> None:
    features = build_features(random_bars(count) if count else flat_bars(0))
    assert features.values.shape == (count, 14)
    assert not complete_rows(features.values, features.names, FEATURE_NAMES).any()


def test_market_without_volume_has_no_volume_ratio() -> None:
    features = build_features(flat_bars(30, volume=0.0))
    assert np.isnan(features.values[:, FEATURE_NAMES.index("Volume_Ratio")]).all()
    assert features.values[4:, FEATURE_NAMES.index("Volume_SMA_5")].tolist() == [0.0] * 26
    assert not complete_rows(features.values, features.names, ["Close", "Volume_Ratio"]).any()
    assert complete_rows(features.values, features.names, ["Close", "Returns"]).tolist() == [False] + [True] * 29


def test_constant_price_has_no_volatility() -> None:
    features = build_features(flat_bars(30))
    assert features.values[19:, FEATURE_NAMES.index("Volatility_10")].tolist() == [0.0] * 11


@pytest.mark.parametrize("price", [MIN_PRICE, MAX_PRICE])
def test_features_at_price_bounds_are_finite(price: float) -> None:
    features = build_features(flat_bars(25, price=price))
    assert np.isfinite(features.values[24]).all()
    assert features.values[24, FEATURE_NAMES.index("SMA_20")] == pytest.approx(price)


@pytest.mark.parametrize("volume", [1e-9, 0.5, 1.0])
def test_small_volume_has_a_volume_ratio(volume: float) -> None:
    features = build_features(flat_bars(5, volume=volume))
    assert features.values[-1, FEATURE_NAMES.index("Volume_Ratio")] == pytest.approx(1.0)
