"""Try the REST API of a running service: upload a model, list it, find it, backtest with it, delete it.

    python tests/test_upload_api.py [--url http://127.0.0.1:5050] [--source simulated|binance]

Prints each step and ends with status 0 where all went well. Under pytest the same steps run against a service of
their own.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

FEATURES = (
    "Open", "High", "Low", "Close", "Volume", "SMA_5", "SMA_10", "SMA_20", "Returns", "Returns_5", "Volatility_5",
    "Volatility_10", "Volume_SMA_5", "Volume_Ratio",
)  # fmt: skip
USER_ID = "upload-api-check"
TIMEOUT_S = 120.0


class StepFailed(Exception):
    """The service answered otherwise than its contract says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The model endpoints of a service."""

    url: str

    def ask(self, method: str, path: str, *, expected: Sequence[int] = (200,), **arguments: Any) -> dict[str, Any]:
        """Return the JSON of an answer; StepFailed where its status is not among the expected ones."""
        try:
            answer = httpx.request(method, self.url + path, timeout=TIMEOUT_S, **arguments)
        except httpx.TransportError as error:
            raise StepFailed(
                f"no service answers at {self.url} ({error}); start one with `python run.py dev`"
            ) from error
        body: dict[str, Any] = answer.json()
        if answer.status_code not in expected:
            raise StepFailed(f"{method} {path} answered {answer.status_code}: {body.get('message', body)}")
        return body

    def upload(self, file: Path, model_name: str) -> dict[str, Any]:
        with file.open("rb") as content:
            return self.ask(
                "POST",
                "/api/models/upload",
                files={"file": (file.name, content)},
                data={"user_id": USER_ID, "model_name": model_name},
            )

    def backtest(self, file: Path, **settings: Any) -> dict[str, Any]:
        with file.open("rb") as content:
            return self.ask(
                "POST",
                "/api/models/backtest/ml",
                files={"file": (file.name, content)},
                data={"user_id": USER_ID, **settings},
                expected=(200, 501),
            )


def make_model(folder: Path) -> Path:
    """Train a small classifier on random columns with the service's names, and save it as users do."""
    import joblib
    import numpy as np
    import pandas as pd
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    random = np.random.default_rng(7)
    columns = pd.DataFrame(random.normal(size=(200, len(FEATURES))), columns=list(FEATURES))
    rises = (columns["Returns"] + 0.5 * random.normal(size=200) > 0).astype(int)
    file = folder / "my_trading_model.pkl"
    joblib.dump(make_pipeline(StandardScaler(), LogisticRegression()).fit(columns, rises), file)
    return file


def check(condition: bool, what: str) -> None:
    if not condition:
        raise StepFailed(what)


def run_steps(url: str, source: str) -> None:
    """Go through the endpoints in order, printing each step; StepFailed at the first that is not as documented."""
    client = Client(url=url.rstrip("/"))
    with tempfile.TemporaryDirectory() as folder:
        file = make_model(Path(folder))
        print(f"1. made a model          {file.name}, {file.stat().st_size} bytes")

        uploaded = client.upload(file, "MyModel")["data"]
        check(uploaded["file_size"] == file.stat().st_size, f"file_size is {uploaded['file_size']}")
        check(uploaded["original_filename"] == file.name, "the original file name is another one")
        name = uploaded["filename"]
        print(f"2. uploaded it           {name}")
        try:
            listed = [model["filename"] for model in client.ask("GET", f"/api/models/user/{USER_ID}")["data"]]
            check(name in listed, "the upload is not in the list")
            print(f"3. listed the models     {len(listed)} of user {USER_ID}")

            found = client.ask("GET", f"/api/models/user/{USER_ID}/model/{name}/path")["data"]
            check(found["relative_path"] == uploaded["relative_path"], "the path is another one")
            print(f"4. asked for its path    {found['relative_path']}")

            show_backtest(client.backtest(file, symbol="BTCUSDT", interval="1d", limit=500, threshold=0.5,
                                          init_cash=10000.0, source=source, **seed_for(source)))  # fmt: skip
        finally:
            client.ask("DELETE", f"/api/models/user/{USER_ID}/model/{name}")
        print("6. deleted it")
        again = client.ask("DELETE", f"/api/models/user/{USER_ID}/model/{name}", expected=(404,))
        print(f"7. it is gone            {again['code']}")


def seed_for(source: str) -> dict[str, int]:
    return {"seed": 7} if source == "simulated" else {}


def show_backtest(answer: dict[str, Any]) -> None:
    if not answer["success"]:
        print(f"5. ML backtest           not run: {answer['message']}")
        return
    result = answer["data"]
    check(result["status"] == "success", f"status is {result['status']}")
    check(len(result["data"]) == result["metrics"]["bars"], "there is not one row a bar")
    print(
        f"5. ML backtest           {result['metrics']['bars']} bars from {result['origin']}: "
        f"return {result['total_return']:.2f} %, {result['total_trades']} trades"
    )


def test_upload_api(tmp_path: Path, capsys: Any) -> None:
    from src.settings import Settings
    from tests.server import RunningService

    # The environment and .env of this machine are not the test's business.
    with RunningService(Settings(_env_file=None, mongodb_uri=None, storage_dir=tmp_path / "storage")) as service:
        run_steps(service.url, "simulated")
    assert "7. it is gone            MODEL_NOT_FOUND" in capsys.readouterr().out
    assert not [path for path in (tmp_path / "storage" / USER_ID).rglob("*") if path.is_file()]


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:5050", help="the service's address")
    parser.add_argument(
        "--source", default="simulated", choices=("simulated", "binance"), help="where candles come from"
    )
    options = parser.parse_args(words)
    try:
        run_steps(options.url, options.source)
    except StepFailed as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        return 1
    print("All steps went as documented.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
