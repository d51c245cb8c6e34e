from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Scope

from src.api.http.cross_site import AllowedOrigins, CrossSite, HostCheck, is_loopback
from src.api.rest.formats import WARNINGS_HEADER
from src.settings import Settings
from tests.rest_app import make_rest_app

DEFAULT = Settings(_env_file=None).cors_origins
PAGE = "http://localhost:3000"
EVIL = "https://evil.example"
POST = "/api/backtests"


def client(origins: tuple[str, ...] = DEFAULT, hosts: tuple[str, ...] | None = ("*",)) -> httpx.AsyncClient:
    app = make_rest_app(cors_origins=origins, allowed_hosts=hosts)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://service:5050")


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [
        ("http://localhost:3000", True), ("http://localhost", True), ("https://localhost:5173", True),
        ("http://127.0.0.1:8080", True), ("http://[::1]:3000", True), ("http://[::1]", True),
        ("HTTP://LocalHost:3000", True),
        ("http://localhost.evil.example:80", False), ("http://evil.example", False), ("null", False), ("", False),
        ("http://localhost:3000.evil.example", False), ("http://localhost:x", False), ("http://localhost:*", True),
        ("ftp://localhost:21", False), ("file://", False), ("http://127.0.0.2:80", False),
        ("http://evil@localhost", False),
        ("http://192.168.1.5:3000", False), ("http://[::1]:3000]", False), ("localhost:3000", False),
    ],
)  # fmt: skip
def test_default_origins_are_loopback_of_any_port(origin: str, is_allowed: bool) -> None:
    assert AllowedOrigins(DEFAULT).allow(origin) is is_allowed


@pytest.mark.parametrize(
    ("listed", "origin", "is_allowed"),
    [
        ("https://a.example", "https://a.example", True),
        ("https://a.example", "https://a.example:8443", False),
        ("https://a.example", "http://a.example", False),
        ("https://a.example:8443", "https://a.example:8443", True),
        ("https://a.example:*", "https://a.example:8443", True),
        ("null", "null", True),
        ("*", "null", True),
        ("*", EVIL, True),
    ],
)
def test_listed_origins_are_allowed(listed: str, origin: str, is_allowed: bool) -> None:
    assert AllowedOrigins((listed,)).allow(origin) is is_allowed


@pytest.mark.parametrize(
    ("headers", "is_refused"),
    [
        ({}, False),  # curl, Python
        ({"Origin": PAGE}, False),
        ({"Origin": PAGE, "Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": EVIL}, True),
        ({"Origin": EVIL, "Sec-Fetch-Site": "cross-site"}, True),
        ({"Origin": "null"}, True),
        ({"Origin": "http://service:5050"}, False),  # the service's own pages, of a browser without Sec-Fetch-Site
        ({"Origin": "https://service:5050"}, False),  # the same behind a proxy with TLS
        ({"Origin": "http://service:5051"}, True),
        ({"Origin": "http://service:5050", "Sec-Fetch-Site": "same-site"}, True),
        ({"Origin": "https://api.example", "Sec-Fetch-Site": "same-origin"}, False),  # a proxy changed Host
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "same-site"}, True),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        {"json": {}},
        {"data": {"a": "b"}},
        {"files": {"file": ("m.pkl", b"x")}},
        {"content": b"{}", "headers": {"Content-Type": "text/plain"}},
    ],
    ids=["json", "form", "multipart", "plain"],
)
async def test_changing_request_of_another_site_is_refused(
    headers: dict[str, str], is_refused: bool, body: dict[str, Any]
) -> None:
    async with client() as http:
        response = await http.post(POST, **(body | {"headers": headers | body.get("headers", {})}))
    assert (response.status_code == 403) is is_refused
    if is_refused:
        assert response.json()["code"] == "ORIGIN_NOT_ALLOWED"
        assert (headers.get("Origin") or headers["Sec-Fetch-Site"]) in response.json()["message"]
        assert "CORS_ORIGINS" in response.json()["message"]
        assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH"])
async def test_every_changing_method_is_checked(method: str) -> None:
    async with client() as http:
        assert (await http.request(method, f"{POST}/x", headers={"Origin": EVIL})).status_code == 403


async def test_reading_is_left_to_the_browser() -> None:
    async with client() as http:
        response = await http.get("/health", headers={"Origin": EVIL})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("origins", [(), ("https://a.example",)])
async def test_without_loopback_in_the_list_loopback_is_refused(origins: tuple[str, ...]) -> None:
    async with client(origins) as http:
        assert (await http.post(POST, headers={"Origin": PAGE})).status_code == 403


async def test_star_turns_the_check_off() -> None:
    async with client(("*",)) as http:
        response = await http.post(POST, headers={"Origin": EVIL, "Sec-Fetch-Site": "cross-site"})
        assert response.status_code != 403
        assert response.headers["access-control-allow-origin"] == "*"
        assert (await http.post(POST, headers={"Sec-Fetch-Site": "cross-site"})).status_code != 403


async def test_page_of_an_allowed_origin_reads_refusals() -> None:
    async with client() as http:
        response = await http.post(POST, headers={"Origin": PAGE})
    assert response.status_code == 415
    assert response.headers["access-control-allow-origin"] == PAGE


async def test_allowed_page_reads_headers_of_files() -> None:
    async with client() as http:
        response = await http.get("/health", headers={"Origin": PAGE})
    exposed = response.headers["access-control-expose-headers"].split(", ")
    assert exposed == [
            "ETag", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID", WARNINGS_HEADER, "traceparent",
        ]  # fmt: skip


def preflight(origin: str, method: str = "POST") -> dict[str, str]:
    return {"Origin": origin, "Access-Control-Request-Method": method}


