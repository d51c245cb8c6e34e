from __future__ import annotations

import pickle
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from src.domain.errors import InvalidInput, ModelRejected
from src.domain.signals import OutputKind
from src.model_formats.registry import load_model
from src.ports.computing import Predictor

COLUMNS = ("Close", "Volume", "Returns")
Labels = NDArray[np.int64]


@pytest.fixture
def small(table: pd.DataFrame) -> pd.DataFrame:
    return table[list(COLUMNS)]


def saved(model: object, folder: Path, name: str = "model.joblib") -> Predictor:
    file = folder / name
    if name.endswith(".pkl"):
        file.write_bytes(pickle.dumps(model))
    else:
        joblib.dump(model, file)
    return load_model(file, file.suffix)


def refusal(model: object, folder: Path) -> str:
    with pytest.raises(ModelRejected) as caught:
        saved(model, folder)
    return caught.value.message


def predicted(predictor: Predictor, rows: pd.DataFrame, declared: OutputKind | None = None) -> NDArray[np.float64]:
    return predictor.predict(rows.to_numpy(), tuple(rows.columns), declared)[0]


def assert_same_arithmetic(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> None:
    """Compare but for the last bits: a matrix product's depend on how its rows lie in memory, and on the processor."""
    np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=0)


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib"])
def test_probabilities_are_of_class_1(name: str, tmp_path: Path, small: pd.DataFrame, rises: Labels) -> None:
    model = RandomForestClassifier(20, random_state=0, n_jobs=-1).fit(small.to_numpy(), rises)
    predictor = saved(model, tmp_path, name)
    assert predictor.description.output_kind is OutputKind.PROBABILITY
    assert predictor.description.n_features == 3
    assert predictor.description.feature_names is None
    assert (predictor.description.library, predictor.description.library_version) == (
        "scikit-learn",
        sklearn.__version__,
    )
    alone = model.set_params(n_jobs=1).predict_proba(small.to_numpy())[:, 1]
    assert predicted(predictor, small).tobytes() == alone.tobytes()


def test_class_1_is_found_in_any_column(tmp_path: Path, small: pd.DataFrame, rises: Labels) -> None:
    words = np.where(rises == 1, "buy", "sell")
    model = DecisionTreeClassifier(max_depth=3).fit(small.to_numpy(), words)
    predictor = saved(model, tmp_path)
    np.testing.assert_array_equal(predicted(predictor, small), model.predict_proba(small.to_numpy())[:, 0])
    signed = predicted(predictor, small, OutputKind.SIGNED_LABEL)
    np.testing.assert_array_equal(signed, np.where(model.predict(small.to_numpy()) == "buy", 1, -1))


def test_columns_are_reordered_by_name(tmp_path: Path, small: pd.DataFrame, rises: Labels) -> None:
    model = LogisticRegression().fit(small, rises)
    predictor = saved(model, tmp_path)
    assert predictor.description.feature_names == COLUMNS
    probabilities = predicted(predictor, small)
    np.testing.assert_array_equal(predicted(predictor, small[list(reversed(COLUMNS))]), probabilities)
    assert_same_arithmetic(probabilities, model.predict_proba(small)[:, 1])


def test_columns_chosen_by_name_work_inside_a_pipeline(tmp_path: Path, small: pd.DataFrame, rises: Labels) -> None:
    model = make_pipeline(ColumnTransformer([("keep", StandardScaler(), ["Returns"])]), LogisticRegression())
    model.fit(small, rises)
    assert_same_arithmetic(predicted(saved(model, tmp_path), small), model.predict_proba(small)[:, 1])


def test_foreign_names_match_columns_by_position(tmp_path: Path, small: pd.DataFrame, rises: Labels) -> None:
    foreign = small.set_axis(["close_price", "amount", "change"], axis=1)
    model = LogisticRegression().fit(foreign, rises)
    assert_same_arithmetic(predicted(saved(model, tmp_path), small), model.predict_proba(foreign)[:, 1])


