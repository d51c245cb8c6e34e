"""Runs to be shown, the API's word on them, and what charts hold for drawing."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import httpx
from playwright.sync_api import Page

from tests.browser.chromium import Visit

SIMULATED = {"symbol": "BTCUSDT", "interval": "1d", "source": "simulated", "seed": 7}
OVERVIEW_POINTS = 2000


def run_backtest(service: str, **body: Any) -> str:
    response = httpx.post(f"{service}/api/backtests", json={"user_id": "me"} | body, timeout=600)
    assert response.status_code == 200, response.text
    found: str = response.json()["data"]["id"]
    return found


def api(service: str, path: str) -> Any:
    return httpx.get(f"{service}/api/backtests/{path}", timeout=60).json()["data"]


def seconds(date: str) -> int:
    return int(datetime.fromisoformat(date).timestamp())


def drawn(page: Page, chart: str = ".chart-sheet") -> dict[str, Any]:
    """Return what the library holds for drawing, by the series' names."""
    found: dict[str, Any] = page.evaluate(f"document.querySelector({chart!r}).timeChart.drawn()")
    return found


def open_sheet(visit: Visit, run: str) -> Page:
    page = visit.open(f"/runs/{run}")
    wait_until(page, "Boolean(document.querySelector('.chart-sheet')?.timeChart?.visibleRange())")
    return page


def wait_until(page: Page, expression: str) -> None:
    """Wait until an expression holds; Playwright's own waiting evaluates text, which the policy forbids."""
    deadline = time.monotonic() + 20
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


def values(points: list[dict[str, Any]]) -> list[tuple[int, float | None]]:
    return [(point["time"], point.get("value")) for point in points]


def expected(columns: dict[str, Any], name: str) -> list[tuple[int, float | None]]:
    return [(seconds(date), value) for date, value in zip(columns["date"], columns[name], strict=True)]
