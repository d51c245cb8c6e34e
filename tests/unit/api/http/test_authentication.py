"""The layer that finds out who asks: what it lets through, what it refuses and how it says so."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from src.api.http.authentication import SESSION_COOKIE
from src.domain.errors import IdentityUnavailable, InvalidCredentials
from src.domain.identity import AuthMode, Caller
from src.identity.gateway import HeaderAuthenticator
from src.identity.key_file import KeyFile
from src.identity.key_sets import KeySet
from src.identity.keys import KeyAuthenticator
from src.identity.tokens import TokenAuthenticator
from src.ports.identity import Credentials
from src.service import access
from tests.clocks import FixedClock
from tests.rest_app import MemoryBacktests, make_rest_app
from tests.tokens import AUDIENCE, ISSUER, Issuer, key_set, sign_with_secret

BODY = {"symbol": "BTCUSDT"}


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.sqlite3")


@pytest.fixture
def key(file: KeyFile) -> str:
    return file.create("ann", name="", now_ms=1, expires_ms=None)[1]


def connect(app: Any, host: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, client=(host, 4000))
    return httpx.AsyncClient(transport=transport, base_url="http://service")


@pytest.fixture
async def client(file: KeyFile) -> AsyncIterator[httpx.AsyncClient]:
    authenticator = KeyAuthenticator(file, FixedClock(1000))
    app = make_rest_app(authenticator=authenticator, cors_origins=["http://localhost:*"])
    app.state.sessions = authenticator
    async with connect(app) as connected:
        yield connected
    await authenticator.close()


async def test_request_without_key_is_told_how(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/backtests", json=BODY)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["type"]) == (
        401,
        "UNAUTHENTICATED",
        "/errors/UNAUTHENTICATED",
    )
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="backtesting"'
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "X-API-Key" in problem["message"]


async def test_graphql_request_without_key_is_a_graphql_error(client: httpx.AsyncClient) -> None:
    answer = await client.post("/graphql", json={"query": "{ health }"})
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    "path", ["/api/jobs", "/api/strategies", "/mcp", "/unknown", "/api/backtests/x/receipt", "//health"]
)
async def test_everything_else_needs_a_key(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(f"http://service{path}")).status_code == 401


@pytest.mark.parametrize("path", ["/health", "/ready", "/errors/FORBIDDEN", "/api/session", "/metrics"])
async def test_operators_paths_need_no_key(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 200


async def test_metrics_of_another_machine_need_a_key(file: KeyFile, key: str) -> None:
    authenticator = KeyAuthenticator(file, FixedClock(1000))
    async with connect(make_rest_app(authenticator=authenticator), host="192.0.2.7") as far:
        assert (await far.get("/metrics")).status_code == 401
        assert (await far.get("/metrics", headers={"X-API-Key": key})).status_code == 200


@pytest.mark.parametrize(
    ("query", "accept", "status"),
    [("", "text/html", 404), ("", "*/*", 401), ("?query={health}", "text/html", 401)],
)
async def test_browser_opens_the_graphql_page_without_key(
    client: httpx.AsyncClient, query: str, accept: str, status: int
) -> None:
    # This application has no GraphQL: 404 shows that the request was let through.
    assert (await client.get(f"/graphql{query}", headers={"Accept": accept})).status_code == status


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let callers use the services in memory."""
    monkeypatch.setitem(access.PLANS, MemoryBacktests, access.plan_of(MemoryBacktests))  # type: ignore[arg-type]


