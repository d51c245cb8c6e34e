"""What is said of bars that a model did not predict: the column at fault, on how many bars, and what helps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from src.domain.bars import Bars
from src.domain.signals import OutputKind, Predictions
from src.features.names import FEATURE_NAMES
from src.features.ohlcv import build_features
from src.features.rows import complete_rows
from src.service.feature_warnings import feature_warnings
from tests.market import random_bars


def warnings_of(bars: Bars, columns: Sequence[str] | None) -> tuple[str, ...]:
    """Return what is said if a model reads these columns (None: all)."""
    features = build_features(bars)
    is_complete = complete_rows(features.values, features.names, columns or FEATURE_NAMES)
    predictions = Predictions(
        values=np.where(is_complete, 0.5, np.nan),
        kind=OutputKind.VALUE,
        feature_columns=None if columns is None else tuple(columns),
    )
    return feature_warnings(features, predictions)


def without_volume(bars: Bars, start: int, stop: int) -> Bars:
    volume = bars.volume.copy()
    volume[start:stop] = 0.0
    return replace(bars, volume=volume)


def test_first_bars_alone_need_no_warning() -> None:
    assert warnings_of(random_bars(60), None) == ()
    assert warnings_of(random_bars(60), ["Close"]) == ()


def test_column_that_the_model_does_not_read_is_not_named() -> None:
    assert warnings_of(without_volume(random_bars(60), 0, 60), ["Close", "Returns"]) == ()


def test_market_without_volume_is_warned_of_with_advice() -> None:
    assert warnings_of(without_volume(random_bars(60), 0, 60), ["Close", "Volume_Ratio"]) == (
        "The model predicted none of 60 bars and all have the signal hold, because it reads a column that is missing "
        "there: Volume_Ratio on 60 (the bars of its mean have no volume). Use bars with volume, or a model that does "
        "not read Volume_Ratio.",
    )


def test_no_predictions_are_explained_by_absent_columns() -> None:
    (warning,) = warnings_of(without_volume(random_bars(60), 0, 60), None)
    assert "missing there: Volume_Ratio on 60 (" in warning
    assert "SMA_20" not in warning


def test_range_without_volume_is_counted() -> None:
    # Bars 20 to 29 have no volume, so the means at 24 to 29 are 0; SMA_10 lacks the first 9 bars.
    (warning,) = warnings_of(without_volume(random_bars(60), 20, 30), ["Volume_Ratio", "SMA_10"])
    assert warning.startswith("The model predicted 45 of 60 bars and the others")
    assert "missing there: Volume_Ratio on 10 (the bars of its mean have no volume)." in warning
    assert "Ask for" not in warning


def test_first_bar_that_could_have_a_column_counts() -> None:
    (warning,) = warnings_of(without_volume(random_bars(60), 0, 5), ["Volume_Ratio"])
    assert "predicted 55 of 60 bars" in warning
    assert warnings_of(without_volume(random_bars(60), 0, 4), ["Volume_Ratio"]) == ()


@pytest.mark.parametrize(("columns", "needed"), [(None, 20), (["Volatility_10"], 11), (["Returns_5", "SMA_10"], 10)])
def test_too_few_bars_are_warned_of_with_needed_number(columns: list[str] | None, needed: int) -> None:
    (warning,) = warnings_of(random_bars(needed - 1), columns)
    assert warning.startswith(f"The model predicted none of {needed - 1} bars and all")
    assert f"on {needed - 1} (it needs {needed} bars)" in warning
    assert warning.endswith(f" Ask for at least {needed} bars.")
    assert warnings_of(random_bars(needed), columns) == ()
