"""The model strategy: derive signals from a model's predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from src.domain.errors import InvalidInput, bad_value
from src.domain.signals import OutputKind, Predictions, Signals, StrategyDescription
from src.domain.strategy import ModelParams, StrategyInputs

STRATEGY_NAME: Final = "ML Model"
DEFAULT_THRESHOLD: Final = 0.5

_LABELS: Final = {OutputKind.BINARY_LABEL: (0.0, 1.0), OutputKind.SIGNED_LABEL: (-1.0, 0.0, 1.0)}
_ROUNDING: Final = 1e-6
"""How far rounding may move a float32 probability outside 0…1."""


@dataclass(frozen=True, slots=True)
class ModelStrategy:
    """A model's predictions: long while the prediction is at least the threshold, or while the label is 1."""

    label: ClassVar[str] = STRATEGY_NAME

    params: ModelParams

    def describe(self, predictions: Predictions | None = None) -> StrategyDescription:
        """Return the threshold, and how the predictions were made and read; see `ports.Strategy`."""
        if predictions is None:
            raise ValueError("a model's strategy is described with its predictions")
        return describe_model(self.params.threshold, predictions.kind, predictions.feature_columns)

    def signals(self, inputs: StrategyInputs) -> Signals:
        """Return the changes of the target position that the predictions give; raises InvalidInput."""
        predictions = inputs.required_predictions()
        return signals_from_predictions(
            predictions, threshold=self.params.threshold, feature_columns=predictions.feature_columns
        )


def signals_from_predictions(
    predictions: Predictions, *, threshold: float = DEFAULT_THRESHOLD, feature_columns: Sequence[str] | None = None
) -> Signals:
    """Derive signals from predictions: `buy` if the target turns from flat to long, `sell` if it turns back.

    The target before the first bar is flat. Probability and value: long while ≥ `threshold`. Binary label: 1 long,
    0 flat. Signed label: 1 long, −1 flat, 0 keeps the target. A bar without a prediction (NaN) keeps it too, and its
    signal is `hold`. The signal at t reads predictions ≤ t only.

    Parameters
    ----------
    predictions
        One number a bar and its meaning.
    threshold
        In the units of the prediction: 0…1 for a probability, any finite number for a value; not used for labels.
    feature_columns
        The columns that the model received, for the description.

    Raises InvalidInput on `threshold` if it is not such a number; on `outputKind` if a prediction is not of that kind.
    """
    check_threshold(threshold, predictions.kind)
    values = predictions.values
    is_known = ~np.isnan(values)
    check_values(predictions)
    return Signals(
        action=_find_edges(_find_targets(values, is_known, predictions.kind, threshold)),
        strategy=describe_model(threshold, predictions.kind, feature_columns),
        probability=find_probability(predictions),
        warnings=(*predictions.warnings, *_warnings(values[is_known], predictions.kind, threshold)),
    )


def describe_model(threshold: float, kind: OutputKind, feature_columns: Sequence[str] | None) -> StrategyDescription:
    """Return the description of signals from predictions; the columns are those that the model received."""
    return StrategyDescription(
        name=STRATEGY_NAME,
        parameters={
            "threshold": threshold,
            "featureColumns": None if feature_columns is None else tuple(feature_columns),
            "outputKind": kind.value,
        },
    )


def check_threshold(threshold: float, kind: OutputKind | None) -> None:
    """Raise InvalidInput if `threshold` does not fit predictions of `kind`, which is None if it is not known yet."""
    if not math.isfinite(threshold):
        raise bad_value("threshold", got=threshold, allowed="a finite number")
    if kind is OutputKind.PROBABILITY and not 0 <= threshold <= 1:
        raise bad_value("threshold", got=threshold, allowed="0 ≤ x ≤ 1, as the model predicts probabilities")


def find_probability(predictions: Predictions) -> NDArray[np.float64] | None:
    """Return the probabilities [n] that a model predicted; None if its numbers mean something else."""
    return np.clip(predictions.values, 0.0, 1.0) if predictions.kind is OutputKind.PROBABILITY else None


