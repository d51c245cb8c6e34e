"""Warn about bars that a model did not predict because a feature column is missing there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from src.domain.signals import Features, Predictions
from src.features.names import FEATURE_WINDOWS

_NO_VOLUME: Final = {"Volume_Ratio": "the bars of its mean have no volume"}
"""Why a column can be missing although there are enough bars; other columns are missing if they exceed float64."""
_UNFIT: Final = "the prices are too far apart"


class _Missing(NamedTuple):
    """A missing column: the bars without it, how many of them have enough bars before, and how many bars it needs."""

    name: str
    bars: int
    late_bars: int
    needed_bars: int


def feature_warnings(features: Features, predictions: Predictions) -> tuple[str, ...]:
    """Return a warning about the bars without a prediction, unless only the first lack one, before enough bars."""
    bars, predicted = len(predictions.values), int(np.count_nonzero(~np.isnan(predictions.values)))
    missing = _find_missing(features, predictions.feature_columns or features.names)
    late = [column for column in missing if column.late_bars]
    if not bars or predicted == bars or (predicted and not late):
        return ()
    shown = late if predicted else [column for column in missing if column.bars == bars] or missing
    others = "the others have" if predicted else "all have"
    return (
        f"The model predicted {predicted or 'none'} of {bars} bars and {others} the signal hold, because it reads a "
        f"column that is missing there: {', '.join(map(_format_column, shown))}."
        f"{_advise(bars, predicted, missing, late)}",
    )


def _find_missing(features: Features, columns: Sequence[str]) -> list[_Missing]:
    found = []
    for name in columns:
        is_missing = np.isnan(features.values[:, features.names.index(name)])
        needed = FEATURE_WINDOWS.get(name, 1)
        late = int(np.count_nonzero(is_missing[needed - 1 :]))
        if is_missing.any():
            found.append(_Missing(name, int(np.count_nonzero(is_missing)), late, needed))
    return found


def _format_column(column: _Missing) -> str:
    if column.late_bars:
        return f"{column.name} on {column.bars} ({_NO_VOLUME.get(column.name, _UNFIT)})"
    return f"{column.name} on {column.bars} (it needs {column.needed_bars} bars)"


def _advise(bars: int, predicted: int, missing: Sequence[_Missing], late: Sequence[_Missing]) -> str:
    needed = max((column.needed_bars for column in missing), default=0)
    advice = f" Ask for at least {needed} bars." if not predicted and needed > bars else ""
    if any(column.name in _NO_VOLUME for column in late):
        advice += " Use bars with volume, or a model that does not read Volume_Ratio."
    return advice
