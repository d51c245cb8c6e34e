"""Check that on every real day each format's signals equal the producing library's, on features of pandas."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.signals import OutputKind, Predictions, Signals
from src.features.ohlcv import build_features
from src.features.selection import choose_columns
from src.model_formats.registry import load_model, prepare
from src.strategies.model_signals import signals_from_predictions
from tests.candles import real_daily_bars
from tests.model_factory import BOOSTERS, FORMATS, make_model_files, require_libraries
from tests.pandas_features import pandas_features

THRESHOLD = 0.52


@pytest.fixture(scope="module")
def bars(shared_data: Path) -> Bars:
    return real_daily_bars(shared_data)


@pytest.fixture(scope="module")
def files(bars: Bars, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    require_libraries()
    return make_model_files(tmp_path_factory.mktemp("real"), bars)


@pytest.fixture(scope="module")
def frame(bars: Bars) -> pd.DataFrame:
    return pandas_features(bars)


def words(probability: NDArray[np.float64]) -> list[int]:
    """Derive buy, sell or hold bar by bar from a list of probabilities, without the service's code."""
    said, is_long = [], False
    for chance in probability:
        wish = is_long if np.isnan(chance) else bool(chance >= THRESHOLD)
        said.append(int(wish) - int(is_long))
        is_long = wish
    return said


def producing_library(file: Path, frame: pd.DataFrame) -> NDArray[np.float64]:
    """Predict with the library that trained the model, outside of everything under test."""
    known = frame.notna().all(axis=1)
    probability = np.full(len(frame), np.nan)
    probability[known] = pickle.loads(file.read_bytes()).predict_proba(frame[known])[:, 1]
    return probability


def service(file: Path, bars: Bars, folder: Path) -> Signals:
    """Run the service's steps from bars to signals, without the process around them."""
    features = build_features(bars)
    predictor = load_model(prepare(file, file.suffix, folder), file.suffix)
    description = predictor.description
    columns = choose_columns(features.names, None, description.feature_names, description.n_features)
    chosen = features.values[:, [features.names.index(name) for name in columns]]
    known = ~np.isnan(chosen).any(axis=1)
    values = np.full(len(bars), np.nan)
    values[known], kind = predictor.predict(chosen[known], columns)
    assert kind is OutputKind.PROBABILITY
    return signals_from_predictions(Predictions(values=values, kind=kind), threshold=THRESHOLD, feature_columns=columns)


@pytest.mark.shared_data
@pytest.mark.parametrize("name", [*FORMATS, *BOOSTERS])
def test_signals_on_real_days_equal_the_producing_library(
    name: str, files: Mapping[str, Path], bars: Bars, frame: pd.DataFrame, tmp_path: Path
) -> None:
    expected = producing_library(files[name if name in BOOSTERS else "pkl"], frame)
    # No day may hang on a rounding: float32 networks are off by some 1e-6 on prices that large.
    assert np.nanmin(np.abs(expected - THRESHOLD)) > 1e-5
    signals = service(files[name], bars, tmp_path)
    assert signals.action.tolist() == words(expected)
    assert signals.probability is not None
    np.testing.assert_allclose(signals.probability, expected, rtol=0, atol=5e-6)
    # The comparison is worth something: the model changes its mind all the time.
    assert np.count_nonzero(signals.action) > 300
