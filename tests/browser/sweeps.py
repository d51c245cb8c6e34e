"""Sweeps and walk-forwards to be shown, the API's word on them, and what the heat map holds for drawing."""

from __future__ import annotations

import time
from typing import Any

import httpx
from playwright.sync_api import Page

ENDED = {"CANCELLED", "SUCCEEDED", "FAILED"}
PAIRS = 4950
"""Of 100 lengths of moving averages, the shorter one first."""
ALL_LENGTHS = {"from": 2, "to": 101}


def moving_averages(**changes: Any) -> dict[str, Any]:
    """Return the body of a sweep over 4,950 pairs of moving averages on the exchange's days."""
    return {
        "backtest": {"user_id": "me", "symbol": "BTCUSDT", "interval": "1d", "limit": 1400}
        | {"strategy": {"ma_crossover": {}}},
        "parameters": [{"name": "fast", "range": ALL_LENGTHS}, {"name": "slow", "range": ALL_LENGTHS}],
        "keep_best": 3,
    } | changes


def small_sweep(**changes: Any) -> dict[str, Any]:
    """Return the body of a sweep of a few rows on simulated bars."""
    body = moving_averages(keep_best=2)
    body["backtest"] |= {"source": "simulated", "seed": 7, "limit": 900}
    body["parameters"] = [{"name": "fast", "values": [5, 10, 20]}, {"name": "slow", "values": [30, 50, 80, 120]}]
    return body | changes


def walk_forward(**changes: Any) -> dict[str, Any]:
    windows = {"train_bars": 400, "test_bars": 100, "purge_bars": 5, "embargo_bars": 5}
    return {"sweep": small_sweep(), **windows, **changes}


def start(service: str, path: str, body: dict[str, Any]) -> str:
    """Start a job; return its id."""
    response = httpx.post(f"{service}/api/{path}", json=body, timeout=60)
    assert response.status_code == 202, response.text
    found: str = response.json()["data"]["id"]
    return found


def read(service: str, path: str, **query: Any) -> Any:
    response = httpx.get(f"{service}/api/{path}", params=query, timeout=60)
    assert response.status_code == 200, response.text
    return response.json()["data"]


def wait_for_job(service: str, job: str, states: set[str] = ENDED) -> dict[str, Any]:
    """Wait until a job is in one of some states; return it."""
    deadline = time.monotonic() + 180
    while (found := read(service, f"jobs/{job}"))["state"] not in states:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return dict(found)


def run_job(service: str, path: str, body: dict[str, Any]) -> str:
    """Start a job, and wait until it has succeeded; return its id."""
    job = start(service, path, body)
    ended = wait_for_job(service, job)
    assert ended["state"] == "SUCCEEDED", ended
    return job


def drawn(page: Page) -> dict[str, Any]:
    """Return what the heat map holds for drawing."""
    found: dict[str, Any] = page.evaluate("document.querySelector('.heat-canvas').heatMap.drawn()")
    return found


def pixels(page: Page) -> list[list[list[int]]]:
    """Return red, green, blue and opacity in the middle of each cell, as the canvas has them."""
    found: list[list[list[int]]] = page.evaluate(
        """(() => { const map = document.querySelector('.heat-canvas').heatMap; const { x, y } = map.drawn();
        return y.map((_, row) => x.map((_, column) => map.pixelOf(column, row))); })()"""
    )
    return found


def point_at(page: Page, column: int, row: int) -> dict[str, float]:
    """Return where a cell's middle is in the window."""
    canvas = page.locator(".heat-canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    place = page.evaluate(f"document.querySelector('.heat-canvas').heatMap.centerOf({column}, {row})")
    return {"x": box["x"] + place["x"], "y": box["y"] + place["y"]}
