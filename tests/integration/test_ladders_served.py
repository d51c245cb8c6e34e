"""Run targets of parts and additions through a running service: both APIs, the form, storage, reruns, sweeps."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import httpx
import pytest

from tests.sweeps_served import data_of, start, wait

LADDERS: dict[str, Any] = {
    "take_profits": [
        {"rate": 0.02, "portion": 0.5, "after_bars": 0},
        {"rate": 0.05, "portion": None, "after_bars": 0},
        {"rate": 0.0, "portion": None, "after_bars": 6},
    ],
    "add_entries": [{"move": -0.02, "size": 0.5}, {"move": 0.03, "size": 0.25}],
}
MARKET = {"symbol": "LADDER", "source": "simulated", "seed": 5, "limit": 900}
RULES = {"engine": "EVENT_DRIVEN", "percent_size": 0.3, "stop_loss": 0.1, "direction": "BOTH"}
DOCUMENT = """
mutation ($input: RunBacktestInput!) {
  runBacktest(input: $input) {
    settings { takeProfits { rate portion afterBars } addEntries { move size } }
    fills { bar side quantity price reason trade }
    trades { quantity entryPrice exitPrice profit isOpen }
    metrics { total_return total_trades }
  }
}
"""


def run(service: str, **fields: Any) -> httpx.Response:
    body = {"user_id": "ladder", **MARKET, **RULES, **LADDERS, **fields}
    return httpx.post(f"{service}/api/backtests", json=body, timeout=60)


def camel(value: Any) -> Any:
    if isinstance(value, list):
        return [camel(item) for item in value]
    names = {"after_bars": "afterBars", "entry_price": "entryPrice", "exit_price": "exitPrice", "is_open": "isOpen"}
    return {names.get(name, name): item for name, item in value.items()}


def test_both_apis_run_ladders_alike(service: str) -> None:
    answer = run(service)
    assert answer.status_code == 200, answer.text
    over_rest = answer.json()["data"]
    given = {
        "userId": "ladder", "symbol": "LADDER", "strategy": {"maCrossover": {}},
        "fetchInput": {"source": "simulated", "seed": 5, "limit": 900},
        "engine": "EVENT_DRIVEN", "percentSize": 0.3, "stopLoss": 0.1, "direction": "BOTH",
        "takeProfits": camel(LADDERS["take_profits"]), "addEntries": LADDERS["add_entries"],
    }  # fmt: skip
    sent = {"query": DOCUMENT, "variables": {"input": given}}
    answered = httpx.post(f"{service}/graphql", json=sent, timeout=60).json()
    assert "errors" not in answered, answered
    over_graphql = answered["data"]["runBacktest"]
    assert {name: over_rest["settings"][name] for name in LADDERS} == LADDERS
    assert over_graphql["settings"] == {
        "takeProfits": camel(LADDERS["take_profits"]),
        "addEntries": LADDERS["add_entries"],
    }
    assert over_graphql["metrics"] == {name: over_rest["metrics"][name] for name in over_graphql["metrics"]}
    for table in ("fills", "trades"):
        names = over_graphql[table][0]
        assert over_graphql[table] == [
            {name: row[name] for name in names} for row in camel(over_rest[table])
        ]  # fmt: skip


def test_parts_are_listed_under_their_trade(service: str) -> None:
    data = run(service).json()["data"]
    fills, trades = data["fills"], data["trades"]
    assert {"take_profit", "add_limit", "add_stop"} <= {fill["reason"] for fill in fills}
    own = {number: list(rows) for number, rows in groupby(fills, lambda fill: fill["trade"])}
    assert list(own) == list(range(len(trades)))
    assert max(len(rows) for rows in own.values()) > 2
    for number, trade in enumerate(trades):
        side = own[number][0]["side"]
        entries = [fill for fill in own[number] if fill["side"] == side]
        assert trade["quantity"] == pytest.approx(sum(fill["quantity"] for fill in entries))
        spent = sum(fill["quantity"] * fill["price"] for fill in entries)
        assert trade["entry_price"] == pytest.approx(spent / trade["quantity"])


def test_result_with_ladders_is_stored_and_reproduced(service: str) -> None:
    result = run(service).json()["data"]
    path = f"{service}/api/backtests/{result['id']}"
    stored = httpx.get(path, timeout=60).json()["data"]
    assert {**stored, "timings": None} == {**result, "timings": None}
    again = httpx.post(f"{path}/rerun", timeout=60).json()["data"]
    assert (again["is_reproduced"], again["differences"]) == (True, [])


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        (
            {"take_profits": [{"rate": 0.1}, {"rate": 0.2, "portion": 1.5}]},
            "take_profits[1].portion",
            "take_profits[1].portion is 1.5. Allowed: 0 < x ≤ 1 (fraction).",
        ),
        ({"add_entries": [{"move": "up"}]}, "add_entries[0].move", "add_entries[0].move is 'up'. Allowed: a number."),
        (
            {"takeProfits": [{"rate": 0.1, "after": 3}], "take_profits": None},
            "take_profits",
            "'take_profits' and 'takeProfits' are both given. Allowed: one of them.",
        ),
        (
            {"take_profits": [{"rate": 0.1, "after": 3}]},
            "take_profits[0].after",
            "Unknown field 'take_profits[0].after'. Known fields: rate, portion, after_bars.",
        ),
        (
            {"take_profits": "[{"},
            "take_profits",
            "take_profits is '[{'. Allowed: a list of objects, in a form as JSON.",
        ),
        (
            {"engine": "VECTORIZED", "stop_loss": None, "direction": None, "take_profits": None},
            "add_entries",
            "add_entries: known to the event-driven engine only. The vectorized engine allows market entries, LONG, "
            "exits by signal, one fee, and neither leverage nor funding.",
        ),
    ],
)
def test_refused_ladders_name_rung_and_field(service: str, fields: Any, field: str, message: str) -> None:
    answer = run(service, **fields)
    assert answer.status_code == 422, answer.text
    assert (answer.json()["field"], answer.json()["message"]) == (field, message)


def test_graphql_names_rung_and_field(service: str) -> None:
    given = {"userId": "a", "symbol": "LADDER", "strategy": {"maCrossover": {}}, "engine": "EVENT_DRIVEN"}
    sent = {"query": DOCUMENT, "variables": {"input": given | {"takeProfits": [{"rate": 0.0}]}}}
    [error] = httpx.post(f"{service}/graphql", json=sent, timeout=60).json()["errors"]
    assert error["extensions"]["field"] == "takeProfits[0].rate"
    assert error["message"].endswith("Allowed: more than 0, or afterBars of at least 1.")


def test_sweep_of_a_run_with_ladders_equals_it(service: str) -> None:
    single = run(service, stop_loss=0.05, strategy={"ma_crossover": {}}).json()["data"]
    body = {
        "backtest": {"user_id": "ladder", **MARKET, **RULES, **LADDERS, "strategy": {"ma_crossover": {}}},
        "parameters": [{"name": "stop_loss", "values": [0.05, 0.1]}],
    }
    sweep_id = start(service, "/api/sweeps", body)
    wait(service, sweep_id)
    rows = data_of(httpx.get(f"{service}/api/sweeps/{sweep_id}/rows", timeout=60))["items"]
    [row] = [row for row in rows if row["stop_loss"] == 0.05]
    assert row["final_equity"] == single["metrics"]["final_equity"]
    for name in ("total_trades", "win_rate", "profit_factor"):
        assert row[name] == pytest.approx(single["metrics"][name], rel=1e-9), name
    settings = data_of(httpx.get(f"{service}/api/sweeps/{sweep_id}", timeout=60))["settings"]
    assert {name: settings["backtest"][name] for name in LADDERS} == LADDERS