@pytest.mark.parametrize("names", [["f0", "f1", "f2"], ["x0", "x1", "x2"], ["Column_0", "Column_1", "Column_2"]])
def test_generated_names_do_not_choose_columns(
    tmp_path: Path, small: pd.DataFrame, rises: Labels, names: list[str]
) -> None:
    frame = small.set_axis(names, axis=1)
    model = make_pipeline(ColumnTransformer([("keep", StandardScaler(), names[1:])]), LogisticRegression())
    predictor = saved(model.fit(frame, rises), tmp_path)
    assert predictor.description.feature_names is None
    assert predictor.description.n_features == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # "X does not have valid feature names"
        assert_same_arithmetic(predicted(predictor, small), model.predict_proba(frame)[:, 1])


def test_regression_gives_values(tmp_path: Path, small: pd.DataFrame, rises: Labels) -> None:
    model = make_pipeline(StandardScaler(), LinearRegression()).fit(small.to_numpy(), rises.astype(float))
    predictor = saved(model, tmp_path)
    assert predictor.description.output_kind is OutputKind.VALUE
    np.testing.assert_array_equal(predicted(predictor, small), model.predict(small.to_numpy()))


@pytest.mark.parametrize(("classes", "kind"), [((0, 1), OutputKind.BINARY_LABEL), ((-1, 1), OutputKind.SIGNED_LABEL)])
def test_classifier_without_probabilities_gives_labels(
    classes: tuple[int, int], kind: OutputKind, tmp_path: Path, small: pd.DataFrame, rises: Labels
) -> None:
    model = make_pipeline(StandardScaler(), LinearSVC()).fit(small.to_numpy(), np.where(rises == 1, *classes[::-1]))
    predictor = saved(model, tmp_path)
    assert predictor.description.output_kind is kind
    np.testing.assert_array_equal(predicted(predictor, small), model.predict(small.to_numpy()))


def test_three_classes_give_signed_labels(tmp_path: Path, small: pd.DataFrame) -> None:
    labels = np.sign(np.round(small["Returns"] * 50)).astype(int)
    model = DecisionTreeClassifier(max_depth=4).fit(small.to_numpy(), labels)
    assert set(model.classes_) == {-1, 0, 1}
    predictor = saved(model, tmp_path)
    assert predictor.description.output_kind is OutputKind.SIGNED_LABEL
    np.testing.assert_array_equal(predicted(predictor, small), model.predict(small.to_numpy()))
    probability = predicted(predictor, small, OutputKind.PROBABILITY)
    np.testing.assert_array_equal(probability, model.predict_proba(small.to_numpy())[:, 2])


def test_declared_kind_overrides_kind_of_model(tmp_path: Path, small: pd.DataFrame, rises: Labels) -> None:
    model = DecisionTreeClassifier(max_depth=3).fit(small.to_numpy(), rises)
    predictor = saved(model, tmp_path)
    labels = predicted(predictor, small, OutputKind.BINARY_LABEL)
    np.testing.assert_array_equal(labels, model.predict(small.to_numpy()))
    with pytest.raises(InvalidInput, match="is a classifier") as caught:
        predicted(predictor, small, OutputKind.VALUE)
    assert caught.value.field == "outputKind"


def test_declared_probability_without_probabilities_is_rejected(
    tmp_path: Path, small: pd.DataFrame, rises: Labels
) -> None:
    predictor = saved(make_pipeline(StandardScaler(), LinearSVC()).fit(small.to_numpy(), rises), tmp_path)
    with pytest.raises(InvalidInput, match=r"without P\(class 1\)") as caught:
        predicted(predictor, small, OutputKind.PROBABILITY)
    assert caught.value.field == "outputKind"


def test_grid_search_predicts_with_best_model(tmp_path: Path, small: pd.DataFrame, rises: Labels) -> None:
    search = GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=2, n_jobs=1).fit(small, rises)
    predictor = saved(search, tmp_path)
    assert_same_arithmetic(predicted(predictor, small), search.predict_proba(small)[:, 1])


