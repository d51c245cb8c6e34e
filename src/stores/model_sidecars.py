"""Write and read the sidecar of a model file: JSON about the file, stored beside it. The file is usable without it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from src.domain.errors import InvalidInput
from src.domain.model_files import ModelDescription, ModelFile
from src.domain.training import NO_TRAINING_WINDOW, TrainingWindow
from src.stores.model_names import read_model_name
from src.stores.plain import from_plain, to_plain

SIDECAR_VERSION: Final = 1

_MAX_SIDECAR_BYTES: Final = 4 * 1024 * 1024


def to_sidecar_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def build_sidecar(file: ModelFile) -> bytes:
    """Return the content of a file's sidecar."""
    return json.dumps(to_kept(file), indent=1).encode()


def to_kept(file: ModelFile) -> dict[str, Any]:
    """Return what is stored about a file, as JSON; `from_kept` reads it."""
    return {
        "schema_version": SIDECAR_VERSION,
        "original_filename": file.original_filename,
        "model_name": file.model_name,
        "size_bytes": file.size_bytes,
        "sha256": file.sha256,
        "description": to_plain(file.description, {}),
        "training": to_plain(file.training, {}),
    }


def from_kept(kept: Mapping[str, Any], path: Path, *, user_id: str, size_bytes: int, sha256: str) -> ModelFile:
    """Return the described file; missing or damaged fields are taken from its name or left out."""
    return ModelFile(
        path=path,
        user_id=user_id,
        original_filename=str(kept.get("original_filename", path.name)),
        model_name=str(kept.get("model_name", read_model_name(path.name, user_id))),
        extension=path.suffix.lower(),
        size_bytes=size_bytes,
        sha256=sha256,
        description=_read_description(kept.get("description")),
        training=_read_training(kept.get("training")),
    )


def read_model_file(path: Path, user_id: str) -> ModelFile | None:
    """Return the model file at `path`; None if there is no regular file (a symbolic link is none).

    Without a sidecar that fits the file, name, size and hash are taken from the file itself.
    """
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            return None
        kept = _read_sidecar(to_sidecar_path(path), status.st_size)
        sha256 = str(kept["sha256"]) if "sha256" in kept else _hash(path)
        return from_kept(kept, path, user_id=user_id, size_bytes=status.st_size, sha256=sha256)
    except FileNotFoundError:
        return None


def _read_sidecar(path: Path, size_bytes: int) -> dict[str, Any]:
    """Return the content of a sidecar; empty if there is none, or it is of a file of another size."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return {}
    with os.fdopen(descriptor, "rb") as file:
        try:
            kept = json.loads(file.read(_MAX_SIDECAR_BYTES))
        except (ValueError, RecursionError):
            return {}
    is_ours = isinstance(kept, dict) and kept.get("schema_version") == SIDECAR_VERSION
    return kept if is_ours and kept.get("size_bytes") == size_bytes else {}


def _read_description(plain: Any) -> ModelDescription | None:
    try:
        description: ModelDescription | None = from_plain(ModelDescription | None, plain, {})
    except (TypeError, ValueError):
        return None  # an upload or backtest inspects the file again
    return description


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_training(plain: Any) -> TrainingWindow:
    """Return the stored training window; an undeclared one if it is missing or damaged."""
    try:
        window: TrainingWindow = from_plain(TrainingWindow, plain, {})
    except (TypeError, ValueError, InvalidInput):
        return NO_TRAINING_WINDOW
    return window
