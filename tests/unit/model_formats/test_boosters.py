"""Gradient boosting saved by pickle: scikit-learn's wrappers, and the libraries' own Boosters."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from src.domain.errors import ModelRejected
from src.domain.signals import OutputKind
from src.features.names import FEATURE_NAMES
from src.model_formats.registry import load_model
from src.ports.computing import Predictor

xgboost = pytest.importorskip("xgboost")
lightgbm = pytest.importorskip("lightgbm")
ROOT = Path(__file__).parents[3]
Labels = NDArray[np.int64]


def saved(model: object, folder: Path) -> Predictor:
    (folder / "model.pkl").write_bytes(pickle.dumps(model))
    return load_model(folder / "model.pkl", ".pkl")


def predicted(predictor: Predictor, rows: pd.DataFrame) -> NDArray[np.float64]:
    return predictor.predict(rows.to_numpy(), tuple(rows.columns))[0]


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_wrappers_give_probabilities_of_their_library(
    library: str, model_files: Mapping[str, Path], table: pd.DataFrame
) -> None:
    model = pickle.loads(model_files[library].read_bytes())
    predictor = load_model(model_files[library], ".pkl")
    assert predictor.description.library == library
    assert predictor.description.feature_names == FEATURE_NAMES
    assert predictor.description.output_kind is OutputKind.PROBABILITY
    np.testing.assert_array_equal(predicted(predictor, table), model.predict_proba(table)[:, 1])


@pytest.mark.parametrize("wrapper", [xgboost.XGBClassifier, lightgbm.LGBMClassifier])
def test_generated_column_names_are_ignored(wrapper: type, tmp_path: Path, table: pd.DataFrame, rises: Labels) -> None:
    silent = {"verbose": -1} if wrapper is lightgbm.LGBMClassifier else {}
    model = wrapper(n_estimators=3, n_jobs=1, **silent).fit(table.to_numpy(), rises)
    description = saved(model, tmp_path).description
    assert description.feature_names is None
    assert description.n_features == 14


def test_booster_accepts_any_names_if_generated(tmp_path: Path, table: pd.DataFrame, rises: Labels) -> None:
    frame = table.set_axis([f"f{number}" for number in range(14)], axis=1)
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(frame, rises), 3)
    predictor = saved(booster, tmp_path)
    assert predictor.description.feature_names is None
    np.testing.assert_array_equal(predicted(predictor, table), booster.predict(xgboost.DMatrix(frame)))


@pytest.mark.parametrize(
    ("objective", "kind"),
    [
        ("binary:logistic", OutputKind.PROBABILITY),
        ("reg:squarederror", OutputKind.VALUE),
        ("binary:hinge", OutputKind.BINARY_LABEL),
    ],
)
def test_xgboost_booster_is_read_by_its_objective(
    objective: str, kind: OutputKind, tmp_path: Path, table: pd.DataFrame, rises: Labels
) -> None:
    rows = xgboost.DMatrix(table, label=rises)
    booster = xgboost.train({"objective": objective, "max_depth": 2, "nthread": 1}, rows, 5)
    predictor = saved(booster, tmp_path)
    assert predictor.description.output_kind is kind
    assert predictor.description.feature_names == FEATURE_NAMES
    np.testing.assert_array_equal(predicted(predictor, table), booster.predict(rows).astype(float))


def test_xgboost_booster_of_arrays_has_no_names(tmp_path: Path, table: pd.DataFrame, rises: Labels) -> None:
    rows = xgboost.DMatrix(table.to_numpy(), label=rises)
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, rows, 2)
    predictor = saved(booster, tmp_path)
    assert predictor.description.feature_names is None
    np.testing.assert_array_equal(predicted(predictor, table), booster.predict(rows).astype(float))


@pytest.mark.parametrize(("objective", "kind"), [("binary", OutputKind.PROBABILITY), ("regression", OutputKind.VALUE)])
@pytest.mark.parametrize("has_names", [True, False])
def test_lightgbm_booster_is_read_by_its_objective(
    objective: str, kind: OutputKind, has_names: bool, tmp_path: Path, table: pd.DataFrame, rises: Labels
) -> None:
    rows = table if has_names else table.to_numpy()
    options = {"objective": objective, "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(options, lightgbm.Dataset(rows, label=rises), 3)
    predictor = saved(booster, tmp_path)
    assert predictor.description.output_kind is kind
    assert predictor.description.feature_names == (FEATURE_NAMES if has_names else None)
    np.testing.assert_array_equal(predicted(predictor, table), booster.predict(table.to_numpy()))


@pytest.mark.parametrize("wrapper", [xgboost.XGBClassifier, lightgbm.LGBMClassifier])
def test_wrapper_that_is_not_fitted_is_refused(wrapper: type, tmp_path: Path) -> None:
    with pytest.raises(ModelRejected, match="is not fitted"):
        saved(wrapper(), tmp_path)


def test_booster_of_many_classes_is_refused(tmp_path: Path, table: pd.DataFrame, rises: Labels) -> None:
    rows = xgboost.DMatrix(table, label=rises)
    booster = xgboost.train({"objective": "multi:softprob", "num_class": 4, "nthread": 1}, rows, 2)
    with pytest.raises(ModelRejected, match="two or three class scores"):
        saved(booster, tmp_path)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_missing_library_is_named_with_install_command(library: str, model_files: Mapping[str, Path]) -> None:
    code = f"""
import sys
sys.modules[{library!r}] = None
from pathlib import Path
from src.domain.errors import MissingLibrary
from src.model_formats.registry import load_model
try:
    load_model(Path({str(model_files[library])!r}), ".pkl")
except MissingLibrary as error:
    print(error.message)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert f"needs the library {library}" in done.stdout
    assert "pip install -r requirements-models.txt" in done.stdout
