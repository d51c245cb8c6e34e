"""Model files that users keep here: whose, which, where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from src.domain.errors import bad_value
from src.domain.signals import OutputKind

MODEL_EXTENSIONS: Final = (".pkl", ".joblib", ".onnx", ".h5", ".keras", ".pb", ".zip", ".pt", ".pth")


class SandboxMode(StrEnum):
    """What happens where a layer of the sandbox is missing on this machine."""

    STRICT = "strict"
    """Model files are refused."""
    DEGRADED = "degraded"
    """They are opened with the layers that there are, if those are enough."""
    OFF = "off"
    """They are opened in a plain child process: for an operator who trusts every file."""


USER_ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$"
"""What `check_user_id` allows, as a regular expression of JSON Schema."""
MAX_MODEL_NAME_LENGTH: Final = 128

_USER_ID: Final = re.compile(USER_ID_PATTERN)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """What the sandbox saw in a model file.

    `n_features` and `feature_names` are None where the file does not say; `output_kind` is None where the file cannot
    tell and the user must. `library` and `library_version` name what the file was made with, as far as it says.
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
    """A model file on this machine's disk; its content is unproven and is opened in the sandbox only.

    `model_name` is the name that the user gave, else the file's own. `description` is what the sandbox saw in it, None
    where it has not looked. A temporary file lives for one request and is in no list.
    """

    path: Path
    user_id: str
    original_filename: str
    model_name: str
    extension: str
    size_bytes: int
    sha256: str
    description: ModelDescription | None = None
    is_temporary: bool = False


def check_user_id(user_id: str, *, field: str = "userId") -> str:
    """Return `user_id` where it can safely name a folder.

    Raises
    ------
    InvalidInput
        Where it is not 1 to 64 characters of A–Z a–z 0–9 _ . @ - beginning with a letter or digit.
    """
    if not _USER_ID.fullmatch(user_id):
        allowed = "1 to 64 characters of A-Z a-z 0-9 _ . @ -, the first a letter or digit"
        raise bad_value(field, got=user_id, allowed=allowed)
    return user_id
