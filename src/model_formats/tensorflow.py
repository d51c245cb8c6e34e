"""Open `.pb` and `.zip` files: frozen TensorFlow graphs and SavedModels, read by OpenVINO without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import openvino

from src.model_formats.failures import refused, rejection
from src.model_formats.openvino import graph_predictor
from src.model_formats.tensors import TensorPredictor

# A SavedModel message begins with its schema version (field 1, the number 1) and a MetaGraphDef (field 2);
# a GraphDef begins with a node (field 1, a message).
_SAVED_MODEL_START: Final = b"\x08\x01\x12"


def load(file: Path) -> TensorPredictor:
    """Open a frozen graph, or the folder of an unpacked SavedModel; raises ModelRejected."""
    is_saved_model = file.is_dir()
    if not is_saved_model:
        _check_graph(file)
    try:
        model = openvino.Core().read_model(file)
    except Exception as error:
        raise rejection("tensorflow_not_read", error, file) from error
    return graph_predictor(
        model,
        file,
        file_format="TensorFlow SavedModel" if is_saved_model else "TensorFlow frozen graph",
        library="tensorflow",
        library_version=None,
        is_linear_known=False,
    )


def _check_graph(file: Path) -> None:
    with file.open("rb") as stream:
        start = stream.read(len(_SAVED_MODEL_START))
    if start == _SAVED_MODEL_START:
        raise refused("tensorflow_no_weights")
    if not start.startswith(b"\x0a"):
        raise refused("tensorflow_neither")