def check_values(predictions: Predictions) -> None:
    """Raise InvalidInput on `outputKind` if a prediction is not of its kind."""
    values, kind = predictions.values, predictions.kind
    if kind is OutputKind.VALUE:
        return
    if kind is OutputKind.PROBABILITY:
        is_allowed = (values >= -_ROUNDING) & (values <= 1 + _ROUNDING)
        allowed = "a probability, 0 ≤ p ≤ 1"
    else:
        is_allowed = np.isin(values, _LABELS[kind])
        allowed = "one of the labels " + ", ".join(f"{label:g}" for label in _LABELS[kind])
    wrong = np.flatnonzero(~np.isnan(values) & ~is_allowed)
    if wrong.size:
        raise InvalidInput(
            "The model predicted {got:g} at bar {bar}. {field} {kind} allows {allowed}. Declare the {field} that the "
            "model has ('value' takes any number).",
            field="outputKind", got=values[wrong[0]], bar=wrong[0], kind=kind.value, allowed=allowed,
        )  # fmt: skip


def _find_targets(
    values: NDArray[np.float64], is_known: NDArray[np.bool_], kind: OutputKind, threshold: float
) -> NDArray[np.bool_]:
    """Return whether the target position is long at each bar [n]."""
    is_long = values >= _get_long_level(kind, threshold)
    sets_target = is_known & (values != 0) if kind is OutputKind.SIGNED_LABEL else is_known
    # Index of the last bar that set the target, −1 before the first.
    last_set = np.maximum.accumulate(np.where(sets_target, np.arange(len(values)), -1))
    targets: NDArray[np.bool_] = np.append(is_long, False)[last_set]
    return targets


def _get_long_level(kind: OutputKind, threshold: float) -> float:
    """Return the smallest prediction that means long."""
    return 1.0 if kind in _LABELS else threshold


def _find_edges(is_long: NDArray[np.bool_]) -> NDArray[np.int8]:
    target = is_long.astype(np.int8)
    edges = target.copy()
    edges[1:] -= target[:-1]
    return edges


def _warnings(predicted: NDArray[np.float64], kind: OutputKind, threshold: float) -> list[str]:
    """Return the warnings about the predictions."""
    warnings = _one_sided_warnings(predicted, kind, threshold)
    if kind in _LABELS and threshold != DEFAULT_THRESHOLD:
        warnings.append(f"threshold {threshold:g} was not used: the model predicts labels, not probabilities.")
    return warnings


def _one_sided_warnings(predicted: NDArray[np.float64], kind: OutputKind, threshold: float) -> list[str]:
    """Return a warning if all predictions are long or none is, so that the signals never change."""
    is_long = predicted >= _get_long_level(kind, threshold)
    if not predicted.size:
        return []
    if is_long.any() and not is_long.all():
        return _never_sells_warnings(predicted) if kind is OutputKind.SIGNED_LABEL else []
    count, is_always = len(predicted), bool(is_long.all())
    outcome = "there is one buy signal and no sell signal" if is_always else "there is no buy signal"
    if kind in _LABELS:
        share = "all" if is_always else "none of"
        return [f"The model predicted the label 1 (long) on {share} {count} bars, so {outcome}."]
    reached, low, high = "Every" if is_always else "No", predicted.min(), predicted.max()
    head = f"{reached} prediction of the model reached the threshold {threshold:.10g}"
    if low == high:
        return [f"{head}: each of the {count} is {low:.10g}, so {outcome}."]
    return [
        f"{head}: its {count} predictions range from {low:.10g} to {high:.10g}, so {outcome}. "
        "Choose a threshold inside that range."
    ]


def _never_sells_warnings(signed: NDArray[np.float64]) -> list[str]:
    """Return a warning if signed labels are 0 and 1 only: after the first 1 the target never changes."""
    if (signed < 0).any():
        return []
    return [
        f"The model's labels are 0 and 1 only: with outputKind {OutputKind.SIGNED_LABEL.value} 0 changes nothing and "
        "it never sells (-1), so there is one buy signal and no sell signal. If 0 means to be flat, declare outputKind "
        f"{OutputKind.BINARY_LABEL.value}."
    ]
