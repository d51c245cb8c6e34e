"""`filters: EXCHANGE` through the running service: the steps are read from the exchange, kept, and used again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from tests.exchange import EXCHANGE_INFO, LoopbackExchange

Start = Callable[..., tuple[str, LoopbackExchange]]

FILTERS = [
    {"filterType": "PRICE_FILTER", "tickSize": "5.00000000"},
    {"filterType": "LOT_SIZE", "stepSize": "0.01000000"},
    {"filterType": "NOTIONAL", "minNotional": "10.00000000"},
]
READ = {"tick_size": 5.0, "step_size": 0.01, "min_notional": 10.0}
BODY = {
    "user_id": "u",
    "symbol": "BTCUSDT",
    "interval": "1d",
    "limit": 600,
    "engine": "EVENT_DRIVEN",
    "stop_loss": 0.03,
}


def run(service: str, **changes: Any) -> httpx.Response:
    return httpx.post(f"{service}/api/backtests", json={**BODY, **changes}, timeout=60)


def test_filters_of_the_exchange_are_those_given(own_service: Start) -> None:
    service, exchange = own_service()
    exchange.filters["BTCUSDT"] = FILTERS
    read, given = run(service, filters="EXCHANGE").json()["data"], run(service, **READ).json()["data"]
    assert read["settings"] | given["settings"] == read["settings"] | {"filters": "NONE"}
    assert {name: read["settings"][name] for name in READ} == READ
    assert read["metrics"] == given["metrics"] != run(service).json()["data"]["metrics"]
    assert all(round(fill["quantity"] / 0.01, 6) % 1 == 0 for fill in read["trades"])


def test_given_number_goes_before_the_exchange(own_service: Start) -> None:
    service, exchange = own_service()
    exchange.filters["BTCUSDT"] = FILTERS
    settings = run(service, filters="exchange", step_size=0.5).json()["data"]["settings"]
    assert {name: settings[name] for name in READ} == READ | {"step_size": 0.5}


def test_rerun_uses_the_filters_of_the_result(own_service: Start) -> None:
    service, exchange = own_service()
    exchange.filters["BTCUSDT"] = FILTERS
    found = run(service, filters="EXCHANGE").json()["data"]
    exchange.script(EXCHANGE_INFO, [])
    asked = exchange.count(EXCHANGE_INFO)
    exchange.filters["BTCUSDT"] = []
    again = httpx.post(f"{service}/api/backtests/{found['id']}/rerun", timeout=60).json()["data"]
    assert again["differences"] == []
    assert exchange.count(EXCHANGE_INFO) == asked


def test_source_without_filters_is_refused(own_service: Start) -> None:
    service, _ = own_service()
    answer = run(service, filters="EXCHANGE", source="simulated")
    assert answer.status_code == 422
    assert answer.json()["field"] == "filters"
    assert answer.json()["message"] == (
        "filters is EXCHANGE, and the source has no filters of 'BTCUSDT'. Allowed: NONE, with tick_size, step_size and "
        "min_notional of your own."
    )


def test_sweep_reads_the_filters_once(own_service: Start) -> None:
    service, exchange = own_service()
    exchange.filters["BTCUSDT"] = FILTERS
    body = {
        "backtest": {**BODY, "filters": "EXCHANGE"},
        "parameters": [{"name": "fast", "values": [5, 10]}, {"name": "slow", "values": [20, 50]}],
        "keep_best": 1,
    }
    job = httpx.post(f"{service}/api/sweeps", json=body, timeout=60).json()["data"]["id"]
    with httpx.stream("GET", f"{service}/api/jobs/{job}/events", timeout=60) as events:
        events.read()
    [best] = httpx.get(f"{service}/api/sweeps/{job}").json()["data"]["conclusion"]["best"]
    kept = httpx.get(f"{service}/api/backtests/{best['result_id']}").json()["data"]
    assert {name: kept["settings"][name] for name in READ} == READ
    assert exchange.count(EXCHANGE_INFO) == 1
    refused = httpx.post(
        f"{service}/api/sweeps", json=body | {"parameters": [{"name": "filters", "values": ["NONE"]}]}, timeout=60
    )
    assert refused.json()["field"] == "parameters.0.name"
