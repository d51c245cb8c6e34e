"""Requests beside a running sweep, and how soon a sweep that is cancelled stops, in a service as production runs it."""

from __future__ import annotations

import asyncio
import gc
import json
import tempfile
import time
from dataclasses import replace
from itertools import islice, repeat
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests.benchmarks.measurement import Measurement
from tests.benchmarks.requests_load import BARS, UNITS, crossover
from tests.exchange import LoopbackExchange
from tests.load import Load, ProductionService, get, put_under_load
from tests.market import random_bars

SWEEP_BARS = 20_000
SWEEP = {
    "backtest": {
        "user_id": "bench", "symbol": "BTCUSDT", "interval": "1h", "limit": SWEEP_BARS, "source": "simulated",
        "seed": 1, "strategy": {"rsi": {}}, "engine": "EVENT_DRIVEN", "stop_loss": 0.03,
    },
    "parameters": [
        {"name": "length", "range": {"from": 5, "to": 54}},
        {"name": "low", "range": {"from": 20, "to": 39, "step": 1}},
        {"name": "high", "range": {"from": 60, "to": 79, "step": 1}},
        {"name": "take_profit", "range": {"from": 0.01, "to": 0.05, "step": 0.01}},
    ],
}  # fmt: skip
"""100,000 combinations: longer than all that is measured beside it."""

STOP_WITHIN_S = 2.0


def measure(*, quick: bool = False) -> list[Measurement]:
    """Measure; about half a minute."""
    bars = replace(random_bars(BARS + 100, seed=5, interval="1d"), symbol="BTCUSDT")
    first = int(bars.open_time_ms[50])
    some = 100 if quick else 300
    gc.disable()  # the clients' own garbage would look like a slow service
    try:
        with tempfile.TemporaryDirectory() as folder, LoopbackExchange([bars]) as exchange:
            settings = {"BINANCE_API_URL": exchange.url, "BINANCE_FALLBACK_URL": "none", "PRELOAD_MODELS": "true"}
            with ProductionService(Path(folder), **settings) as service:

                def crossovers(count: int) -> Load:
                    requests = map(crossover, islice(repeat(first), count))
                    return asyncio.run(put_under_load(service.port, requests, connections=1))

                service.settle()
                crossovers(50)
                alone = crossovers(some)
                sweep = _Sweep(service.port)
                beside = crossovers(some)
                health = asyncio.run(
                    put_under_load(service.port, repeat(get("/health"), 20 * some), connections=4, every_s=0.005)
                )
                sweep.check_is_running()
                stopped_after_s = sweep.cancel()
    finally:
        gc.enable()
    usual = alone.percentile(0.5)
    return [
        _beside("/health beside a sweep, p99", health.percentile(0.99), "5 ms apart", "its promise", 0.050, "≤ 50 ms"),
        _beside("crossover request beside a sweep, median", beside.percentile(0.5), UNITS, "alone", usual, "≥ 0.5×"),
        _beside("cancelled sweep until it has stopped", stopped_after_s, "100,000 rows", "its promise", 2.0, "≤ 2 s"),
    ]


class _Sweep:
    """A sweep that was started; it runs once the constructor returns."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}/api"
        self._id = self._ask("/sweeps", SWEEP)["data"]["id"]
        self._wait_for("RUNNING", 30.0)

    def check_is_running(self) -> None:
        """Raise RuntimeError if it ended before it was cancelled: then nothing was measured beside it."""
        if (state := self._state()) != "RUNNING":
            raise RuntimeError(f"the sweep is {state}: it was too short")

    def cancel(self) -> float:
        """Cancel it; return the seconds until it had stopped."""
        started = time.perf_counter()
        self._ask(f"/jobs/{self._id}?user_id=bench", method="DELETE")
        self._wait_for("CANCELLED", STOP_WITHIN_S * 10)
        return time.perf_counter() - started

    def _wait_for(self, state: str, most_s: float) -> None:
        started = time.perf_counter()
        while (found := self._state()) != state:
            if found in ("FAILED", "SUCCEEDED") or time.perf_counter() - started > most_s:
                raise RuntimeError(f"the sweep is {found}, not {state}, after {most_s} s")
            time.sleep(0.01)

    def _state(self) -> Any:
        return self._ask(f"/jobs/{self._id}")["data"]["state"]

    def _ask(self, path: str, body: Any = None, method: str | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(self._address + path, data=data, headers={"Content-Type": "application/json"}, method=method)
        with urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or "null")


def _beside(name: str, seconds: float, units: str, peer: str, peer_seconds: float, target: str) -> Measurement:
    return Measurement(
        name=name, seconds=seconds, units=units, peer_name=peer, peer_seconds=peer_seconds, target=target
    )