async def test_preflight_of_an_allowed_origin_succeeds() -> None:
    asked = {"Access-Control-Request-Headers": "content-type", "Access-Control-Request-Private-Network": "true"}
    async with client() as http:
        response = await http.options("/graphql", headers=preflight(PAGE) | asked)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == PAGE
    assert response.headers["access-control-allow-headers"] == "content-type"
    assert response.headers["access-control-allow-private-network"] == "true"


async def test_refused_preflight_names_the_setting() -> None:
    async with client() as http:
        response = await http.options("/graphql", headers=preflight(EVIL))
    assert (response.status_code, response.json()["code"]) == (403, "ORIGIN_NOT_ALLOWED")
    assert response.headers["content-type"] == "application/problem+json"
    assert EVIL in response.json()["message"]
    assert "CORS_ORIGINS" in response.json()["message"]
    assert "access-control-allow-origin" not in response.headers
    assert "Origin" in response.headers["vary"]


async def test_preflight_for_unknown_method_names_known_ones() -> None:
    async with client() as http:
        response = await http.options("/graphql", headers=preflight(PAGE, "PUT"))
    assert (response.status_code, response.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert "'PUT'. Allowed: GET, POST, DELETE, OPTIONS." in response.json()["message"]


async def reach(app: Any, scope: Scope) -> list[Message]:
    """Return what an application sends for a scope."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect" if scope["type"] == "websocket" else "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def accept(scope: Scope, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    else:
        await PlainTextResponse("known")(scope, receive, send)


@pytest.mark.parametrize(("origin", "first"), [(PAGE, "websocket.accept"), (EVIL, "websocket.close")])
async def test_websocket_of_another_site_is_closed(origin: str, first: str) -> None:
    scope = {"type": "websocket", "headers": [(b"origin", origin.encode()), (b"host", b"service")]}
    assert (await reach(CrossSite(accept, AllowedOrigins(DEFAULT)), scope))[0]["type"] == first


def host_scope(host: str | None, server: str = "127.0.0.1", version: str = "1.1", kind: str = "http") -> Scope:
    fields = [] if host is None else [(b"host", host.encode())]
    return {
        "type": kind, "method": "GET", "path": "/", "http_version": version, "headers": fields,
        "server": (server, 5050), "scheme": "http", "query_string": b"",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("host", "is_known"),
    [
        ("localhost:5050", True), ("localhost", True), ("LOCALHOST.:5050", True), ("app.localhost:5050", True),
        ("127.0.0.1:5050", True), ("127.8.8.8", True), ("[::1]:5050", True), ("[::ffff:127.0.0.1]", True),
        ("evil.example:5050", False), ("localhost.evil.example", False), ("127.0.0.1.nip.io:5050", False),
        ("192.168.1.5:5050", False), ("", False), ("[::1", False), ("localhost@evil.example", False),
        ("[fe80::1]", False),
        ("evillocalhost", False),
    ],
)  # fmt: skip
async def test_loopback_connection_is_for_loopback_names(host: str, is_known: bool) -> None:
    sent = await reach(HostCheck(accept, None), host_scope(host))
    assert (sent[0]["status"] == 200) is is_known
    if not is_known:
        assert sent[0]["status"] == 421
        assert b"HOST_NOT_ALLOWED" in sent[1]["body"]
        assert b"ALLOWED_HOSTS" in sent[1]["body"]


@pytest.mark.parametrize("server", ["172.17.0.2", "192.168.1.5", "fd00::2"])
async def test_connection_from_a_network_may_name_any_host(server: str) -> None:
    assert (await reach(HostCheck(accept, None), host_scope("any.example", server)))[0]["status"] == 200


@pytest.mark.parametrize(
    ("listed", "host", "is_known"),
    [
        ("api.example", "api.example:443", True),
        ("api.example", "API.example", True),
        ("api.example", "localhost", False),
        ("*.example", "api.example", True),
        ("*.example", "a.b.example", True),
        ("*.example", "example", False),
        ("*.example", "evilexample", False),
        ("*", "any.thing", True),
        ("::1", "[::1]:5050", True),
    ],
)
async def test_listed_hosts_are_known(listed: str, host: str, is_known: bool) -> None:
    sent = await reach(HostCheck(accept, (listed,)), host_scope(host))
    assert sent[0]["status"] == (200 if is_known else 421)


async def test_only_http_1_0_may_omit_the_host() -> None:
    check = HostCheck(accept, None)
    assert (await reach(check, host_scope(None)))[0]["status"] == 400
    assert (await reach(check, host_scope(None, version="1.0")))[0]["status"] == 200
    twice = host_scope("localhost")
    twice["headers"] = twice["headers"] * 2
    assert (await reach(check, twice))[0]["status"] == 400


@pytest.mark.parametrize("host", ["[::1", "evil/x", "[", "a b", "@", ""])
async def test_hostile_host_does_not_break_problem_documents(host: str) -> None:
    async with client() as http:
        response = await http.get("/no/such/page", headers={"Host": host})
    assert (response.status_code, response.json()["instance"]) == (404, "/no/such/page")


async def test_websocket_under_another_host_is_closed() -> None:
    sent = await reach(HostCheck(accept, None), host_scope("evil.example", kind="websocket"))
    assert sent == [{"type": "websocket.close", "code": 1008}]
    assert (await reach(HostCheck(accept, None), host_scope("localhost", kind="websocket")))[0]["type"].endswith(
        "accept"
    )


@pytest.mark.parametrize(
    ("name", "expected"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("", False)]
)
def test_loopback_names_are_recognized(name: str, expected: bool) -> None:
    assert is_loopback(name) is expected
