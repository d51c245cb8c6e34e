from __future__ import annotations

import numpy as np
import pytest

from src.domain.errors import InvalidInput
from src.domain.signals import OutputKind, Predictions, Signals
from src.strategies.model_signals import check_threshold, signals_from_predictions

NAN = float("nan")
PROBABILITY, BINARY = OutputKind.PROBABILITY, OutputKind.BINARY_LABEL
SIGNED, VALUE = OutputKind.SIGNED_LABEL, OutputKind.VALUE


def run(values: list[float], kind: OutputKind, threshold: float = 0.5) -> Signals:
    return signals_from_predictions(Predictions(values=np.array(values), kind=kind), threshold=threshold)


@pytest.mark.parametrize(
    ("kind", "threshold", "values", "action"),
    [
        (PROBABILITY, 0.5, [0.4, 0.5, 0.9, 0.49, 0.1], [0, 1, 0, -1, 0]),
        (PROBABILITY, 0.6, [0.4, 0.5, 0.9, 0.49, 0.6], [0, 0, 1, -1, 1]),
        (PROBABILITY, 0.0, [0.0, 0.0], [1, 0]),
        (PROBABILITY, 1.0, [0.99, 1.0, 0.99], [0, 1, -1]),
        (BINARY, 0.5, [1, 1, 0, 0, 1], [1, 0, -1, 0, 1]),
        (SIGNED, 0.5, [-1, 0, 1, 0, 1, -1, -1, 0], [0, 0, 1, 0, 0, -1, 0, 0]),
        (VALUE, 0.0, [-0.1, 0.0, 5.0, -3.0], [0, 1, 0, -1]),
        (VALUE, -2.0, [-3.0, -2.0], [0, 1]),
    ],
)
def test_signals_are_edges_of_the_target(
    kind: OutputKind, threshold: float, values: list[float], action: list[int]
) -> None:
    assert run(values, kind, threshold).action.tolist() == action


@pytest.mark.parametrize("kind", [PROBABILITY, BINARY, VALUE, SIGNED])
def test_bar_without_prediction_keeps_the_target(kind: OutputKind) -> None:
    down = -1.0 if kind is SIGNED else 0.0
    signals = run([NAN, NAN, 1, NAN, 1, NAN, down, NAN, 1], kind)
    assert signals.action.tolist() == [0, 0, 1, 0, 0, 0, -1, 0, 1]


def test_first_long_prediction_is_a_buy() -> None:
    assert run([NAN, NAN, 0.9, 0.9], PROBABILITY).action.tolist() == [0, 0, 1, 0]


def test_probability_is_kept_if_model_predicts_one() -> None:
    signals = run([NAN, 0.25, 1.0 + 1e-7], PROBABILITY)
    assert signals.probability is not None
    np.testing.assert_array_equal(signals.probability, [NAN, 0.25, 1.0])
    for kind in (BINARY, SIGNED, VALUE):
        assert run([1.0], kind).probability is None


def test_description_has_parameters_of_run() -> None:
    signals = signals_from_predictions(
        Predictions(values=np.array([0.7, 0.5]), kind=PROBABILITY, warnings=("old file",)),
        threshold=0.6,
        feature_columns=("Open", "Close"),
    )
    assert signals.strategy.name == "ML Model"
    assert dict(signals.strategy.parameters) == {
        "threshold": 0.6, "featureColumns": ("Open", "Close"), "outputKind": "probability",
    }  # fmt: skip
    assert signals.warnings == ("old file",)


@pytest.mark.parametrize("threshold", [NAN, float("inf"), -0.01, 1.01])
def test_threshold_outside_probability_is_rejected(threshold: float) -> None:
    with pytest.raises(InvalidInput, match="threshold is") as caught:
        run([0.5], PROBABILITY, threshold)
    assert caught.value.field == "threshold"


def test_threshold_for_unknown_kind_must_be_finite() -> None:
    check_threshold(-3.0, None)
    with pytest.raises(InvalidInput):
        check_threshold(NAN, None)


