from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from src.domain.errors import InvalidInput, ModelRejected
from src.domain.signals import OutputKind
from src.model_formats.onnx_graph import read_graph
from src.model_formats.registry import load_model
from src.model_formats.tensors import Activation
from src.ports.computing import Predictor

ROOT = Path(__file__).parents[3]

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
skl2onnx = pytest.importorskip("skl2onnx")
FLOAT = onnx.TensorProto.FLOAT
COLUMNS = ("Returns", "Returns_5", "Volatility_5")
Labels = NDArray[np.int64]


@pytest.fixture
def small(table: pd.DataFrame) -> NDArray[np.float32]:
    # float32 in training as in ONNX: trees compare with thresholds to the last bit.
    return table[list(COLUMNS)].to_numpy(dtype=np.float32)


def saved(model: Any, folder: Path) -> Predictor:
    (folder / "model.onnx").write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return load_model(folder / "model.onnx", ".onnx")


def converted(model: Any, rows: NDArray[np.float32], **options: Any) -> Any:
    return skl2onnx.to_onnx(model, rows[:1], target_opset=17, options=options)


def predicted(
    predictor: Predictor, rows: NDArray[np.float32], declared: OutputKind | None = None
) -> NDArray[np.float64]:
    return predictor.predict(rows.astype(np.float64), COLUMNS, declared)[0]


def network(*operators: str, outputs: int = 1, inputs: list[Any] | None = None, batch: str | int = "rows") -> Any:
    """A matrix product [3, outputs] and then the operators, one after the other."""
    helper = onnx.helper
    weights = np.linspace(-0.5, 0.9, 3 * outputs, dtype=np.float32).reshape(3, outputs)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y0"])]
    nodes += [
        helper.make_node(operator, [f"y{index}"], [f"y{index + 1}"], **({"axis": 1} if operator == "Softmax" else {}))
        for index, operator in enumerate(operators)
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        inputs or [helper.make_tensor_value_info("x", FLOAT, [batch, 3])],
        [helper.make_tensor_value_info(f"y{len(operators)}", FLOAT, [batch, outputs])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="pytorch", producer_version="2.9")


@pytest.mark.parametrize("zipmap", [True, False])
def test_classifier_with_and_without_zipmap_predicts(
    zipmap: bool, tmp_path: Path, small: NDArray[np.float32], rises: Labels
) -> None:
    model = DecisionTreeClassifier(max_depth=3).fit(small, rises)
    predictor = saved(converted(model, small, zipmap=zipmap), tmp_path)
    assert predictor.description.output_kind is OutputKind.PROBABILITY
    assert predictor.description.library == "skl2onnx"
    np.testing.assert_allclose(predicted(predictor, small), model.predict_proba(small)[:, 1], atol=1e-6)
    labels = predicted(predictor, small, OutputKind.BINARY_LABEL)
    np.testing.assert_array_equal(labels, model.predict(small))


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("model", [DecisionTreeClassifier(max_depth=3), GaussianNB(), KNeighborsClassifier()])
def test_string_labels_become_signed_labels(
    model: Any, zipmap: bool, tmp_path: Path, small: NDArray[np.float32], rises: Labels
) -> None:
    words = np.where(rises == 1, "buy", "sell")
    model.fit(small, words)
    predictor = saved(converted(model, small, zipmap=zipmap), tmp_path)
    assert predictor.description.output_kind is OutputKind.PROBABILITY
    np.testing.assert_allclose(predicted(predictor, small), model.predict_proba(small)[:, 0], atol=1e-5)
    signed = predicted(predictor, small, OutputKind.SIGNED_LABEL)
    expected = np.where(model.predict(small) == "buy", 1, -1)
    assert np.mean(signed == expected) > 0.99


def test_three_classes_give_signed_labels(tmp_path: Path, small: NDArray[np.float32]) -> None:
    labels = np.sign(np.round(small[:, 0] * 50)).astype(np.int64)
    model = DecisionTreeClassifier(max_depth=3).fit(small, labels)
    predictor = saved(converted(model, small), tmp_path)
    assert predictor.description.output_kind is OutputKind.SIGNED_LABEL
    np.testing.assert_array_equal(predicted(predictor, small), model.predict(small))


def test_distances_are_not_used_as_probabilities(tmp_path: Path, small: NDArray[np.float32], rises: Labels) -> None:
    model = LinearSVC().fit(small, rises)
    predictor = saved(converted(model, small), tmp_path)
    assert predictor.description.output_kind is OutputKind.BINARY_LABEL
    np.testing.assert_array_equal(predicted(predictor, small), model.predict(small))
    with pytest.raises(InvalidInput, match="Allowed: binary_label, signed_label") as caught:
        predicted(predictor, small, OutputKind.PROBABILITY)
    assert caught.value.field == "outputKind"


def test_regression_gives_values(tmp_path: Path, small: NDArray[np.float32], rises: Labels) -> None:
    model = LinearRegression().fit(small, rises.astype(np.float32))
    predictor = saved(converted(model, small), tmp_path)
    np.testing.assert_allclose(predicted(predictor, small, OutputKind.VALUE), model.predict(small), atol=1e-5)


def test_single_column_inputs_give_feature_names(tmp_path: Path, table: pd.DataFrame, rises: Labels) -> None:
    frame = table[list(COLUMNS)].astype(np.float32)
    steps = ColumnTransformer([("scale", StandardScaler(), list(COLUMNS))])
    model = make_pipeline(steps, LogisticRegression()).fit(frame, rises)
    exported = skl2onnx.to_onnx(model, frame[:1], target_opset=17)
    predictor = saved(exported, tmp_path)
    assert predictor.description.feature_names == COLUMNS
    rows = frame.to_numpy()
    np.testing.assert_allclose(predicted(predictor, rows), model.predict_proba(frame)[:, 1], atol=1e-5)


@pytest.mark.parametrize(
    ("operators", "outputs", "kind"),
    [
        (("Sigmoid",), 1, OutputKind.PROBABILITY),
        (("Sigmoid", "Identity"), 1, OutputKind.PROBABILITY),
        (("Softmax",), 2, OutputKind.PROBABILITY),
        ((), 1, None),
        (("Tanh",), 1, None),
        ((), 2, None),
    ],
)
def test_last_activation_of_network_determines_kind(
    operators: tuple[str, ...], outputs: int, kind: OutputKind | None, tmp_path: Path, small: NDArray[np.float32]
) -> None:
    predictor = saved(network(*operators, outputs=outputs), tmp_path)
    assert predictor.description.output_kind is kind
    assert (predictor.description.library, predictor.description.library_version) == ("pytorch", "2.9")
    assert predicted(predictor, small).shape == (len(small),)


def test_fixed_batch_size_is_supported(tmp_path: Path, small: NDArray[np.float32]) -> None:
    free, fixed = saved(network("Sigmoid"), tmp_path), saved(network("Sigmoid", batch=1), tmp_path)
    np.testing.assert_allclose(predicted(fixed, small), predicted(free, small), atol=1e-7)


@pytest.mark.parametrize("operator", ["RandomNormalLike", "RandomUniformLike", "Bernoulli"])
def test_random_numbers_are_the_same_in_every_process(operator: str, tmp_path: Path) -> None:
    onnx.save(network("Sigmoid", operator), tmp_path / "model.onnx")
    source = """
import sys
from pathlib import Path
import numpy as np
from src.model_formats.onnx import load
values, _ = load(Path(sys.argv[1])).predict(np.ones((20, 3)), ("a", "b", "c"))
print(values.tolist())
"""
    command = [sys.executable, "-c", source, str(tmp_path / "model.onnx")]
    first, second = (
        subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout for _ in range(2)
    )
    assert first == second
    assert len(set(first.split(", "))) > 1


def test_external_weights_are_rejected_with_advice(tmp_path: Path) -> None:
    model = network("Sigmoid")
    onnx.external_data_helper.convert_model_to_external_data(model, location="model.onnx.data", size_threshold=0)
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ModelRejected, match="second file") as caught:
        load_model(tmp_path / "model.onnx", ".onnx")
    assert "external_data=False" in caught.value.message


