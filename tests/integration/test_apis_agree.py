"""Check that REST and GraphQL return the same result: each field of one, in snake_case, is in the other."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from tests.user_document import CAMEL_INPUT

INTROSPECTION = """
{ __schema { types { kind name fields { name type { ...Kind } } } } }
fragment Kind on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }
"""

LATER_CHECKS = {
    "neighbors": "neighbors",
    "other_markets": "other-markets",
    "resolved_fills": "resolved-fills",
    "deflation_now": "deflation",
}
"""Fields that GraphQL computes when asked, and the REST endpoints that do."""

TEAR_SHEET = ("series", "months", "drawdowns", "distribution", "costs")
"""Fields of GraphQL that are endpoints of their own in REST."""


def post(service: str, query: str) -> Any:
    answer = httpx.post(f"{service}/graphql", json={"query": query}, timeout=60).json()
    assert "errors" not in answer, answer
    return answer["data"]


def selection(types: dict[str, Any], name: str, outer: tuple[str, ...] = ()) -> str:
    """Select everything of a type, down to its leaves, but no type inside itself."""
    parts = []
    for field in types[name]["fields"]:
        kind = field["type"]
        while kind.get("ofType"):
            kind = kind["ofType"]
        if kind["name"] in (*outer, name):
            continue
        inner = selection(types, kind["name"], (*outer, name)) if kind["kind"] == "OBJECT" else ""
        parts.append(f"{field['name']} {inner}")
    return "{ " + " ".join(parts) + " }"


def snake_case(value: Any) -> Any:
    """Rename the keys of GraphQL's response; values and the names of bars (`Date`, …) stay."""
    if isinstance(value, list):
        return [snake_case(item) for item in value]
    if isinstance(value, dict):
        return {
            re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower() if name[0].islower() else name: (
                item if name == "parameters" else snake_case(item)
            )
            for name, item in value.items()
        }
    return value


def assert_holds(rest: Any, graphql: Any, path: str = "result") -> None:
    """REST may have more fields, but no other values."""
    if isinstance(graphql, dict):
        for name, value in graphql.items():
            # GraphQL's camelCase does not show where a number begins: valueAtRisk95 is value_at_risk_95.
            own = name if name in rest else re.sub(r"(?<=[a-z])(?=\d)", "_", name)
            assert own in rest, f"{path}.{name} is missing in REST"
            assert_holds(rest[own], value, f"{path}.{name}")
    elif isinstance(graphql, list):
        assert len(rest) == len(graphql), path
        for index, value in enumerate(graphql):
            assert_holds(rest[index], value, f"{path}[{index}]")
    else:
        assert rest == graphql, path


@pytest.mark.parametrize("engine", ["VECTORIZED", "EVENT_DRIVEN"])
def test_both_apis_return_the_same_result(service: str, engine: str) -> None:
    types = {kind["name"]: kind for kind in post(service, INTROSPECTION)["__schema"]["types"]}
    run = httpx.post(f"{service}/api/backtests", json={**CAMEL_INPUT, "engine": engine, "crossCheck": True}, timeout=60)
    rest = run.json()["data"]
    assert rest["cross_check"]["differences"] == []
    stored = httpx.get(f"{service}/api/backtests/{rest['id']}").json()["data"]
    assert stored == rest
    later = {}
    for name, path in LATER_CHECKS.items():
        answer = httpx.get(f"{service}/api/backtests/{rest['id']}/{path}", timeout=60).json()
        later |= {name: answer["data"], f"{name}_unchecked": answer["unchecked"]}
        assert (answer["data"] is None) == (answer["unchecked"] is not None)
    assert {later[name] is None for name in LATER_CHECKS} == {True, False}
    sheet = {
        name: httpx.get(f"{service}/api/backtests/{rest['id']}/{name}", timeout=60).json()["data"]
        for name in TEAR_SHEET
    }
    columns = sheet["series"]["columns"]
    # REST leaves out the bounds of buckets where there are no buckets; GraphQL has fields for them.
    bounds = {f"{name}_{end}": None for name in columns for end in ("low", "high")}
    rest["data"] = [
        row | {name: values[index] for name, values in columns.items() if values is not None}
        for index, row in enumerate(rest["data"])
    ]
    sheet["drawdowns"] = sheet["drawdowns"]["items"]
    later |= sheet | {"series": {**sheet["series"], **bounds, **columns}}
    everything = post(service, f'{{ backtest(id: "{rest["id"]}") {selection(types, "BacktestResult")} }}')["backtest"]
    assert_holds(rest | later, snake_case(everything))
    listed = httpx.get(f"{service}/api/backtests", params={"user_id": CAMEL_INPUT["userId"]}).json()["data"]["items"]
    [summary] = [item for item in listed if item["id"] == rest["id"]]
    everything = post(service, f'{{ compareBacktests(ids: ["{rest["id"]}"]) {selection(types, "BacktestSummary")} }}')
    assert_holds(summary, snake_case(everything["compareBacktests"][0]))
