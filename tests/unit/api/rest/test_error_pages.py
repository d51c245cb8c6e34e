"""Check that each code has its page, and that each `type` of a problem document leads to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus

import httpx
import orjson
import pytest

from src.api.error_table import ERROR_HELP, GRAPHQL_TABLE, HTTP_ERROR_TABLE, ErrorHelp, code_of_status
from src.api.errors import describe_error, describe_http_error, problem_response
from src.api.rest.error_pages import render_page
from src.domain.errors import ServiceError
from tests.rest_app import MemoryServices, make_rest_app


def tree(kind: type[ServiceError] = ServiceError) -> Iterator[type[ServiceError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from tree(below)


RAISED = {kind.code for kind in tree()}


def test_every_code_has_meaning_and_fix() -> None:
    assert ERROR_HELP.keys() == RAISED | HTTP_ERROR_TABLE.keys() | GRAPHQL_TABLE.keys()
    for found in ERROR_HELP.values():
        assert all(len(meaning) > 7 for meaning in found.meanings)
        assert all(len(fix) > 30 and fix.endswith(".") for fix in found.fixes)


def test_shared_code_lists_the_fixes_of_all_classes() -> None:
    shared = ERROR_HELP["STORE_UNAVAILABLE"]
    assert shared.meanings == ("Results cannot be stored or read now", "A stored result cannot be read")
    assert len(shared.fixes) == 2


@pytest.mark.parametrize("status", [status for status in HTTPStatus if status >= 400])
def test_framework_errors_have_codes_with_a_page(status: HTTPStatus) -> None:
    assert code_of_status(status) in ERROR_HELP


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "MALFORMED_REQUEST"), (404, "NOT_FOUND"), (405, "METHOD_NOT_ALLOWED"), (413, "TOO_LARGE"),
     (415, "UNSUPPORTED_FORMAT"), (418, "MALFORMED_REQUEST"), (500, "SERVICE_ERROR"), (503, "SERVICE_ERROR")],
)  # fmt: skip
def test_framework_status_has_the_code_of_the_table(status: int, code: str) -> None:
    assert code_of_status(status) == code


@pytest.mark.parametrize("kind", list(tree()), ids=lambda kind: kind.__name__)
async def test_type_of_every_error_resolves_to_its_page(client: httpx.AsyncClient, kind: type[ServiceError]) -> None:
    problem = orjson.loads(problem_response(None, describe_error(kind("Why."))).body)
    await check_page(client, problem)


@pytest.mark.parametrize("code", HTTP_ERROR_TABLE)
async def test_type_of_every_refusal_resolves_to_its_page(client: httpx.AsyncClient, code: str) -> None:
    await check_page(client, orjson.loads(problem_response(None, describe_http_error(code, "Why.")).body))


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("GET", "/nothing", "NOT_FOUND"), ("PUT", "/health", "METHOD_NOT_ALLOWED"),
     ("GET", "/api/backtests/none", "RESULT_NOT_FOUND"), ("GET", "/api/backtests?first=x", "INVALID_INPUT"),
     ("GET", "/errors/NOTHING", "NOT_FOUND"), ("GET", "/errors/" + "X" * 65, "INVALID_INPUT")],
)  # fmt: skip
async def test_type_of_a_response_resolves_to_its_page(
    client: httpx.AsyncClient, method: str, path: str, code: str
) -> None:
    response = await client.request(method, path)
    assert response.json()["code"] == code
    await check_page(client, response.json())


async def check_page(client: httpx.AsyncClient, problem: dict[str, str]) -> None:
    page = await client.get(problem["type"])
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"] == "default-src 'none'"
    assert f"<h1>{problem['code']}</h1>" in page.text
    assert problem["title"].replace("'", "&#x27;") in page.text
    assert "<script" not in page.text
    text = re.sub(r"</?code>", "`", page.text)
    fixes = ERROR_HELP[problem["code"]].fixes
    assert all(fix.replace("'", "&#x27;") in text for fix in fixes)


async def test_unknown_code_lists_the_known_ones(client: httpx.AsyncClient) -> None:
    problem = (await client.get("/errors/<script>")).json()
    assert problem["message"].startswith("Error code '<script>' does not exist. Known codes: GRAPHQL_LIMIT_EXCEEDED, ")


async def test_client_text_like_a_field_is_unchanged(client: httpx.AsyncClient) -> None:
    problem = (await client.get("/errors/maxBars initCash {field} {@limit}")).json()
    assert problem["message"].startswith("Error code 'maxBars initCash {field} {@limit}' does not exist.")


async def test_type_resolves_behind_the_prefix_of_a_proxy(services: MemoryServices) -> None:
    app = make_rest_app(services)
    transport = httpx.ASGITransport(app=app, root_path="/service")
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        problem = (await client.get("/service/nothing")).json()
        assert problem["type"] == "/service/errors/NOT_FOUND"
        await check_page(client, problem)


def test_refusal_without_request_has_the_given_prefix() -> None:
    answer = describe_http_error("HEAD_TOO_LARGE", "Why.")
    assert orjson.loads(problem_response(None, answer).body)["type"] == "/errors/HEAD_TOO_LARGE"
    prefixed = orjson.loads(problem_response(None, answer, root_path="/service").body)
    assert prefixed["type"] == "/service/errors/HEAD_TOO_LARGE"


def test_page_escapes_its_text() -> None:
    page = render_page(ErrorHelp("<b>", 400, ("<i>",), ("`<u>` & more",)))
    assert "<h1>&lt;b&gt;</h1>" in page
    assert "&lt;i&gt;." in page
    assert "<p><code>&lt;u&gt;</code> &amp; more</p>" in page
