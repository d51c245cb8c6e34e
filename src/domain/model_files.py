"""Users' model files and what the sandbox found in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from src.domain.errors import bad_value
from src.domain.signals import OutputKind
from src.domain.training import NO_TRAINING_WINDOW, TrainingWindow

MODEL_EXTENSIONS: Final = (".pkl", ".joblib", ".onnx", ".h5", ".keras", ".pb", ".zip", ".pt", ".pth")

USER_ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$"
"""What `check_user_id` allows, as a regular expression of JSON Schema."""
MAX_MODEL_NAME_LENGTH: Final = 128

_USER_ID: Final = re.compile(USER_ID_PATTERN)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """What the sandbox found in a model file.

    `n_features` and `feature_names` are None if the file does not tell them; `output_kind` is None if the user must
    declare it. `library` and `library_version` name the library that saved the file, if the file tells it.
    """

    format: str
    library: str
    library_version: str | None
    n_features: int | None
    feature_names: tuple[str, ...] | None
    output_kind: OutputKind | None
    warnings: tuple[str, ...] = ()
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A model file on this machine's disk, which is untrusted and opened in the sandbox only.

    `model_name` is the name that the user gave, else the file's own. `description` is None if the file was not
    inspected. `training` is what the user declared at the upload. A temporary file exists for one request and is in no
    list.
    """

    path: Path
    user_id: str
    original_filename: str
    model_name: str
    extension: str
    size_bytes: int
    sha256: str
    description: ModelDescription | None = None
    training: TrainingWindow = NO_TRAINING_WINDOW
    is_temporary: bool = False

    @property
    def relative_path(self) -> str:
        """Path from the storage folder's parent, whatever that folder is called."""
        return f"storage/{self.user_id}/{self.path.name}"


def check_user_id(user_id: str, *, field: str = "userId") -> str:
    """Return `user_id`, which is safe as the name of a folder.

    Raises InvalidInput if it is not 1 to 64 characters of A–Z a–z 0–9 _ . @ - beginning with a letter or digit.
    """
    if not _USER_ID.fullmatch(user_id):
        allowed = "1 to 64 characters of A-Z a-z 0-9 _ . @ -, the first a letter or digit"
        raise bad_value(field, got=user_id, allowed=allowed)
    return user_id
