from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from src.api.rest.bodies import BacktestBody, FetchBody
from src.domain.strategy import ModelParams, StrategyParams
from src.domain.trading import EngineName
from src.strategies.bollinger import BollingerMode, BollingerParams
from src.strategies.buy_and_hold import BuyAndHoldParams
from src.strategies.crossover import CrossoverParams
from src.strategies.donchian import DonchianParams
from src.strategies.registry import PARAMS
from src.strategies.rsi import RsiParams
from src.strategies.up_down import UpDownParams
from tests.factories import make_result
from tests.rest_app import MemoryServices

BODY = {"user_id": "alice", "symbol": "BTCUSDT"}
JSON = {"Content-Type": "application/json"}


async def run(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post("/api/backtests", json=BODY | fields)


async def test_result_comes_without_tables_if_asked(client: httpx.AsyncClient) -> None:
    bare = (await client.post("/api/backtests?rows=false", json=BODY)).json()["data"]
    whole = (await client.post("/api/backtests", json=BODY)).json()["data"]
    assert set(whole) - set(bare) == {"data", "fills", "trades"}
    assert bare["metrics"] == whole["metrics"]


async def test_crossover_runs_and_is_read_again(client: httpx.AsyncClient) -> None:
    ran = await run(client)
    assert ran.status_code == 200
    read = await client.get(f"/api/backtests/{ran.json()['data']['id']}")
    assert read.json()["data"] == ran.json()["data"]


@pytest.mark.parametrize(
    "body",
    [
        {"user_id": "alice", "symbol": "ETHUSDT", "fast": 5, "slow": 9, "interval": "1h", "init_cash": 77},
        {"userId": "alice", "fetchInput": {"symbol": "ETHUSDT", "interval": "1h"},
         "maCrossoverParams": {"fast": 5, "slow": 9}, "initCash": 77},
        {"user_id": "alice", "fetch_input": {"symbol": "ETHUSDT", "interval": "1h"}, "initCash": 77,
         "ma_crossover_params": {"fast": 5, "slow": 9}, "symbol": "ETHUSDT"},
    ],
)  # fmt: skip
async def test_flat_or_as_graphql_in_either_spelling(
    client: httpx.AsyncClient, services: MemoryServices, body: Any
) -> None:
    first = {"user_id": "alice", "symbol": "ETHUSDT", "fast": 5, "slow": 9, "interval": "1h", "init_cash": 77}
    assert (await client.post("/api/backtests", json=first)).status_code == 200
    answer = await client.post("/api/backtests", json=body)
    assert answer.status_code == 200, answer.text
    assert services.backtests.asked[0] == services.backtests.asked[1]


async def test_engine_is_chosen_in_any_case(client: httpx.AsyncClient, services: MemoryServices) -> None:
    await run(client, engine="event_driven")
    await run(client)
    assert [request.engine for request in services.backtests.asked] == [EngineName.EVENT_DRIVEN, EngineName.VECTORIZED]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"fast": 50, "slow": 20}, "fast"),
        ({"fast": 1.5}, "fast"),
        ({"fast": True}, "fast"),
        ({"seed": 10**18 * 10**18}, "seed"),
        ({"seed": "9" * 40}, "seed"),
        ({"seed": "9" * 5000}, "seed"),
        ({"use_fallback": "perhaps"}, "use_fallback"),
        ({"init_cash": []}, "init_cash"),
        ({"barsPerYear": 0}, "bars_per_year"),
        ({"risk_free_rate": 5}, "risk_free_rate"),
        ({"risk_free_rate": True}, "risk_free_rate"),
        ({"fast": 5, "ma_crossover_params": {"fast": 6}}, "fast"),
        ({"fetch_input": {"limitt": 5}}, "fetch_input.limitt"),
        ({"fetch_input": 7}, "fetch_input"),
        ({"threshold": 0.5}, "threshold"),
        ({"engine": "quantum"}, "engine"),
        ({"user_id": None}, "user_id"),
        ({"strategy": {}}, "strategy"),
        ({"strategy": {"up_down": False}}, "strategy"),
        ({"strategy": {"up_down": True, "ma_crossover": {}}}, "strategy"),
        ({"strategy": {"magic": {}}}, "strategy.magic"),
        ({"strategy": {"ma_crossover": {"fastest": 1}}}, "strategy.ma_crossover.fastest"),
        ({"strategy": {"ma_crossover": {"fast": 60}}}, "fast"),
        ({"strategy": {"up_down": True}, "slow": 9}, "slow"),
        ({"strategy": {"rsi": {"low": 80}}}, "low"),
        ({"strategy": {"macd": {"signal": 1}}}, "signal"),
        ({"strategy": {"bollinger": {"mode": "sideways"}}}, "mode"),
        ({"strategy": {"model": {"threshold": 0.4}}}, "model_path"),
        ({"init_cash": 1, "initCash": 1}, "init_cash"),
    ],
)
async def test_wrong_fields_are_named(client: httpx.AsyncClient, fields: Any, field: str) -> None:
    answer = await run(client, **fields)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "INVALID_INPUT", field)
    assert not re.search(r"valid|instance of|parse|maximum size|Body|'ctx'", answer.json()["message"])


