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
def test_a_zipped_saved_model_is_known_by_its_content(
    root: str, extension: str, tmp_path: Path, folder: Path, network: Pipeline, table: pd.DataFrame
) -> None:
    write_saved_model(folded_weights(network), tmp_path / "saved")
    zip_folder(tmp_path / "saved", tmp_path / f"model{extension}", root=root)
    predictor = load_model(prepare(tmp_path / f"model{extension}", extension, folder), extension)
    assert predictor.description.format == "TensorFlow SavedModel"
    values, kind = predictor.predict(table.to_numpy(), FEATURE_NAMES)
    assert kind is OutputKind.PROBABILITY
    np.testing.assert_allclose(values, network.predict_proba(table)[:, 1], rtol=0, atol=2e-6)


def test_a_frozen_graph_is_opened_as_it_is(
    tmp_path: Path, folder: Path, network: Pipeline, table: pd.DataFrame
) -> None:
    file = tmp_path / "model.pb"
    file.write_bytes(frozen_graph(folded_weights(network)))
    assert prepare(file, ".pb", folder) == file
    predictor = load_model(file, ".pb")
    assert predictor.description.format == "TensorFlow frozen graph"
    values, _ = predictor.predict(table.to_numpy(), FEATURE_NAMES)
    np.testing.assert_allclose(values, network.predict_proba(table)[:, 1], rtol=0, atol=2e-6)


def test_without_a_last_activation_the_kind_is_the_users_to_declare(
    tmp_path: Path, network: Pipeline, table: pd.DataFrame
) -> None:
    file = tmp_path / "model.pb"
    file.write_bytes(frozen_graph(folded_weights(network), last=None))
    predictor = load_model(file, ".pb")
    assert predictor.description.output_kind is None
    assert "Declare outputKind" in predictor.description.warnings[0]
    assert predictor.predict(table.to_numpy(), FEATURE_NAMES)[1] is OutputKind.VALUE


def test_a_lone_saved_model_says_that_its_weights_are_missing(tmp_path: Path, folder: Path, network: Pipeline) -> None:
    write_saved_model(folded_weights(network), tmp_path / "saved")
    file = (tmp_path / "saved" / "saved_model.pb").rename(tmp_path / "model.pb")
    with pytest.raises(ModelRejected, match="alone holds no weights") as caught:
        load_model(prepare(file, ".pb", folder), ".pb")
    assert "Zip the whole" in caught.value.message


def test_a_saved_model_without_its_variables_is_refused(tmp_path: Path, folder: Path, network: Pipeline) -> None:
    write_saved_model(folded_weights(network), tmp_path / "saved")
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.write(tmp_path / "saved" / "saved_model.pb", "saved_model.pb")
    with pytest.raises(ModelRejected):
        load_model(prepare(tmp_path / "model.zip", ".zip", folder), ".zip")


def test_a_graph_with_an_unknown_operation_is_refused(tmp_path: Path, network: Pipeline) -> None:
    file = tmp_path / "model.pb"
    file.write_bytes(frozen_graph(folded_weights(network), last="PyFunc"))
    with pytest.raises(ModelRejected, match="OpenVINO cannot"):
        load_model(file, ".pb")


def test_an_onnx_file_under_this_name_is_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "model.pb"
    file.write_bytes(b"\x08\x08\x12\x07pytorch")
    with pytest.raises(ModelRejected, match="neither a frozen TensorFlow graph nor"):
        load_model(file, ".pb")
