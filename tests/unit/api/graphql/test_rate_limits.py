"""Limits per time over GraphQL: each field at the top of a document is a request."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from graphql import parse

from src.api.graphql.documents import PreparedDocument
from src.domain.rates import Rate, RateLimit
from src.rates.limiter import MovingWindowLimiter
from tests.clocks import Stopwatch
from tests.graphql_app import GraphQLClient

REQUESTS = RateLimit(rate=Rate.REQUESTS, allowed=5, window_s=60, setting="MAX_REQUESTS_PER_MINUTE")
UPLOADS = RateLimit(rate=Rate.UPLOADS, allowed=2, window_s=3600, setting="MAX_UPLOADS_PER_HOUR")


@pytest.fixture
def http() -> httpx.AsyncClient:
    return GraphQLClient(limiter=MovingWindowLimiter([REQUESTS, UPLOADS], now=Stopwatch())).http


def aliases(count: int) -> str:
    return "{" + " ".join(f"a{number}: health" for number in range(count)) + "}"


async def ask(http: httpx.AsyncClient, document: str, **more: Any) -> httpx.Response:
    return await http.post("/graphql", json={"query": document, **more})


async def test_aliases_count_as_so_many_requests(http: httpx.AsyncClient) -> None:
    answer = await ask(http, aliases(4))
    assert (answer.status_code, answer.headers["RateLimit"]) == (200, '"requests";r=1;t=60')
    refused = await ask(http, aliases(4))
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "60"
    [error] = refused.json()["errors"]
    assert "data" not in refused.json()
    assert error["message"] == (
        "4 of 5 requests per minute are used, and 4 are too many (MAX_REQUESTS_PER_MINUTE). Retry in 60 s."
    )
    assert (error["extensions"]["code"], error["extensions"]["retryAfterS"]) == ("RATE_LIMITED", 60)


async def test_refused_document_is_counted_in_no_part() -> None:
    clock = Stopwatch()
    http = GraphQLClient(limiter=MovingWindowLimiter([REQUESTS], now=clock)).http
    assert (await ask(http, aliases(3))).status_code == 200
    for _ in range(3):
        refused = await ask(http, aliases(4))
        assert (refused.status_code, refused.headers["RateLimit"]) == (429, '"requests";r=2;t=60')
    clock.now_s += 60
    assert (await ask(http, aliases(4))).headers["RateLimit"] == '"requests";r=1;t=60'


async def test_document_over_whole_limit_is_told_to_split(http: httpx.AsyncClient) -> None:
    refused = await ask(http, aliases(7))
    [error] = refused.json()["errors"]
    assert (refused.status_code, error["extensions"]["code"]) == (429, "RATE_LIMITED")
    assert error["message"].endswith("Send several requests.")
    assert "Retry-After" not in refused.headers


async def test_plain_request_over_limit_has_graphql_errors(http: httpx.AsyncClient) -> None:
    for _ in range(5):
        assert (await ask(http, "{ health }")).status_code == 200
    refused = await ask(http, "{ health }")
    document = refused.json()
    assert (refused.status_code, document["code"]) == (429, "RATE_LIMITED")
    assert document["errors"][0]["extensions"]["retryAfterS"] == 60


async def test_invalid_document_is_counted(http: httpx.AsyncClient) -> None:
    for _ in range(5):
        assert (await ask(http, "{")).status_code == 200
    assert (await ask(http, "{")).status_code == 429


async def test_only_the_executed_operation_is_counted(http: httpx.AsyncClient) -> None:
    document = f"query one {{ health }} query many {aliases(4)}"
    answer = await ask(http, document, operationName="one")
    assert answer.headers["RateLimit"] == '"requests";r=4;t=60'


async def test_each_file_of_a_form_is_an_upload(http: httpx.AsyncClient) -> None:
    operations = {"query": "query($a: String, $b: String, $c: String) { health }", "variables": {}}
    operations["variables"] = {"a": None, "b": None, "c": None}
    places = {name: [f"variables.{name}"] for name in "abc"}
    form = {"operations": json.dumps(operations), "map": json.dumps(places)}
    files = {name: (f"{name}.bin", b"x") for name in "abc"}
    refused = await http.post("/graphql", data=form, files=files)
    assert (refused.status_code, refused.json()["errors"][0]["extensions"]["code"]) == (429, "RATE_LIMITED")
    assert refused.json()["errors"][0]["message"].startswith("3 uploads at once are more than are allowed per hour: 2")
    assert refused.headers["RateLimit"] == '"requests";r=5, "uploads";r=2'
    assert "Retry-After" not in refused.headers


@pytest.mark.parametrize(
    ("document", "count"),
    [
        ("{ health }", 1),
        ("{ __typename __schema { types { name } } }", 0),
        ("{ a: health b: health health }", 3),
        ("{ health health }", 1),
        ("{ ... { a: health } ... on Query { b: health } }", 2),
        ("{ ...F ...F } fragment F on Query { a: health ...G } fragment G on Query { b: health }", 2),
        ("{ ...F } fragment F on Query { a: health ...F }", 1),
        ("{ ...Missing }", 0),
        ("subscription { job(id: 1) { id } }", 1),
    ],
)
def test_root_fields_are_counted_through_fragments(document: str, count: int) -> None:
    prepared = PreparedDocument(parse(document))
    assert prepared.count_root_fields(prepared.operation(None)) == count
