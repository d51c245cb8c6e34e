from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.api.http.compression import MIN_BYTES, Compression, accepts_gzip

TEXT = b"a line of no great interest\n" * 1000
JSON = "application/json"


async def fetch(
    app: ASGIApp, *, method: str = "GET", accept: str = "gzip, deflate, br"
) -> tuple[httpx.Response, bytes]:
    """Return the answer and its body as it came over the wire."""
    transport = httpx.ASGITransport(app=Compression(app))
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
        client.stream(method, "/", headers={"Accept-Encoding": accept}) as answer,
    ):
        return answer, b"".join([piece async for piece in answer.aiter_raw()])


@pytest.mark.parametrize("size", [MIN_BYTES, 30_000, 300_000, 512 * 1024, 512 * 1024 + 1, 3_000_000])
async def test_what_arrives_unpacks_to_what_was_sent(size: int) -> None:
    content = (os.urandom(size // 2).hex() + "x")[:size].encode()
    answer, body = await fetch(Response(content, media_type=JSON))
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(body) == content
    assert len(body) < size
    if "content-length" in answer.headers:
        assert int(answer.headers["content-length"]) == len(body)


async def test_a_long_answer_leaves_while_it_is_compressed() -> None:
    messages: list[Message] = []

    async def note(message: Message) -> None:
        messages.append(message)

    app = Compression(Response(os.urandom(2_000_000), media_type=JSON))
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"accept-encoding", b"gzip")]}
    await app(scope, _nothing, note)
    assert len(messages) > 4
    assert b"content-length" not in dict(messages[0]["headers"])
    assert [message.get("more_body", False) for message in messages[1:]] == [True] * (len(messages) - 2) + [False]


async def test_a_streamed_answer_stays_one() -> None:
    async def lines() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield TEXT
        yield b""

    answer, body = await fetch(StreamingResponse(lines(), media_type="text/plain"))
    assert answer.headers["content-encoding"] == "gzip"
    unpacker = zlib.decompressobj(31)
    assert unpacker.decompress(body) == TEXT * 50
    assert unpacker.eof


@pytest.mark.parametrize("accept", ["identity", "", "br", "gzip;q=0", "*;q=0", "gzip;q=none"])
async def test_a_client_that_does_not_accept_it_gets_the_plain_bytes(accept: str) -> None:
    answer, body = await fetch(Response(TEXT, media_type=JSON), accept=accept)
    assert "content-encoding" not in answer.headers
    assert answer.headers["vary"] == "Accept-Encoding"
    assert body == TEXT


@pytest.mark.parametrize(
    "response",
    [
        Response(TEXT[: MIN_BYTES - 1], media_type=JSON),
        Response(TEXT, media_type="application/octet-stream"),
        Response(TEXT, media_type="text/event-stream"),
        Response(gzip.compress(os.urandom(5000)), media_type=JSON, headers={"Content-Encoding": "gzip"}),
        Response(status_code=204),
        Response(status_code=304, headers={"ETag": '"a"'}),
    ],
    ids=["short", "unknown type", "events", "compressed already", "204", "304"],
)
async def test_what_is_left_alone(response: Response) -> None:
    answer, body = await fetch(response)
    assert body == response.body
    assert dict(answer.headers) == dict(response.headers)


async def test_an_answer_without_a_body_keeps_its_head() -> None:
    async def head(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(headers={"Content-Length": "28000"}, media_type=JSON)(scope, receive, send)

    answer, _ = await fetch(head, method="HEAD")
    assert answer.headers["content-length"] == "28000"
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(("sent", "given"), [('"abc"', 'W/"abc"'), ('W/"abc"', 'W/"abc"')])
async def test_a_tag_no_longer_promises_the_same_bytes(sent: str, given: str) -> None:
    answer, _ = await fetch(Response(TEXT, media_type=JSON, headers={"ETag": sent, "Vary": "Origin"}))
    assert answer.headers["etag"] == given
    assert answer.headers["vary"] == "Origin, Accept-Encoding"


@pytest.mark.parametrize(
    ("header", "is_accepted"),
    [
        ("gzip", True),
        ("GZIP;q=0.5", True),
        ("br, x-gzip", True),
        ("*", True),
        ("*;q=0.1", True),
        ("gzip;q=0, *", False),
        ("gzip; q=0.000", False),
        ("br", False),
        ("", False),
    ],
)
def test_accept_encoding(header: str, is_accepted: bool) -> None:
    assert accepts_gzip(header) is is_accepted


async def _nothing() -> Message:
    raise AssertionError("nobody asks for the request")