def test_unsupported_inputs_and_outputs_are_rejected(tmp_path: Path, small: NDArray[np.float32], rises: Labels) -> None:
    info = onnx.helper.make_tensor_value_info
    with pytest.raises(ModelRejected, match="any × 30 × 3"):
        saved(network("Sigmoid", inputs=[info("x", FLOAT, ["rows", 30, 3])]), tmp_path)
    integers = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("Identity", ["x"], ["y"])], "graph",
            [info("x", onnx.TensorProto.INT64, ["rows", 3])], [info("y", onnx.TensorProto.INT64, ["rows", 3])],
        ), opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8,
    )  # fmt: skip
    with pytest.raises(ModelRejected, match=r"takes tensor\(int64\)"):
        saved(integers, tmp_path)
    two = network("Sigmoid")
    two.graph.output.append(info("y0", FLOAT, ["rows", 1]))
    with pytest.raises(ModelRejected, match="2 outputs"):
        saved(two, tmp_path)


def test_unknown_opset_is_rejected_with_advice(tmp_path: Path) -> None:
    model = network("Sigmoid")
    model.opset_import[0].version = 999
    with pytest.raises(ModelRejected, match="lower opset"):
        saved(model, tmp_path)


def test_outlier_detector_is_rejected(tmp_path: Path, small: NDArray[np.float32]) -> None:
    model = IsolationForest(n_estimators=3, random_state=0).fit(small)
    exported = skl2onnx.to_onnx(model, small[:1], target_opset={"": 17, "ai.onnx.ml": 3})
    with pytest.raises(ModelRejected, match="not which classes"):
        saved(exported, tmp_path)


def test_graph_is_read_as_onnx_reads_it(small: NDArray[np.float32], rises: Labels) -> None:
    negative = DecisionTreeClassifier(max_depth=2).fit(small, rises * 2 - 1)
    assert read_graph(converted(negative, small).SerializeToString()).class_labels == (-1, 1)
    graph = read_graph(network("Softmax", outputs=2).SerializeToString())
    assert graph.activations == {"y1": Activation.SOFTMAX}
    assert (graph.producer, graph.producer_version, graph.class_labels) == ("pytorch", "2.9", None)
    assert not graph.has_external_data


@pytest.mark.parametrize("content", [b"\x0a", b"\x0a\xff\xff", b"\xff" * 20, b"\x0b", b"\x3a\x02\x08\x01"])
def test_damaged_message_raises_value_error_only(content: bytes) -> None:
    with pytest.raises(ValueError, match="protobuf"):
        read_graph(content)


def test_cycle_in_a_forged_graph_ends() -> None:
    model = network("Identity", "Identity")
    model.graph.node[1].input[0] = "y2"
    assert read_graph(model.SerializeToString()).activations == {"y2": Activation.UNKNOWN}