@pytest.mark.usefixtures("plans")
async def test_left_out_user_is_the_caller(client: httpx.AsyncClient, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    made = await client.post("/api/backtests", json=BODY, headers=headers)
    assert made.json()["data"]["user_id"] == "ann"
    null = await client.post("/api/backtests", json={**BODY, "userId": None}, headers=headers)
    assert null.json()["data"]["user_id"] == "ann"


async def test_line_of_a_request_names_its_caller(
    client: httpx.AsyncClient, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await client.get("/api/strategies", headers={"X-API-Key": key})
    await client.get("/api/strategies")
    lines = [record.getMessage() for record in caplog.records if "route=/api/strategies" in record.getMessage()]
    assert "user=ann" in lines[0]
    assert key not in caplog.text


async def test_refusal_is_readable_for_allowed_pages(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/jobs", headers={"Origin": "http://localhost:3000"})
    assert answer.status_code == 401
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"


async def test_key_is_in_no_log_or_response(
    client: httpx.AsyncClient, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for secret in (key, key + "x"):
        answer = await client.get("/api/session", headers={"X-API-Key": secret})
        refused = await client.get("/api/strategies", headers={"X-API-Key": secret})
        for text in (answer.text, refused.text, caplog.text):
            assert key not in text
            assert key[3:20] not in text


async def sign_in(client: httpx.AsyncClient, key: str) -> str:
    answer = await client.post("/api/session", json={"api_key": key})
    assert answer.status_code == 200, answer.text
    return str(client.cookies[SESSION_COOKIE])


async def test_key_is_exchanged_for_http_only_cookie(client: httpx.AsyncClient, key: str) -> None:
    answer = await client.post("/api/session", json={"api_key": key})
    cookie = answer.headers["Set-Cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"))
    assert "Secure" not in cookie
    assert key not in cookie + answer.text
    assert answer.json()["data"] == {
        "auth": "keys",
        "user_id": "ann",
        "can_sign_in": True,
        "expires": "1970-01-01T12:00:01Z",
    }
    assert (await client.get("/api/strategies")).status_code == 200


async def test_cookie_of_an_encrypted_page_stays_encrypted(client: httpx.AsyncClient, key: str) -> None:
    answer = await client.post("https://service/api/session", json={"api_key": key})
    assert "Secure" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize("sent", [{"api_key": "bt_wrong"}, {"apiKey": ""}])
async def test_wrong_key_begins_no_session(client: httpx.AsyncClient, sent: dict[str, str]) -> None:
    answer = await client.post("/api/session", json=sent)
    assert (answer.status_code, answer.json()["code"]) == (401, "INVALID_CREDENTIALS")
    assert "Set-Cookie" not in answer.headers
    assert "bt_wrong" not in answer.text


async def test_allowed_foreign_page_signs_no_visitor_in(client: httpx.AsyncClient, key: str) -> None:
    page = {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"}
    answer = await client.post("/api/session", json={"api_key": key}, headers=page)
    assert (answer.status_code, answer.json()["code"]) == (403, "ORIGIN_NOT_ALLOWED")
    assert "Set-Cookie" not in answer.headers


async def test_sign_out_ends_the_session(client: httpx.AsyncClient, key: str) -> None:
    token = await sign_in(client, key)
    assert (await client.get("/api/session")).json()["data"]["user_id"] == "ann"
    assert (await client.delete("/api/session")).status_code == 200
    again = await client.get("/api/strategies", headers={"Cookie": f"{SESSION_COOKIE}={token}"})
    assert (again.status_code, again.json()["code"]) == (401, "CREDENTIALS_EXPIRED")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://service"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "http://service"}, 200),
        # An allowed page of another port of this machine: browsers send it the cookie of all ports.
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"}, 401),
        ({"Origin": "http://localhost:3000"}, 401),
        ({"Sec-Fetch-Site": "cross-site"}, 401),
    ],
)
async def test_cookie_counts_for_own_pages_only(
    client: httpx.AsyncClient, key: str, headers: dict[str, str], status: int
) -> None:
    await sign_in(client, key)
    assert (await client.get("/api/strategies", headers=headers)).status_code == status


async def test_sign_in_without_keys_does_not_exist(file: KeyFile) -> None:
    async with connect(make_rest_app()) as anybody:
        answer = await anybody.post("/api/session", json={"api_key": "x"})
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
        shown = (await anybody.get("/api/session")).json()["data"]
        assert (shown["auth"], shown["user_id"], shown["can_sign_in"]) == (AuthMode.NONE, None, False)


@pytest.mark.usefixtures("plans")
async def test_gateways_user_is_the_caller() -> None:
    async with connect(make_rest_app(authenticator=HeaderAuthenticator("X-User"))) as gateway:
        made = await gateway.post("/api/backtests", json=BODY, headers={"X-User": "bob@firm"})
        assert made.json()["data"]["user_id"] == "bob@firm"
        refused = await gateway.post("/api/backtests", json=BODY)
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Gateway")


@pytest.mark.usefixtures("plans")
async def test_token_decides_who_asks() -> None:
    issuer = Issuer()

    async def read() -> bytes:
        return key_set(issuer.jwk)

    tokens = TokenAuthenticator(issuer=ISSUER, audience=AUDIENCE, algorithms=("RS256",), keys=KeySet(read))
    async with connect(make_rest_app(authenticator=tokens)) as known:

        async def post(token: str) -> tuple[int, str]:
            sent = {"Authorization": f"Bearer {token}"}
            answer = (await known.post("/api/backtests", json=BODY, headers=sent)).json()
            return (200, answer["data"]["user_id"]) if answer["success"] else (answer["status"], answer["code"])

        assert await post(issuer.token(sub="bob")) == (200, "bob")
        assert await post(issuer.token(exp=1_600_000_000)) == (401, "CREDENTIALS_EXPIRED")
        assert await post(issuer.write({"alg": "none"}, {}, lambda _: b"")) == (401, "INVALID_CREDENTIALS")
        assert await post(issuer.write({"alg": "HS256"}, {}, sign_with_secret(issuer.pem))) == (
            401,
            "INVALID_CREDENTIALS",
        )
        other = await known.post(
            "/api/backtests",
            json={**BODY, "user_id": "ann"},
            headers={"Authorization": f"Bearer {issuer.token(sub='bob')}"},
        )
        assert (other.status_code, other.json()["code"], other.json()["field"]) == (403, "FORBIDDEN", "user_id")
    await tokens.close()


class DownAuthenticator(HeaderAuthenticator):
    async def identify(self, credentials: Credentials) -> Caller:
        raise IdentityUnavailable("The keys cannot be read.", retry_after_s=10)


async def test_issuer_that_is_down_gives_503() -> None:
    async with connect(make_rest_app(authenticator=DownAuthenticator("X-User"))) as down:
        answer = await down.get("/api/jobs")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
        assert "WWW-Authenticate" not in answer.headers


async def test_refused_upload_is_not_read(client: httpx.AsyncClient) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b"x" * 65536

    answer = await client.post("/api/models/upload", content=body(), headers={"Content-Type": "multipart/form-data"})
    assert answer.status_code == 401


async def test_responses_to_a_caller_are_private(client: httpx.AsyncClient, key: str) -> None:
    answer = await client.post("/api/backtests", json=BODY, headers={"X-API-Key": key})
    assert answer.headers["cache-control"] == "private, no-cache"
    open_to_all = await client.get("/health")
    assert "private" not in open_to_all.headers.get("cache-control", "")


@pytest.mark.parametrize("user", ["ann\xa0", "ann\x85"])
async def test_gateways_user_is_stripped_of_blanks_only(user: str) -> None:
    found = await HeaderAuthenticator("X-User").identify(Credentials(headers=(("x-user", " ann\t"),)))
    assert found == Caller(user_id="ann")
    with pytest.raises(InvalidCredentials):
        await HeaderAuthenticator("X-User").identify(Credentials(headers=(("x-user", user),)))
