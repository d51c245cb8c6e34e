from __future__ import annotations

import numpy as np
import pytest

from src.domain.errors import ModelRejected
from src.domain.signals import OutputKind
from src.model_formats.labels import ClassLabels

PROBABILITY, BINARY, SIGNED = OutputKind.PROBABILITY, OutputKind.BINARY_LABEL, OutputKind.SIGNED_LABEL


@pytest.mark.parametrize(
    ("classes", "with_probabilities", "without", "positive"),
    [
        ([0, 1], PROBABILITY, BINARY, 1),
        ([0.0, 1.0], PROBABILITY, BINARY, 1),
        ([False, True], PROBABILITY, BINARY, 1),
        (["0", "1"], PROBABILITY, BINARY, 1),
        ([-1, 1], PROBABILITY, SIGNED, 1),
        ([-1, 0, 1], SIGNED, SIGNED, 2),
        (["buy", "sell"], PROBABILITY, SIGNED, 0),
        (["BUY", "Hold"], PROBABILITY, BINARY, 0),
        (["buy", "hold", "sell"], SIGNED, SIGNED, 0),
        (["down", "up"], PROBABILITY, SIGNED, 1),
        ([0], BINARY, BINARY, None),
        ([1], BINARY, BINARY, 0),
        ([-1, 0], SIGNED, SIGNED, None),
    ],
)
def test_classes_are_read_from_numbers_and_names(
    classes: list[object], with_probabilities: OutputKind, without: OutputKind, positive: int | None
) -> None:
    labels = ClassLabels.of(classes)
    assert labels.kind(has_probabilities=True) is with_probabilities
    assert labels.kind(has_probabilities=False) is without
    assert labels.positive_column == positive


@pytest.mark.parametrize(
    "classes", [[1, 2], [0, 1, 2], ["cat", "dog"], ["buy", "long"], [0, 1, -1, 2], [], [float("nan")]]
)
def test_meaningless_classes_are_rejected_with_allowed_ones(classes: list[object]) -> None:
    with pytest.raises(ModelRejected, match="-1, 0 and 1"):
        ClassLabels.of(classes)


def test_predicted_labels_become_numbers() -> None:
    words = ClassLabels.of(["buy", "hold", "sell"])
    assert words.to_numbers(np.array(["sell", "buy", "hold"])).tolist() == [-1, 1, 0]
    assert words.to_numbers(np.array(["sell", "buy"], dtype=object)).tolist() == [-1, 1]
    assert ClassLabels.of([-1, 1]).to_numbers(np.array([1, -1, -1])).tolist() == [1, -1, -1]
    with pytest.raises(ModelRejected, match='"panic", which is none'):
        words.to_numbers(np.array(["panic"]))