@pytest.mark.parametrize(
    ("fields", "field", "got"),
    [
        ({"tradeLimit": 1}, "trade_limit", "tradeLimit"),
        ({"trade_limit": 1}, "trade_limit", "trade_limit"),
        ({"fetchInput": {"startDay": 5}}, "fetch_input.start_day", "fetchInput.startDay"),
    ],
)
async def test_unknown_field_is_quoted_as_sent(client: httpx.AsyncClient, fields: Any, field: str, got: str) -> None:
    problem = (await run(client, **fields)).json()
    assert problem["field"] == field
    assert problem["message"].startswith(f"Unknown field '{got}'. Known fields: ")


@pytest.mark.parametrize(
    ("fields", "known"),
    [
        ({"strategy": {"tarot": {}}}, f"{', '.join(PARAMS)}."),
        ({"strategy": {"ma_crossover": {"fasst": 3}}}, "fast, slow."),
        ({"fetch_input": {"symbl": "x"}}, "symbol, interval, limit, start_date, end_date, source, seed."),
    ],
)
async def test_unknown_nested_field_lists_its_siblings(client: httpx.AsyncClient, fields: Any, known: str) -> None:
    assert (await run(client, **fields)).json()["message"].endswith(f"Known fields: {known}")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"1", b"\xff\xfe", b'{"user_id": NaN}'], ids=repr)
async def test_body_that_is_no_json_object_is_malformed(client: httpx.AsyncClient, content: bytes) -> None:
    answer = await client.post("/api/backtests", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "MALFORMED_REQUEST")


