"""Open `.h5` and `.keras` files: Keras 3 reads them, OpenVINO runs the layers; TensorFlow is not needed."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

# Keras reads this once, when it is imported.
os.environ["KERAS_BACKEND"] = "openvino"
import keras
import openvino

from src.domain.errors import ModelRejected
from src.model_formats.failures import refused, rejection
from src.model_formats.hdf5 import MAX_ARRAYS_BYTES, MAX_RATIO, check_hdf5
from src.model_formats.keras_config import check_config
from src.model_formats.openvino import graph_predictor
from src.model_formats.tensors import TensorInput, TensorPredictor


def load(file: Path) -> TensorPredictor:
    """Open a saved Keras model; layers that carry code (Lambda) are refused. Raises ModelRejected."""
    version = _version(file)
    try:
        model = _open(file)
    except ModelRejected:
        raise
    except Exception as error:
        raise _refusal(error, file) from error
    shape = _input_shape(model)
    try:
        graph = _graph(model, shape)
    except Exception as error:
        raise rejection("keras_layers", error, file) from error
    return graph_predictor(
        graph,
        file,
        file_format="Keras (HDF5)" if file.suffix.lower() == ".h5" else "Keras",
        library="keras",
        library_version=version,
        is_linear_known=True,
    )


def _open(file: Path) -> Any:
    """Load a model; drop `time_major`, which tf.keras 2 wrote for recurrent layers and Keras 3 does not know."""
    if file.suffix.lower() == ".h5":
        with h5py.File(file, "r") as stored:
            check_hdf5(stored, file.stat().st_size)
            check_config(json.loads(stored.attrs["model_config"]))
        return keras.saving.load_model(file, custom_objects=_RECURRENT, compile=False, safe_mode=True)
    with zipfile.ZipFile(file) as archive:
        config = json.loads(archive.read("config.json"))
        _check_weights(archive)
    check_config(config)
    if not _drop_time_major(config):
        return keras.saving.load_model(file, compile=False, safe_mode=True)
    # Built-in layers of this format cannot be replaced by name, so the model is built from its changed description.
    model = keras.models.model_from_json(json.dumps(config))
    model.load_weights(file)
    return model


def _check_weights(archive: zipfile.ZipFile) -> None:
    for member in archive.infolist():
        if not member.filename.endswith(".h5") or not member.file_size:
            continue
        with archive.open(member) as packed:
            content = packed.read(MAX_ARRAYS_BYTES + 1)
        if len(content) > MAX_ARRAYS_BYTES:
            raise refused("hdf5_too_large", mebibytes=MAX_ARRAYS_BYTES >> 20, ratio=MAX_RATIO)
        with h5py.File(io.BytesIO(content), "r") as stored:
            check_hdf5(stored, len(content))


def _drop_time_major(config: Any) -> bool:
    """Remove every `time_major` from a description; return whether there was one."""
    parts = list(config.values()) if isinstance(config, dict) else config if isinstance(config, list) else []
    found = [_drop_time_major(part) for part in parts]
    if isinstance(config, dict) and "time_major" in config:
        _check_time_major(config.pop("time_major"))
        return True
    return any(found)


def _check_time_major(time_major: bool) -> None:
    if time_major:
        raise ValueError("time_major=True is not supported: put the batch first")


def _input_shape(model: Any) -> tuple[int | None, ...]:
    try:
        shape = model.input_shape
    except (AttributeError, ValueError) as error:
        raise refused("keras_no_input") from error
    if not isinstance(shape, tuple) or any(isinstance(size, tuple) for size in shape):
        raise refused("keras_inputs")
    TensorInput.of_shape(shape)
    return shape


def _graph(model: Any, shape: tuple[int | None, ...]) -> Any:
    """Trace the model into an OpenVINO graph with an open batch dimension."""
    rows = np.ones((1, *(size or 1 for size in shape[1:])), dtype=np.float32)
    placeholder = model._parameterize_data(rows)
    traced = model(placeholder, training=False)
    outputs = keras.tree.flatten(traced)
    return openvino.Model([output.output for output in outputs], [placeholder.output.get_node()])


def _version(file: Path) -> str | None:
    """Return the Keras version that wrote the file.

    Raises ModelRejected if the format is not the one of the extension, or the file holds weights only.
    """
    try:
        if file.suffix.lower() == ".h5":
            with h5py.File(file, "r") as stored:
                if "model_config" not in stored.attrs:
                    raise refused("keras_weights")
                version = stored.attrs.get("keras_version")
                return version.decode() if isinstance(version, bytes) else version
        with zipfile.ZipFile(file) as archive:
            metadata = json.loads(archive.read("metadata.json"))
            if not isinstance(metadata, dict):
                raise ValueError("metadata.json is no object")
            return str(metadata.get("keras_version"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise rejection("keras_damaged", error, file, suffix=file.suffix) from error


def _refusal(error: Exception, file: Path) -> ModelRejected:
    said = str(error)
    if "Lambda" in said or "safe_mode" in said or "unsafe" in said:
        return refused("keras_code")
    if "Could not locate" in said or "Unknown layer" in said or "custom object" in said:
        return rejection("keras_own_code", error, file)
    return rejection("keras_not_loaded", error, file)


def _tolerant(layer: type[Any]) -> type[Any]:
    """Return a recurrent layer that accepts `time_major` and ignores it."""

    def initialize(self: Any, *args: Any, time_major: bool = False, **options: Any) -> None:
        _check_time_major(time_major)
        layer.__init__(self, *args, **options)

    return type(layer.__name__, (layer,), {"__init__": initialize})


_RECURRENT: Final = {
    layer.__name__: _tolerant(layer) for layer in (keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN)
}
