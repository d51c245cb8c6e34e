"""Train a small classifier on simulated candles, save it in four formats, backtest each over HTTP: the same signals.

The model is trained on the first half only, and says so: what counts is the return after its training.

    python run.py dev                                  # in another terminal
    python examples/train_and_backtest.py              # --url http://localhost:5050

It uses what a notebook would: httpx, pandas and scikit-learn. ONNX needs skl2onnx and TorchScript needs torch; a format
whose library is missing is left out, and the example says so.
"""

from __future__ import annotations

import argparse
import json
import pickle
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

USER = "example"
MARKET = {"symbol": "BTCUSDT", "interval": "1h", "limit": 3000, "source": "simulated", "seed": 7}
TRAINING_SHARE = 0.5
FETCH = "query ($input: OHLCVFetchInput!) { fetchOhlcv(input: $input) { Date Open High Low Close Volume } }"


def fetch_candles(client: httpx.Client) -> pd.DataFrame:
    """Return the candles that the service will backtest on."""
    answer = client.post("/graphql", json={"query": FETCH, "variables": {"input": MARKET}}).json()
    if "errors" in answer:
        sys.exit(f"The service refused: {answer['errors'][0]['message']}")
    return pd.DataFrame(answer["data"]["fetchOhlcv"])


def make_features(candles: pd.DataFrame) -> pd.DataFrame:
    """Return the 14 columns that the service makes, in its order (see docs/models.md)."""
    features = candles[["Open", "High", "Low", "Close", "Volume"]].copy()
    for length in (5, 10, 20):
        features[f"SMA_{length}"] = candles["Close"].rolling(length).mean()
    features["Returns"] = candles["Close"].pct_change()
    features["Returns_5"] = candles["Close"].pct_change(5)
    for length in (5, 10):
        features[f"Volatility_{length}"] = features["Returns"].rolling(length).std()
    features["Volume_SMA_5"] = candles["Volume"].rolling(5).mean()
    features["Volume_Ratio"] = candles["Volume"] / features["Volume_SMA_5"]
    return features


def train(candles: pd.DataFrame) -> Pipeline:
    """Fit "the next close is higher" on the first half of the candles; the second half the model never sees."""
    features = make_features(candles)
    is_up = (candles["Close"].shift(-1) > candles["Close"]).astype(int)
    rows = features.notna().all(axis=1) & (np.arange(len(features)) < TRAINING_SHARE * len(features))
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1)).fit(features[rows], is_up[rows])


def save_pickle(model: Pipeline, folder: Path) -> Path:
    path = folder / "example.pkl"
    path.write_bytes(pickle.dumps(model))
    return path


def save_joblib(model: Pipeline, folder: Path) -> Path:
    path = folder / "example.joblib"
    joblib.dump(model, path)
    return path


def save_onnx(model: Pipeline, folder: Path) -> Path:
    from skl2onnx import to_onnx

    path = folder / "example.onnx"
    sample = np.zeros((1, model.n_features_in_), dtype=np.float32)
    path.write_bytes(to_onnx(model, sample, options={"zipmap": False}).SerializeToString())
    return path


def save_torchscript(model: Pipeline, folder: Path) -> Path:
    """Write the same arithmetic as a TorchScript module: (x − mean) ÷ scale, weights, sigmoid."""
    import warnings

    import torch

    scaler, regression = model[0], model[-1]

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.tensor(scaler.mean_))
            self.register_buffer("scale", torch.tensor(scaler.scale_))
            self.linear = torch.nn.Linear(len(scaler.mean_), 1, dtype=torch.float64)
            self.linear.weight.data = torch.tensor(regression.coef_)
            self.linear.bias.data = torch.tensor(regression.intercept_)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sigmoid(self.linear((x.double() - self.mean) / self.scale))

    path = folder / "example.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit still works, and is what the service reads
        torch.jit.script(Network()).save(str(path))
    return path


FORMATS: dict[str, Callable[[Pipeline, Path], Path]] = {
    "pickle": save_pickle,
    "joblib": save_joblib,
    "ONNX": save_onnx,
    "TorchScript": save_torchscript,
}


def backtest(client: httpx.Client, path: Path, trained_to: str) -> dict[str, Any]:
    """Send the model file with its request, as a front end would, and say until when it was trained."""
    form = {"user_id": USER, **{name: str(value) for name, value in MARKET.items()}, "threshold": "0.5"}
    form["trained_to"] = trained_to
    with path.open("rb") as file:
        answer = client.post("/api/models/backtest/ml", data=form, files={"file": (path.name, file)}).json()
    if not answer.get("success"):
        sys.exit(f"{path.name}: {answer.get('message', json.dumps(answer))}")
    return answer["data"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://localhost:5050", help="address of the running service")
    url = parser.parse_args().url
    signals: dict[str, list[str]] = {}
    with httpx.Client(base_url=url, timeout=120) as client, tempfile.TemporaryDirectory() as folder:
        try:
            candles = fetch_candles(client)
        except httpx.HTTPError as error:
            sys.exit(f"No service answers at {url} ({error}); start one with: python run.py dev")
        model = train(candles)
        trained_to = candles["Date"][int(TRAINING_SHARE * len(candles)) - 1]
        print(f"Trained on the first half of {len(candles)} simulated candles, until {trained_to}.\n")
        print(
            f"{'format':<12} {'return %':>9} {'after training %':>17} {'trades':>7} {'buys':>5} {'sells':>6}  verdict"
        )
        for name, save in FORMATS.items():
            try:
                path = save(model, Path(folder))
            except ImportError as error:
                print(f"{name:<12} left out: {error.name} is not installed (pip install {error.name})")
                continue
            result = backtest(client, path, trained_to)
            signals[name] = [row["signal"] for row in result["data"]]
            metrics, after = result["metrics"], result["out_of_sample"]
            print(
                f"{name:<12} {metrics['total_return']:>9.2f} {after['metrics']['total_return']:>17.2f} "
                f"{metrics['total_trades']:>7} {signals[name].count('buy'):>5} {signals[name].count('sell'):>6}  "
                f"{after['judgement']['verdict']['level']}"
            )
    is_same = len({tuple(words) for words in signals.values()}) == 1
    print(f"\n{len(signals)} formats, {'the same signal at every bar' if is_same else 'and signals that differ'}.")
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())
