"""Check the settings of orders over HTTP: both APIs take them, echo them, store them, and give the same result."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

MARKET = {
    "symbol": "BTCUSDT",
    "interval": "1d",
    "limit": 600,
    "startDate": "2018-01-01",
    "source": "simulated",
    "seed": 3,
}
CASES: dict[str, dict[str, Any]] = {
    "steps": {"tickSize": 0.5, "stepSize": 0.25, "minNotional": 100.0, "stopLoss": 0.05},
    "too small": {"minNotional": 1e6},
    "ranges": {"stopLossAtr": 2.0, "takeProfitAtr": 5.0, "atrBars": 400, "riskPercent": 0.01, "intrabar": "NEAREST"},
    "volatility": {"volatilityTarget": 0.2, "leverage": 2.0},
    "volume": {"volumeImpact": 0.5, "maxVolumeShare": 0.0001},
    "limit exits": {"exit": "LIMIT", "exitOffset": 0.02},
}
DROPPING = ("too small", "ranges")
RUN = """mutation ($input: BacktestInput!) { runEventDrivenBacktest(input: $input) {
  droppedEntries totalFills metrics { finalEquity } settings { %s } } }"""


def to_snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


@pytest.mark.parametrize("name", CASES)
def test_both_apis_take_settings_of_orders(service: str, name: str) -> None:
    given = CASES[name]
    snake = {to_snake(field): value for field, value in given.items()}
    body = MARKET | {"user_id": f"orders-{name[:3]}", "engine": "EVENT_DRIVEN", **snake}
    rest = httpx.post(f"{service}/api/backtests", json=body, timeout=60).json()["data"]
    assert {field: rest["settings"][field] for field in snake} == snake
    assert httpx.get(f"{service}/api/backtests/{rest['id']}", timeout=60).json()["data"] == rest
    again = httpx.post(f"{service}/api/backtests/{rest['id']}/rerun", timeout=60).json()["data"]
    assert again["differences"] == []
    variables = {"input": {"userId": f"graphql-{name[:3]}", "fetchInput": MARKET, **given}}
    document = {"query": RUN % " ".join(given), "variables": variables}
    answer = httpx.post(f"{service}/graphql", json=document, timeout=60).json()
    assert "errors" not in answer, answer
    graphql = answer["data"]["runEventDrivenBacktest"]
    assert graphql["settings"] == given
    assert graphql["metrics"]["finalEquity"] == rest["metrics"]["final_equity"]
    assert (graphql["droppedEntries"], graphql["totalFills"]) == (rest["dropped_entries"], rest["total_fills"])
    if name not in DROPPING:
        assert rest["total_fills"] > 0
    if name == "steps":
        assert all(fill["quantity"] % 0.25 == 0 for fill in rest["fills"])
    if name in DROPPING:
        assert rest["dropped_entries"] > 0
        assert "ENTRIES_DROPPED" in {reason["code"] for reason in rest["judgement"]["verdict"]["reasons"]}


@pytest.mark.parametrize("name", CASES)
def test_vectorized_engine_refuses_settings_by_name(service: str, name: str) -> None:
    snake = {to_snake(field): value for field, value in CASES[name].items()}
    body = MARKET | {"user_id": "orders", "engine": "VECTORIZED", **snake}
    answer = httpx.post(f"{service}/api/backtests", json=body, timeout=60)
    assert answer.status_code == 422
    assert all(field in answer.json()["detail"] for field in snake if field != "stop_loss")
