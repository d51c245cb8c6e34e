"""Run rules that read an uploaded model through a running service: both APIs, judgement, rerun, store."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import httpx
import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler, scale
from sklearn.tree import DecisionTreeClassifier

COLUMNS = ["Open", "High", "Low", "Close", "Volume"]
USER = "rules-with-models"
LIMIT = 1000
RULES = {"buy": "model() > {p} and close > sma(200)", "sell": "model() < 0.4", "parameters": {"p": 0.6}}


class Trained(NamedTuple):
    """All bars before the end of the range, the pipeline that was fitted on them, and its stored name."""

    bars: pd.DataFrame
    pipeline: Any
    path: str


def post(url: str, body: Any) -> Any:
    answer = httpx.post(url, json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def upload(service: str, pipeline: Any) -> str:
    content = io.BytesIO()
    joblib.dump(pipeline, content)
    form = {"user_id": USER, "model_name": "rises"}
    files = {"file": ("model.joblib", content.getvalue())}
    answer = httpx.post(f"{service}/api/models/upload", data=form, files=files, timeout=60)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data"]["filename"])


@pytest.fixture(scope="module")
def trained(service: str) -> Trained:
    document = '{ fetchOhlcv(input: {symbol: "BTCUSDT", limit: 1400}) { Date Open High Low Close Volume } }'
    bars = pd.DataFrame(post(f"{service}/graphql", {"query": document})["fetchOhlcv"])
    rises = np.append(bars.Close[1:].to_numpy() > bars.Close[:-1].to_numpy(), False)
    pipeline = make_pipeline(StandardScaler(), DecisionTreeClassifier(min_samples_leaf=5, random_state=0))
    pipeline.fit(bars[COLUMNS].to_numpy(), rises)
    return Trained(bars, pipeline, upload(service, pipeline))


def run(service: str, path: str, model: dict[str, Any] | None = None, rules: dict[str, Any] = RULES) -> Any:
    chosen = {**rules, "model": {"model_path": path, "feature_columns": COLUMNS, **(model or {})}}
    body = {"user_id": USER, "symbol": "BTCUSDT", "limit": LIMIT, "strategy": {"rules": chosen}}
    return post(f"{service}/api/backtests", body)


def expected_signals(trained: Trained) -> list[str]:
    """Predict with the library that trained the model, and follow the rules by hand."""
    chance = trained.pipeline.predict_proba(trained.bars[COLUMNS].to_numpy())[:, 1]
    is_high = (trained.bars.Close > trained.bars.Close.rolling(200).mean()).to_numpy()
    signals, is_long = [], False
    for bar in range(len(chance) - LIMIT, len(chance)):
        buys, sells = chance[bar] > 0.6 and is_high[bar], chance[bar] < 0.4
        change = "buy" if buys and not is_long else "sell" if sells and is_long else "hold"
        is_long = is_long if change == "hold" else change == "buy"
        signals.append(change)
    return signals


def test_rules_trade_the_model_that_its_library_predicts(service: str, trained: Trained) -> None:
    result = run(service, trained.path)
    assert [row["signal"] for row in result["data"]] == expected_signals(trained)
    chance = trained.pipeline.predict_proba(trained.bars[COLUMNS].to_numpy()[-LIMIT:])[:, 1]
    np.testing.assert_allclose([row["probability"] for row in result["data"]], chance, rtol=1e-12)
    strategy = result["strategy"]
    assert (strategy["name"], strategy["model_path"], strategy["feature_columns"]) == ("Rules", trained.path, COLUMNS)
    assert strategy["model_sha256"] is not None
    assert strategy["parameters"]["outputKind"] == "probability"
    assert (strategy["lookback_bars"], strategy["warm_up_bars"]) == (199, 199)
    assert result["total_trades"] > 3


def test_graphql_gives_the_result_of_rest(service: str, trained: Trained) -> None:
    over_rest = run(service, trained.path)
    document = """
    mutation ($input: RunBacktestInput!) {
      runBacktest(input: $input) {
        metrics { total_return total_trades } strategy { modelSha256 parameters } warnings data { Date signal }
      }
    }
    """
    model = {"modelPath": trained.path, "featureColumns": COLUMNS}
    given = {"userId": USER, "symbol": "BTCUSDT", "fetchInput": {"limit": LIMIT}}
    given["strategy"] = {"rules": {**RULES, "model": model}}
    over_graphql = post(f"{service}/graphql", {"query": document, "variables": {"input": given}})["runBacktest"]
    assert [row["signal"] for row in over_graphql["data"]] == [row["signal"] for row in over_rest["data"]]
    assert over_graphql["metrics"] == {key: over_rest["metrics"][key] for key in ("total_return", "total_trades")}
    assert over_graphql["strategy"]["modelSha256"] == over_rest["strategy"]["model_sha256"]
    assert over_graphql["strategy"]["parameters"] == over_rest["strategy"]["parameters"]


def test_result_is_stored_and_reproduced(service: str, trained: Trained) -> None:
    result = run(service, trained.path)
    path = f"{service}/api/backtests/{result['id']}"
    stored = httpx.get(path, timeout=60).json()["data"]
    assert {**stored, "timings": None} == {**result, "timings": None}
    again = httpx.post(f"{path}/rerun", timeout=60).json()["data"]
    assert (again["is_reproduced"], again["differences"]) == (True, [])


def test_training_window_splits_the_judgement(service: str, trained: Trained) -> None:
    days = [date[:10] for date in trained.bars.Date[-LIMIT:]]
    result = run(service, trained.path, {"trained_from": days[0], "trained_to": days[699], "label_horizon": 0})
    assert result["judgement"]["leaks"]["training"]["bars_seen"] == 700
    assert (result["in_sample"]["metrics"]["bars"], result["out_of_sample"]["metrics"]["bars"]) == (700, 300)
    assert result["strategy"]["trained_to"] == f"{days[699]}T23:59:59.999Z"


def test_audit_tells_a_model_that_reads_other_rows(service: str, trained: Trained) -> None:
    honest = run(service, trained.path)["judgement"]["leaks"]["rows"]
    assert (honest["rows"], honest["differing"]) == (LIMIT, 0)
    careless = make_pipeline(FunctionTransformer(scale), DecisionTreeClassifier(min_samples_leaf=5, random_state=0))
    table = trained.bars[COLUMNS].to_numpy()
    careless.fit(table, np.append(np.diff(table[:, 3]) > 0, False))
    found = run(service, upload(service, careless))["judgement"]
    assert found["leaks"]["rows"]["differing"] > 0
    assert found["leaks"]["rows"]["signals"]["compared"] > 0
    assert found["verdict"]["level"] == "DISPROVED"


def test_trial_key_has_rules_and_model_hash(service: str, trained: Trained) -> None:
    def trials(path: str, p: float) -> int:
        result = run(service, path, rules={**RULES, "parameters": {"p": p}})
        return int(result["judgement"]["deflation"]["trials"])

    first = trials(trained.path, 0.61)
    assert trials(trained.path, 0.61) == first
    assert trials(upload(service, trained.pipeline), 0.61) == first
    assert trials(trained.path, 0.95) == first + 1


@pytest.mark.parametrize(
    ("rules", "field", "message"),
    [
        ({"buy": "model() > 0.6"}, "model", "model is required if a rule calls model(). Name a stored model in it by"),
        ({"buy": "model() > 0.6", "model": {}}, "model", "model is required if a rule calls model()."),
        ({"buy": "close > 1", "model": {"model_path": "m.pkl"}}, "model", "but no rule calls model()."),
        ({"buy": "model() > 0.6", "model": {"feature_columns": ["Close"]}}, "model_path", "model_path is required"),
        ({"buy": "model() > 0.6", "model": {"model_path": "m.pkl", "threshold": 0.6}},
         "strategy.rules.model.threshold", "Unknown field 'strategy.rules.model.threshold'. Known fields: model_path,"),
        ({"buy": "model() > 0.6", "model_path": "m.pkl"}, "strategy.rules.model_path", "cover, parameters, model."),
    ],
)  # fmt: skip
def test_wrong_model_is_named(service: str, rules: dict[str, Any], field: str, message: str) -> None:
    body = {"user_id": USER, "symbol": "BTCUSDT", "strategy": {"rules": rules}}
    answer = httpx.post(f"{service}/api/backtests", json=body, timeout=60)
    assert answer.status_code == 422
    assert answer.json()["field"] == field
    assert message in answer.json()["message"]


def test_unknown_model_is_not_found(service: str) -> None:
    rules = {"buy": "model() > 0.6", "model": {"model_path": "nobody.pkl"}}
    body = {"user_id": USER, "symbol": "BTCUSDT", "strategy": {"rules": rules}}
    answer = httpx.post(f"{service}/api/backtests", json=body, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (404, "MODEL_NOT_FOUND")
