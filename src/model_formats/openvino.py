"""Run OpenVINO graphs, which frozen TensorFlow graphs, SavedModels and Keras models are converted to."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import openvino
from numpy.typing import NDArray

from src.model_formats.failures import refused, rejection
from src.model_formats.tensors import Activation, TensorInput, TensorPredictor, build_predictor

# Without the hint, processors that support bfloat16 round every layer to three digits.
_CONFIG: Final = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
_DTYPES: Final[dict[str, type[np.generic]]] = {"f32": np.float32, "f64": np.float64, "f16": np.float16}
_PASSED_THROUGH: Final = frozenset({"Result", "Convert", "Reshape", "Squeeze", "Unsqueeze"})
_ACTIVATIONS: Final = {"Sigmoid": Activation.SIGMOID, "Softmax": Activation.SOFTMAX}


def graph_predictor(
    model: Any, file: Path, *, file_format: str, library: str, library_version: str | None, is_linear_known: bool
) -> TensorPredictor:
    """Compile an `openvino.Model` for the CPU, in float32 and on one thread.

    Parameters
    ----------
    is_linear_known
        Whether a graph that ends in neither sigmoid nor softmax is known to return plain values.

    Raises ModelRejected.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise refused("graph_ports", inputs=len(model.inputs), outputs=len(model.outputs))
    port = model.inputs[0]
    element = port.element_type.get_type_name()
    if element not in _DTYPES:
        raise refused("graph_type", type=element)
    layout = _layout(port.partial_shape)
    activation = _last_activation(model)
    if activation is Activation.UNKNOWN and is_linear_known:
        activation = Activation.LINEAR
    try:
        compiled = openvino.Core().compile_model(model, "CPU", _CONFIG)
    except Exception as error:
        raise rejection("graph_not_compiled", error, file) from error

    def run(rows: NDArray[Any]) -> NDArray[Any]:
        try:
            return np.array(compiled([rows])[0])
        except Exception as error:
            raise rejection("predict_fails", error, file) from error

    return build_predictor(
        file_format=file_format,
        library=library,
        library_version=library_version,
        layout=layout,
        dtype=_DTYPES[element],
        activation=activation,
        run=run,
    )


def _layout(shape: Any) -> TensorInput:
    if shape.rank.is_dynamic:
        return TensorInput()
    return TensorInput.of_shape([None if size.is_dynamic else size.get_length() for size in shape])


def _last_activation(model: Any) -> Activation:
    node = model.outputs[0].get_node()
    while node.get_type_name() in _PASSED_THROUGH and node.get_input_size():
        node = node.input_value(0).get_node()
    return _ACTIVATIONS.get(node.get_type_name(), Activation.UNKNOWN)
