"""Thousands of mixed requests to one worker: does its memory stay where it was?"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from urllib.request import urlopen

from tests.benchmarks.measurement import Memory
from tests.load import ProductionService, get, graphql, post, put_under_load

REQUESTS = 5_000
QUICK_REQUESTS = 600
CONNECTIONS = 8
SAMPLES = 20
"""Memory is read so often; the first fifth of the readings, while caches fill, is not compared."""

ROWS = "{ id metrics { totalReturn } data { Date portfolioValue signal } trades { profit exitReason } }"
VECTORIZED = f"mutation ($input: BacktestInput!) {{ runVectorizedBacktest(input: $input) {ROWS} }}"
EVENT_DRIVEN = f"mutation ($input: BacktestInput!) {{ runEventDrivenBacktest(input: $input) {ROWS} }}"
CANDLES = "query ($input: OHLCVFetchInput!) { fetchOhlcv(input: $input) { Date Close } }"


def mixed_requests(stored_id: str, seed: int = 1) -> Iterator[bytes]:
    """Yield requests of every kind without end, the same for the same seed; one in fifty is about 100,000 candles."""
    chosen = random.Random(seed)
    number = 0
    while True:
        number += 1
        bars = 100_000 if number % 50 == 0 else chosen.choice([200, 1_000, 1_000, 5_000])
        market = {"symbol": "BTCUSDT", "interval": "1m", "limit": bars, "source": "simulated", "seed": number % 30}
        run = {"userId": f"user{number % 9}", "fees": 0.001 + 1e-9 * number, "fetchInput": market}
        kind = chosen.randrange(10) if bars < 100_000 else number // 50 % 3
        if kind in (0, 3, 4):
            yield graphql(VECTORIZED, {"input": run})
        elif kind in (1, 5):
            yield graphql(EVENT_DRIVEN, {"input": {**run, "stopLoss": 0.01, "takeProfit": 0.02}})
        elif kind in (2, 6):
            yield post("/api/backtests", run)
        elif kind == 7:
            yield chosen.choice(
                [get(f"/api/backtests/{stored_id}"), get("/api/backtests?user_id=user1&first=50"), get("/metrics")]
            )
        elif kind == 8:
            yield graphql(CANDLES, {"input": market})
        else:
            yield chosen.choice(
                [
                    post("/api/backtests", {**run, "fees": 7}),
                    get("/api/backtests/none"),
                    graphql("{ nothing }", {}),
                    graphql(VECTORIZED, {"input": {**run, "fetchInput": {**market, "limit": -1}}}),
                ]
            )


def measure(*, quick: bool = False) -> list[Memory]:
    """Send the requests and read the worker's memory; minutes, or seconds where a quick run was asked for."""
    total = QUICK_REQUESTS if quick else REQUESTS
    readings: list[int] = []
    statuses: dict[int, int] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        ProductionService(Path(folder), WORKERS="1", PRELOAD_MODELS="true") as service,
    ):
        service.settle()
        idle = service.memory_bytes()[0]
        requests = mixed_requests(_stored_id(service.port))
        for _ in range(SAMPLES):
            some = islice(requests, total // SAMPLES)
            load = asyncio.run(put_under_load(service.port, some, connections=CONNECTIONS))
            readings.append(service.memory_bytes()[0])
            statuses = {key: statuses.get(key, 0) + load.statuses.get(key, 0) for key in {*statuses, *load.statuses}}
    if any(status >= 500 for status in statuses):
        raise RuntimeError(f"not every request was served: {statuses}")
    compared = readings[SAMPLES // 5 :]
    middle = statistics.median(compared)
    spread = max(abs(reading / middle - 1) for reading in compared)
    early, late = (statistics.mean(part) for part in (compared[:4], compared[-4:]))
    words = f"{total:,} mixed requests; at most {spread:.1%} from its median, {late / early - 1:+.1%} from start to end"
    return [
        Memory(name="worker after its start, before the soak", bytes=idle, units="one worker"),
        Memory(name="worker during the soak, median", bytes=int(middle), units=words, target="flat within ±5 %"),
    ]


def _stored_id(port: int) -> str:
    """Run one backtest and return its id, for requests that read a stored result."""
    market = {"symbol": "BTCUSDT", "interval": "1m", "limit": 100_000, "source": "simulated"}
    asyncio.run(
        put_under_load(port, [post("/api/backtests", {"user_id": "user1", "fetch_input": market})], connections=1)
    )
    with urlopen(f"http://127.0.0.1:{port}/api/backtests?user_id=user1", timeout=10) as answer:
        return str(json.load(answer)["data"]["items"][0]["id"])


if __name__ == "__main__":
    for found in measure():
        print(f"{found.name}: {found.bytes / 1e6:.0f} MB ({found.units})")
