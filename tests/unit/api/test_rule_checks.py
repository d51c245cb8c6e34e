"""Check rules without a backtest: the same report in both APIs, and the place of a fault in errors of backtests."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from src.domain.reported import reported_fields
from src.domain.rules import RuleFault, RuleReport, RuleText
from tests.graphql_app import GraphQLClient, without_hint
from tests.rest_app import MemoryServices, make_rest_app

PARTS = {"rules": RuleText, "faults": RuleFault}


def rest_client() -> httpx.AsyncClient:
    app = make_rest_app(MemoryServices())
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://service")


async def check_over_rest(body: Any) -> httpx.Response:
    async with rest_client() as client:
        return await client.post("/api/strategies/check", json=body)


async def check_over_graphql(body: Any) -> Any:
    selection = " ".join(
        f"{item.name} {{ {' '.join(part.name for part in reported_fields(PARTS[item.name]))} }}"
        if item.name in PARTS
        else item.name
        for item in reported_fields(RuleReport)
    )
    document = f"query ($input: RulesCheckInput!) {{ describeRules(input: $input) {{ {selection} }} }}"
    return (await GraphQLClient().data(document, {"input": body}))["describeRules"]


BODIES: dict[str, Any] = {
    "fine": {"buy": "(rsi({n}) < 30) and close > sma(200)", "sell": "rsi({n}) > 70", "parameters": {"n": 14}},
    "fault": {"buy": "close > smaa(20)", "sell": "close <"},
    "interval": {"buy": "close > vwap()", "interval": "1h"},
    "model": {"buy": "model() > 0.6"},
    "no entry": {"sell": "close < 1"},
    "nothing": {},
}


@pytest.mark.parametrize("name", BODIES)
async def test_both_apis_give_the_same_report(name: str) -> None:
    answer = await check_over_rest(BODIES[name])
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"] == await check_over_graphql(BODIES[name])


async def test_message_names_the_model_that_rules_read() -> None:
    answer = (await check_over_rest({"buy": "model() > 0.5"})).json()
    assert answer["message"] == "The rules can be traded with a model"
    assert answer["data"]["reads_model"] is True


async def test_report_describes_rules_that_can_be_traded() -> None:
    answer = (await check_over_rest(BODIES["fine"])).json()
    assert answer["message"] == "The rules can be traded"
    assert answer["data"]["rules"][1]["tree"] == {
        "kind": "comparison", "value": ">", "children": [
            {"kind": "call", "value": "rsi", "children": [{"kind": "parameter", "value": "n", "children": []}]},
            {"kind": "number", "value": 70, "children": []},
        ],
    }  # fmt: skip
    assert answer["data"] == {
        "rules": [
            {"field": "buy", "text": "rsi({n}) < 30 and close > sma(200)", "tree": answer["data"]["rules"][0]["tree"]},
            {"field": "sell", "text": "rsi({n}) > 70", "tree": answer["data"]["rules"][1]["tree"]},
        ],
        "lookback_bars": 199, "warm_up_bars": answer["data"]["warm_up_bars"], "parameters": ["n"],
        "indicators": ["rsi", "sma"], "reads_model": False, "warnings": [], "faults": [],
    }  # fmt: skip
    assert 199 <= answer["data"]["warm_up_bars"] <= 5000


async def test_report_has_the_place_of_each_fault() -> None:
    answer = (await check_over_rest(BODIES["fault"])).json()
    assert answer["message"] == "2 fault(s)"
    faults = {fault["field"]: fault for fault in answer["data"]["faults"]}
    assert (faults["buy"]["line"], faults["buy"]["column"]) == (1, 9)
    assert "sma" in faults["buy"]["message"].partition("\n")[0]
    assert (faults["sell"]["line"], faults["sell"]["column"]) == (1, 8)


@pytest.mark.parametrize(
    ("body", "field"),
    [({"buy": 1}, "buy"), ({"byu": "close > 1"}, "byu"), ({"buy": "close > 1", "interval": "7h"}, "interval")],
)
async def test_check_refuses_what_is_no_rule(body: Any, field: str) -> None:
    answer = await check_over_rest(body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


RULES = {"buy": "close > sma(20)\nand volume > zma(5)"}


async def test_backtest_refuses_a_rule_at_its_place() -> None:
    async with rest_client() as client:
        body = {"user_id": "alice", "symbol": "BTCUSDT", "strategy": {"rules": RULES}}
        problem = (await client.post("/api/backtests", json=body)).json()
    assert (problem["status"], problem["code"], problem["field"]) == (422, "INVALID_RULE", "buy")
    assert (problem["line"], problem["column"]) == (2, 14)
    assert problem["detail"].endswith("\n    and volume > zma(5)\n                 ^")


async def test_graphql_refuses_a_rule_at_its_place() -> None:
    document = "mutation ($input: RunBacktestInput!) { runBacktest(input: $input) { id } }"
    given = {"userId": "alice", "symbol": "BTCUSDT", "strategy": {"rules": RULES}}
    answer = await GraphQLClient().post(document, {"input": given})
    extensions = answer["errors"][0]["extensions"]
    assert without_hint(extensions) == {"code": "INVALID_RULE", "field": "buy", "line": 2, "column": 14}
