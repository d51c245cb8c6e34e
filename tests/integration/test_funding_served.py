"""Funding on its whole way through the running service: both APIs, the tear sheet, a rerun, a sweep, and refusals."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

USER = "funder"
MARKET = {"symbol": "BTCUSDT", "interval": "4h", "limit": 400, "source": "simulated", "seed": 7}
RULES = {"engine": "EVENT_DRIVEN", "direction": "BOTH", "leverage": 3, "funding": "CONSTANT", "funding_rate": 0.0005}
RUN = """mutation ($input: BacktestInput!) { runEventDrivenBacktest(input: $input) {
  id settings { funding fundingRate } metrics { totalFunding finalEquity } costs { grossProfit slippage fees funding
  netProfit } trades(first: 1000) { funding profit } } }"""


def post(service: str, path: str, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{service}{path}", json=body, timeout=60)


def run(service: str, **changes: Any) -> httpx.Response:
    return post(service, "/api/backtests", {"user_id": USER, **MARKET, **RULES, **changes})


def test_both_apis_show_what_was_paid(service: str) -> None:
    rest = run(service).json()["data"]
    paid = [trade["funding"] for trade in rest["trades"]]
    assert rest["metrics"]["total_funding"] == pytest.approx(sum(paid))
    assert min(paid) < 0 < max(paid), "shorts get what longs pay"
    assert (rest["settings"]["funding"], rest["settings"]["funding_rate"]) == ("CONSTANT", 0.0005)
    given = {
        "userId": USER, "symbol": MARKET["symbol"], "fetchInput": MARKET, "direction": "BOTH", "leverage": 3,
        "funding": "CONSTANT", "fundingRate": 0.0005,
    }  # fmt: skip
    answer = post(service, "/graphql", {"query": RUN, "variables": {"input": given}}).json()
    assert "errors" not in answer, answer
    found = answer["data"]["runEventDrivenBacktest"]
    assert found["settings"] == {"funding": "CONSTANT", "fundingRate": 0.0005}
    assert found["metrics"]["totalFunding"] == rest["metrics"]["total_funding"]
    assert found["metrics"]["finalEquity"] == rest["metrics"]["final_equity"]
    assert [trade["funding"] for trade in found["trades"]] == paid
    costs = found["costs"]
    assert costs["funding"] == pytest.approx(sum(paid))
    after = costs["grossProfit"] - costs["slippage"] - costs["fees"] - costs["funding"]
    assert after == pytest.approx(costs["netProfit"])
    assert httpx.get(f"{service}/api/backtests/{rest['id']}/costs").json()["data"]["funding"] == costs["funding"]


def test_rerun_pays_the_same_to_the_bit(service: str) -> None:
    found = run(service).json()["data"]
    again = httpx.post(f"{service}/api/backtests/{found['id']}/rerun", timeout=60).json()["data"]
    assert again["differences"] == []


def test_rate_of_nothing_changes_nothing(service: str) -> None:
    none = run(service, funding=None, funding_rate=None).json()["data"]
    nothing = run(service, funding_rate=0).json()["data"]
    assert none["metrics"] == nothing["metrics"]
    assert none["metrics"]["total_funding"] == 0
    assert none["trades"] == nothing["trades"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"funding_rate": None}, "funding_rate is required with funding CONSTANT."),
        ({"funding": "NONE"}, "funding_rate is 0.0005, and funding is NONE. Only CONSTANT allows one."),
        ({"funding_rate": 0.04}, "funding_rate is 0.04. Allowed: -0.03 ≤ x ≤ 0.03 (fraction of the position's value)."),
        ({"funding": "SOMETIMES"}, "funding is 'SOMETIMES'. Allowed: NONE, CONSTANT, HISTORY."),
        (
            {"engine": "VECTORIZED", "direction": "LONG", "leverage": 1},
            "funding, funding_rate: known to the event-driven engine only.",
        ),
    ],
)
def test_fault_of_funding_is_named(service: str, changes: dict[str, Any], words: str) -> None:
    answer = run(service, **changes)
    assert answer.status_code == 422
    assert answer.json()["message"].startswith(words)
