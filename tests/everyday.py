"""Clients that use a running service as its users do, each in a thread: runs, lists, queries, models, sweeps."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from tests.load import ROOT

SIMULATED = {"source": "simulated", "symbol": "BTCUSDT", "interval": "1h"}
QUERY = "query { backtests(first: 5) { nodes { id metrics { totalReturn } } } }"


def make_key(storage: Path, user: str) -> str:
    """Make an API key as the operator does, beside running services."""
    done = subprocess.run(
        [sys.executable, "run.py", "keys", "--no-venv", "create", user],
        cwd=ROOT, env={"STORAGE_DIR": str(storage), "AUTH": "keys", "PATH": ""}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return done.stdout.strip()


class EverydayClients:
    """Six clients of one user, which send requests one after another until the block ends; each outcome is counted.

    Parameters
    ----------
    model
        A model file, which is uploaded, run and deleted again and again.
    pause_s
        Seconds that each client waits after a request.
    markets
        Simulated markets that are traded in turn.
    """

    def __init__(self, url: str, user: str, key: str, model: Path, *, pause_s: float = 0.0, markets: int = 1) -> None:
        self._url, self._user, self._model = url, user, model
        self._headers = {"X-API-Key": key}
        self._pause_s = pause_s
        self._markets = markets
        self._turns = itertools.count()
        self._stopped = threading.Event()
        self.outcomes: Counter[str] = Counter()
        """How often each kind of request had which status, and what was wrong with it."""
        self.jobs: list[str] = []
        works: list[Callable[[httpx.Client], None]] = [
            self._run, self._run_anew, self._list, self._query, self._use_model, self._sweep,
        ]  # fmt: skip
        self._threads = [threading.Thread(target=self._repeat, args=[work], daemon=True) for work in works]

    def __enter__(self) -> EverydayClients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(120)

    @property
    def faults(self) -> set[str]:
        """The outcomes that are none of success."""
        return {outcome for outcome in self.outcomes if outcome.rpartition(" ")[2] not in ("200", "202")}

    def open(self) -> httpx.Client:
        return httpx.Client(base_url=self._url, headers=self._headers, timeout=120)

    def wait_for_jobs(self) -> Counter[str]:
        """Wait until all sweeps have ended; return how often they ended how, or were "deleted" by quotas."""
        states: Counter[str] = Counter()
        deadline = time.monotonic() + 120
        with self.open() as client:
            for job in self.jobs:
                while (response := client.get(f"/api/jobs/{job}")).status_code != 404:
                    found = response.json()["data"]
                    if found["ended_at"] is not None:
                        break
                    assert time.monotonic() < deadline, found
                    time.sleep(0.2)
                states["deleted" if response.status_code == 404 else found["state"]] += 1
        return states

    def _repeat(self, work: Callable[[httpx.Client], None]) -> None:
        with self.open() as client:
            while not self._stopped.is_set():
                try:
                    work(client)
                except httpx.HTTPError as error:
                    self.outcomes[f"{work.__name__}: {error!r}"] += 1
                except (KeyError, TypeError) as error:  # what is wrong with the response was counted
                    self.outcomes[f"{work.__name__} cannot go on: {error!r}"] += 1

    def _count(self, response: httpx.Response, what: str) -> httpx.Response:
        fault = "" if response.is_success and b'"errors"' not in response.content else f": {response.text[:300]}"
        self.outcomes[f"{what}{fault} {response.status_code}"] += 1
        self._stopped.wait(self._pause_s)
        return response

    def _backtest(self, limit: int = 400) -> dict[str, Any]:
        turn = next(self._turns)
        market = SIMULATED | {"seed": 1 + turn % self._markets, "limit": limit}
        strategy = {"ma_crossover": {"fast": 3 + turn % 17, "slow": 21 + turn % 40}}
        return {"fetch_input": market, "engine": "EVENT_DRIVEN", "strategy": strategy}

    def _run(self, client: httpx.Client) -> None:
        self._count(client.post("/api/backtests", json=self._backtest()), "run")

    def _run_anew(self, client: httpx.Client) -> None:
        with self.open() as other:
            self._count(other.post("/api/backtests", json=self._backtest()), "run anew")

    def _list(self, client: httpx.Client) -> None:
        self._count(client.get("/api/backtests", params={"first": 5}), "list")

    def _query(self, client: httpx.Client) -> None:
        self._count(client.post("/graphql", json={"query": QUERY}), "query")

    def _use_model(self, client: httpx.Client) -> None:
        files = {"file": (self._model.name, self._model.read_bytes())}
        stored = self._count(client.post("/api/models/upload", files=files, data={"model_name": "Daily"}), "upload")
        name = stored.json()["data"]["filename"]
        strategy = {"model": {"model_path": name}}
        self._count(client.post("/api/backtests", json=self._backtest() | {"strategy": strategy}), "run model")
        self._count(client.delete(f"/api/models/user/{self._user}/model/{name}"), "delete")

    def _sweep(self, client: httpx.Client) -> None:
        backtest = self._backtest(limit=20_000)
        del backtest["strategy"]
        body = {
            "backtest": backtest,
            "parameters": [
                {"name": "fast", "range": {"from": 3, "to": 40, "step": 1}},
                {"name": "slow", "range": {"from": 45, "to": 90, "step": 3}},
            ],
            "keep_best": 2,
        }
        started = self._count(client.post("/api/sweeps", json=body), "sweep")
        self.jobs.append(started.json()["data"]["id"])
        while not self._stopped.is_set():
            if self._count(client.get(f"/api/jobs/{self.jobs[-1]}"), "job").json()["data"]["ended_at"] is not None:
                return
            self._stopped.wait(0.2)