def test_model_of_unknown_kind_warns_to_declare(tmp_path: Path, small: pd.DataFrame) -> None:
    for model in (KMeans(2, n_init=1, random_state=0), IsolationForest(n_estimators=5, random_state=0)):
        predictor = saved(model.fit(small.to_numpy()), tmp_path)
        assert predictor.description.output_kind is None
        assert any("Declare outputKind" in warning for warning in predictor.description.warnings)
        assert predicted(predictor, small, OutputKind.SIGNED_LABEL).shape == (len(small),)


def test_other_sklearn_version_gives_warning(tmp_path: Path, small: pd.DataFrame, rises: Labels) -> None:
    model = RandomForestClassifier(5, random_state=0).fit(small.to_numpy(), rises)
    content = pickle.dumps(model, protocol=2)
    made = "1.5.2".ljust(len(sklearn.__version__), "0")
    old = content.replace(sklearn.__version__.encode(), made.encode())
    assert old != content
    (tmp_path / "old.pkl").write_bytes(old)
    description = load_model(tmp_path / "old.pkl", ".pkl").description
    assert description.library_version == made
    assert len(description.warnings) == 1
    assert f"saved with scikit-learn {made} and loaded with {sklearn.__version__}" in description.warnings[0]


OLD_FILES = Path(__file__).parent / "scikit_learn_1_3_2"
"""Made by `made_by.py` beside them, with what the models said then."""


@pytest.mark.parametrize("name", ["pipeline", "svc", "forest_regressor", "adaboost_samme_of_lines"])
def test_old_files_predicting_equally_are_accepted_with_warning(name: str) -> None:
    predictor = load_model(OLD_FILES / f"{name}.pkl", ".pkl")
    rows = np.loadtxt(OLD_FILES / "rows.csv", delimiter=",")
    then = np.loadtxt(OLD_FILES / f"{name}.csv")
    np.testing.assert_allclose(predictor.predict(rows, COLUMNS)[0], then, rtol=1e-12)
    assert any("saved with scikit-learn 1.3.2" in warning for warning in predictor.description.warnings)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("tree", "saved by scikit-learn before 1.4 and would give wrong probabilities"),
        ("forest", "saved by scikit-learn before 1.4 and would give wrong probabilities"),
        ("adaboost", r"SAMME\.R, which scikit-learn \S+ does not know"),
        ("gradient_boosting", "made with another version"),
    ],
)
def test_old_files_predicting_otherwise_are_rejected(name: str, reason: str) -> None:
    with pytest.raises(ModelRejected, match=reason) as caught:
        load_model(OLD_FILES / f"{name}.pkl", ".pkl")
    assert "ONNX" in caught.value.message


def test_prediction_failure_names_version_of_file() -> None:
    predictor = load_model(OLD_FILES / "imputer.pkl", ".pkl")
    with pytest.raises(ModelRejected, match=r"fails to predict.*\(Saved with scikit-learn 1\.3\.2; here is"):
        predictor.predict(np.ones((2, 3)), COLUMNS)


def test_every_part_of_estimator_has_one_thread(tmp_path: Path, small: pd.DataFrame, rises: Labels) -> None:
    forest = RandomForestClassifier(3, n_jobs=-1, random_state=0)
    search = GridSearchCV(make_pipeline(forest), {"randomforestclassifier__max_depth": [2]}, cv=2, n_jobs=1)
    joblib.dump(search.fit(small, rises), tmp_path / "model.joblib")
    loaded: Any = load_model(tmp_path / "model.joblib", ".joblib")
    assert loaded._model.best_estimator_[0].n_jobs == 1  # the fitted one, which predicts


class Own:
    """A class of the user's own script."""

    def __init__(self) -> None:
        self.level = 1.0

    def predict(self, rows: Any) -> Any:
        return np.asarray(rows)[:, 0] * self.level


