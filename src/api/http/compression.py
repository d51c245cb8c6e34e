"""Compress long responses with gzip for clients that accept it."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipResponder, IdentityResponder
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.api.http.accept_headers import weights_in

MIN_BYTES: Final = 2_048
"""Responses below this fit a packet or two: compressing them saves no time."""

_MIN_THREAD_BYTES: Final = 32 * 1024
"""Up to this size (a third of a millisecond) compressing is cheaper than a hand-over to a thread."""

# Level 1 takes a third of the time of the default level 6; tables of numbers become hardly larger.
_LEVEL: Final = 1
# Parquet is compressed already, and clients that ask for Arrow want to load it without decoding.
_EXCLUDED: Final = (
    *DEFAULT_EXCLUDED_CONTENT_TYPES,
    "application/octet-stream",
    "application/vnd.apache.parquet",
    "application/vnd.apache.arrow.file",
)


class Compression:
    """Starlette's gzip with two rules of RFC 9110 that `GZipMiddleware` lacks.

    1. Accept-Encoding is read with its weights: `gzip;q=0` refuses gzip, `*` accepts it.
    2. A strong ETag becomes weak if the body is compressed, because a strong one promises the same bytes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        responder: ASGIApp
        if accepts_gzip(Headers(scope=scope).get("accept-encoding", "")):
            responder = GZipResponder(
                self._app, MIN_BYTES, _LEVEL, thread_minimum_size=_MIN_THREAD_BYTES, exclude_content_types=_EXCLUDED
            )
        else:
            responder = IdentityResponder(self._app, MIN_BYTES, exclude_content_types=_EXCLUDED)  # it adds Vary
        await responder(scope, receive, _weaken_etags(send))


def accepts_gzip(accepted: str) -> bool:
    """Return whether an Accept-Encoding header allows gzip, by name or as `*`, unless its q is 0 (RFC 9110, 12.5.3)."""
    weights = weights_in(accepted)
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def _weaken_etags(send: Send) -> Send:
    async def send_weak(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            if "content-encoding" in headers and (tag := headers.get("etag", "")).startswith('"'):
                headers["ETag"] = f"W/{tag}"
        await send(message)

    return send_weak
