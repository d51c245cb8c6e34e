from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from src.domain.errors import ModelRejected, UnsupportedFormat
from src.domain.model_files import MODEL_EXTENSIONS
from src.domain.signals import OutputKind
from src.features.names import FEATURE_NAMES
from src.model_formats import registry
from src.model_formats.registry import ENVIRONMENT, FORMATS, family_of, load_model, prepare
from tests.model_factory import FORMATS as NAMES
from tests.model_factory import require_libraries

ROOT = Path(__file__).parents[3]


def test_every_extension_that_may_be_uploaded_has_a_format() -> None:
    assert tuple(FORMATS) == MODEL_EXTENSIONS
    assert {family_of(extension) for extension in FORMATS} == {"sklearn", "onnx", "openvino", "torch"}
    assert family_of(".PKL") == "sklearn"


@pytest.mark.parametrize("extension", sorted(FORMATS))
def test_every_format_has_its_file_and_knows_what_to_preload(extension: str) -> None:
    entry = FORMATS[extension]
    for module in (entry.module, *entry.preload):
        assert importlib.util.find_spec(module) is not None


def test_unknown_extension_lists_known_ones() -> None:
    with pytest.raises(UnsupportedFormat) as caught:
        family_of(".exe")
    for extension in FORMATS:
        assert extension in caught.value.message


def test_registry_imports_no_model_library() -> None:
    code = (
        "import sys, src.model_formats.registry\n"
        "sys.exit(bool({'sklearn', 'pandas', 'onnxruntime', 'keras', 'openvino', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


@pytest.mark.parametrize(
    ("extension", "library"),
    [(".onnx", "onnxruntime"), (".h5", "keras"), (".keras", "h5py"), (".pb", "openvino"), (".pt", "torch")],
)
def test_missing_library_is_named_with_install_command(extension: str, library: str) -> None:
    # A process of its own, in which the import system does not find the library.
    code = f"""
import sys
sys.modules[{library!r}] = None
from src.domain.errors import MissingLibrary
from src.model_formats.registry import check_installed
try:
    check_installed({extension!r})
except MissingLibrary as error:
    print(error.message)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert f"needs the library {library}" in done.stdout
    assert "pip install -r requirements-models.txt" in done.stdout


@pytest.mark.parametrize(("extension", "threads"), [(".pkl", 1), (".onnx", 2), (".h5", 2), (".pt", 1)])
def test_preloading_leaves_no_working_thread(extension: str, threads: int) -> None:
    require_libraries()
    code = f"""
import importlib, os, sys
from src.model_formats.registry import FORMATS, HIDDEN_MODULES

class Hider:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] in HIDDEN_MODULES:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Hider)
for module in FORMATS[{extension!r}].preload:
    importlib.import_module(module)
print(len(os.listdir("/proc/self/task")))
"""
    environment = {**os.environ, **ENVIRONMENT}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT, env=environment
    )
    # The second of OpenVINO and of onnxruntime sleeps from the moment that they are imported.
    assert int(done.stdout) <= threads


@pytest.mark.parametrize("extension", sorted(FORMATS))
def test_random_bytes_are_rejected_by_every_format(extension: str, tmp_path: Path) -> None:
    require_libraries()
    file = tmp_path / f"noise{extension}"
    file.write_bytes(bytes(range(256)) * 20)
    with pytest.raises(ModelRejected) as caught:
        load_model(prepare(file, extension, tmp_path / "unpacked"), extension)
    assert len(caught.value.message) < 800
    assert str(tmp_path) not in caught.value.message


@pytest.mark.parametrize("extension", sorted(FORMATS))
def test_empty_file_is_rejected_by_every_format(extension: str, tmp_path: Path) -> None:
    require_libraries()
    file = tmp_path / f"empty{extension}"
    file.touch()
    with pytest.raises(ModelRejected):
        load_model(prepare(file, extension, tmp_path / "unpacked"), extension)


@pytest.mark.parametrize("name", NAMES)
def test_same_network_predicts_equally_in_every_format(
    name: str, model_files: Mapping[str, Path], network: Pipeline, table: pd.DataFrame, tmp_path: Path
) -> None:
    predictor = load_model(prepare(model_files[name], f".{name}", tmp_path), f".{name}")
    values, kind = predictor.predict(table.to_numpy(), FEATURE_NAMES)
    assert kind is OutputKind.PROBABILITY
    assert predictor.description.output_kind is OutputKind.PROBABILITY
    assert predictor.description.n_features == 14
    assert predictor.description.warnings == ()
    assert predictor.description.library
    assert values.dtype == np.float64
    expected = network.predict_proba(table)[:, 1]
    np.testing.assert_allclose(values, expected, rtol=0, atol=0 if name in ("pkl", "joblib") else 2e-6)


@pytest.mark.parametrize("name", NAMES)
def test_zero_and_one_rows_work_in_every_format(
    name: str, model_files: Mapping[str, Path], table: pd.DataFrame, tmp_path: Path
) -> None:
    predictor = load_model(prepare(model_files[name], f".{name}", tmp_path), f".{name}")
    rows = table.to_numpy()
    assert predictor.predict(rows[:0], FEATURE_NAMES)[0].shape == (0,)
    one = predictor.predict(rows[:1], FEATURE_NAMES)[0]
    np.testing.assert_allclose(one, predictor.predict(rows, FEATURE_NAMES)[0][:1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_same_file_and_rows_give_same_bits(
    name: str, model_files: Mapping[str, Path], table: pd.DataFrame, tmp_path: Path
) -> None:
    runs = []
    for attempt in ("first", "second"):
        predictor = load_model(prepare(model_files[name], f".{name}", tmp_path / attempt), f".{name}")
        runs.append(predictor.predict(table.to_numpy(), FEATURE_NAMES)[0].tobytes())
    assert runs[0] == runs[1]


def test_names_of_formats_are_those_that_the_modules_give() -> None:
    sources = "".join(
        path.read_text() for path in Path(registry.__file__).parent.glob("*.py") if path.name != "registry.py"
    )
    assert set(re.findall(r'"([^"\n]*)"', sources)) >= registry.FORMAT_NAMES
