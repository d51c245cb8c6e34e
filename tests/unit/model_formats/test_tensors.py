from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from src.domain.errors import InvalidInput, ModelRejected
from src.domain.signals import OutputKind
from src.model_formats.tensors import ROWS_AT_ONCE, Activation, Run, TensorInput, TensorPredictor, build_predictor

PROBABILITY, BINARY = OutputKind.PROBABILITY, OutputKind.BINARY_LABEL
SIGNED, VALUE = OutputKind.SIGNED_LABEL, OutputKind.VALUE
SIGMOID, SOFTMAX, LINEAR, UNKNOWN = Activation.SIGMOID, Activation.SOFTMAX, Activation.LINEAR, Activation.UNKNOWN


def predictor(run: Run, activation: Activation = UNKNOWN, layout: TensorInput | None = None) -> TensorPredictor:
    return build_predictor(
        file_format="test", library="test", library_version=None, layout=layout or TensorInput(n_features=3),
        dtype=np.float32, activation=activation, run=run,
    )  # fmt: skip


def columns(count: int, dtype: type = float) -> Run:
    """A model that returns the first `count` of its inputs."""
    return lambda rows: rows[:, :count].astype(dtype)


ROWS = np.array([[0.25, 0.75, 0.0], [1.0, 0.0, 5.0]])


@pytest.mark.parametrize(
    ("shape", "n_features", "has_step_axis", "batch_size"),
    [
        ((None, 14), 14, False, None),
        ((None, None), None, False, None),
        ((1, 14), 14, False, 1),
        ((None, 1, 5), 5, True, None),
    ],
)
def test_shapes_of_one_row_a_bar_are_accepted(
    shape: tuple[int | None, ...], n_features: int | None, has_step_axis: bool, batch_size: int | None
) -> None:
    expected = TensorInput(n_features=n_features, has_step_axis=has_step_axis, batch_size=batch_size)
    assert TensorInput.of_shape(shape) == expected


@pytest.mark.parametrize("shape", [(None, 30, 5), (None, None, 5), (14,), (), (None, 3, 32, 32)])
def test_other_shapes_are_rejected_with_allowed_ones(shape: tuple[int | None, ...]) -> None:
    with pytest.raises(ModelRejected, match=r"supported are \(batch, features\)"):
        TensorInput.of_shape(shape)


def test_fixed_batch_is_padded_and_cut() -> None:
    seen: list[tuple[int, ...]] = []

    def run(rows: NDArray[Any]) -> NDArray[Any]:
        seen.append(rows.shape)
        return np.asarray(rows.sum(axis=(1, 2)))

    layout = TensorInput(n_features=3, has_step_axis=True, batch_size=4)
    values, _ = predictor(run, layout=layout).predict(np.arange(15.0).reshape(5, 3), ("a", "b", "c"))
    assert values.tolist() == [3.0, 12.0, 21.0, 30.0, 39.0]
    assert set(seen) == {(4, 1, 3)}


def test_many_rows_are_batched_in_model_dtype() -> None:
    seen: list[tuple[int, str]] = []

    def run(rows: NDArray[Any]) -> NDArray[Any]:
        seen.append((len(rows), rows.dtype.name))
        return rows[:, 0]

    rows = np.zeros((ROWS_AT_ONCE + 1, 3))
    assert len(predictor(run).predict(rows, ("a", "b", "c"))[0]) == len(rows)
    assert seen[1:] == [(ROWS_AT_ONCE, "float32"), (1, "float32")]


@pytest.mark.parametrize(
    ("run", "activation", "declared", "values", "kind"),
    [
        (columns(1), SIGMOID, None, [0.25, 1.0], PROBABILITY),
        (columns(1), LINEAR, None, [0.25, 1.0], VALUE),
        (columns(1), UNKNOWN, None, [0.25, 1.0], VALUE),
        (columns(1), UNKNOWN, PROBABILITY, [0.25, 1.0], PROBABILITY),
        (columns(1), SIGMOID, VALUE, [0.25, 1.0], VALUE),
        (columns(1, np.int64), UNKNOWN, None, [0.0, 1.0], BINARY),
        (columns(1, np.int64), UNKNOWN, SIGNED, [0.0, 1.0], SIGNED),
        (lambda rows: rows[:, 0], SIGMOID, None, [0.25, 1.0], PROBABILITY),
        (lambda rows: rows[:, None, :1], SIGMOID, None, [0.25, 1.0], PROBABILITY),
        (columns(2), SOFTMAX, None, [0.75, 0.0], PROBABILITY),
        (columns(2), UNKNOWN, None, [1.0, 0.0], BINARY),
        (columns(2), UNKNOWN, PROBABILITY, [0.75, 0.0], PROBABILITY),
        (columns(2), SOFTMAX, BINARY, [1.0, 0.0], BINARY),
        (columns(3), SOFTMAX, SIGNED, [0.0, 1.0], SIGNED),
    ],
)
def test_output_kind_follows_columns_and_activation(
    run: Run, activation: Activation, declared: OutputKind | None, values: list[float], kind: OutputKind
) -> None:
    model = predictor(run, activation)
    got, meaning = model.predict(ROWS, ("a", "b", "c"), declared)
    assert (got.tolist(), meaning) == (values, kind)


@pytest.mark.parametrize(
    ("run", "activation", "kind", "words"),
    [
        (columns(1), SIGMOID, PROBABILITY, None),
        (columns(2), SOFTMAX, PROBABILITY, None),
        (columns(1), LINEAR, VALUE, None),
        (columns(1), UNKNOWN, None, "long while ≥ threshold"),
        (columns(2), UNKNOWN, None, "the second standing for long"),
        (columns(3), SOFTMAX, None, "sell, keep and buy"),
    ],
)
def test_description_has_kind_or_warning(
    run: Run, activation: Activation, kind: OutputKind | None, words: str | None
) -> None:
    description = predictor(run, activation).description
    assert description.output_kind is kind
    assert (words is None) == (description.warnings == ())
    assert words is None or words in description.warnings[0]


@pytest.mark.parametrize(
    ("count", "declared"), [(2, VALUE), (2, SIGNED), (3, PROBABILITY), (3, BINARY), (3, VALUE), (3, None)]
)
def test_impossible_declared_kind_is_rejected(count: int, declared: OutputKind | None) -> None:
    with pytest.raises(InvalidInput) as caught:
        predictor(columns(count)).predict(ROWS, ("a", "b", "c"), declared)
    assert caught.value.field == "outputKind"


@pytest.mark.parametrize(
    "run",
    [
        lambda rows: np.zeros((len(rows), 4)),
        lambda rows: np.zeros((len(rows), 2, 2)),
        lambda rows: np.zeros((len(rows) + 1, 1))[: len(rows) - 1],
        lambda rows: np.ones(1),
        lambda rows: np.full(len(rows), "buy"),
    ],
)
def test_other_outputs_are_rejected_at_opening(run: Run) -> None:
    with pytest.raises(ModelRejected, match="The model returns"):
        predictor(run)


def test_wrong_number_of_columns_is_rejected() -> None:
    with pytest.raises(ModelRejected, match="takes 3 columns and was given 2"):
        predictor(columns(1)).predict(ROWS[:, :2], ("a", "b"))
