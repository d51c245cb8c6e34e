"""Model files: bytes of an estimator or of a file on disk, and models that the service stores."""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from backtesting_client.errors import ClientError

_HOW_TO_SAVE: Final = {
    "torch": "torch.jit.script(model).save('model.pt')",
    "keras": "model.save('model.keras')",
    "tensorflow": "model.save('model.keras')",
    "onnx": "onnx.save(model, 'model.onnx')",
}


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model file that the service stores; `info` is all that the service says about it."""

    filename: str
    info: Mapping[str, Any]


class ModelContent(NamedTuple):
    """A model file to send."""

    filename: str
    content: bytes


def read_model(model: object) -> ModelContent:
    """Return the file of a model: a path is read, an estimator is dumped with joblib.

    Raises
    ------
    TypeError
        If it is neither.
    ClientError
        If the estimator cannot be dumped.
    """
    if isinstance(model, (str, os.PathLike)):
        path = Path(model)
        return ModelContent(path.name, path.read_bytes())
    kind = type(model)
    for parent in kind.__mro__:
        if (how := _HOW_TO_SAVE.get(parent.__module__.partition(".")[0])) is not None:
            raise TypeError(f"{kind.__name__} is not dumped. Save it with {how} and give the path.")
    if isinstance(model, type) or not hasattr(model, "predict"):
        raise TypeError(f"model is {kind.__name__}. Allowed: a trained estimator, a path, or a StoredModel.")
    return ModelContent(f"{kind.__name__}.joblib", _dump(model))


def _dump(model: object) -> bytes:
    try:
        joblib = importlib.import_module("joblib")
    except ImportError as error:
        raise ClientError("Estimators are dumped with joblib, which is not installed: pip install joblib") from error
    buffer = io.BytesIO()
    try:
        joblib.dump(model, buffer)
    except Exception as error:  # pickling runs the estimator's own code
        raise ClientError(f"{type(model).__name__} cannot be dumped with joblib: {error}") from error
    return buffer.getvalue()
