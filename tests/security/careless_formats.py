"""Open each registered format as carelessly as possible, beside the service's own way.

This shows what a format's own checks are worth: under `.careless.…` the library opens a file with all its safeties off,
or as older versions did.
"""

from __future__ import annotations

import importlib
import resource
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from src.model_formats import registry
from src.model_formats.failures import refused
from src.model_formats.registry import ENVIRONMENT, FORMAT_NAMES, HIDDEN_MODULES, FormatEntry, reported_missing

__all__ = [
    "ENVIRONMENT",
    "FORMATS",
    "FORMAT_NAMES",
    "HIDDEN_MODULES",
    "family_of",
    "load_model",
    "prepare",
    "reported_missing",
]

CARELESS = ".careless"
_PRELOADED = {".h5": ("torch",), ".keras": ("torch",), ".pt": ("torch._export.serde.serialize",), ".onnx": ("onnx",)}

FORMATS: Mapping[str, FormatEntry] = {
    **registry.FORMATS,
    **{
        CARELESS + extension: replace(entry, preload=(*entry.preload, *_PRELOADED.get(extension, ())))
        for extension, entry in registry.FORMATS.items()
    },
}


def family_of(extension: str) -> str:
    return FORMATS[extension].family


def prepare(file: Path, extension: str, folder: Path) -> Path:
    return registry.prepare(file, extension.removeprefix(CARELESS), folder)


def load_model(path: Path, extension: str) -> Any:
    if not extension.startswith(CARELESS):
        return registry.load_model(path, extension)
    _OPENERS[extension.removeprefix(CARELESS)](path)
    mebibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    raise refused("failed", said=f"opened, with {mebibytes} MiB at most")


def open_pickle(path: Path) -> None:
    import joblib

    joblib.load(path)


def open_hdf5(path: Path) -> None:
    """Read every array, then build the model with Keras' safe mode off."""
    import h5py
    import keras

    held = []
    with h5py.File(path, "r") as file:
        for item in items_of(file):
            if isinstance(item, h5py.Dataset):
                held.append(item[()])
                if held[-1].nbytes > 1 << 30:
                    raise refused("failed", said=f"holds {held[-1].nbytes} bytes")
    keras.saving.load_model(path, compile=False, safe_mode=False)


def items_of(group: Any) -> Iterator[Any]:
    for name in group:
        item = group[name]
        yield item
        if hasattr(item, "keys"):
            yield from items_of(item)


def open_keras(path: Path) -> None:
    import keras

    keras.saving.load_model(path, compile=False, safe_mode=True)


def open_onnx(path: Path) -> None:
    """Read external data from any path in the file, as onnx did before it checked the path."""
    onnx: Any = importlib.import_module("onnx")
    model = onnx.load_model_from_string(path.read_bytes())
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                (path.parent / entry.value).read_bytes()


def open_torch(path: Path) -> None:
    """Read the weights of a `.pt2` as torch does, which falls back to unpickling; run TorchScript; unpickle."""
    import torch
    from torch._export.serde.serialize import deserialize_torch_artifact

    with zipfile.ZipFile(path) as archive:
        weights = [name for name in archive.namelist() if name.endswith("/data/weights/model.pt")]
        if weights:
            deserialize_torch_artifact(archive.read(weights[0]))
            return
    loaded = torch.load(path, weights_only=False)
    if isinstance(loaded, torch.jit.ScriptModule):
        loaded(torch.zeros(2, 14))


_OPENERS: Mapping[str, Callable[[Path], None]] = {
    ".pkl": open_pickle, ".joblib": open_pickle, ".h5": open_hdf5, ".keras": open_keras, ".onnx": open_onnx,
    ".pt": open_torch,
}  # fmt: skip
