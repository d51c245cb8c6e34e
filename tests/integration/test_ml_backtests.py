"""Check model files through the whole service, with the sandbox, sent as real clients send them."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import pandas as pd
import pytest
import requests
from gql import Client, FileVar, gql
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.httpx import HTTPXAsyncTransport
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from src.domain.bars import Bars
from src.domain.intervals import INTERVALS
from src.stores.model_content import HEAD_BYTES
from src.stores.model_recognition import TAIL_BYTES, recognize_extension
from tests.conftest import SHARED_DATA
from tests.exchange import LoopbackExchange
from tests.integration.conftest import REAL_FILE, service_settings
from tests.market import random_bars, read_klines
from tests.model_factory import BOOSTERS, FORMATS, make_model_files, require_libraries
from tests.pandas_features import pandas_features
from tests.server import RunningService
from tests.user_document import ML, ML_INPUT, ML_WITH_FILE, ML_WITH_FILE_INPUT

THRESHOLD = 0.52
LIMIT = 1000


@pytest.fixture(scope="module")
def bars() -> Bars:
    """Return the bars of every request of this module."""
    if REAL_FILE.exists():
        return read_klines(SHARED_DATA / REAL_FILE.name, interval="1d").slice(-LIMIT, 10**9)
    made = random_bars(LIMIT, seed=17)
    return Bars(**{name: getattr(made, name) for name in made.__slots__} | {"symbol": "BTCUSDT"})


@pytest.fixture(scope="module")
def files(bars: Bars, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    require_libraries()
    return make_model_files(tmp_path_factory.mktemp("models"), bars)


def test_file_without_a_name_is_detected_by_content(files: Mapping[str, Path]) -> None:
    for name in FORMATS:
        content = files[name].read_bytes()
        expected = {"joblib": ".pkl", "pth": ".pt"}.get(name, f".{name}")
        assert recognize_extension(content[:HEAD_BYTES], content[-TAIL_BYTES:]) == expected, name


FIVE = ["Open", "High", "Low", "Close", "Volume"]


@pytest.fixture(scope="module")
def five(bars: Bars, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model of the five columns of the user's own examples."""
    table = np.column_stack([bars.open, bars.high, bars.low, bars.close, bars.volume])
    rises = np.append(bars.close[1:] > bars.close[:-1], False)
    file = tmp_path_factory.mktemp("five") / "my_trading_model.pkl"
    joblib.dump(make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=5)).fit(table, rises), file)
    return file


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ml-storage")


@pytest.fixture(scope="module")
def service(bars: Bars, storage: Path) -> Iterator[str]:
    """Start the service on exactly these bars."""
    end_ms = int(bars.open_time_ms[-1]) + INTERVALS["1d"].milliseconds + 1
    with LoopbackExchange([bars]) as exchange:
        assert end_ms < time.time() * 1000, "the last candle is closed"
        with RunningService(service_settings(exchange.url, storage)) as running:
            yield running.url


