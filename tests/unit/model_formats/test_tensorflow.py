from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from src.domain.errors import ModelRejected
from src.domain.signals import OutputKind
from src.features.names import FEATURE_NAMES
from src.model_formats.registry import load_model, prepare
from tests.model_factory import folded_weights
from tests.tensorflow_files import frozen_graph, write_saved_model, zip_folder

pytest.importorskip("openvino")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "unpacked").mkdir()
    return tmp_path / "unpacked"


@pytest.mark.parametrize("root", ["", "my_model/", "exports/1/"])
@pytest.mark.parametrize("extension", [".zip", ".pb"])
def test_zipped_saved_model_is_recognized_by_content(
    root: str, extension: str, tmp_path: Path, folder: Path, network: Pipeline, table: pd.DataFrame
) -> None:
    write_saved_model(folded_weights(network), tmp_path / "saved")
    zip_folder(tmp_path / "saved", tmp_path / f"model{extension}", root=root)
    predictor = load_model(prepare(tmp_path / f"model{extension}", extension, folder), extension)
    assert predictor.description.format == "TensorFlow SavedModel"
    values, kind = predictor.predict(table.to_numpy(), FEATURE_NAMES)
    assert kind is OutputKind.PROBABILITY
    np.testing.assert_allclose(values, network.predict_proba(table)[:, 1], rtol=0, atol=2e-6)


def test_frozen_graph_is_opened_directly(tmp_path: Path, folder: Path, network: Pipeline, table: pd.DataFrame) -> None:
    file = tmp_path / "model.pb"
    file.write_bytes(frozen_graph(folded_weights(network)))
    assert prepare(file, ".pb", folder) == file
    predictor = load_model(file, ".pb")
    assert predictor.description.format == "TensorFlow frozen graph"
    values, _ = predictor.predict(table.to_numpy(), FEATURE_NAMES)
    np.testing.assert_allclose(values, network.predict_proba(table)[:, 1], rtol=0, atol=2e-6)


def test_graph_without_last_activation_has_no_kind(tmp_path: Path, network: Pipeline, table: pd.DataFrame) -> None:
    file = tmp_path / "model.pb"
    file.write_bytes(frozen_graph(folded_weights(network), last=None))
    predictor = load_model(file, ".pb")
    assert predictor.description.output_kind is None
    assert "Declare outputKind" in predictor.description.warnings[0]
    assert predictor.predict(table.to_numpy(), FEATURE_NAMES)[1] is OutputKind.VALUE


def test_saved_model_pb_alone_is_rejected_with_advice(tmp_path: Path, folder: Path, network: Pipeline) -> None:
    write_saved_model(folded_weights(network), tmp_path / "saved")
    file = (tmp_path / "saved" / "saved_model.pb").rename(tmp_path / "model.pb")
    with pytest.raises(ModelRejected, match="alone holds no weights") as caught:
        load_model(prepare(file, ".pb", folder), ".pb")
    assert "Zip the whole" in caught.value.message


def test_saved_model_without_variables_is_rejected(tmp_path: Path, folder: Path, network: Pipeline) -> None:
    write_saved_model(folded_weights(network), tmp_path / "saved")
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.write(tmp_path / "saved" / "saved_model.pb", "saved_model.pb")
    with pytest.raises(ModelRejected):
        load_model(prepare(tmp_path / "model.zip", ".zip", folder), ".zip")


def test_graph_with_unknown_operation_is_rejected(tmp_path: Path, network: Pipeline) -> None:
    file = tmp_path / "model.pb"
    file.write_bytes(frozen_graph(folded_weights(network), last="PyFunc"))
    with pytest.raises(ModelRejected, match="OpenVINO cannot"):
        load_model(file, ".pb")


def test_onnx_file_named_pb_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "model.pb"
    file.write_bytes(b"\x08\x08\x12\x07pytorch")
    with pytest.raises(ModelRejected, match="neither a frozen TensorFlow graph nor"):
        load_model(file, ".pb")
