"""Run every strategy of the registry through a running service: both APIs, both engines, and what follows a run."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from src.api.spelling import camel_case
from src.domain.parameters import parameters_of
from src.strategies.registry import PARAMS, label_of

NAMES = sorted(set(PARAMS) - {"model", "rules"})
"""Strategies whose defaults are complete."""

ENGINES = ("VECTORIZED", "EVENT_DRIVEN")


def chosen(name: str) -> Any:
    return {} if parameters_of(PARAMS[name]) else True


def run(service: str, name: str, **fields: Any) -> dict[str, Any]:
    body = {"user_id": f"user-{name}", "symbol": "BTCUSDT", "limit": 900, "strategy": {name: chosen(name)}, **fields}
    answer = httpx.post(f"{service}/api/backtests", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NAMES)
def test_both_apis_run_every_strategy_alike(service: str, name: str, engine: str) -> None:
    over_rest = run(service, name, engine=engine)
    document = """
    mutation ($input: RunBacktestInput!) {
      runBacktest(input: $input) { engine strategy { name parameters } metrics { total_return total_trades } warnings }
    }
    """
    given = {"userId": "other", "symbol": "BTCUSDT", "fetchInput": {"limit": 900}, "engine": engine}
    given["strategy"] = {camel_case(name): chosen(name)}
    answer = httpx.post(f"{service}/graphql", json={"query": document, "variables": {"input": given}}, timeout=60)
    assert "errors" not in answer.json(), answer.text
    over_graphql = answer.json()["data"]["runBacktest"]
    for found in (over_rest, over_graphql):
        assert (found["engine"], found["strategy"]["name"]) == (engine, label_of(name))
    assert over_graphql["strategy"]["parameters"] == over_rest["strategy"]["parameters"]
    assert over_graphql["metrics"] == {key: over_rest["metrics"][key] for key in ("total_return", "total_trades")}
    assert over_rest["total_fills"] > 0


@pytest.mark.parametrize("name", NAMES)
def test_result_of_every_strategy_is_stored_and_reproduced(service: str, name: str) -> None:
    result = run(service, name)
    path = f"{service}/api/backtests/{result['id']}"
    stored = httpx.get(path, timeout=60).json()["data"]
    assert {**stored, "timings": None} == {**result, "timings": None}
    listed = httpx.get(f"{service}/api/backtests", params={"user_id": f"user-{name}"}, timeout=60).json()["data"]
    assert label_of(name) in {item["strategy"]["name"] for item in listed["items"]}
    again = httpx.post(f"{path}/rerun", timeout=60).json()["data"]
    assert (again["is_reproduced"], again["differences"]) == (True, [])


@pytest.mark.parametrize("name", NAMES)
def test_neighbors_of_every_strategy_vary_its_numbers(service: str, name: str) -> None:
    result = run(service, name)
    neighbors = httpx.get(f"{service}/api/backtests/{result['id']}/neighbors", timeout=60).json()["data"]
    numbers = [item.parameter.field for item in parameters_of(PARAMS[name]) if item.kind in (int, float)]
    if not numbers:
        assert neighbors is None
        return
    [row] = [row for row in neighbors["rows"] if row["is_chosen"]]
    assert row["total_return"] == result["metrics"]["total_return"]
    for number in numbers:
        values = {value["value"] for row in neighbors["rows"] for value in row["values"] if value["name"] == number}
        assert len(values) > 1, number
