"""Run the user's document with real clients against the whole service and an exchange on loopback."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from gql import Client, gql
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.httpx import HTTPXAsyncTransport

from tests.exchange import EXCHANGE_INFO, KLINES, LoopbackExchange
from tests.exchange_faults import (
    banned,
    firewall_page,
    half_json,
    hang,
    restricted_location,
    server_error,
    too_many_requests,
)
from tests.user_document import CAMEL_INPUT, SNAKE_INPUT, VECTORIZED, VECTORIZED_CAMEL

NODE_CLIENT = """
const [url, body] = process.argv.slice(1);
const response = await fetch(url, {method: "POST", headers: {"Content-Type": "application/json"}, body});
console.log(JSON.stringify(await response.json()));
"""

EXAMPLES = {
    "snake_case": (VECTORIZED, SNAKE_INPUT),
    "camelCase": (VECTORIZED_CAMEL, CAMEL_INPUT),
    "mixed": (VECTORIZED, {**CAMEL_INPUT, "max_bars": None, "use_fallback": False}),
}


def by_httpx(url: str, document: str, variables: Mapping[str, Any]) -> Any:
    answer = httpx.post(url, json={"query": document, "variables": variables}, timeout=60).json()
    assert "errors" not in answer, answer
    return answer["data"]


def by_curl(url: str, document: str, variables: Mapping[str, Any]) -> Any:
    body = json.dumps({"query": document, "variables": variables})
    command = ["curl", "-sS", "-m", "60", url, "-H", "Content-Type: application/json", "-d", body]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)["data"]


def by_node(url: str, document: str, variables: Mapping[str, Any]) -> Any:
    body = json.dumps({"query": document, "variables": variables})
    command = ["node", "--input-type=module", "-e", NODE_CLIENT, url, body]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True, timeout=60).stdout)["data"]


def by_gql(transport: Callable[..., Any]) -> Callable[[str, str, Mapping[str, Any]], Any]:
    def ask(url: str, document: str, variables: Mapping[str, Any]) -> Any:
        async def run() -> Any:
            query = gql(document)
            query.variable_values = dict(variables)
            async with Client(transport=transport(url=url), execute_timeout=60) as session:
                return await session.execute(query)

        return asyncio.run(run())

    return ask


CLIENTS = {
    "httpx": by_httpx,
    "curl": by_curl,
    "node": by_node,
    "gql-aiohttp": by_gql(AIOHTTPTransport),
    "gql-httpx": by_gql(HTTPXAsyncTransport),
}


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("client", CLIENTS)
def test_user_document_runs(service: str, client: str, example: str) -> None:
    if client in ("curl", "node") and shutil.which(client) is None:
        pytest.skip(f"{client} is not installed")
    document, input_ = EXAMPLES[example]
    data = CLIENTS[client](f"{service}/graphql", document, {"input": input_})
    is_snake = example != "camelCase"
    result = data["run_vectorized_backtest" if is_snake else "runVectorizedBacktest"]
    assert result["status"] == "success"
    assert list(result["strategy"].values()) == [20, 50]
    assert len(result["data"]) == 1000
    value = "portfolio_value" if is_snake else "portfolioValue"
    assert set(result["data"][0]) == {"Date", value, "signal"}
    assert {row["signal"] for row in result["data"]} == {"buy", "sell", "hold"}
    total = result["metrics"]["total_return" if is_snake else "totalReturn"]
    assert result["data"][-1][value] == pytest.approx(10_000 * (1 + total / 100))
    trades = (
        ("total_trades", "winning_trades", "losing_trades")
        if is_snake
        else ("totalTrades", "winningTrades", "losingTrades")
    )
    closed, winning, losing = (result["metrics"][name] for name in trades)
    assert closed == winning + losing > 0


def ask(service: str, query: str, **variables: Any) -> Any:
    return httpx.post(f"{service}/graphql", json={"query": query, "variables": variables}, timeout=60).json()


RUN = "mutation ($input: BacktestInput!) { runVectorizedBacktest(input: $input) { id status warnings origin } }"
RUN_EVENT = RUN.replace("Vectorized", "EventDriven")


def test_result_is_stored_listed_compared_and_read(service: str) -> None:
    ids = []
    for fast in (5, 10, 15):
        input_ = {**CAMEL_INPUT, "userId": "keeper", "maCrossoverParams": {"fast": fast, "slow": 30}}
        ids.append(ask(service, RUN, input=input_)["data"]["runVectorizedBacktest"]["id"])
    stored = ask(
        service, "query ($id: ID!) { backtest(id: $id) { id strategy { fastMaPeriod } data { Date } } }", id=ids[0]
    )
    assert stored["data"]["backtest"]["strategy"]["fastMaPeriod"] == 5
    assert len(stored["data"]["backtest"]["data"]) == 1000
    page = (
        'query ($after: String) { backtests(userId: "keeper", symbol: "BTCUSDT", first: 2, after: $after)'
        " { nodes { id } pageInfo { hasNextPage endCursor } } }"
    )
    first = ask(service, page)["data"]["backtests"]
    assert [node["id"] for node in first["nodes"]] == [ids[2], ids[1]]
    second = ask(service, page, after=first["pageInfo"]["endCursor"])["data"]["backtests"]
    assert [node["id"] for node in second["nodes"]] == [ids[0]]
    assert second["pageInfo"]["hasNextPage"] is False
    compared = ask(
        service, "query ($ids: [ID!]!) { compareBacktests(ids: $ids) { id metrics { totalReturn } } }", ids=ids
    )
    assert [row["id"] for row in compared["data"]["compareBacktests"]] == ids
    other = ask(service, 'query { backtests(userId: "somebody") { nodes { id } } }')
    assert other["data"]["backtests"]["nodes"] == []


def test_bars_and_coins_equal_the_exchanges(service: str, exchange: LoopbackExchange) -> None:
    query = "query ($input: OHLCVFetchInput!) { fetchOhlcv(input: $input) { Date Open High Low Close Volume } }"
    rows = ask(service, query, input={"symbol": "BTCUSDT", "limit": 5})["data"]["fetchOhlcv"]
    assert len(rows) == 5
    assert all(row["Low"] <= row["Open"] <= row["High"] for row in rows)
    coins = ask(service, "{ fetchCoinList { coins } health }")["data"]
    assert coins == {"fetchCoinList": {"coins": ["BTCUSDT"]}, "health": "ok"}
    assert exchange.count(EXCHANGE_INFO) == 1


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"userId": "../../etc"}, "INVALID_INPUT", "userId"),
        ({"userId": ""}, "INVALID_INPUT", "userId"),
        ({"userId": "x" * 300}, "INVALID_INPUT", "userId"),
        ({"maCrossoverParams": {"fast": 50, "slow": 20}}, "INVALID_INPUT", "fast"),
        ({"maCrossoverParams": {"fast": 20, "slow": 20}}, "INVALID_INPUT", "fast"),
        ({"fetchInput": {"symbol": "BTCUSDT", "limit": 0}}, "INVALID_INPUT", "limit"),
        ({"fetchInput": {"symbol": "BTCUSDT", "limit": -5}}, "INVALID_INPUT", "limit"),
        ({"fetchInput": {"symbol": "BTCUSDT", "limit": 10**9}}, "INVALID_INPUT", "limit"),
        ({"fetchInput": {"symbol": "BTCUSDT", "interval": "7m"}}, "INVALID_INPUT", "1s, 1m, 3m"),
        (
            {"fetchInput": {"symbol": "BTCUSDT", "startDate": "2021-02-01", "endDate": "2021-01-01"}},
            "INVALID_INPUT",
            "startDate",
        ),
        ({"fetchInput": {"symbol": "BTCUSDT", "startDate": "yesterday"}}, "INVALID_INPUT", "YYYY-MM-DD"),
        ({"fetchInput": {"symbol": "BTCUSDT", "source": "moon"}}, "SOURCE_NOT_FOUND", "binance, simulated"),
        ({"fetchInput": {"symbol": "ETHUSDT"}}, "INVALID_INPUT", "symbol"),
        ({"symbol": "NOSUCHCOIN", "fetchInput": None}, "SYMBOL_NOT_FOUND", "Invalid symbol."),
        ({"initCash": -1}, "INVALID_INPUT", "initCash"),
        ({"initCash": 0}, "INVALID_INPUT", "initCash"),
        ({"fees": 2}, "INVALID_INPUT", "fees"),
        ({"slippage": -0.1}, "INVALID_INPUT", "slippage"),
        ({"fixedSize": 1, "percentSize": 0.5}, "INVALID_INPUT", "fixedSize"),
        ({"percentSize": 1.5}, "INVALID_INPUT", "percentSize"),
        ({"period": "soon"}, "INVALID_INPUT", "period"),
        ({"stopLoss": 0.05}, "INVALID_INPUT", "event-driven"),
        ({"direction": "BOTH"}, "INVALID_INPUT", "event-driven"),
    ],
    ids=str,
)  # fmt: skip
def test_bad_input_is_named(service: str, change: dict[str, Any], code: str, words: str) -> None:
    answer = ask(service, RUN, input=CAMEL_INPUT | change)
    assert answer["data"] is None
    [error] = answer["errors"]
    assert error["extensions"]["code"] == code
    assert words in error["message"]
    assert "Traceback" not in json.dumps(answer)


def test_invalid_number_is_refused(service: str) -> None:
    body = json.dumps({"query": RUN, "variables": {"input": CAMEL_INPUT}}).replace("10000.0", "NaN")
    answer = httpx.post(f"{service}/graphql", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "MALFORMED_REQUEST"


@pytest.mark.parametrize(
    ("faults", "code", "retry_after"),
    [
        ([too_many_requests(retry_after_s=600)], "EXCHANGE_UNAVAILABLE", True),
        ([banned(retry_after_s=7200)], "EXCHANGE_UNAVAILABLE", True),
        ([restricted_location()] * 5, "EXCHANGE_REFUSED", False),
        ([firewall_page()] * 5, "EXCHANGE_REFUSED", False),
        ([half_json()] * 9, "EXCHANGE_REFUSED", False),
        ([hang(60)] * 9, "EXCHANGE_TIMEOUT", False),
        ([server_error(), server_error()], None, False),
        ([too_many_requests(retry_after_s=1)], None, False),
        ([half_json()], None, False),
    ],
    ids=["429", "418", "451", "403", "half a JSON", "silence", "500 twice", "429 for a second", "half a JSON once"],
)
def test_exchange_faults_are_retried_or_reported(
    own_service: Any, faults: list[Any], code: str | None, retry_after: bool
) -> None:
    url, exchange = own_service()
    exchange.script(KLINES, faults)
    answer = httpx.post(f"{url}/api/backtests", json={**CAMEL_INPUT, "engine": "VECTORIZED"}, timeout=30)
    if code is None:
        assert answer.status_code == 200
        assert answer.json()["data"]["metrics"]["bars"] == 1000
        return
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert answer.status_code == {"EXCHANGE_UNAVAILABLE": 503, "EXCHANGE_REFUSED": 502, "EXCHANGE_TIMEOUT": 504}[code]
    assert ("retry-after" in answer.headers) is retry_after
    assert "<html" not in answer.text


def test_requests_at_once_do_not_disturb_each_other(service: str) -> None:
    def run(number: int) -> tuple[int, Any]:
        fast = 5 + number % 4
        input_ = {**CAMEL_INPUT, "userId": f"user{number}", "maCrossoverParams": {"fast": fast, "slow": 40}}
        query = RUN.replace("id status", "strategy { fastMaPeriod } metrics { finalEquity }")
        return fast, ask(service, query, input=input_)["data"]["runVectorizedBacktest"]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(run, range(24)))
    equities: dict[int, set[float]] = {}
    for fast, result in answers:
        assert result["strategy"]["fastMaPeriod"] == fast
        equities.setdefault(fast, set()).add(result["metrics"]["finalEquity"])
    assert all(len(seen) == 1 for seen in equities.values())
