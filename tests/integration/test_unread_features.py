"""Check a model of Close and Returns on bars without volume: a missing column that it does not read does not matter."""

from __future__ import annotations

import io
from dataclasses import replace

import httpx
import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from src.domain.bars import Bars
from tests.bar_files import csv_of_bars, simulated
from tests.pandas_features import pandas_features

USER = "unread"
COLUMNS = ["Close", "Returns"]
RUN = """mutation ($input: MLBacktestInput!) { runMlBacktest(input: $input) {
  data { probability } warnings strategy { parameters } metrics { annualisation } } }"""


@pytest.fixture(scope="module")
def bars() -> Bars:
    made = simulated(300)
    return replace(made, volume=np.zeros(len(made)))


@pytest.fixture(scope="module")
def market(service: str, bars: Bars) -> dict[str, str]:
    """Upload the bars as a dataset, and return the market part of a request for it."""
    fields = {"user_id": USER, "symbol": "BTCUSDT", "name": "silent", "interval": "1h"}
    sent = httpx.post(
        f"{service}/api/data/upload", data=fields, files={"file": ("b.csv", csv_of_bars(bars))}, timeout=60
    )
    assert sent.status_code == 200, sent.text
    return {"symbol": "BTCUSDT", "interval": "1h", "source": "silent"}


def train(bars: Bars, columns: list[str]) -> tuple[bytes, np.ndarray]:
    """Return a model file that reads these columns, and its own probability at each bar (NaN: no prediction)."""
    table: pd.DataFrame = pandas_features(bars)[columns]
    usable = table.fillna(0.0)
    model = LogisticRegression().fit(usable, np.arange(len(usable)) % 3 == 0)
    probability = np.where(table.notna().all(axis=1), model.predict_proba(usable)[:, 1], np.nan)
    file = io.BytesIO()
    joblib.dump(model, file)
    return file.getvalue(), probability


def test_missing_unread_features_do_not_stop_predictions(service: str, bars: Bars, market: dict[str, str]) -> None:
    content, expected = train(bars, COLUMNS)
    assert np.count_nonzero(np.isnan(expected)) == 1
    file = {"file": ("two.pkl", content)}
    by_rest = httpx.post(
        f"{service}/api/models/backtest/ml", data={"user_id": USER, **market}, files=file, timeout=120
    ).json()
    kept = httpx.post(
        f"{service}/api/models/upload", data={"user_id": USER, "model_name": "two"}, files=file, timeout=120
    ).json()
    asked = {
        "userId": USER,
        "symbol": "BTCUSDT",
        "fetchInput": market,
        "mlModel": {"modelPath": kept["data"]["filename"]},
    }
    by_graphql = httpx.post(
        f"{service}/graphql", json={"query": RUN, "variables": {"input": asked}}, timeout=120
    ).json()["data"]["runMlBacktest"]
    for result in (by_rest["data"], by_graphql):
        given = [np.nan if row["probability"] is None else row["probability"] for row in result["data"]]
        np.testing.assert_allclose(given, expected, atol=1e-9)
        assert result["strategy"]["parameters"]["featureColumns"] == COLUMNS
        assert not any("column that is missing" in warning for warning in result["warnings"])


def test_missing_column_of_the_model_is_named(service: str, bars: Bars, market: dict[str, str]) -> None:
    content, _ = train(bars, ["Close", "Volume_Ratio"])
    answer = httpx.post(
        f"{service}/api/models/backtest/ml",
        data={"user_id": USER, **market},
        files={"file": ("ratio.pkl", content)},
        timeout=120,
    ).json()
    assert answer["success"], answer
    [warning] = [warning for warning in answer["data"]["warnings"] if "column that is missing" in warning]
    assert "Volume_Ratio on 300 (the bars of its mean have no volume)" in warning
    assert "ask for" not in warning.lower()
