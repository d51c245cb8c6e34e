from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from src.api.http.body_limit import BodyLimit, BodyLimits

LIMITS = BodyLimits(max_upload_bytes=10_000, multipart_slack_bytes=1_000, max_plain_bytes=1_000, idle_s=0.05)
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


class Reader:
    """An application that reads the whole body and remembers how much it saw and how it ended."""

    def __init__(self) -> None:
        self.seen_bytes = 0
        self.failure: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async for chunk in Request(scope, receive).stream():
                self.seen_bytes += len(chunk)
        except Exception as error:
            self.failure = error
            raise
        await PlainTextResponse("read")(scope, receive, send)


async def pieces(count: int, size: int, pause_s: float = 0.0) -> AsyncIterator[bytes]:
    for _ in range(count):
        await asyncio.sleep(pause_s)
        yield b"x" * size


async def post(
    app: object, content: object, headers: dict[str, str] | None = None, path: str = "/api/models/upload"
) -> httpx.Response:
    transport = httpx.ASGITransport(app=BodyLimit(app, LIMITS))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        return await client.post(path, content=content, headers=headers)  # type: ignore[arg-type]


@pytest.mark.parametrize(("headers", "size"), [({}, 1_000), (FORM, 11_000)])
async def test_body_at_the_limit_passes(headers: dict[str, str], size: int) -> None:
    app = Reader()
    assert (await post(app, b"x" * size, headers)).text == "read"
    assert app.seen_bytes == size


@pytest.mark.parametrize(("headers", "size"), [({}, 1_001), (FORM, 11_001)])
async def test_declared_length_beyond_limit_is_refused_unread(headers: dict[str, str], size: int) -> None:
    app = Reader()
    answer = await post(app, b"x" * size, headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "TOO_LARGE")
    assert answer.headers["content-type"] == "application/problem+json"
    assert app.seen_bytes == 0


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/backtests", FORM),
        ("/api/models/upload/more", FORM),
        ("/api/models/upload", {"Content-Type": "multipart/x"}),
        ("/api/models/upload", {"Content-Type": "text/plain"}),
    ],
)
async def test_only_forms_on_file_paths_may_be_large(path: str, headers: dict[str, str]) -> None:
    assert (await post(Reader(), b"x" * 1_001, headers, path)).status_code == 413


async def test_proxy_prefix_does_not_hide_the_path() -> None:
    async def prefixed(scope: Scope, receive: Receive, send: Send) -> None:
        scope |= {"root_path": "/service", "path": "/service/graphql"}
        await BodyLimit(Reader(), LIMITS)(scope, receive, send)

    transport = httpx.ASGITransport(app=prefixed)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        assert (await client.post("/", content=b"x" * 11_000, headers=FORM)).text == "read"


async def test_undeclared_body_is_refused_at_the_limit() -> None:
    app = Reader()
    answer = await post(app, pieces(100, 500), FORM)
    assert answer.status_code == 413
    assert app.seen_bytes <= 11_000
    assert type(app.failure).__name__ == "ClientDisconnect"


async def test_application_response_after_refusal_is_dropped() -> None:
    async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        await PlainTextResponse("all is well")(scope, receive, send)

    assert (await post(stubborn, pieces(100, 500))).status_code == 413


async def test_body_that_stops_arriving_gets_408() -> None:
    app = Reader()
    answer = await post(app, pieces(2, 10, pause_s=0.5))
    assert (answer.status_code, answer.json()["code"]) == (408, "REQUEST_TIMEOUT")


async def test_slow_body_gets_408() -> None:
    app = Reader()
    answer = await post(app, pieces(100, 1, pause_s=0.01))
    assert answer.status_code == 408
    assert 0 < app.seen_bytes < 100


async def test_steady_body_may_take_longer_than_idle_limit() -> None:
    app = Reader()
    assert (await post(app, pieces(12, 80, pause_s=0.01))).text == "read"


async def test_time_before_the_first_read_is_not_counted() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await asyncio.sleep(0.2)
        await Reader()(scope, receive, send)

    assert (await post(slow, pieces(3, 100))).text == "read"


async def test_waiting_for_the_clients_farewell_has_no_limit() -> None:
    async def listener(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0.2)
        assert not waiting.done()
        await PlainTextResponse("patient")(scope, receive, send)
        assert (await waiting)["type"] == "http.disconnect"

    assert (await post(listener, b"")).text == "patient"


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip", "GZIP"])
async def test_encoded_body_is_refused_with_415(encoding: str) -> None:
    app = Reader()
    answer = await post(app, b"\x1f\x8b", {"Content-Encoding": encoding})
    assert (answer.status_code, answer.json()["code"]) == (415, "UNSUPPORTED_FORMAT")
    assert repr(encoding.lower()) in answer.json()["message"]
    assert answer.headers["accept-encoding"] == "identity"
    assert app.seen_bytes == 0


@pytest.mark.parametrize(("content", "encoding"), [(b"x", "identity"), (b"x", ""), (b"", "gzip")])
async def test_body_without_encoding_is_taken(content: bytes, encoding: str) -> None:
    assert (await post(Reader(), content, {"Content-Encoding": encoding})).text == "read"


async def test_errors_of_the_application_pass_through() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError("its own")

    with pytest.raises(LookupError):
        await post(broken, b"x")


async def test_length_that_is_no_number_is_refused() -> None:
    sent: list[Message] = []
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-length", b"-5")],
             "query_string": b"", "server": ("service", 80), "scheme": "http"}  # fmt: skip

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await BodyLimit(Reader(), LIMITS)(scope, receive, send)
    assert sent[0]["status"] == 400
