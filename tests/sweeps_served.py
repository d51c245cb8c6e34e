"""Start sweeps in a running service, and wait for jobs."""

from __future__ import annotations

import time
from typing import Any, Final

import httpx

BACKTEST: Final = {
    "user_id": "sweeper", "symbol": "BTCUSDT", "interval": "1d", "limit": 600, "source": "simulated", "seed": 5,
}  # fmt: skip
SWEEP: Final[dict[str, Any]] = {
    "backtest": BACKTEST | {"engine": "EVENT_DRIVEN"},
    "parameters": [
        {"name": "fast", "range": {"from": 3, "to": 9, "step": 2}},
        {"name": "slow", "values": [12, 20, 30]},
        {"name": "stopLoss", "values": [0.05, 0.2]},
    ],
    "keep_best": 2,
}
WALK_FORWARD: Final[dict[str, Any]] = {
    "sweep": SWEEP | {"parameters": SWEEP["parameters"][:2]},
    "trainBars": 200,
    "testBars": 100,
    "purge_bars": 5,
}
JOB_S: Final = 240.0
"""Kernels may have to be compiled first."""


def data_of(response: httpx.Response) -> Any:
    assert response.is_success, response.text
    return response.json()["data"]


def start(service: str, path: str, body: dict[str, Any], **options: Any) -> str:
    """Start a job; return its id."""
    started = httpx.post(f"{service}{path}", json=body, timeout=JOB_S, **options)
    assert started.status_code == 202, started.text
    job_id: str = started.json()["data"]["id"]
    assert started.headers["Location"] == f"/api/jobs/{job_id}"
    assert started.headers["Retry-After"] == "1"
    return job_id


def wait(service: str, job_id: str, state: str = "SUCCEEDED") -> dict[str, Any]:
    """Wait until a job has ended, in this state."""
    deadline = time.monotonic() + JOB_S
    while (job := data_of(httpx.get(f"{service}/api/jobs/{job_id}", timeout=30)))["ended_at"] is None:
        assert time.monotonic() < deadline, job
        time.sleep(0.1)
    assert job["state"] == state, job
    found: dict[str, Any] = job
    return found
