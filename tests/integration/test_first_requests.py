"""Check requests from the first moment of accepted connections: right, or refused with Retry-After.

The libraries are still loading then, and several threads use what is loaded or compiled at first use. A worker that
such a request breaks never becomes ready.
"""

from __future__ import annotations

import itertools
import pickle
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sklearn.linear_model import LogisticRegression

from tests.load import START_S, ProductionService
from tests.thoroughness import often

MARKET = {"limit": 300, "interval": "1h", "source": "simulated"}
SEEDS = 5
"""Different ones, because equal requests at once share one run."""
PAUSE_S = 0.02
"""After each response: ten clients without a pause take the cores from the service that they wait for."""
DOCUMENT = (
    "mutation ($input: BacktestInput!) { RUN(input: $input) { metrics { totalReturn sharpeRatio maxDrawdown } } }"
)

Ask = Callable[[httpx.Client, int], httpx.Response]


def ask_rest(engine: str) -> Ask:
    def run(client: httpx.Client, number: int) -> httpx.Response:
        market = {**MARKET, "seed": number}
        body = {"user_id": "me", "symbol": "BTCUSDT", "engine": engine, "fetch_input": market}
        return client.post("/api/backtests", json=body)

    return run


def ask_graphql(mutation: str) -> Ask:
    def run(client: httpx.Client, number: int) -> httpx.Response:
        variables = {"input": {"userId": "me", "symbol": "BTCUSDT", "fetchInput": {**MARKET, "seed": number}}}
        return client.post("/graphql", json={"query": DOCUMENT.replace("RUN", mutation), "variables": variables})

    return run


def ask_upload() -> Ask:
    model = LogisticRegression().fit([[0.0] * 14, [1.0] * 14], [0, 1])
    content = pickle.dumps(model)

    def upload(client: httpx.Client, number: int) -> httpx.Response:
        form = {"user_id": "me", "model_name": f"model-{threading.get_ident()}-{number}"}
        return client.post("/api/models/upload", data=form, files={"file": ("model.pkl", content)})

    return upload


ASKS: dict[str, Ask] = {
    "REST, vectorized": ask_rest("VECTORIZED"),
    "REST, event-driven": ask_rest("EVENT_DRIVEN"),
    "GraphQL, vectorized": ask_graphql("runVectorizedBacktest"),
    "GraphQL, event-driven": ask_graphql("runEventDrivenBacktest"),
    "upload": ask_upload(),
}


def result_of(response: httpx.Response) -> Any:
    """Return what equal requests have in common; None if the service refused properly."""
    if response.status_code == 503:
        assert float(response.headers["retry-after"]) > 0
        return None
    assert response.status_code in (200, 201), response.text
    answer = response.json()
    assert not answer.get("errors"), answer
    data = answer["data"]
    if "sha256" in data or "filename" in data:
        return {name: data[name] for name in data if name in ("sha256", "n_features", "output_kind", "size")}
    return data.get("metrics", data)


class Clients:
    """Threads that repeat the same request, each with its own connections, and the faults that they saw."""

    def __init__(self, service: ProductionService) -> None:
        self.url = f"http://127.0.0.1:{service.port}"
        self.is_over = threading.Event()
        self.has_accepted = threading.Event()
        self.results: dict[tuple[str, int], list[Any]] = {}
        self.faults: list[str] = []

    def run(self, name: str) -> None:
        for number in itertools.count():
            if self.is_over.is_set():
                return
            try:
                with httpx.Client(base_url=self.url, timeout=120, verify=False) as client:
                    response = ASKS[name](client, number if name == "upload" else number % SEEDS)
                self.has_accepted.set()
                if (result := result_of(response)) is not None:
                    key = (name, 0 if name == "upload" else number % SEEDS)
                    self.results.setdefault(key, []).append(result)
            except httpx.ConnectError:
                if self.has_accepted.is_set():
                    self.faults.append(f"{name}: refused")
            except (AssertionError, httpx.HTTPError) as error:
                self.faults.append(f"{name}: {error!r}"[:500])
            time.sleep(PAUSE_S)


@pytest.mark.parametrize("start", range(often(1, 2)))
def test_first_requests_are_right_or_refused_properly(start: int, tmp_path: Path) -> None:
    service = ProductionService(tmp_path, WORKERS="2", MAX_MODELS_PER_USER="100000")
    clients = Clients(service)
    threads = [threading.Thread(target=clients.run, args=(name,)) for name in ASKS for _ in range(2)]
    service.start()
    try:
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + START_S
        ready = 0
        while ready < 20:  # any worker may respond
            assert time.monotonic() < deadline, "the service does not become ready"
            ready = ready + 1 if service.is_ready() else 0
            time.sleep(0.05)
    finally:
        clients.is_over.set()
        for thread in threads:
            thread.join(180)
        service.stop()
    assert clients.faults == []
    assert {name for name, _ in clients.results} == set(ASKS)
    for key, results in clients.results.items():
        assert all(result == results[0] for result in results), key
