"""Two hosts: two service processes with a STORAGE_DIR each, one MongoDB, one bucket, one exchange; asked in turn."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from tests import exchange_faults as faults
from tests.bar_files import csv_of_bars, simulated
from tests.exchange import KLINES, LoopbackExchange
from tests.load import ROOT, ProductionService
from tests.market import random_bars
from tests.mongo_server import backend_uri
from tests.object_storage import KEY_ID, SECRET, Fault, ObjectStorage, running_object_storage

PATIENCE_S = 60.0
BARS = simulated(600)
USER = "ann"


class Hosts:
    """Hosts A and B, the bucket, and the exchange. A uses one driver of MongoDB and B the other."""

    def __init__(self, folder: Path, storage: ObjectStorage, exchange: LoopbackExchange) -> None:
        self.folder = folder
        self.storage = storage
        self.exchange = exchange
        self.logs = folder / "logs"
        shared = {
            **storage.environment,
            "MONGODB_URI": backend_uri(),
            "MONGODB_DATABASE": f"hosts_{uuid.uuid4().hex}",
            "OBJECT_STORE_URL": storage.url,
            "OBJECT_STORE_TIMEOUT_S": "5",
            "BINANCE_API_URL": exchange.url,
            "BINANCE_FALLBACK_URL": "none",
            "BINANCE_ARCHIVE_URL": "none",
            "BINANCE_FUTURES_URL": "none",
            "WORKERS": "1",
        }
        self.variables = {
            "a": {**shared, "STORAGE_DIR": str(folder / "a"), "MONGO_DRIVER": "motor"},
            "b": {**shared, "STORAGE_DIR": str(folder / "b"), "MONGO_DRIVER": "pymongo"},
        }
        self.a, self.b = (ProductionService(folder / name, **self.variables[name]) for name in "ab")

    def __enter__(self) -> Hosts:
        self.a.__enter__()
        try:
            self.b.__enter__()
        except BaseException:
            self.a.stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.a.stop()
        self.b.stop()

    def kill_a(self) -> None:
        """End all processes of A at once, without a chance to clean up."""
        for pid in (self.a.process.pid, *self.a.workers()):
            os.kill(pid, signal.SIGKILL)
        self.a.process.wait()


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    exchange = LoopbackExchange([random_bars(600, seed=3)])
    folder = tmp_path_factory.mktemp("hosts")
    with running_object_storage() as storage, exchange, Hosts(folder, storage, exchange) as running:
        yield running


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    table = np.column_stack([BARS.open, BARS.close])
    rises = np.append(BARS.close[1:] > BARS.close[:-1], False)
    file = tmp_path_factory.mktemp("model") / "mine.joblib"
    joblib.dump(DecisionTreeClassifier(max_depth=3).fit(table, rises), file)
    return file


def url(host: ProductionService, path: str) -> str:
    return f"http://127.0.0.1:{host.port}{path}"


def upload_model(host: ProductionService, model: Path, user: str = USER) -> httpx.Response:
    data, files = {"user_id": user, "model_name": "Mine"}, {"file": (model.name, model.read_bytes())}
    return httpx.post(url(host, "/api/models/upload"), data=data, files=files, timeout=PATIENCE_S)


def upload_dataset(host: ProductionService, name: str, user: str = USER) -> httpx.Response:
    data, files = {"user_id": user, "symbol": "BTCUSDT", "name": name}, {"file": ("x.csv", csv_of_bars(BARS))}
    return httpx.post(url(host, "/api/data/upload"), data=data, files=files, timeout=PATIENCE_S)


def run(host: ProductionService, **changes: Any) -> httpx.Response:
    body = {"user_id": USER, "symbol": "BTCUSDT", "interval": "1h", "limit": 500, "source": "simulated"} | changes
    return httpx.post(url(host, "/api/backtests"), json=body, timeout=PATIENCE_S)


def run_model(host: ProductionService, path: str, source: str = "simulated") -> Any:
    query = "mutation ($input: MLBacktestInput!) { runMlBacktest(input: $input) { status totalTrades } }"
    market = {"symbol": "BTCUSDT", "interval": "1h", "limit": 500, "source": source}
    given = {
        "userId": USER,
        "symbol": "BTCUSDT",
        "fetchInput": market,
        "mlModel": {"modelPath": path, "featureColumns": ["Open", "Close"]},
    }
    reply = httpx.post(url(host, "/graphql"), json={"query": query, "variables": {"input": given}}, timeout=PATIENCE_S)
    return reply.json()


def data_of(reply: httpx.Response) -> Any:
    assert reply.status_code == 200, reply.text
    return reply.json()["data"]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_model_of_one_host_runs_at_another(hosts: Hosts, model: Path) -> None:
    stored = data_of(upload_model(hosts.a, model))
    for path in (stored["filename"], stored["relative_path"], stored["file_path"]):
        assert run_model(hosts.b, path)["data"]["runMlBacktest"]["status"] == "success"
    listed = data_of(httpx.get(url(hosts.b, f"/api/models/user/{USER}")))
    assert [(file["filename"], file["model"]) for file in listed] == [(stored["filename"], stored["model"])]
    assert files_below(hosts.folder / "a" / ".objects") == files_below(hosts.folder / "b" / ".objects")
    assert httpx.delete(url(hosts.b, f"/api/models/user/{USER}/model/{stored['filename']}")).status_code == 200
    assert run_model(hosts.a, stored["filename"])["errors"][0]["extensions"]["code"] == "MODEL_NOT_FOUND"


def test_dataset_of_one_host_trades_at_another(hosts: Hosts) -> None:
    assert data_of(upload_dataset(hosts.a, "shared"))["data_fingerprint"] == BARS.fingerprint()
    assert upload_dataset(hosts.b, "shared").status_code == 409
    result = data_of(run(hosts.b, source="shared"))
    assert result["data_fingerprint"] == BARS.slice(100, 600).fingerprint()
    assert httpx.delete(url(hosts.b, f"/api/data/user/{USER}/shared")).status_code == 200
    assert run(hosts.a, source="shared").status_code == 404


def test_result_of_one_host_opens_at_another(hosts: Hosts) -> None:
    result = data_of(run(hosts.a))
    read = data_of(httpx.get(url(hosts.b, f"/api/backtests/{result['id']}"), timeout=30))
    assert read["metrics"] == result["metrics"]


def test_two_hosts_never_share_a_name(hosts: Hosts) -> None:
    replies: list[int] = []
    threads = [
        threading.Thread(target=lambda host=host: replies.append(upload_dataset(host, "raced").status_code))
        for host in (hosts.a, hosts.b)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(replies) == [200, 409]
    assert data_of(run(hosts.b, source="raced"))["data_fingerprint"] == BARS.slice(100, 600).fingerprint()


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault("507 Insufficient Storage", "XMinioStorageFull"), "it is full"),
        (Fault("403 Forbidden", "InvalidAccessKeyId"), "refuses the service's access"),
        (Fault("503 Service Unavailable", "SlowDown"), "does not respond as it should"),
        (Fault("200 OK", after_s=8.0), "does not respond as it should"),
    ],
    ids=["full", "refusing", "busy", "slow"],
)
def test_failing_object_store_is_named_and_loses_nothing(hosts: Hosts, model: Path, fault: Fault, text: str) -> None:
    kept = data_of(upload_model(hosts.a, model, "failing"))
    before = hosts.storage.stored_keys()
    hosts.storage.fault = lambda method, path: fault if method == "PUT" else None
    try:
        for reply in (upload_model(hosts.b, model, "failing"), upload_dataset(hosts.b, "new", "failing")):
            assert reply.status_code == 503
            assert reply.json()["code"] == "STORE_UNAVAILABLE"
            assert text in reply.json()["message"]
            assert int(reply.headers["retry-after"]) >= 5
            assert KEY_ID not in reply.text
            assert SECRET not in reply.text
    finally:
        hosts.storage.fault = lambda method, path: None
    assert hosts.storage.stored_keys() == before
    path = f"/api/models/user/failing/model/{kept['filename']}"
    assert httpx.delete(url(hosts.b, path), timeout=30).status_code == 200
    assert files_below(hosts.folder / "b" / ".tmp") == []


def test_stopped_object_store_fails_and_comes_back(hosts: Hosts, model: Path) -> None:
    stored = data_of(upload_model(hosts.a, model))
    hosts.storage.stop()
    try:
        replies = [
            upload_model(hosts.a, model),
            httpx.get(url(hosts.b, f"/api/models/user/{USER}"), timeout=PATIENCE_S),
            run(hosts.b, source="raced"),
        ]
        for reply in replies:
            assert (reply.status_code, reply.json()["code"]) == (503, "STORE_UNAVAILABLE"), reply.text
            assert reply.headers["retry-after"]
        assert run_model(hosts.b, stored["filename"])["errors"][0]["extensions"]["code"] == "STORE_UNAVAILABLE"
        assert run(hosts.b).status_code == 200  # what needs no object goes on
    finally:
        hosts.storage.start()
    assert run_model(hosts.b, stored["filename"])["data"]["runMlBacktest"]["status"] == "success"


def test_deletion_of_a_user_counts_and_removes_objects(hosts: Hosts, model: Path) -> None:
    user = "leaving"
    data_of(upload_model(hosts.a, model, user))
    data_of(upload_dataset(hosts.a, "mine", user))
    data_of(run(hosts.b, user_id=user, source="mine"))
    done = users_command(hosts.variables["b"], "delete", user, "--yes")
    assert f"deleted of '{user}': 1 results, 0 jobs, 1 models, 1 datasets" in done
    assert [key for key in hosts.storage.stored_keys() if f"/{user}/" in key] == []
    assert not (hosts.folder / "b" / ".objects" / "datasets" / user).exists()
    assert user not in users_command(hosts.variables["a"], "usage")
    assert run(hosts.a, user_id=user, source="mine").status_code == 404


def users_command(variables: Mapping[str, str], *words: str) -> str:
    command = [sys.executable, "run.py", "users", *words]
    done = subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_ban_seen_by_one_host_stops_the_other(hosts: Hosts) -> None:
    hosts.exchange.script(KLINES, [faults.banned(retry_after_s=300)])
    market = {"source": "binance", "interval": "1d", "limit": 50, "symbol": "BTCUSDT"}
    first = run(hosts.a, **market)
    assert first.status_code == 503, first.text
    asked = hosts.exchange.count()
    assert asked == 1
    second = run(hosts.b, **market)
    assert second.status_code == 503, second.text
    assert "told us to send no requests" in second.json()["message"]
    assert 200 < int(second.headers["retry-after"]) <= 300
    assert hosts.exchange.count() == asked


def test_host_killed_in_mid_upload_leaves_nothing(hosts: Hosts, model: Path) -> None:
    user = "killed"
    reached, released = threading.Event(), threading.Event()

    def stall(method: str, path: str) -> Fault | None:
        if method != "PUT" or f"/records/{user}/" not in path:
            return None
        reached.set()
        released.wait(PATIENCE_S)
        return Fault("500 Internal Server Error", "InternalError")

    def upload() -> None:
        with pytest.raises(httpx.TransportError):
            upload_model(hosts.a, model, user)

    hosts.storage.fault = stall
    sending = threading.Thread(target=upload)
    sending.start()
    try:
        assert reached.wait(PATIENCE_S)
        hosts.kill_a()
    finally:
        released.set()
        hosts.storage.fault = lambda method, path: None
    sending.join(PATIENCE_S)
    assert data_of(httpx.get(url(hosts.b, f"/api/models/user/{user}"))) == []
    left = [key for key in hosts.storage.stored_keys() if user in key]
    assert [key.split("/")[1] for key in left] == ["content"]
    assert len(files_below(hosts.folder / "a" / ".tmp")) == 1
    hosts.storage.content_of(left[0]).last_modified -= timedelta(days=2)
    hosts.a.__enter__()
    assert files_below(hosts.folder / "a" / ".tmp") == []
    wait_until(lambda: not [key for key in hosts.storage.stored_keys() if user in key])
    assert upload_model(hosts.a, model, user).status_code == 200
