"""The layer that counts requests and uploads: what counts for whom, and how a refusal is written."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message

from src.api.allowance import sender_of
from src.api.rest.routes import install_rest
from src.domain.identity import Caller
from src.domain.rates import Rate, RateLimit
from src.identity.anybody import AnybodyAuthenticator
from src.identity.gateway import HeaderAuthenticator
from src.rates.limiter import MovingWindowLimiter
from tests.clocks import Stopwatch
from tests.rest_app import make_rest_app

REQUESTS = RateLimit(rate=Rate.REQUESTS, allowed=3, window_s=60, setting="MAX_REQUESTS_PER_MINUTE")
UPLOADS = RateLimit(rate=Rate.UPLOADS, allowed=1, window_s=3600, setting="MAX_UPLOADS_PER_HOUR")
CORES = RateLimit(rate=Rate.CORE_SECONDS, allowed=100, window_s=3600, setting="MAX_CORE_SECONDS_PER_HOUR")
FILE = {"file": ("model.pkl", b"x")}


class Served:
    """An application with these limits, its clock, and clients at addresses or behind a gateway."""

    def __init__(self, *limits: RateLimit, has_gateway: bool = False) -> None:
        self.clock = Stopwatch()
        self.limiter = MovingWindowLimiter(limits, now=self.clock)
        authenticator = HeaderAuthenticator("x-user") if has_gateway else None
        self.app = make_rest_app(limiter=self.limiter, authenticator=authenticator, cors_origins=["http://page"])

    def at(self, address: str = "203.0.113.7", user: str | None = None) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.app, client=(address, 4000))
        headers = {} if user is None else {"X-User": user}
        return httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers)


async def statuses(client: httpx.AsyncClient, count: int, path: str = "/api/strategies") -> list[int]:
    return [(await client.get(path)).status_code for _ in range(count)]


async def test_request_over_limit_gets_429_with_times() -> None:
    served = Served(REQUESTS)
    client = served.at()
    assert await statuses(client, 3) == [200, 200, 200]
    served.clock.now_s += 20.5
    refused = await client.get("/api/strategies")
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["type"]) == (429, "RATE_LIMITED", "/errors/RATE_LIMITED")
    assert problem["message"] == ("3 of 3 requests per minute are used up (MAX_REQUESTS_PER_MINUTE). Retry in 40 s.")
    assert refused.headers["Retry-After"] == "40"
    assert refused.headers["RateLimit-Policy"] == '"requests";q=3;w=60'
    assert refused.headers["RateLimit"] == '"requests";r=0;t=40'
    served.clock.now_s += 40
    assert await statuses(client, 1) == [200]


async def test_counted_response_says_what_is_left() -> None:
    served = Served(REQUESTS)
    async with served.at() as client:
        first = await client.get("/api/strategies")
        served.clock.now_s += 10
        second = await client.get("/api/strategies")
    assert first.headers["RateLimit"] == '"requests";r=2;t=60'
    assert second.headers["RateLimit"] == '"requests";r=1;t=50'


async def test_page_of_another_origin_reads_the_headers() -> None:
    answer = await Served(REQUESTS).at().get("/api/strategies", headers={"Origin": "http://page"})
    exposed = answer.headers["Access-Control-Expose-Headers"]
    assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= set(exposed.split(", "))


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/openapi.json", "/errors/BUSY"])
async def test_operators_paths_are_not_counted(path: str) -> None:
    async with Served(REQUESTS).at("127.0.0.1") as client:
        answers = [await client.get(path) for _ in range(5)]
        assert {answer.status_code for answer in answers} == {200}
        assert "RateLimit" not in answers[-1].headers
        assert await statuses(client, 3) == [200, 200, 200]


async def test_preflight_is_not_counted() -> None:
    headers = {"Origin": "http://page", "Access-Control-Request-Method": "POST"}
    async with Served(REQUESTS).at() as client:
        for _ in range(5):
            assert (await client.options("/api/backtests", headers=headers)).status_code == 200
        assert await statuses(client, 3) == [200, 200, 200]


async def test_missing_paths_are_counted() -> None:
    assert await statuses(Served(REQUESTS).at(), 4, "/api/nothing") == [404, 404, 404, 429]


async def test_addresses_do_not_share_a_limit() -> None:
    served = Served(REQUESTS)
    assert await statuses(served.at("203.0.113.7"), 4) == [200, 200, 200, 429]
    assert await statuses(served.at("203.0.113.8"), 1) == [200]


async def test_addresses_of_one_network_share_a_limit() -> None:
    served = Served(REQUESTS)
    for number in range(3):
        assert await statuses(served.at(f"2001:db8::{number:x}"), 1) == [200]
    assert await statuses(served.at("2001:db8::ffff"), 1) == [429]
    assert await statuses(served.at("2001:db8:0:1::1"), 1) == [200]


async def test_users_behind_one_address_do_not_share() -> None:
    served = Served(REQUESTS, has_gateway=True)
    assert await statuses(served.at(user="ann"), 4) == [200, 200, 200, 429]
    assert await statuses(served.at(user="bob"), 1) == [200]
    assert await statuses(served.at("198.51.100.1", user="ann"), 1) == [429]


async def test_refused_sender_counts_for_nobody() -> None:
    served = Served(REQUESTS, has_gateway=True)
    assert await statuses(served.at(), 5) == [401] * 5
    assert len(served.limiter.memory) == 0


async def test_upload_is_counted_before_its_body() -> None:
    served = Served(UPLOADS)
    async with served.at() as client:
        form = {"user_id": "me"}
        assert (await client.post("/api/models/upload", data=form, files=FILE)).status_code == 200

        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        refused = await client.post("/api/models/upload", content=b"not read, so not MALFORMED_REQUEST", headers=kind)
        assert refused.status_code == 429
        assert refused.json()["message"].startswith("1 of 1 uploads per hour are used up (MAX_UPLOADS_PER_HOUR).")
        assert refused.headers["RateLimit"] == '"uploads";r=0;t=3600'
        assert await statuses(client, 5) == [200] * 5


async def test_user_sees_processor_time_too() -> None:
    served = Served(REQUESTS, CORES, has_gateway=True)
    served.limiter.charge("user ann", Rate.CORE_SECONDS, 41.2)
    answer = await served.at(user="ann").get("/api/strategies")
    assert answer.headers["RateLimit-Policy"] == '"requests";q=3;w=60, "core-seconds";q=100;w=3600'
    assert answer.headers["RateLimit"] == '"requests";r=2;t=60, "core-seconds";r=58;t=3600'


def test_service_without_limits_has_no_layer() -> None:
    limited = Served(REQUESTS).app.user_middleware
    assert "RateLimits" in [layer.cls.__name__ for layer in limited]
    assert "RateLimits" not in [layer.cls.__name__ for layer in make_rest_app().user_middleware]


@pytest.mark.parametrize("is_limited", [True, False])
def test_document_declares_429_if_there_are_limits(is_limited: bool) -> None:
    app = FastAPI()
    app.state.authenticator, app.state.max_bars, app.state.max_rows = AnybodyAuthenticator(), 1000, 100
    install_rest(app, registry=None, is_limited=is_limited)
    paths = app.openapi()["paths"]
    assert ("429" in paths["/api/usage"]["get"]["responses"]) is is_limited
    assert ("429" in paths["/api/session"]["post"]["responses"]) is is_limited
    assert "429" not in paths["/health"]["get"]["responses"]


async def open_socket(served: Served, extensions: dict[str, object]) -> list[Message]:
    """Open a WebSocket to an address that has none, and return what the server sends."""
    sent: list[Message] = []
    scope = {
        "type": "websocket", "path": "/nothing", "raw_path": b"/nothing", "query_string": b"", "root_path": "",
        "scheme": "ws", "headers": [(b"host", b"service")], "client": ("203.0.113.7", 4000), "subprotocols": [],
        "server": ("service", 80), "extensions": extensions,
    }  # fmt: skip

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async with asyncio.timeout(10):
        await served.app(scope, receive, send)
    return sent


@pytest.mark.parametrize(
    ("extensions", "kinds"),
    [
        ({"websocket.http.response": {}}, ["websocket.http.response.start", "websocket.http.response.body"]),
        ({}, ["websocket.close"]),
    ],
)
async def test_websocket_over_limit_is_not_opened(extensions: dict[str, object], kinds: Sequence[str]) -> None:
    served = Served(REQUESTS)
    for _ in range(3):
        await open_socket(served, {})
    sent = await open_socket(served, extensions)
    assert [message["type"] for message in sent] == kinds
    if extensions:
        assert sent[0]["status"] == 429
        assert (b"retry-after", b"60") in sent[0]["headers"]
        assert (b"ratelimit", b'"requests";r=0;t=60') in sent[0]["headers"]
    else:
        assert sent[0]["code"] == 1013


def test_sender_without_address_has_a_name() -> None:
    assert sender_of({"type": "http", "client": None}) == "address "
    assert sender_of({"type": "http", "state": {"caller": Caller(user_id="ann")}}) == "user ann"
