"""Honest models are not condemned: twenty estimators of scikit-learn on real bars, and a quantized network."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sklearn import (
    discriminant_analysis,
    ensemble,
    gaussian_process,
    linear_model,
    naive_bayes,
    neighbors,
    neural_network,
    svm,
    tree,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures, StandardScaler

from src.domain.bars import Bars
from tests.integration.conftest import REAL_FILE
from tests.market import read_klines
from tests.pandas_features import pandas_features

LIMIT, HALF = 800, 400
COLUMNS = ["Returns", "Returns_5", "Volatility_5", "Volatility_10", "Volume_Ratio"]
LEAKS = {
    "LOOKS_AHEAD", "NOT_REPEATABLE", "DEPENDS_ON_OTHER_ROWS", "TRAINED_ON_THIS_WINDOW", "HIGH_HIT_RATE",
    "UNEVEN_HIT_RATE", "LOSES_WHEN_DELAYED",
}  # fmt: skip

ESTIMATORS: dict[str, Any] = {
    "logistic regression": linear_model.LogisticRegression(),
    "ridge classifier": linear_model.RidgeClassifier(),
    "stochastic gradient": linear_model.SGDClassifier(loss="log_loss", random_state=1),
    "perceptron": linear_model.Perceptron(random_state=1),
    "linear regression": linear_model.LinearRegression(),
    "ridge": linear_model.Ridge(),
    "lasso": linear_model.Lasso(alpha=1e-4),
    "Huber": linear_model.HuberRegressor(),
    "naive Bayes": naive_bayes.GaussianNB(),
    "linear discriminant": discriminant_analysis.LinearDiscriminantAnalysis(),
    "quadratic discriminant": discriminant_analysis.QuadraticDiscriminantAnalysis(),
    "nearest neighbors": neighbors.KNeighborsClassifier(15),
    "tree": tree.DecisionTreeClassifier(max_depth=4, random_state=1),
    "forest": ensemble.RandomForestClassifier(20, random_state=1, n_jobs=1),
    "extra trees": ensemble.ExtraTreesClassifier(20, random_state=1, n_jobs=1),
    "gradient boosting": ensemble.GradientBoostingClassifier(n_estimators=20, random_state=1),
    "histogram boosting": ensemble.HistGradientBoostingClassifier(max_iter=20, random_state=1),
    "AdaBoost": ensemble.AdaBoostClassifier(n_estimators=10, random_state=1),
    "network": neural_network.MLPClassifier((8,), max_iter=400, random_state=1),
    "support vectors": svm.SVC(probability=False),
    "Gaussian process": gaussian_process.GaussianProcessRegressor(alpha=1e-2),
    "polynomial pipeline": make_pipeline(MinMaxScaler(), PolynomialFeatures(2), linear_model.LogisticRegression()),
}


pytestmark = pytest.mark.shared_data


@pytest.fixture(scope="module")
def bars(shared_data: Path) -> Bars:
    return read_klines(shared_data / REAL_FILE.name, interval="1d").slice(-LIMIT, 10**9)


def train(name: str, bars: Bars) -> Any:
    """Return a pipeline that is fitted on the first half to predict the next bar's direction, or its return."""
    frame = pandas_features(bars)[COLUMNS]
    change = np.append(bars.close[1:] / bars.close[:-1] - 1, 0.0)
    known = frame.notna().all(axis=1).to_numpy() & (np.arange(len(bars)) < HALF)
    estimator = ESTIMATORS[name]
    is_regression = getattr(estimator, "_estimator_type", None) == "regressor" or "Regress" in type(estimator).__name__
    is_number = is_regression and "Logistic" not in type(estimator).__name__
    target = change if is_number or name in ("ridge", "lasso") else (change > 0).astype(int)
    return make_pipeline(StandardScaler(), estimator).fit(frame[known], target[known])


def backtest(service: str, file: bytes, filename: str, bars: Bars, **fields: str) -> dict[str, Any]:
    days = [
        str(np.datetime64(int(time), "ms").astype("datetime64[D]")) for time in bars.open_time_ms[[0, HALF - 1, -1]]
    ]
    form = {"user_id": "honest", "symbol": "BTCUSDT", "start_date": days[0], "end_date": days[2], "trained_to": days[1]}
    sent = httpx.post(
        f"{service}/api/models/backtest/ml", data=form | fields, files={"file": (filename, file)}, timeout=120
    )
    assert sent.status_code == 200, sent.text
    result: dict[str, Any] = sent.json()["data"]
    return result


def codes_of(judgement: dict[str, Any]) -> set[str]:
    return {reason["code"] for reason in judgement["verdict"]["reasons"]}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_honest_estimator_has_no_leak_reason(service: str, bars: Bars, name: str) -> None:
    model = train(name, bars)
    kind = {} if hasattr(model[-1], "predict_proba") else {"output_kind": "value", "threshold": "0"}
    if hasattr(model[-1], "classes_") and kind:
        kind = {"output_kind": "binary_label"}
    result = backtest(service, pickle.dumps(model), "honest.pkl", bars, **kind)
    after = result["out_of_sample"]["judgement"]
    assert after["verdict"]["level"] != "DISPROVED"
    assert codes_of(after).isdisjoint(LEAKS)
    assert after["leaks"]["rows"]["differing"] == 0


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("first", "layers", "alpha", "least_share"),
    # A day of extreme volume sets the steps of all: cut off before it, 11 % of the signals change.
    [(-LIMIT, (32, 16), 1e-4, 0.0), (507, (64, 32, 16), 0.1, 0.02)],
)
def test_dynamically_quantized_network_is_not_disproved(
    service: str,
    shared_data: Path,
    tmp_path: Path,
    first: int,
    layers: tuple[int, ...],
    alpha: float,
    least_share: float,
) -> None:
    for library in ("onnx", "onnxruntime", "skl2onnx"):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed: pip install -r requirements-models.txt -r requirements-dev.txt")
    from onnxruntime.quantization import QuantType, quantize_dynamic  # type: ignore[import-untyped]
    from skl2onnx import to_onnx  # type: ignore[import-untyped]

    bars = read_klines(shared_data / REAL_FILE.name, interval="1d").slice(first, 10**9).slice(0, LIMIT)
    frame = pandas_features(bars)
    rises = np.append(bars.close[1:] > bars.close[:-1], False).astype(int)
    known = frame.notna().all(axis=1).to_numpy() & (np.arange(len(bars)) < HALF)
    network = neural_network.MLPClassifier(layers, alpha=alpha, max_iter=200, random_state=1)
    model = make_pipeline(StandardScaler(), network).fit(frame[known].to_numpy(np.float32), rises[known])
    whole, quantized = tmp_path / "whole.onnx", tmp_path / "quantized.onnx"
    sample = np.zeros((1, frame.shape[1]), np.float32)
    whole.write_bytes(to_onnx(model, sample, options={"zipmap": False}, target_opset=17).SerializeToString())
    quantize_dynamic(str(whole), str(quantized), weight_type=QuantType.QUInt8)
    result = backtest(service, quantized.read_bytes(), "quantized.onnx", bars)
    for judgement in (result["judgement"], result["out_of_sample"]["judgement"]):
        rows = judgement["leaks"]["rows"]
        assert rows["differing"] > 0
        assert rows["signals"]["changed"] >= least_share * rows["signals"]["compared"]
        assert "LOOKS_AHEAD" not in codes_of(judgement)
        assert judgement["verdict"]["level"] != "DISPROVED"
