"""The training window of a model: what the upload declares, and what the request adds."""

from __future__ import annotations

import pytest

from src.domain.errors import InvalidInput
from src.domain.training import NO_TRAINING_WINDOW, TrainingWindow

UPLOADED = TrainingWindow(trained_from_ms=10, trained_to_ms=20, label_horizon=2)
LONE = TrainingWindow(label_horizon=5)


@pytest.mark.parametrize(
    ("given", "uploaded", "expected"),
    [
        (NO_TRAINING_WINDOW, UPLOADED, UPLOADED),
        (LONE, UPLOADED, TrainingWindow(trained_from_ms=10, trained_to_ms=20, label_horizon=5)),
        (TrainingWindow(trained_to_ms=30), UPLOADED, TrainingWindow(trained_to_ms=30, label_horizon=2)),
        (
            TrainingWindow(trained_to_ms=30, label_horizon=0),
            UPLOADED,
            TrainingWindow(trained_to_ms=30, label_horizon=0),
        ),
        # Earlier versions stored a label horizon alone with a model.
        (NO_TRAINING_WINDOW, LONE, NO_TRAINING_WINDOW),
        (NO_TRAINING_WINDOW, NO_TRAINING_WINDOW, NO_TRAINING_WINDOW),
    ],
)
def test_request_completes_window_of_upload(
    given: TrainingWindow, uploaded: TrainingWindow, expected: TrainingWindow
) -> None:
    assert given.completed_by(uploaded) == expected


@pytest.mark.parametrize("uploaded", [NO_TRAINING_WINDOW, TrainingWindow(label_horizon=1)])
def test_horizon_without_any_window_names_missing_end(uploaded: TrainingWindow) -> None:
    with pytest.raises(InvalidInput) as caught:
        LONE.completed_by(uploaded)
    assert caught.value.field == "trainedTo"
