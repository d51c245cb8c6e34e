from __future__ import annotations

import gzip
import os
import threading
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.middleware.gzip import GZipResponder
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
async def test_compressed_body_unpacks_to_the_original(size: int) -> None:
    content = (os.urandom(size // 2).hex() + "x")[:size].encode()
    answer, body = await fetch(Response(content, media_type=JSON))
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(body) == content
    assert len(body) < size
    if "content-length" in answer.headers:
        assert int(answer.headers["content-length"]) == len(body)


async def test_streamed_pieces_leave_before_the_next_is_made() -> None:
    made, sent = [0], []

    async def lines() -> AsyncIterator[bytes]:
        for _ in range(5):
            made[0] += 1
            yield TEXT

    async def note(message: Message) -> None:
        if message["type"] == "http.response.body":
            sent.append((made[0], message["body"]))
        else:
            assert b"content-length" not in dict(message["headers"])

    scope = {"type": "http", "asgi": {"spec_version": "2.4"}, "method": "GET", "path": "/"}
    scope["headers"] = [(b"accept-encoding", b"gzip")]
    await Compression(StreamingResponse(lines(), media_type="text/plain"))(scope, _nothing, note)
    assert [number for number, _ in sent] == [1, 2, 3, 4, 5, 5]
    unpacker = zlib.decompressobj(31)
    assert [unpacker.decompress(body) for _, body in sent] == [TEXT] * 5 + [b""]  # each piece can be read as it comes
    assert unpacker.eof


@pytest.mark.parametrize("size", [1_000, 3_000_000])
async def test_long_body_is_compressed_off_the_event_loop(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set()
    compress = GZipResponder._compress_body

    def note(self: GZipResponder, body: bytes, more_body: bool) -> bytes:
        threads.add(threading.current_thread())
        return compress(self, body, more_body)

    monkeypatch.setattr(GZipResponder, "_compress_body", note)
    await fetch(Response(os.urandom(size), media_type=JSON))
    assert threading.main_thread() not in threads
    assert len(threads) == (size > MIN_BYTES)


@pytest.mark.parametrize("accept", ["identity", "", "br", "gzip;q=0", "*;q=0", "gzip;q=none"])
async def test_client_without_gzip_gets_plain_bytes(accept: str) -> None:
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
async def test_short_and_excluded_bodies_stay_plain(response: Response) -> None:
    answer, body = await fetch(response)
    assert body == response.body
    assert dict(answer.headers) == dict(response.headers)


async def test_response_without_a_body_keeps_its_head() -> None:
    async def head(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(headers={"Content-Length": "28000"}, media_type=JSON)(scope, receive, send)

    answer, _ = await fetch(head, method="HEAD")
    assert answer.headers["content-length"] == "28000"
    assert "content-encoding" not in answer.headers


async def test_head_has_the_headers_of_get() -> None:
    whole, _ = await fetch(Response(TEXT, media_type=JSON, headers={"ETag": '"abc"'}))
    head, _ = await fetch(Response(TEXT, media_type=JSON, headers={"ETag": '"abc"'}), method="HEAD")
    assert dict(head.headers) == dict(whole.headers)


@pytest.mark.parametrize(("sent", "given"), [('"abc"', 'W/"abc"'), ('W/"abc"', 'W/"abc"')])
async def test_strong_etag_becomes_weak_when_compressed(sent: str, given: str) -> None:
    answer, _ = await fetch(Response(TEXT, media_type=JSON, headers={"ETag": sent, "Vary": "Origin"}))
    assert answer.headers["etag"] == given
    assert answer.headers["vary"] == "Origin, Accept-Encoding"


async def test_strong_etag_stays_strong_on_plain_bytes() -> None:
    answer, _ = await fetch(Response(TEXT, media_type=JSON, headers={"ETag": '"abc"'}), accept="identity")
    assert answer.headers["etag"] == '"abc"'


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
def test_accept_encoding_decides_about_gzip(header: str, is_accepted: bool) -> None:
    assert accepts_gzip(header) is is_accepted


async def _nothing() -> Message:
    raise AssertionError("nobody asks for the request")
