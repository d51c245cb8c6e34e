"""The list of strategies and indicators: the same in both APIs, and enough to make a form of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from src.api.spelling import camel_case
from src.domain.catalog import ColumnInfo, FunctionInfo, IndicatorInfo, ParameterInfo, StrategyInfo
from src.domain.reported import reported_fields
from src.indicators.registry import INDICATORS
from src.strategies.catalog import build_catalog
from src.strategies.registry import PARAMS, label_of
from src.strategies.rules.vocabulary import known_names
from tests.graphql_app import GraphQLClient
from tests.rest_app import MemoryServices, make_rest_app

REQUIRED = {"model": {"model_path": "m.pkl"}, "rules": {"buy": "close > sma(20)"}}
"""What a form must have of strategies whose defaults are not complete."""

PARAMETER = " ".join(item.name for item in reported_fields(ParameterInfo))


def selection(kind: type) -> str:
    """Return all fields of a report in snake_case, so that the response has REST's names."""
    return " ".join(
        f"{item.name} {{ {PARAMETER} }}" if item.name == "parameters" else item.name for item in reported_fields(kind)
    )


def rest_client(services: MemoryServices) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=make_rest_app(services)), base_url="http://service")


async def fetch_catalog() -> dict[str, Any]:
    async with rest_client(MemoryServices()) as client:
        answer = await client.get("/api/strategies")
    assert answer.status_code == 200
    data: dict[str, Any] = answer.json()["data"]
    return data


async def test_both_apis_list_the_same() -> None:
    kinds = {
        "strategies": StrategyInfo, "indicators": IndicatorInfo, "functions": FunctionInfo, "columns": ColumnInfo,
    }  # fmt: skip
    lists = " ".join(f"{name} {{ {selection(kind)} }}" for name, kind in kinds.items())
    document = f"{{ strategies {{ {lists} }} }}"
    assert (await GraphQLClient().data(document))["strategies"] == await fetch_catalog()


async def test_list_has_every_strategy_and_indicator_in_order() -> None:
    catalog = await fetch_catalog()
    assert {item["name"]: item["label"] for item in catalog["strategies"]} == {name: label_of(name) for name in PARAMS}
    assert [item["name"] for item in catalog["indicators"]] == list(INDICATORS)


async def test_list_has_every_word_of_rules() -> None:
    catalog = await fetch_catalog()
    words = [item["name"] for part in ("columns", "functions", "indicators") for item in catalog[part]]
    assert words == list(known_names())
    assert find(catalog["columns"], "hour") == {
        "name": "hour", "meaning": "The hour of the bar's open, 0…23 UTC.", "minimum": 0, "maximum": 23
    }  # fmt: skip
    assert find(catalog["functions"], "crosses_above")["signature"] == "crosses_above(a, b)"


def find(items: list[Any], name: str) -> Any:
    [found] = [item for item in items if item["name"] == name]
    return found


async def test_parameter_says_all_that_a_form_needs() -> None:
    catalog = await fetch_catalog()
    rsi = find(catalog["strategies"], "rsi")
    assert find(rsi["parameters"], "length") == {
        "name": "length", "meaning": "Length of Wilder's means of rises and falls of the close.", "type": "INTEGER",
        "unit": "bars", "minimum": 2, "maximum": 5000, "excludes_minimum": False, "excludes_maximum": False,
        "choices": [], "is_required": False, "default": 14, "default_meaning": None,
    }  # fmt: skip
    mode = find(find(catalog["strategies"], "bollinger")["parameters"], "mode")
    assert (mode["type"], mode["choices"], mode["default"]) == ("CHOICE", ["REVERSION", "BREAKOUT"], "REVERSION")
    columns = find(find(catalog["strategies"], "model")["parameters"], "feature_columns")
    assert (columns["type"], columns["default"], columns["default_meaning"]) == (
        "TEXTS",
        None,
        "as the model file says",
    )
    assert find(catalog["strategies"], "buy_and_hold")["parameters"] == []
    line = find(catalog["indicators"], "macd_signal")
    assert [(item["name"], item["type"], item["default"]) for item in line["parameters"]] == [
        ("fast", "INTEGER", 12), ("slow", "INTEGER", 26), ("signal", "INTEGER", 9),
    ]  # fmt: skip
    assert (line["lookback"], line["columns"], line["takes_series"]) == (33, ["close"], True)
    multiplier = find(find(catalog["indicators"], "supertrend")["parameters"], "multiplier")
    assert (multiplier["minimum"], multiplier["excludes_minimum"], multiplier["type"]) == (0, True, "NUMBER")


def filled_form(strategy: Mapping[str, Any]) -> Any:
    """Return what a form sends with its defaults unchanged; true for a strategy without parameters."""
    given: dict[str, Any] = {}
    for item in strategy["parameters"]:
        group, _, name = item["name"].rpartition(".")
        (given.setdefault(group, {}) if group else given)[name] = item["default"]
    return given | REQUIRED.get(strategy["name"], {}) or True


def in_camel_case(form: Any) -> Any:
    return {camel_case(key): in_camel_case(value) for key, value in form.items()} if isinstance(form, dict) else form


@pytest.mark.parametrize("name", PARAMS)
async def test_form_of_defaults_is_accepted_by_both(name: str) -> None:
    form = filled_form(find((await fetch_catalog())["strategies"], name))
    services = MemoryServices()
    async with rest_client(services) as client:
        body = {"user_id": "alice", "symbol": "BTCUSDT", "strategy": {name: form}}
        answer = await client.post("/api/backtests", json=body)
    assert answer.status_code == 200, answer.text
    graphql = GraphQLClient()
    document = "mutation ($input: RunBacktestInput!) { runBacktest(input: $input) { id } }"
    given = {"userId": "alice", "symbol": "BTCUSDT", "strategy": {camel_case(name): in_camel_case(form)}}
    await graphql.data(document, {"input": given})
    assert services.backtests.asked[0].strategy == graphql.backtests.asked[0].strategy
    assert type(graphql.backtests.asked[0].strategy) is PARAMS[name]


def test_bounds_are_those_that_are_checked() -> None:
    for strategy in build_catalog().strategies:
        for item in strategy.parameters:
            if item.minimum is not None and item.default is not None:
                assert item.minimum <= item.default <= (item.maximum or item.default)
