"""Long answers go out compressed to clients that accept it, without holding up the others."""

from __future__ import annotations

import asyncio
import zlib
from typing import Final, Protocol

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.api.http.accept_headers import weights_in

MIN_BYTES: Final = 2_048
"""Answers below this fit a packet or two: compressing them saves nobody any time."""

_INLINE_BYTES: Final = 32 * 1024
"""Up to here (a third of a millisecond) compressing is cheaper than handing the work to a thread."""
_PIECE_BYTES: Final = 512 * 1024
"""Longer answers are sent as they are compressed, piece by piece."""

# Level 1 takes a third of the time of the default level 6, and tables of numbers get hardly larger by it.
_LEVEL: Final = 1
_GZIP_WINDOW: Final = 31
_TYPES: Final = ("application/json", "application/problem+json", "application/graphql-response+json", "text/")
_NOT_WAITING: Final = "text/event-stream"  # each event must leave at once
_WITHOUT_BODY: Final = frozenset({204, 304})


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class Compression:
    """Compress JSON and text with gzip where the client accepts it and the answer is long enough."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "HEAD":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, is_welcome=accepts_gzip(Headers(scope=scope).get("accept-encoding", "")))
        await self._app(scope, receive, answer.send)


def accepts_gzip(accepted: str) -> bool:
    """Say whether an Accept-Encoding header allows gzip (RFC 9110, 12.5.3); by name or as `*`, unless its q is 0."""
    weights = weights_in(accepted)
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


class _Answer:
    """One answer on its way out."""

    def __init__(self, send: Send, *, is_welcome: bool) -> None:
        self._send = send
        self._is_welcome = is_welcome
        self._start: Message | None = None
        self._compressor: _Compressor | None = None

    async def send(self, message: Message) -> None:
        """Pass a message of the application on; its first piece of body decides whether it is compressed."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        body, has_more = message.get("body", b""), message.get("more_body", False)
        if self._start is not None:
            start, self._start = self._start, None
            if self._is_compressible(start, len(body), has_more=has_more):
                await self._begin(start, body, has_more=has_more)
                return
            await self._send(start)
        if self._compressor is None:
            await self._send(message)
        else:
            await self._send_pieces(self._compressor, body, has_more=has_more)

    def _is_compressible(self, start: Message, length: int, *, has_more: bool) -> bool:
        """Decide, and tell caches that it was decided by what the client accepts."""
        headers = MutableHeaders(raw=start["headers"])
        is_long = has_more or length >= MIN_BYTES
        if start["status"] in _WITHOUT_BODY or not is_long or "content-encoding" in headers:
            return False
        media_type = headers.get("content-type", "")
        if not media_type.startswith(_TYPES) or media_type.startswith(_NOT_WAITING):
            return False
        headers.add_vary_header("Accept-Encoding")
        start["headers"] = headers.raw
        return self._is_welcome

    async def _begin(self, start: Message, body: bytes, *, has_more: bool) -> None:
        headers = MutableHeaders(raw=start["headers"])
        headers["Content-Encoding"] = "gzip"
        if (tag := headers.get("etag", "")).startswith('"'):
            headers["ETag"] = f"W/{tag}"  # a strong tag stands for these bytes and no others
        del headers["Content-Length"]
        start["headers"] = headers.raw
        compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
        if has_more or len(body) > _PIECE_BYTES:
            self._compressor = compressor
            await self._send(start)
            await self._send_pieces(compressor, body, has_more=has_more)
            return
        whole = await _compressed(compressor, body, is_last=True)
        headers["Content-Length"] = str(len(whole))
        start["headers"] = headers.raw
        await self._send(start)
        await self._send({"type": "http.response.body", "body": whole})

    async def _send_pieces(self, compressor: _Compressor, body: bytes, *, has_more: bool) -> None:
        ends = range(_PIECE_BYTES, len(body) + _PIECE_BYTES, _PIECE_BYTES) or (0,)
        for end in ends:
            is_last = end >= len(body) and not has_more
            piece = await _compressed(compressor, body[max(0, end - _PIECE_BYTES) : end], is_last=is_last)
            if piece or is_last:
                await self._send({"type": "http.response.body", "body": piece, "more_body": not is_last})


async def _compressed(compressor: _Compressor, body: bytes, *, is_last: bool) -> bytes:
    if len(body) <= _INLINE_BYTES:
        return _compress(compressor, body, is_last)
    return await asyncio.to_thread(_compress, compressor, body, is_last)


def _compress(compressor: _Compressor, body: bytes, is_last: bool) -> bytes:
    return compressor.compress(body) + (compressor.flush() if is_last else b"")
