"""Predict with models that map one array to another: the shape of their input, and the meaning of their output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from src.domain.model_files import ModelDescription
from src.domain.signals import OutputKind
from src.model_formats import undeclared
from src.model_formats.failures import refused, wrong_kind

ROWS_AT_ONCE: Final = 65_536
"""Rows in one call of a model: enough to be fast, few enough to bound the memory of its layers."""

Run = Callable[[NDArray[Any]], NDArray[Any]]


class Activation(Enum):
    """The last operation on a model's output, if the file tells it."""

    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"
    LINEAR = "linear"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInput:
    """The input shape of a model: (batch, features), or (batch, 1, features) with `has_step_axis`.

    `n_features` is None if the file leaves it open; `batch_size` is None if any number of rows is allowed.
    """

    n_features: int | None = None
    has_step_axis: bool = False
    batch_size: int | None = None

    @staticmethod
    def of_shape(shape: Sequence[int | None]) -> TensorInput:
        """Read a shape whose open dimensions are None.

        Raises ModelRejected if the model expects anything but one row of features a bar.
        """
        if len(shape) == 2:
            return TensorInput(batch_size=shape[0], n_features=shape[1])
        if len(shape) == 3 and shape[1] == 1:
            return TensorInput(batch_size=shape[0], n_features=shape[2], has_step_axis=True)
        raise refused("input_shape", shape=[None if size is None else int(size) for size in shape])

    def batches(self, features: NDArray[np.float64], dtype: DTypeLike) -> Iterator[NDArray[Any]]:
        """Yield the rows of `features` [n, k] in the shape and type that the model expects."""
        size = self.batch_size or ROWS_AT_ONCE
        for start in range(0, len(features), size):
            rows = features[start : start + size]
            if self.batch_size:
                rows = np.pad(rows, ((0, size - len(rows)), (0, 0)), mode="edge")
            rows = np.ascontiguousarray(rows, dtype=dtype)
            yield rows[:, np.newaxis, :] if self.has_step_axis else rows


class TensorPredictor:
    """A model behind one function from rows to numbers.

    Parameters
    ----------
    description
        The description of the model; `output_kind` follows from the activation.
    layout
        The shape of the input.
    dtype
        The type of number that the model expects.
    activation
        The last operation on the output.
    run
        Maps one batch to an array whose first axis is the batch.
    """

    def __init__(
        self, *, description: ModelDescription, layout: TensorInput, dtype: DTypeLike, activation: Activation, run: Run
    ) -> None:
        self.description = description
        self._layout = layout
        self._dtype = dtype
        self._activation = activation
        self._run = run

    def predict(
        self, features: NDArray[np.float64], names: tuple[str, ...], declared: OutputKind | None = None
    ) -> tuple[NDArray[np.float64], OutputKind]:
        """Return one number a row and its meaning; `declared` overrides the file's own kind.

        Raises InvalidInput if the output cannot be of the declared kind; ModelRejected if it is not one number a row.
        """
        if self._layout.n_features not in (None, features.shape[1]):
            raise refused("columns_given", count=self._layout.n_features, given=len(names))
        if not len(features):
            return np.empty(0), declared or self.description.output_kind or OutputKind.VALUE
        parts = [self._run(batch) for batch in self._layout.batches(features, self._dtype)]
        raw = _as_table(np.concatenate(parts)[: len(features)], len(features))
        return read_output(raw, self._activation, declared)


def build_predictor(
    *,
    file_format: str,
    library: str,
    library_version: str | None,
    layout: TensorInput,
    dtype: DTypeLike,
    activation: Activation,
    run: Run,
    feature_names: tuple[str, ...] | None = None,
    warnings: tuple[str, ...] = (),
) -> TensorPredictor:
    """Build a predictor; if the number of features is known, run the model on two rows of ones to see its output.

    Raises ModelRejected if the output is not one number, two class scores or three class scores a row.
    """
    kind = None
    if layout.n_features is not None:
        rows = np.ones((2, layout.n_features))
        raw = np.concatenate([run(batch) for batch in layout.batches(rows, dtype)])[:2]
        table = _as_table(raw, 2)
        kind = kind_of_output(table, activation)
        if kind is None:
            warnings = (*warnings, undeclared.by_columns(table.shape[1]))
    description = ModelDescription(
        format=file_format,
        library=library,
        library_version=library_version,
        n_features=layout.n_features,
        feature_names=feature_names,
        output_kind=kind,
        warnings=warnings,
    )
    return TensorPredictor(description=description, layout=layout, dtype=dtype, activation=activation, run=run)


def kind_of_output(raw: NDArray[Any], activation: Activation) -> OutputKind | None:
    """Return the kind of an output [n, columns] from its type and last activation; None if those do not tell."""
    columns = raw.shape[1]
    if columns == 1 and raw.dtype.kind in "iub":
        return OutputKind.BINARY_LABEL
    if (columns, activation) in {(1, Activation.SIGMOID), (2, Activation.SOFTMAX)}:
        return OutputKind.PROBABILITY
    if (columns, activation) == (1, Activation.LINEAR):
        return OutputKind.VALUE
    return None


def read_output(
    raw: NDArray[Any], activation: Activation, declared: OutputKind | None
) -> tuple[NDArray[np.float64], OutputKind]:
    """Convert the output `raw` [n, columns] to one number a row.

    1. One column is taken as it is. 2. Of two class scores the second is class 1: the result is its value if they are
    probabilities, else the index of the larger. 3. Three class scores are sell, keep and buy, if so declared.
    """
    columns = raw.shape[1]
    kind = declared or kind_of_output(raw, activation) or (OutputKind.VALUE if columns == 1 else None)
    if columns == 1:
        return raw[:, 0].astype(np.float64), kind or OutputKind.VALUE
    if columns == 2 and kind is OutputKind.PROBABILITY:
        return raw[:, 1].astype(np.float64), kind
    if columns == 2 and kind in (None, OutputKind.BINARY_LABEL):
        return np.argmax(raw, axis=1).astype(np.float64), OutputKind.BINARY_LABEL
    if columns == 3 and kind is OutputKind.SIGNED_LABEL:
        return np.argmax(raw, axis=1).astype(np.float64) - 1.0, kind
    if declared is None:
        raise wrong_kind("kind_undeclared_3")
    raise wrong_kind("kind_of_two" if columns == 2 else "kind_of_three", kind=declared.value)


def _as_table(raw: NDArray[Any], rows: int) -> NDArray[Any]:
    """Return [rows, columns], dropping axes of length 1."""
    if raw.dtype.kind not in "fiub":
        raise refused("output_type", type=str(raw.dtype))
    if raw.ndim and raw.shape[0] == rows:
        table = raw.reshape(rows, -1)
        if 1 <= table.shape[1] <= 3 and max(raw.shape[1:], default=1) == table.shape[1]:
            return table
    raise refused("output_shape", shape=list(raw.shape), rows=rows)