def test_missing_parts_of_pickle_are_named(tmp_path: Path) -> None:
    module = types.ModuleType("my_strategy_code")
    own = type("MyModel", (Own,), {"__module__": "my_strategy_code"})
    module.MyModel = own  # type: ignore[attr-defined]
    sys.modules["my_strategy_code"] = module
    try:
        content = pickle.dumps(own())
    finally:
        del sys.modules["my_strategy_code"]
    (tmp_path / "own.pkl").write_bytes(content)
    with pytest.raises(ModelRejected, match='needs the Python module "my_strategy_code"') as caught:
        load_model(tmp_path / "own.pkl", ".pkl")
    assert "ONNX" in caught.value.message
    # A class of a script is looked for in a module that exists here, too, but lacks it.
    (tmp_path / "main.pkl").write_bytes(b"cbuiltins\nMyModel\n)R.")
    with pytest.raises(ModelRejected, match="class or function that is not here"):
        load_model(tmp_path / "main.pkl", ".pkl")


def test_old_gradient_boosting_is_rejected_with_advice(tmp_path: Path) -> None:
    # What scikit-learn 1.5 wrote for the loss of a GradientBoostingClassifier.
    (tmp_path / "old.pkl").write_bytes(b"c_loss\nCyHalfBinomialLoss\n)R.")
    with pytest.raises(ModelRejected, match="save it again") as caught:
        load_model(tmp_path / "old.pkl", ".pkl")
    assert "No module named '_loss'" in caught.value.message
    assert "ONNX" in caught.value.message


def test_object_with_predict_is_accepted_with_warning(tmp_path: Path, small: pd.DataFrame) -> None:
    predictor = saved(Own(), tmp_path)
    assert predictor.description.output_kind is None
    assert "not a scikit-learn estimator" in predictor.description.warnings[0]
    assert predicted(predictor, small).tolist() == small["Close"].tolist()


class OwnClassifier(Own):
    """The same with classes, as scikit-learn names them."""

    classes_ = np.array([0, 1])

    def predict(self, rows: Any) -> Any:
        return (super().predict(rows) > 100).astype(int)


def test_classes_of_custom_model_are_read(tmp_path: Path, small: pd.DataFrame) -> None:
    predictor = saved(OwnClassifier(), tmp_path)
    assert predictor.description.output_kind is OutputKind.BINARY_LABEL
    assert predicted(predictor, small).tolist() == (small["Close"] > 100).astype(float).tolist()


def test_anything_but_fitted_model_is_rejected(tmp_path: Path, small: pd.DataFrame, rises: Labels) -> None:
    assert "no fitted model" in refusal({"model": DummyClassifier(), "scaler": None}, tmp_path)
    assert "is not fitted" in refusal(LogisticRegression(), tmp_path)
    assert "the class LogisticRegression itself" in refusal(LogisticRegression, tmp_path)
    several = MultiOutputClassifier(DecisionTreeClassifier()).fit(small, np.column_stack([rises, rises]))
    assert "several outputs" in refusal(several, tmp_path)
    assert "neither buy, sell nor hold" in refusal(DummyClassifier().fit(small, rises + 4), tmp_path)


def test_several_numbers_a_bar_are_rejected(tmp_path: Path, small: pd.DataFrame, rises: Labels) -> None:
    model = DecisionTreeRegressor(max_depth=1).fit(small, np.column_stack([rises, rises]))
    with pytest.raises(ModelRejected, match="2 numbers a bar"):
        predicted(saved(model, tmp_path), small)


def test_prediction_failure_is_explained(tmp_path: Path, small: pd.DataFrame, rises: Labels) -> None:
    predictor = saved(LogisticRegression().fit(small.to_numpy(), rises), tmp_path)
    with pytest.raises(ModelRejected, match=r"fails to predict.*expecting 3 features"):
        predictor.predict(small.to_numpy()[:, :2], COLUMNS[:2])


def test_path_of_file_is_hidden_from_client(tmp_path: Path) -> None:
    file = tmp_path / "text.joblib"
    file.write_bytes(b"\x80\x05X" + b"\xff" * 8)
    with pytest.raises(ModelRejected) as caught:
        load_model(file, ".joblib")
    assert str(tmp_path) not in caught.value.message
