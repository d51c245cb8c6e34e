"""Open `.onnx` files with onnxruntime, on one thread of the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from src.domain.model_files import ModelDescription
from src.domain.signals import OutputKind
from src.model_formats.failures import refused, rejection, wrong_kind
from src.model_formats.labels import ClassLabels
from src.model_formats.onnx_graph import OnnxGraph, read_graph
from src.model_formats.tensors import Activation, TensorInput, build_predictor
from src.ports.computing import Predictor

FORMAT: Final = "ONNX"

_DTYPES: Final[dict[str, type[np.generic]]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
}
_LABEL_TYPES: Final = ("tensor(int64)", "tensor(int32)", "tensor(string)")
_SILENT: Final = 4
_SEED: Final = 0
_ROUNDING: Final = 1e-3


def load(file: Path) -> Predictor:
    """Open an ONNX model; raises ModelRejected."""
    content = file.read_bytes()
    try:
        graph = read_graph(content)
    except ValueError as error:
        raise rejection("onnx_damaged", error, file) from error
    if graph.has_external_data:
        raise refused("onnx_external")
    session = _session(content, file)
    layout, dtype, names = _input(session)
    outputs = session.get_outputs()
    if outputs[0].type in _LABEL_TYPES and (len(outputs) > 1 or outputs[0].type == "tensor(string)"):
        return LabeledPredictor(session, layout, dtype, names, graph, file)
    if len(outputs) != 1:
        raise refused("onnx_outputs", count=len(outputs))
    return build_predictor(
        file_format=FORMAT,
        library=graph.producer or "unknown",
        library_version=graph.producer_version,
        layout=layout,
        dtype=dtype,
        activation=graph.activations.get(outputs[0].name, Activation.UNKNOWN),
        run=lambda rows: np.asarray(_run(session, rows, file)[0]),
        feature_names=names,
    )


def _session(content: bytes, file: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _SILENT
    # A model may draw random numbers; without a seed, the same request would give other signals.
    onnxruntime.set_seed(_SEED)
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise rejection("onnx_not_opened", error, file) from error


def _input(session: Any) -> tuple[TensorInput, type[np.generic], tuple[str, ...] | None]:
    """Return the shape and type of the input, and the columns' names if each column is an input of its own."""
    inputs = session.get_inputs()
    types = {item.type for item in inputs}
    if len(types) != 1 or not types <= set(_DTYPES):
        raise refused("onnx_input_types", types=sorted(types)) if types else refused("onnx_no_input")
    dtype = _DTYPES[types.pop()]
    layouts = [
        TensorInput.of_shape([size if isinstance(size, int) else None for size in item.shape]) for item in inputs
    ]
    if len(inputs) == 1:
        return layouts[0], dtype, None
    if any(layout.n_features != 1 or layout.has_step_axis for layout in layouts):
        raise refused("onnx_inputs", count=len(inputs))
    layout = TensorInput(n_features=len(inputs), batch_size=layouts[0].batch_size)
    return layout, dtype, tuple(item.name for item in inputs)


def _run(session: Any, rows: NDArray[Any], file: Path) -> list[Any]:
    inputs = session.get_inputs()
    if len(inputs) == 1:
        feed = {inputs[0].name: rows}
    else:
        feed = {item.name: np.ascontiguousarray(rows[:, [column]]) for column, item in enumerate(inputs)}
    try:
        return list(session.run(None, feed))
    except Exception as error:
        raise rejection("onnx_fails", error, file) from error


class LabeledPredictor:
    """A classifier that gives a label and usually a score for each class: an array, or ZipMap's list of dicts."""

    def __init__(
        self,
        session: Any,
        layout: TensorInput,
        dtype: type[np.generic],
        names: tuple[str, ...] | None,
        graph: OnnxGraph,
        file: Path,
    ) -> None:
        if graph.class_labels is None:
            raise refused("onnx_labels")
        self._labels = ClassLabels.of(graph.class_labels)
        self._session, self._layout, self._dtype, self._file = session, layout, dtype, file
        self._has_scores = len(session.get_outputs()) > 1 and self._gives_probabilities()
        self.description = ModelDescription(
            format=FORMAT,
            library=graph.producer or "unknown",
            library_version=graph.producer_version,
            n_features=layout.n_features,
            feature_names=names,
            output_kind=self._labels.kind(has_probabilities=self._has_scores),
        )

    def predict(
        self,
        features: NDArray[np.float64],
        names: tuple[str, ...],  # noqa: ARG002 -- the port's signature; ONNX tells columns by position
        declared: OutputKind | None = None,
    ) -> tuple[NDArray[np.float64], OutputKind]:
        """Return P(class 1) or the label of each row; `declared` chooses which."""
        kind = declared or self.description.output_kind or OutputKind.BINARY_LABEL
        column = self._labels.positive_column
        is_probability = kind is OutputKind.PROBABILITY
        if kind is OutputKind.VALUE or (is_probability and (column is None or not self._has_scores)):
            has_probability = column is not None and self._has_scores
            raise wrong_kind("kind_of_classifier" if has_probability else "kind_of_labels", kind=kind.value)
        parts = []
        for batch in self._layout.batches(features, self._dtype):
            outputs = _run(self._session, batch, self._file)
            if is_probability:
                parts.append(self._scores(outputs[1])[:, column])
            else:
                parts.append(self._labels.to_numbers(np.asarray(outputs[0]).reshape(-1)))
        return np.concatenate([np.empty(0), *parts])[: len(features)], kind

    def _gives_probabilities(self) -> bool:
        """Test with a row of ones: converters of support vector machines give distances instead of probabilities."""
        if self._layout.n_features is None:
            return True
        rows = np.ones((1, self._layout.n_features))
        scores = self._scores(_run(self._session, next(self._layout.batches(rows, self._dtype)), self._file)[1])
        has_columns = scores.ndim == 2 and scores.shape[1] == len(self._labels.names)
        return has_columns and bool(np.abs(scores.sum(axis=1) - 1).max() < _ROUNDING)

    def _scores(self, output: Any) -> NDArray[np.float64]:
        """Return the score of each class [n, classes]; ZipMap gives a dict for each row."""
        if isinstance(output, list):
            return np.array([[row[name] for name in self._labels.names] for row in output], dtype=np.float64)
        return np.asarray(output, dtype=np.float64)