@pytest.mark.parametrize(
    ("kind", "value", "allowed"),
    [
        (PROBABILITY, 1.5, "0 ≤ p ≤ 1"),
        (PROBABILITY, -0.1, "0 ≤ p ≤ 1"),
        (PROBABILITY, float("inf"), "0 ≤ p ≤ 1"),
        (BINARY, -1, "labels 0, 1"),
        (BINARY, 0.5, "labels 0, 1"),
        (SIGNED, 2, "labels -1, 0, 1"),
    ],
)
def test_prediction_outside_its_kind_is_rejected_with_bar(kind: OutputKind, value: float, allowed: str) -> None:
    with pytest.raises(InvalidInput, match="at bar 2") as caught:
        run([NAN, 1.0, value], kind)
    assert caught.value.field == "outputKind"
    assert allowed in caught.value.message


def test_threshold_of_labels_is_not_used() -> None:
    assert run([1.0, 0.0], BINARY, 0.7).warnings == (
        "threshold 0.7 was not used: the model predicts labels, not probabilities.",
    )
    assert run([1.0, 0.0], BINARY).warnings == ()


@pytest.mark.parametrize("kind", [PROBABILITY, VALUE])
def test_threshold_never_reached_is_warned_of(kind: OutputKind) -> None:
    assert run([NAN, 0.001, 0.25, NAN, 0.4999], kind).warnings == (
        "No prediction of the model reached the threshold 0.5: its 3 predictions range from 0.001 to 0.4999, so there "
        "is no buy signal. Choose a threshold inside that range.",
    )


@pytest.mark.parametrize("kind", [PROBABILITY, VALUE])
def test_threshold_always_reached_is_warned_of(kind: OutputKind) -> None:
    signals = run([NAN, 0.5, 0.75], kind)
    assert signals.action.tolist() == [0, 1, 0]
    assert signals.warnings == (
        "Every prediction of the model reached the threshold 0.5: its 2 predictions range from 0.5 to 0.75, so there "
        "is one buy signal and no sell signal. Choose a threshold inside that range.",
    )


def test_constant_predictions_are_warned_of_without_range() -> None:
    assert run([NAN, 0.25, 0.25], VALUE).warnings == (
        "No prediction of the model reached the threshold 0.5: each of the 2 is 0.25, so there is no buy signal.",
    )


@pytest.mark.parametrize(
    ("kind", "label", "share"), [(BINARY, 0.0, "none of"), (BINARY, 1.0, "all"), (SIGNED, -1.0, "none of")]
)
def test_constant_label_is_warned_of(kind: OutputKind, label: float, share: str) -> None:
    (warning,) = run([label] * 3, kind).warnings
    assert warning.startswith(f"The model predicted the label 1 (long) on {share} 3 bars, so there is ")


def test_signed_labels_without_sell_are_warned_of() -> None:
    signals = run([NAN, 0, 1, 0, 1], SIGNED)
    assert signals.action.tolist() == [0, 0, 1, 0, 0]
    assert signals.warnings == (
        "The model's labels are 0 and 1 only: with outputKind signed_label 0 changes nothing and it never sells (-1), "
        "so there is one buy signal and no sell signal. If 0 means to be flat, declare outputKind binary_label.",
    )
    assert run([0, 1, 0, -1], SIGNED).warnings == run([0, 1, 0], BINARY).warnings == ()


@pytest.mark.parametrize("values", [[NAN, NAN], [], [0.4, 0.6]])
def test_predictions_on_both_sides_or_none_need_no_warning(values: list[float]) -> None:
    assert run(values, VALUE).warnings == ()


def test_no_bars_give_no_signals() -> None:
    assert len(run([], PROBABILITY)) == 0


@pytest.mark.parametrize(
    ("value", "allowed"), [(-0.9e-6, True), (1 + 0.9e-6, True), (-1.1e-6, False), (1 + 1.1e-6, False)]
)
def test_probability_may_be_rounded_like_a_float32(value: float, allowed: bool) -> None:
    if not allowed:
        with pytest.raises(InvalidInput, match="at bar 0"):
            run([value], PROBABILITY)
        return
    signals = run([value], PROBABILITY)
    assert signals.probability is not None
    assert signals.probability[0] == min(max(value, 0.0), 1.0)


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_ends_of_probability_are_thresholds(threshold: float) -> None:
    check_threshold(threshold, PROBABILITY)
