"""Define the model files as clients upload and read them."""

from __future__ import annotations

from typing import Any, Final

import strawberry
from strawberry.scalars import JSON

from src.api.graphql.inputs import declare_parameters, given
from src.api.graphql.types import described
from src.domain import model_files
from src.domain.instants import format_instant
from src.domain.parameters import build, parameters_of
from src.domain.signals import OutputKind
from src.domain.training import TrainingWindow

_TRAINING: Final = parameters_of(TrainingWindow)


@strawberry.input(description="What the client declares about a model file.")
@declare_parameters(_TRAINING)
class UploadModelInput:
    user_id: str = strawberry.field(description="Owner of the model: 1 to 64 characters of A-Z a-z 0-9 _ . @ -.")
    model_name: str | None = strawberry.field(default=None, description="A name for the model; the file's own if null.")

    def training(self) -> TrainingWindow:
        """Return the declared training window; raises InvalidInput."""
        return build(TrainingWindow, given(self, _TRAINING))


@strawberry.type(description="What the sandbox found in a model file.")
class ModelDescription:
    format: str = described("The file's format.")
    library: str = described("The library that made the file.")
    library_version: str | None = described("That library's version, if the file says.")
    n_features: int | None = described("Columns that the model expects, a count, if the file says.")
    feature_names: list[str] | None = described("Their names, if the file says.")
    output_kind: OutputKind | None = described("What the model predicts, if the file says.")
    warnings: list[str] = described("Warnings, in full sentences.")
    details: JSON = described("What else the file says, by name.")


@strawberry.type(description="A stored model file of a user.")
class ModelFile:
    filename: str = described("Name of the stored file, which backtests give as modelPath.")
    original_filename: str = described("Name of the file as the client sent it.")
    file_size: float = described("Size of the file, a count of bytes.")
    user_id: str = described("Whose it is.")
    model_name: str = described("The name that the user gave it.")
    file_extension: str = described("Extension, with its dot.")
    sha256: str = described("SHA-256 of the file.")
    trained_from: str | None = described("First instant of the declared training window (ISO 8601, UTC).")
    trained_to: str | None = described("Last instant of the declared training window (ISO 8601, UTC).")
    label_horizon: int | None = described("Bars that a label looks ahead; null if not declared.")
    model: ModelDescription | None = described("Description of the model; null if the file was never opened.")


def model_file_of(file: model_files.ModelFile) -> ModelFile:
    training = file.training
    return ModelFile(
        filename=file.path.name,
        original_filename=file.original_filename,
        file_size=float(file.size_bytes),
        user_id=file.user_id,
        model_name=file.model_name,
        file_extension=file.extension,
        sha256=file.sha256,
        trained_from=_instant(training.trained_from_ms),
        trained_to=_instant(training.trained_to_ms),
        label_horizon=training.label_horizon,
        model=None if file.description is None else _description_of(file.description),
    )


def _description_of(found: model_files.ModelDescription) -> ModelDescription:
    names = found.feature_names
    details: Any = dict(found.details)
    return ModelDescription(
        format=found.format,
        library=found.library,
        library_version=found.library_version,
        n_features=found.n_features,
        feature_names=None if names is None else list(names),
        output_kind=found.output_kind,
        warnings=list(found.warnings),
        details=JSON(details),
    )


def _instant(time_ms: int | None) -> str | None:
    return None if time_ms is None else format_instant(time_ms)
