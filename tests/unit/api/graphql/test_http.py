"""Check GraphQL over HTTP: methods, media types, statuses, invalid bodies, and every error with its code."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from src.api.http.body_limit import BodyLimit, BodyLimits
from src.domain import errors
from tests.graphql_app import GraphQLClient, MemoryMarket, make_graphql_app, without_hint
from tests.rest_app import MemoryServices

GRAPHQL_JSON = "application/graphql-response+json"
RUN = 'mutation { runVectorizedBacktest(input: {userId: "alice", symbol: "BTCUSDT"}) { id } }'


def failing_client(failure: BaseException) -> GraphQLClient:
    return GraphQLClient(MemoryServices(backtests=MemoryMarket(failure=failure)))


async def test_query_over_get_returns_data() -> None:
    response = await GraphQLClient().http.get("/graphql", params={"query": "{ health }"})
    assert (response.status_code, response.json()) == (200, {"data": {"health": "ok"}})
    assert response.headers["content-type"] == "application/json"


async def test_mutation_over_get_is_refused() -> None:
    client = GraphQLClient()
    response = await client.http.get("/graphql", params={"query": RUN})
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert without_hint(response.json()["errors"][0]["extensions"]) == {"code": "METHOD_NOT_ALLOWED"}
    assert client.backtests.asked == []


async def test_only_browsers_get_the_page() -> None:
    client = GraphQLClient()
    page = await client.http.get("/graphql", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.status_code == 200
    assert page.text == "<html></html>"
    assert page.headers["vary"] == "Accept"
    other = await client.http.get("/graphql", headers={"accept": "*/*"})
    assert other.status_code == 400
    assert other.json()["errors"][0]["extensions"]["code"] == "MALFORMED_REQUEST"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"not json", "application/json"),
        (b"", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"null", "application/json"),
        (b"5", "application/json"),
        (b'"{ health }"', "application/json"),
        (b"[]", "application/json"),
        (b'[{"query": "{ health }"}]', "application/json"),
        (b"{}", "application/json"),
        (b'{"query": null}', "application/json"),
        (b'{"query": ""}', "application/json"),
        (b'{"query": 5}', "application/json"),
        (b'{"query": "{ health }", "variables": [1]}', "application/json"),
        (b'{"query": "{ health }", "variables": "x"}', "application/json"),
        (b'{"query": "{ health }", "extensions": 1}', "application/json"),
        (b'{"query": "{ health }", "operationName": "other"}', "application/json"),
        (b'{"query": "{ health }", "operationName": ["a"]}', "application/json"),
        (b'{"query": "no document", "operationName": {}}', "application/json"),
        (b'{"query": "fragment f on Query { health }"}', "application/json"),
        (b'{"query": "{ health }", "variables": ' + b"[" * 5000 + b"]" * 5000 + b"}", "application/json"),
        (b"{ health }", "application/graphql"),
        (b"query=%7B+health+%7D", "application/x-www-form-urlencoded"),
        (b"{ health }", ""),
    ],
)
async def test_body_that_is_no_request_is_malformed(body: bytes, content_type: str) -> None:
    response = await GraphQLClient().http.post("/graphql", content=body, headers={"content-type": content_type})
    assert response.status_code == 400, response.text
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "MALFORMED_REQUEST"
    assert error["message"]
    assert "data" not in response.json()


@pytest.mark.parametrize("name", ["variables", "extensions"])
async def test_parameters_that_are_not_json(name: str) -> None:
    response = await GraphQLClient().http.get("/graphql", params={"query": "{ health }", name: "{"})
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("document", "variables", "code"),
    [
        ("{ health", None, "GRAPHQL_PARSE_FAILED"),
        ("{ healthy }", None, "GRAPHQL_VALIDATION_FAILED"),
        ("query ($id: ID!) { backtest(id: $id) { id } }", {}, "INVALID_INPUT"),
        ("query ($id: ID!) { backtest(id: $id) { id } }", {"id": {"no": "id"}}, "INVALID_INPUT"),
    ],
)
async def test_errors_of_the_request(document: str, variables: Any, code: str) -> None:
    client = GraphQLClient()
    body = {"query": document, "variables": variables}
    plain = await client.http.post("/graphql", json=body)
    modern = await client.http.post("/graphql", json=body, headers={"accept": f"{GRAPHQL_JSON}, application/json"})
    assert (plain.status_code, modern.status_code) == (200, 400)
    assert modern.headers["content-type"].startswith(GRAPHQL_JSON)
    for answer in (plain.json(), modern.json()):
        assert "data" not in answer
        assert answer["errors"][0]["extensions"]["code"] == code


@pytest.mark.parametrize(
    ("accepted", "answered"),
    [
        (GRAPHQL_JSON, GRAPHQL_JSON),
        (f"{GRAPHQL_JSON}, application/json;q=0.9", GRAPHQL_JSON),
        (f"application/json, {GRAPHQL_JSON}", GRAPHQL_JSON),
        (f"{GRAPHQL_JSON};charset=utf-8;q=0.5, */*;q=0.1", GRAPHQL_JSON),
        (f"{GRAPHQL_JSON};q=0.5, application/json", "application/json"),
        (f"{GRAPHQL_JSON};q=0", "application/json"),
        (f"{GRAPHQL_JSON}; Q=0.0, */*", "application/json"),
        (f"{GRAPHQL_JSON}-seq", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
    ],
)
async def test_response_has_the_preferred_media_type(accepted: str, answered: str) -> None:
    response = await GraphQLClient().http.post("/graphql", json={"query": "{"}, headers={"accept": accepted})
    assert response.headers["content-type"].partition(";")[0] == answered
    assert response.status_code == (400 if answered == GRAPHQL_JSON else 200)


async def test_client_that_refuses_html_gets_no_page() -> None:
    response = await GraphQLClient().http.get("/graphql", headers={"accept": "text/html;q=0, */*"})
    assert response.status_code == 400


async def test_execution_error_keeps_status_200() -> None:
    body = {"query": '{ health backtest(id: "none") { id } }'}
    response = await GraphQLClient().http.post("/graphql", json=body, headers={"accept": GRAPHQL_JSON})
    assert response.status_code == 200
    answer = response.json()
    assert answer["data"] == {"health": "ok", "backtest": None}
    assert answer["errors"][0]["path"] == ["backtest"]
    assert without_hint(answer["errors"][0]["extensions"]) == {"code": "RESULT_NOT_FOUND"}


@pytest.mark.parametrize(
    ("failure", "extensions"),
    [
        (errors.InvalidInput("fees is 2; allowed: less", field="fees"), {"code": "INVALID_INPUT", "field": "fees"}),
        (errors.SymbolNotFound("no such symbol"), {"code": "SYMBOL_NOT_FOUND"}),
        (errors.ExchangeUnavailable("wait", retry_after_s=7), {"code": "EXCHANGE_UNAVAILABLE", "retryAfterS": 7}),
        (errors.TimedOut("too long"), {"code": "TIMED_OUT"}),
    ],
)
async def test_service_errors_keep_their_text_and_code(
    failure: errors.ServiceError, extensions: dict[str, Any]
) -> None:
    error = await failing_client(failure).error(RUN)
    assert error["message"] == failure.message
    assert without_hint(error["extensions"]) == extensions
    assert error["path"] == ["runVectorizedBacktest"]


async def test_unexpected_error_is_masked_and_logged_with_id(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        error = await failing_client(RuntimeError("secret /srv/path")).error(RUN)
    assert without_hint(error["extensions"]) == {"code": "INTERNAL_ERROR"}
    assert "secret" not in json.dumps(error)
    (record,) = caplog.records
    assert record.getMessage().split("id=")[-1] in error["message"]
    assert record.exc_info is not None


async def test_client_error_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await GraphQLClient().error("{ healthy }")
        await failing_client(errors.SymbolNotFound("no such symbol")).error(RUN)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("input_fields", "field"),
    [
        ("initCash: -1", "initCash"),
        ("init_cash: 0", "initCash"),
        ("fees: 2", "fees"),
        ("slippage: -0.1", "slippage"),
        ("fixedSize: 1, percentSize: 0.5", "fixedSize"),
        ("ma_crossover_params: {fast: 50, slow: 20}", "fast"),
        ("fetchInput: {limit: 0}", "limit"),
        ("fetchInput: {limit: -5}", "limit"),
        ("fetchInput: {limit: 1000000000}", "limit"),
        ('fetch_input: {start_date: "2024-02-01", end_date: "2024-01-01"}', "startDate"),
        ('fetch_input: {interval: "7m"}', "interval"),
        ("stopLoss: 0.1", "stopLoss"),
    ],
)
async def test_wrong_values_name_their_field(input_fields: str, field: str) -> None:
    client = GraphQLClient()
    error = await client.error(
        f'mutation {{ runVectorizedBacktest(input: {{userId: "alice", symbol: "BTCUSDT", {input_fields}}}) {{ id }} }}'
    )
    assert without_hint(error["extensions"]) == {"code": "INVALID_INPUT", "field": field}
    assert client.backtests.asked == []


@pytest.mark.parametrize("user_id", ["../../etc", "", "x" * 300])
async def test_wrong_user_ids(user_id: str) -> None:
    document = 'mutation ($u: String!) { runVectorizedBacktest(input: {userId: $u, symbol: "BTCUSDT"}) { id } }'
    error = await GraphQLClient().error(document, {"u": user_id})
    assert without_hint(error["extensions"]) == {"code": "INVALID_INPUT", "field": "userId"}


@pytest.mark.parametrize(
    "value", ['"SAME_CLOSE"', "ELSEWHERE", "1"], ids=["a string literal", "an unknown name", "a number"]
)
async def test_unknown_enum_value_is_refused(value: str) -> None:
    error = await GraphQLClient().error(
        f'mutation {{ runVectorizedBacktest(input: {{userId: "a", symbol: "BTCUSDT", fill: {value}}}) {{ id }} }}'
    )
    assert without_hint(error["extensions"]) == {"code": "GRAPHQL_VALIDATION_FAILED"}


async def test_long_value_is_not_returned_whole() -> None:
    document = "query ($id: ID!) { backtest(id: $id) { id } }"
    error = await GraphQLClient().error(document, {"id": ["x" * 100_000]})
    assert len(error["message"]) < 600


async def test_operation_is_chosen_by_name() -> None:
    document = "query one { health } query two { fetch_coin_list { coins } }"
    data = await GraphQLClient().data(document, operationName="two")
    assert data == {"fetch_coin_list": {"coins": ["BTCUSDT", "ETHUSDT"]}}


async def test_several_operations_need_a_name() -> None:
    client = GraphQLClient()
    run = RUN.replace("mutation", "mutation first", 1)
    error = await client.error(f"{run} query second {{ health }}")
    assert "operationName" in error["message"]
    assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert client.backtests.asked == []


async def test_only_the_chosen_operations_variables_are_respelled() -> None:
    document = (
        "query one($input: OHLCVFetchInput!) { fetch_ohlcv(input: $input) { Date } } "
        "query two($input: ID!) { backtest(id: $input) { id } }"
    )
    data = await GraphQLClient().data(
        document, {"input": {"symbol": "BTCUSDT", "limit": 1, "start_date": "2024-01-01"}}, operationName="one"
    )
    assert len(data["fetch_ohlcv"]) == 1


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_unknown_method_is_also_a_graphql_error(method: str) -> None:
    response = await GraphQLClient().http.request(method, "/graphql")
    assert (response.status_code, response.headers["content-type"]) == (405, "application/problem+json")
    assert response.headers["allow"] == "GET, POST"
    assert without_hint(response.json()["errors"][0]["extensions"]) == {"code": "METHOD_NOT_ALLOWED"}


async def test_refused_body_is_also_a_graphql_error() -> None:
    async def silence() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(1)

    limits = BodyLimits(max_upload_bytes=1_000, max_plain_bytes=1_000, idle_s=0.05)
    transport = httpx.ASGITransport(app=BodyLimit(make_graphql_app(MemoryServices()), limits))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        large = await client.post("/graphql", content=b"x" * 1_001)
        slow = await client.post("/graphql", content=silence(), headers={"content-type": "application/json"})
    assert (large.status_code, slow.status_code) == (413, 408)
    assert without_hint(large.json()["errors"][0]["extensions"]) == {"code": "TOO_LARGE"}
    assert without_hint(slow.json()["errors"][0]["extensions"]) == {"code": "REQUEST_TIMEOUT"}
    assert slow.json()["errors"][0]["message"] == slow.json()["message"]


async def test_both_spellings_are_refused_in_document_and_variables() -> None:
    client = GraphQLClient()
    inline = '{ fetchOhlcv(input: {symbol: "BTCUSDT", startDate: "2020-01-01", start_date: "2020-01-01"}) { Date } }'
    document = "query ($market: OHLCVFetchInput!) { fetchOhlcv(input: $market) { Date } }"
    market = {"symbol": "BTCUSDT", "startDate": "2020-01-01", "start_date": "2020-01-01"}
    for body in ({"query": inline}, {"query": document, "variables": {"market": market}}):
        answer = (await client.http.post("/graphql", json=body)).json()
        assert "data" not in answer
        [error] = answer["errors"]
        assert error["message"] == "'startDate' and 'start_date' are both given. Allowed: one of them."
        assert without_hint(error["extensions"]) == {"code": "INVALID_INPUT", "field": "startDate"}