async def test_body_with_a_name_twice_is_malformed(client: httpx.AsyncClient) -> None:
    content = b'{"user_id": "a", "symbol": "BTCUSDT", "fetch_input": {"limit": 10, "limit": 20}}'
    answer = await client.post("/api/backtests", content=content, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, "MALFORMED_REQUEST")
    assert answer.json()["message"] == "An object in the body has the name 'limit' twice. Allowed: once."


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/x", 415),
        ("application/jsonp", 415),
        (None, 415),
    ],
)
async def test_body_without_json_content_type_is_refused(
    client: httpx.AsyncClient, content_type: str | None, status: int
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await client.post("/api/backtests", content=json.dumps(BODY).encode(), headers=headers)
    assert answer.status_code == status
    if status == 415:
        assert answer.json()["code"] == "UNSUPPORTED_FORMAT"
        assert "Allowed: application/json." in answer.json()["message"]


async def test_nesting_without_end_is_malformed(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/backtests", content=b'{"a":' * 100_000, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, "MALFORMED_REQUEST")


async def test_deep_but_whole_json_is_refused_with_words(client: httpx.AsyncClient) -> None:
    content = b'{"fetchInput":' * 200 + b"{}" + b"}" * 200
    answer = await client.post("/api/backtests", content=content, headers=JSON)
    assert answer.status_code == 422


async def test_lone_surrogates_do_not_break_the_response(client: httpx.AsyncClient) -> None:
    content = json.dumps(BODY | {"engine": "\ud800"}).encode()
    answer = await client.post("/api/backtests", content=content, headers=JSON)
    assert answer.status_code in (400, 422)


async def test_lists_are_paged_and_belong_to_one_user(client: httpx.AsyncClient) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT", "BTCUSDT"):
        await run(client, symbol=symbol)
    query = {"user_id": "alice", "symbol": "BTCUSDT", "first": 1}
    first = (await client.get("/api/backtests", params=query)).json()["data"]
    second = (await client.get("/api/backtests", params=query | {"after": first["next_cursor"]})).json()["data"]
    assert [item["id"] for item in first["items"] + second["items"]] == ["result-1", "result-3"]
    assert second["next_cursor"] is None
    assert (await client.get("/api/backtests", params={"user_id": "bob"})).json()["data"]["items"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [({}, "user_id"), ({"user_id": "a", "first": 0}, "first"), ({"user_id": "a", "first": 101}, "first"),
     ({"user_id": "a", "first": "x"}, "first")],
)  # fmt: skip
async def test_wrong_queries_are_named(client: httpx.AsyncClient, query: dict[str, Any], field: str) -> None:
    answer = await client.get("/api/backtests", params=query)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("part", ["", "/judgement"])
async def test_result_is_checked_by_caches(client: httpx.AsyncClient, part: str) -> None:
    path = f"/api/backtests/{(await run(client)).json()['data']['id']}{part}"
    first = await client.get(path)
    assert first.headers["cache-control"] == "private, no-cache"
    assert first.headers["etag"].startswith("W/")
    strong = first.headers["etag"].removeprefix("W/")
    for condition in (first.headers["etag"], f'"other", {first.headers["etag"]}', strong, "*"):
        again = await client.get(path, headers={"If-None-Match": condition})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    other = await client.get(path, headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.content, other.headers["etag"]) == (200, first.content, first.headers["etag"])


async def test_unknown_result_ids_are_not_found(client: httpx.AsyncClient) -> None:
    for part in ("", "/judgement", "/fills", "/trades"):
        path = f"/api/backtests/none{part}"
        answer = await client.get(path, headers={"If-None-Match": "*"})
        assert (answer.status_code, answer.json()["code"]) == (404, "RESULT_NOT_FOUND")


async def test_fills_and_trades_are_paged(client: httpx.AsyncClient) -> None:
    whole = (await run(client)).json()["data"]
    path = f"/api/backtests/{whole['id']}"
    page = (await client.get(f"{path}/fills", params={"first": 1, "offset": 1})).json()["data"]
    assert page == {"items": whole["fills"][1:2], "total": 2, "offset": 1, "first": 1}
    assert (await client.get(f"{path}/fills", params={"offset": 99})).json()["data"]["items"] == []
    assert (await client.get(f"{path}/trades")).json()["data"]["items"] == whole["trades"]
    assert (await client.get(f"{path}/trades", params={"offset": -1})).status_code == 422


async def test_small_result_says_nothing_of_pages(client: httpx.AsyncClient) -> None:
    whole = (await run(client)).json()["data"]
    assert "more_rows" not in whole
    assert len(whole["data"]) == 10
    page = (await client.get(f"/api/backtests/{whole['id']}/data", params={"first": 4, "offset": 3})).json()["data"]
    assert page == {"items": whole["data"][3:7], "total": 10, "offset": 3, "first": 4}


async def test_long_result_is_cut_and_paged(client: httpx.AsyncClient, services: MemoryServices) -> None:
    result = make_result(257, id="long")
    services.backtests.results["long"] = result
    read = (await client.get("/api/backtests/long")).json()["data"]
    assert len(read["data"]) == 100
    assert read["more_rows"] == {"data": "/api/backtests/long/data?first=100&offset=100"}
    assert read["warnings"] == [
        "data has 257 rows, and one response holds 100 of them at most (MAX_ROWS_PER_ANSWER): read the rest page by "
        "page, beginning with /api/backtests/long/data?first=100&offset=100."
    ]
    rows, path = read["data"], read["more_rows"]["data"]
    while len(rows) < 257:
        page = (await client.get(path)).json()["data"]
        rows += page["items"]
        path = f"/api/backtests/long/data?first=100&offset={len(rows)}"
    assert [row["portfolio_value"] for row in rows] == result.simulation.equity.tolist()
    for table in ("data", "fills", "trades"):
        refused = await client.get(f"/api/backtests/long/{table}", params={"first": 101})
        assert (refused.status_code, refused.json()["field"]) == (422, "first")
        assert "Allowed: a whole number from 0 to 100 (MAX_ROWS_PER_ANSWER)" in refused.json()["message"]
    rerun = (await client.post("/api/backtests/long/rerun")).json()["data"]["result"]
    assert "more_rows" not in rerun  # the memory's rerun has ten bars


async def test_stored_result_is_run_again(client: httpx.AsyncClient) -> None:
    first = (await run(client)).json()["data"]
    again = await client.post(f"/api/backtests/{first['id']}/rerun")
    assert again.status_code == 200, again.text
    data = again.json()["data"]
    assert (data["original_id"], data["is_reproduced"], data["differences"]) == (first["id"], False, ["candles"])
    assert data["result"]["id"] != first["id"]
    assert (await client.post("/api/backtests/nowhere/rerun")).json()["code"] == "RESULT_NOT_FOUND"


@pytest.mark.parametrize(
    ("strategy", "params"),
    [
        ({"ma_crossover": {"fast": 5}}, CrossoverParams(fast=5)),
        ({"maCrossover": {}}, CrossoverParams()),
        ({"up_down": True, "ma_crossover": None}, UpDownParams()),
        ({"buyAndHold": True}, BuyAndHoldParams()),
        ({"rsi": {"low": 25}}, RsiParams(low=25.0)),
        ({"bollinger": {"mode": "breakout"}}, BollingerParams(mode=BollingerMode.BREAKOUT)),
        ({"donchian": {"entryLength": 55, "exit_length": 20}}, DonchianParams(entry_length=55, exit_length=20)),
        ({"model": {"modelPath": "m.pkl", "threshold": 0.4}}, ModelParams(reference="m.pkl", threshold=0.4)),
    ],
)
async def test_strategy_is_named_with_its_parameters(
    client: httpx.AsyncClient, services: MemoryServices, strategy: Any, params: StrategyParams
) -> None:
    answer = await run(client, strategy=strategy)
    assert answer.status_code == 200, answer.text
    [asked] = services.backtests.asked
    assert asked.strategy == params


async def test_null_is_not_given(client: httpx.AsyncClient, services: MemoryServices) -> None:
    optional = set(BacktestBody.model_fields) - {"user_id", "symbol"}
    nothing = dict.fromkeys(optional)
    nested = nothing | {"fetch_input": dict.fromkeys(FetchBody.model_fields), "ma_crossover_params": {"fast": None}}
    for fields in (nothing, nested, {}):
        answer = await run(client, **fields)
        assert answer.status_code == 200, answer.text
    assert services.backtests.asked[0] == services.backtests.asked[1] == services.backtests.asked[2]


async def test_user_deletes_own_result(client: httpx.AsyncClient) -> None:
    path = f"/api/backtests/{(await run(client)).json()['data']['id']}"
    assert (await client.delete(path)).json()["field"] == "user_id"
    stranger = await client.delete(path, params={"user_id": "bob"})
    assert (stranger.status_code, stranger.json()["code"]) == (404, "RESULT_NOT_FOUND")
    deleted = await client.delete(path, params={"userId": "alice"})
    assert deleted.status_code == 200
    assert deleted.json()["data"]["symbol"] == "BTCUSDT"
    assert (await client.get(path)).status_code == 404
    assert (await client.delete(path, params={"user_id": "alice"})).status_code == 404
