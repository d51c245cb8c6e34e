"""Refuse bodies that are too large, too slow or encoded, while they arrive."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.api.errors import ErrorResponse, describe_error, describe_http_error, problem_response
from src.api.observation import request_line
from src.api.paths import FORM_PATHS, path_in
from src.domain.errors import MalformedRequest, TooLarge, UnsupportedFormat, file_too_large

logger = logging.getLogger(__name__)

_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """How large and how slow a request's body may be.

    `max_upload_bytes` is the largest file. On the paths that receive files (`paths.FORM_PATHS`) a form may be
    `multipart_slack_bytes` larger, for its other fields. `idle_s` is the longest pause while a body arrives. After the
    first `idle_s` the body must arrive at `min_bytes_per_s` on average; otherwise a byte now and then would hold a
    connection without end.
    """

    max_upload_bytes: int
    multipart_slack_bytes: int = _MIB
    max_plain_bytes: int = _MIB
    idle_s: float = 30.0
    min_bytes_per_s: float = 1024.0

    def for_body(self, *, is_form: bool) -> int:
        """Return the maximum size in bytes of a form with files, or of any other body."""
        return self.max_upload_bytes + self.multipart_slack_bytes if is_form else self.max_plain_bytes


class BodyLimit:
    """Refuse a body that is too large (413), too slow (408) or encoded (415), as early as its bytes show it.

    The limit is outside the form parsers, because they read a body to its end before an endpoint sees it. This layer
    sends the refusal; the application receives http.disconnect, which makes it clean up, and whatever it still sends is
    dropped.
    """

    def __init__(self, app: ASGIApp, limits: BodyLimits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive, send, self._limits)
        if await body.is_declared_wrong():
            return
        try:
            await self._app(scope, body.receive, body.send)
        except Exception:
            # After a refusal the application fails because its client seems to have disconnected.
            if not body.is_refused:
                raise


class _Body:
    """One request's body while it arrives."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: BodyLimits) -> None:
        headers = Headers(scope=scope)
        self._scope = scope
        self._receive = receive
        self._send = send
        self._limits = limits
        is_multipart = headers.get("content-type", "").lower().startswith("multipart/form-data")
        self._is_form = is_multipart and path_in(scope) in FORM_PATHS
        self._max_bytes = limits.for_body(is_form=self._is_form)
        self._declared = headers.get("content-length")
        self._encoding = ", ".join(headers.getlist("content-encoding")).strip().lower()
        self._received_bytes = 0
        self._waited_s = 0.0
        self._has_body = "transfer-encoding" in headers or self._declared not in (None, "0")
        self._is_complete = False
        self._has_response_begun = False
        self.is_refused = False

    async def is_declared_wrong(self) -> bool:
        """Refuse by the headers alone, before a byte of the body is read."""
        if self._has_body and self._encoding not in {"", "identity"}:
            # RFC 7694, 3: Accept-Encoding in a response says what a request may have.
            await self._refuse(self._encoded(), {"Accept-Encoding": "identity"})
        elif self._declared is None:
            return False
        elif not (self._declared.isascii() and self._declared.isdigit()):
            await self._refuse(
                describe_error(
                    MalformedRequest("Content-Length is {got!r}. Allowed: a whole number.", got=self._declared)
                )
            )
        elif int(self._declared) > self._max_bytes:
            await self._refuse(self._too_large())
        return self.is_refused

    async def receive(self) -> Message:
        """Pass the next piece of the body to the application."""
        if self.is_refused:
            return {"type": "http.disconnect"}
        if self._is_complete:
            return await self._receive()
        asked_s = time.monotonic()
        try:
            async with asyncio.timeout(self._patience_s()):  # `wait_for` may swallow a cancellation (Python 3.11)
                message = await self._receive()
        except TimeoutError:
            await self._refuse(self._too_slow())
            return {"type": "http.disconnect"}
        self._waited_s += time.monotonic() - asked_s
        if message["type"] != "http.request":
            return message
        self._received_bytes += len(message.get("body", b""))
        self._is_complete = not message.get("more_body", False)
        if self._received_bytes > self._max_bytes:
            await self._refuse(self._too_large())
            return {"type": "http.disconnect"}
        return message

    async def send(self, message: Message) -> None:
        """Pass the application's response on, unless the refusal was sent already."""
        if self.is_refused:
            return
        self._has_response_begun = True
        await self._send(message)

    def _patience_s(self) -> float:
        earned_s = self._limits.idle_s + self._received_bytes / self._limits.min_bytes_per_s
        return max(0.001, min(self._limits.idle_s, earned_s - self._waited_s))

    async def _refuse(self, failure: ErrorResponse, headers: Mapping[str, str] | None = None) -> None:
        self.is_refused = True
        logger.info(
            "body refused: request=%s status=%d received_bytes=%d",
            request_line(self._scope), failure.status, self._received_bytes,
        )  # fmt: skip
        if self._has_response_begun:
            return
        response = problem_response(Request(self._scope), failure)
        response.headers.update(headers or {})
        await response(self._scope, self._receive, self._send)

    def _too_large(self) -> ErrorResponse:
        if self._is_form:
            return describe_error(file_too_large(self._limits.max_upload_bytes))
        size = f"{self._declared} bytes" if self._declared is not None else "longer"
        return describe_error(TooLarge("The body is {size}. Maximum: {most} bytes.", size=size, most=self._max_bytes))

    def _encoded(self) -> ErrorResponse:
        return describe_error(
            UnsupportedFormat(
                "Content-Encoding is {got!r}. Allowed: identity (send the body uncompressed).", got=self._encoding
            )
        )

    def _too_slow(self) -> ErrorResponse:
        return describe_http_error(
            "REQUEST_TIMEOUT",
            "The body stopped arriving. Allowed: pauses of at most {idle_s:g} s, and {rate:g} bytes per second.",
            idle_s=self._limits.idle_s,
            rate=self._limits.min_bytes_per_s,
        )