@pytest.fixture
def nothing_left(storage: Path) -> Iterator[None]:
    """Check that no temporary file exists once the request has ended."""
    yield
    deadline = time.monotonic() + 10
    while any((storage / ".tmp").glob("*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert list((storage / ".tmp").glob("*")) == []


FORM = {"user_id": "user123", "symbol": "BTCUSDT", "interval": "1d", "limit": str(LIMIT), "threshold": str(THRESHOLD)}


def by_requests(url: str, file: Path, **params: str) -> Any:
    """Send a request with the user's own function."""
    with file.open("rb") as opened:
        files = {"file": opened}
        return requests.post(f"{url}/api/models/backtest/ml", files=files, data=params, timeout=120).json()


def expected_words(probability: np.ndarray) -> list[str]:
    said, is_long = [], False
    for chance in probability:
        wish = is_long if np.isnan(chance) else bool(chance >= THRESHOLD)
        said.append({1: "buy", -1: "sell", 0: "hold"}[int(wish) - int(is_long)])
        is_long = wish
    return said


def outside(file: Path, bars: Bars) -> np.ndarray:
    """Predict with the library that trained the model, on features that pandas made."""
    frame: pd.DataFrame = pandas_features(bars)
    known = frame.notna().all(axis=1).to_numpy()
    probability = np.full(len(frame), np.nan)
    probability[known] = pickle.loads(file.read_bytes()).predict_proba(frame[known])[:, 1]
    return probability


@pytest.mark.parametrize("name", [*FORMATS, *BOOSTERS])
def test_every_format_gives_its_librarys_signals(
    service: str, files: Mapping[str, Path], bars: Bars, name: str, nothing_left: None
) -> None:
    answer = by_requests(service, files[name], **FORM)
    assert answer["success"] is True, answer
    result = answer["data"]
    expected = outside(files[name if name in BOOSTERS else "pkl"], bars)
    given = np.array([np.nan if row["probability"] is None else row["probability"] for row in result["data"]])
    np.testing.assert_allclose(given, expected, atol=1e-5)
    if not np.any(np.abs(expected - THRESHOLD) < 1e-5):
        assert [row["signal"] for row in result["data"]] == expected_words(expected)
    assert result["total_trades"] > 10
    assert result["model_sha256"] is not None
    assert result["strategy"]["parameters"]["outputKind"] == "probability"
    assert len(result["strategy"]["parameters"]["featureColumns"]) == 14


NODE_REST = """
import { openAsBlob } from "node:fs";
const [url, path, params] = process.argv.slice(1);
const formData = new FormData();
formData.append("file", await openAsBlob(path), path.split("/").pop());
const backtestParams = JSON.parse(params);
Object.keys(backtestParams).forEach(key => { formData.append(key, backtestParams[key]); });
const response = await fetch(url + "/api/models/backtest/ml", { method: "POST", body: formData });
console.log(JSON.stringify(await response.json()));
"""
NODE_GRAPHQL = """
import { openAsBlob } from "node:fs";
const [url, path, mutation, input] = process.argv.slice(1);
const formData = new FormData();
formData.append("operations", JSON.stringify({ query: mutation, variables: { file: null, input: JSON.parse(input) } }));
formData.append("map", JSON.stringify({ "0": ["variables.file"] }));
formData.append("0", await openAsBlob(path), path.split("/").pop());
const response = await fetch(url + "/graphql", { method: "POST", body: formData });
console.log(JSON.stringify(await response.json()));
"""


def node(*arguments: str) -> Any:
    command = ["node", "--input-type=module", "-e", *arguments]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True, timeout=120).stdout)


def rest_by_curl(url: str, file: Path) -> Any:
    fields = [word for name, value in FORM.items() for word in ("-F", f"{name}={value}")]
    command = ["curl", "-sS", "-F", f"file=@{file}", *fields, f"{url}/api/models/backtest/ml"]
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=120).stdout)


def rest_by_node(url: str, file: Path) -> Any:
    return node(NODE_REST, url, str(file), json.dumps(FORM))


REST_CLIENTS: Mapping[str, Callable[[str, Path], Any]] = {
    "requests": lambda url, file: by_requests(url, file, **FORM),
    "curl": rest_by_curl,
    "node": rest_by_node,
}


def need(program: str) -> None:
    if program in ("curl", "node") and shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


@pytest.mark.parametrize("client", REST_CLIENTS)
def test_user_document_rest_example_runs(
    service: str, files: Mapping[str, Path], client: str, nothing_left: None
) -> None:
    need(client)
    answer = REST_CLIENTS[client](service, files["joblib"])
    assert answer["success"] is True, answer
    assert answer["data"]["metrics"]["bars"] == LIMIT


def graphql_by_node(url: str, file: Path) -> Any:
    return node(NODE_GRAPHQL, url, str(file), ML_WITH_FILE, json.dumps(ML_WITH_FILE_INPUT))["data"]


