"""The training window of a model, as its user declares it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from src.domain.errors import InvalidInput
from src.domain.instants import INSTANT_PATTERN, check_times, format_instant, parse_instant
from src.domain.parameters import MAX_COUNT, Bounds, check_parameters, parameter

DEFAULT_LABEL_HORIZON: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingWindow:
    """The bars that a model was trained on, both ends included; without `trained_to_ms` nothing is declared.

    A request may give a label horizon alone, if the model's upload declared the window.
    """

    trained_from_ms: int | None = parameter(
        name="trained_from",
        meaning="First instant of the bars that the model was trained on: YYYY-MM-DD or an ISO 8601 instant, UTC",
        default=None,
        default_meaning="as declared at the upload",
        pattern=INSTANT_PATTERN,
        read=lambda text, field: parse_instant(text, field=field),
        write=format_instant,
    )
    trained_to_ms: int | None = parameter(
        name="trained_to",
        meaning="Last instant of the bars that the model was trained on: YYYY-MM-DD (the whole day) or an instant, UTC",
        default=None,
        default_meaning="as declared at the upload",
        pattern=INSTANT_PATTERN,
        read=lambda text, field: parse_instant(text, field=field, is_end=True),
        write=format_instant,
    )
    label_horizon: int | None = parameter(
        name="label_horizon",
        meaning="Bars that a training label looks ahead; as many bars after the window are left out",
        default=None,
        unit="bars",
        bounds=Bounds(minimum=0, maximum=MAX_COUNT),
        default_meaning="as declared at the upload, else 1",
    )

    def __post_init__(self) -> None:
        check_times(trained_from_ms=self.trained_from_ms, trained_to_ms=self.trained_to_ms)
        check_parameters(self)
        if self.trained_from_ms is None:
            return
        if self.trained_to_ms is None:
            raise InvalidInput("{field} is required if {@trainedFrom} is given.", field="trainedTo")
        if self.trained_to_ms < self.trained_from_ms:
            raise InvalidInput(
                "{field} ({got}) must not be before {@trainedFrom} ({other}).",
                field="trainedTo",
                got=format_instant(self.trained_to_ms),
                other=format_instant(self.trained_from_ms),
            )

    @property
    def is_declared(self) -> bool:
        return self.trained_to_ms is not None

    def check_complete(self) -> None:
        """Raise InvalidInput if a label horizon is given without the window that it belongs to."""
        if self.label_horizon is not None and not self.is_declared:
            raise InvalidInput("{field} is required if {@labelHorizon} is given.", field="trainedTo")

    def completed_by(self, uploaded: TrainingWindow) -> TrainingWindow:
        """Return this window if one is declared, else the uploaded one; a label horizon that is given stays.

        Raises InvalidInput if a label horizon is given and neither declares a window.
        """
        window = self if self.is_declared else uploaded
        if not window.is_declared:
            self.check_complete()
            return NO_TRAINING_WINDOW
        horizon = uploaded.label_horizon if self.label_horizon is None else self.label_horizon
        return TrainingWindow(
            trained_from_ms=window.trained_from_ms, trained_to_ms=window.trained_to_ms, label_horizon=horizon
        )


NO_TRAINING_WINDOW: Final = TrainingWindow()
