from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from src.domain.errors import ModelRejected
from src.domain.signals import OutputKind
from src.features.names import FEATURE_NAMES
from src.model_formats.registry import load_model

os.environ["KERAS_BACKEND"] = "openvino"
pytest.importorskip("openvino")
h5py = pytest.importorskip("h5py")
keras = pytest.importorskip("keras")

SUFFIXES = (".h5", ".keras")
layers = keras.layers


def saved(model: Any, folder: Path, suffix: str) -> Path:
    file = folder / f"model{suffix}"
    model.save(file)
    return file


def sequential(*parts: Any, shape: tuple[int | None, ...] = (14,)) -> Any:
    keras.utils.set_random_seed(5)
    return keras.Sequential([layers.Input(shape), *parts])


@pytest.fixture
def rows(table: pd.DataFrame) -> NDArray[np.float64]:
    scaled: NDArray[np.float64] = ((table - table.mean()) / table.std()).to_numpy()
    return scaled


def test_predictions_equal_keras_on_torch(tmp_path: Path, rows: NDArray[np.float64]) -> None:
    pytest.importorskip("torch")
    hidden = (layers.Dense(16, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.5))
    model = sequential(*hidden, layers.Dense(1, activation="sigmoid"))
    files = [saved(model, tmp_path, suffix) for suffix in SUFFIXES]
    np.save(tmp_path / "rows.npy", rows.astype(np.float32))
    code = (
        "import sys, keras, numpy as np\n"
        "rows = np.load(sys.argv[1])\n"
        "for file in sys.argv[2:]:\n"
        "    model = keras.saving.load_model(file, compile=False)\n"
        "    np.save(file + '.npy', model.predict(rows, verbose=0))"
    )
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    command = [sys.executable, "-c", code, str(tmp_path / "rows.npy"), *map(str, files)]
    subprocess.run(command, check=True, env=environment)
    for file in files:
        predictor = load_model(file, file.suffix)
        values, kind = predictor.predict(rows, FEATURE_NAMES)
        assert kind is OutputKind.PROBABILITY
        assert predictor.description.library == "keras"
        assert predictor.description.library_version == keras.__version__
        # bfloat16, which some processors would choose by themselves, is off by 1e-3.
        np.testing.assert_allclose(values, np.load(f"{file}.npy")[:, 0], rtol=0, atol=2e-6)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("units", "activation", "kind"),
    [
        (1, "sigmoid", OutputKind.PROBABILITY),
        (2, "softmax", OutputKind.PROBABILITY),
        (1, None, OutputKind.VALUE),
        (1, "tanh", OutputKind.VALUE),
        (2, None, None),
        (3, "softmax", None),
    ],
)
def test_last_activation_determines_output_kind(
    suffix: str, units: int, activation: str | None, kind: OutputKind | None, tmp_path: Path
) -> None:
    model = sequential(layers.Dense(units, activation=activation))
    assert load_model(saved(model, tmp_path, suffix), suffix).description.output_kind is kind


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_time_major_of_tf_keras_2_is_dropped(suffix: str, tmp_path: Path, rows: NDArray[np.float64]) -> None:
    file = saved(sequential(layers.LSTM(4), layers.Dense(1, "sigmoid"), shape=(1, 14)), tmp_path, suffix)
    expected = load_model(file, suffix).predict(rows, FEATURE_NAMES)[0]
    edit_config(file, lambda config: config["config"]["layers"][1]["config"].__setitem__("time_major", False))
    predictor = load_model(file, suffix)
    assert predictor.description.n_features == 14
    np.testing.assert_array_equal(predictor.predict(rows, FEATURE_NAMES)[0], expected)
    edit_config(file, lambda config: config["config"]["layers"][1]["config"].__setitem__("time_major", True))
    with pytest.raises(ModelRejected, match="put the batch first"):
        load_model(file, suffix)


def edit_config(file: Path, edit: Any) -> None:
    """Change the stored configuration of a model, as another version of Keras would have written it."""
    if file.suffix == ".h5":
        with h5py.File(file, "r+") as stored:
            config = json.loads(stored.attrs["model_config"])
            edit(config)
            stored.attrs["model_config"] = json.dumps(config)
        return
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    edit(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_lambda_layer_is_never_run(suffix: str, tmp_path: Path) -> None:
    model = sequential(layers.Lambda(lambda x: x * 2, output_shape=(14,)), layers.Dense(1))
    with pytest.raises(ModelRejected, match=r"Lambda layer.*never run here") as caught:
        load_model(saved(model, tmp_path, suffix), suffix)
    assert "Rescaling" in caught.value.message


class Doubling(layers.Layer):  # type: ignore[misc, name-defined]
    """A layer whose code no file carries."""

    def call(self, inputs: Any) -> Any:
        return inputs * 2

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_custom_layer_is_rejected_with_advice(suffix: str, tmp_path: Path) -> None:
    file = saved(sequential(Doubling(), layers.Dense(1)), tmp_path, suffix)
    edit_config(file, lambda config: config["config"]["layers"][1].update(module="elsewhere", class_name="Tripling",
                                                                          registered_name="Tripling"))  # fmt: skip
    with pytest.raises(ModelRejected, match="layer or function of your own"):
        load_model(file, suffix)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_windows_of_bars_are_rejected_with_allowed_shapes(suffix: str, tmp_path: Path) -> None:
    model = sequential(layers.LSTM(4), layers.Dense(1), shape=(30, 5))
    with pytest.raises(ModelRejected, match=r"any × 30 × 5; supported are \(batch, features\)"):
        load_model(saved(model, tmp_path, suffix), suffix)


def test_several_inputs_are_rejected(tmp_path: Path) -> None:
    first, second = layers.Input((3,)), layers.Input((2,))
    model = keras.Model([first, second], layers.Dense(1)(layers.Concatenate()([first, second])))
    with pytest.raises(ModelRejected, match="several inputs"):
        load_model(saved(model, tmp_path, ".keras"), ".keras")


def test_unbuilt_model_is_rejected_with_advice(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="not yet been built"):
        file = saved(keras.Sequential([layers.Dense(1)]), tmp_path, ".keras")
    with pytest.raises(ModelRejected, match="give it an Input layer"):
        load_model(file, ".keras")


def test_weights_without_model_are_rejected(tmp_path: Path) -> None:
    model = sequential(layers.Dense(1))
    model.save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(ModelRejected, match="weights and no model") as caught:
        load_model(tmp_path / "model.weights.h5", ".h5")
    assert "model.save(" in caught.value.message


@pytest.mark.parametrize("metadata", ["[]", "1", "null", '"x"', "{"])
def test_empty_metadata_is_rejected_with_advice(tmp_path: Path, metadata: str) -> None:
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("metadata.json", metadata)
        archive.writestr("config.json", "{}")
    with pytest.raises(ModelRejected, match=r"not a Keras \.keras file\. Save the whole model"):
        load_model(tmp_path / "model.keras", ".keras")


def test_file_of_other_keras_format_is_rejected(tmp_path: Path) -> None:
    file = saved(sequential(layers.Dense(1)), tmp_path, ".keras").rename(tmp_path / "model.h5")
    with pytest.raises(ModelRejected, match=r"not a Keras \.h5 file"):
        load_model(file, ".h5")