def graphql_by_gql(transport: Any, *, is_streaming: bool = False) -> Callable[[str, Path], Any]:
    def ask(url: str, file: Path) -> Any:
        async def run() -> Any:
            query = gql(ML_WITH_FILE)
            query.variable_values = {"file": FileVar(str(file), streaming=is_streaming), "input": ML_WITH_FILE_INPUT}
            async with Client(transport=transport(url=f"{url}/graphql"), execute_timeout=120) as session:
                return await session.execute(query, upload_files=True)

        return asyncio.run(run())

    return ask


def graphql_as_apollo(url: str, file: Path) -> Any:
    """Send what apollo-upload-client sends: keys from "1", `__typename` everywhere, its own Accept header."""
    document = ML_WITH_FILE.replace("max_drawdown", "max_drawdown __typename").replace(
        "total_trades", "total_trades __typename"
    )
    operations = {
        "operationName": "RunMLBacktestWithFile",
        "variables": {"input": ML_WITH_FILE_INPUT, "file": None},
        "query": document,
    }
    form = {"operations": (None, json.dumps(operations)), "map": (None, json.dumps({"1": ["variables.file"]}))}
    accept = "application/graphql-response+json,application/json;q=0.9"
    with file.open("rb") as opened:
        answer = httpx.post(
            f"{url}/graphql", files={**form, "1": (file.name, opened)}, headers={"Accept": accept}, timeout=120
        )
    assert answer.headers["content-type"].startswith("application/graphql-response+json")
    return answer.json()["data"]


GRAPHQL_CLIENTS: Mapping[str, Callable[[str, Path], Any]] = {
    "node": graphql_by_node,
    "gql-aiohttp": graphql_by_gql(AIOHTTPTransport),
    "gql-httpx": graphql_by_gql(HTTPXAsyncTransport),
    "as apollo": graphql_as_apollo,
}


@pytest.mark.parametrize("client", GRAPHQL_CLIENTS)
def test_user_document_graphql_example_with_file_runs(
    service: str, five: Path, client: str, nothing_left: None
) -> None:
    need(client)
    data = GRAPHQL_CLIENTS[client](service, five)
    result = data["run_ml_backtest_with_file"]
    assert result["status"] == "success"
    assert result["metrics"]["strategy_name"] == "ML Model"
    assert len(result["data"]) == LIMIT
    assert result["total_trades"] == result["winning_trades"] + result["losing_trades"] > 0


def upload(service: str, file: Path, user: str = "user123") -> Any:
    with file.open("rb") as opened:
        data = {"user_id": user, "model_name": "MyModel"}
        return httpx.post(f"{service}/api/models/upload", data=data, files={"file": opened}, timeout=60)


def run_stored(service: str, path: str, user: str = "user123", columns: list[str] | None = None, **changes: Any) -> Any:
    model = {"modelPath": path, "featureColumns": columns, "threshold": 0.6}
    input_ = {**ML_INPUT, "userId": user, "mlModel": model, **changes}
    body = {"query": ML, "variables": {"input": input_}}
    return httpx.post(f"{service}/graphql", json=body, timeout=60).json()


def test_stored_model_is_found_by_its_owner_only(service: str, files: Mapping[str, Path]) -> None:
    kept = upload(service, files["onnx"]).json()["data"]
    assert kept["model"]["n_features"] == 14
    assert kept["model"]["format"]
    assert kept["model"]["output_kind"] == "probability"
    answers = [run_stored(service, kept[name]) for name in ("file_path", "relative_path", "filename")]
    assert all(answer["data"]["runMlBacktest"]["status"] == "success" for answer in answers), answers
    trades = {answer["data"]["runMlBacktest"]["totalTrades"] for answer in answers}
    assert len(trades) == 1
    for path in (kept["file_path"], kept["relative_path"], kept["filename"]):
        refused = run_stored(service, path, user="somebody")
        assert refused["errors"][0]["extensions"]["code"] == "MODEL_NOT_FOUND"
    for path in ("/etc/passwd", "../../etc/passwd", f"{kept['file_path']}/../x.onnx", "nothing.pkl"):
        assert run_stored(service, path)["errors"][0]["extensions"]["code"] == "MODEL_NOT_FOUND"


def test_stops_and_shorts_with_a_model(service: str, files: Mapping[str, Path]) -> None:
    kept = upload(service, files["joblib"]).json()["data"]
    answer = run_stored(
        service, kept["filename"], engine="EVENT_DRIVEN", stopLoss=0.02, direction="BOTH", crossCheck=True
    )
    assert answer["data"]["runMlBacktest"]["totalTrades"] > 10
    refused = run_stored(service, kept["filename"], engine="VECTORIZED", stopLoss=0.02)
    assert "stopLoss" in refused["errors"][0]["message"]


def test_user_document_example_of_stored_model_runs(service: str, five: Path) -> None:
    kept = upload(service, five).json()["data"]
    result = run_stored(service, kept["file_path"], columns=FIVE)["data"]["runMlBacktest"]
    assert result["status"] == "success"
    assert result["totalTrades"] == result["winningTrades"] + result["losingTrades"] > 0
    assert len(result["data"]) == LIMIT


def test_feature_columns_come_from_client_or_model(service: str, five: Path) -> None:
    for columns in (",".join(FIVE), json.dumps(FIVE), ""):
        answer = by_requests(service, five, **FORM, **({"feature_columns": columns} if columns else {}))
        assert answer["data"]["strategy"]["parameters"]["featureColumns"] == FIVE
    wrong = by_requests(service, five, **FORM, feature_columns="Open,High,Moon")
    assert wrong["success"] is False
    assert "Moon" in wrong["message"]
    assert "Volume_Ratio" in wrong["message"]
    few = by_requests(service, five, **FORM, feature_columns="Open,High")
    assert "5" in few["message"]


class Gadget:
    """A pickle that runs a command when it is opened carelessly."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


def test_hostile_file_is_refused_and_not_stored(
    service: str, storage: Path, files: Mapping[str, Path], tmp_path: Path, nothing_left: None
) -> None:
    mark = tmp_path / "owned"
    file = tmp_path / "gadget.pkl"
    file.write_bytes(pickle.dumps(Gadget(mark)))
    refused = upload(service, file, user="hostile")
    assert refused.status_code == 422
    assert refused.json()["code"] == "MODEL_REJECTED"
    answer = by_requests(service, file, **FORM)
    assert answer["code"] == "MODEL_REJECTED"
    assert not mark.exists()
    assert not list((storage / "hostile").glob("*")) if (storage / "hostile").exists() else True
    assert by_requests(service, files["pkl"], **FORM)["success"] is True


def test_file_that_is_no_model_is_refused(service: str, tmp_path: Path, nothing_left: None) -> None:
    file = tmp_path / "list.pkl"
    file.write_bytes(pickle.dumps([1, 2, 3]))
    answer = by_requests(service, file, **FORM)
    assert (answer["status"], answer["code"]) == (422, "MODEL_REJECTED")
    state = tmp_path / "weights.pt"
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Linear(3, 1).state_dict(), state)
    answer = by_requests(service, state, **FORM)
    assert answer["code"] == "MODEL_REJECTED"
    assert "torch.jit" in answer["message"]


def test_disconnect_during_upload_leaves_nothing(service: str, files: Mapping[str, Path], nothing_left: None) -> None:
    script = (
        "import sys, httpx\n"
        "try:\n"
        "    httpx.post(sys.argv[1] + '/api/models/backtest/ml', data=eval(sys.argv[3]),"
        " files={'file': open(sys.argv[2], 'rb')}, timeout=0.02)\n"
        "except httpx.TimeoutException:\n"
        "    sys.exit(7)\n"
    )
    for _ in range(3):
        command = [sys.executable, "-c", script, service, str(files["keras"]), repr(FORM)]
        assert subprocess.run(command, check=False, timeout=60).returncode == 7
    assert by_requests(service, files["pkl"], **FORM)["success"] is True
