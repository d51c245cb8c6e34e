"""Read on after an early response, so that the client can read it before the connection closes.

A server that closes a connection with unread data resets it, and the reset overtakes the response: a client that is
still sending (Node's `fetch`) sees EPIPE instead of a 413. nginx calls the remedy `lingering_close`.
"""

from __future__ import annotations

import asyncio
import resource
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_LINGERING: Final = 1024
"""Each holds a connection and at most 64 KiB that are read and not yet discarded: 64 MiB in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LingerLimits:
    """How long, and how much, is read and discarded after an early response.

    `max_s` is the whole time (nginx's default), `max_bytes` the maximum of one request. A client may send nothing in
    all of that time: one that begins 200 uploads at once (Node's `fetch`) sends the first byte of a body up to 20 s
    after its head. At most `max_requests` of a process linger at once; one more ends the oldest. None: a quarter of the
    descriptors that this process may have, at most `MAX_LINGERING`. That is half of its connections, so the other half
    stays free for requests that are not refused.
    """

    max_s: float = 30.0
    max_bytes: int = 1024**3
    max_requests: int | None = None

    def most_requests(self) -> int:
        """Return the maximum number of requests that linger at once."""
        if self.max_requests is not None:
            return self.max_requests
        return min(MAX_LINGERING, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)


class Linger:
    """Delay the close of a connection whose response was sent before the request's body was read.

    The response is sent whole as soon as the application sends it. The server learns of its end, and then closes, only
    when the rest of the body has come or a limit is reached. Meanwhile the application has returned, so lingering holds
    no file and no slot. This is the outermost layer, so that it serves every early response.
    """

    def __init__(self, app: ASGIApp, limits: LingerLimits) -> None:
        self._app = app
        self._limits = limits
        self._lingering: dict[asyncio.Timeout, None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        await self._app(scope, exchange.receive, exchange.send)
        if exchange.is_end_withheld:
            await self._discard_rest(exchange)
            await exchange.end()

    async def _discard_rest(self, exchange: _Exchange) -> None:
        self._make_room()
        discarded_bytes = 0
        # Not `wait_for`: in Python 3.11 it swallows a cancellation that comes together with a message.
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.max_s) as patience:
                self._lingering[patience] = None
                try:
                    while not exchange.is_body_read and discarded_bytes < self._limits.max_bytes:
                        if patience not in self._lingering:
                            return
                        message = await exchange.receive()
                        discarded_bytes += len(message.get("body", b""))
                finally:
                    self._lingering.pop(patience, None)

    def _make_room(self) -> None:
        while len(self._lingering) >= self._limits.most_requests():
            oldest = next(iter(self._lingering))
            del self._lingering[oldest]
            if not oldest.expired():
                oldest.reschedule(asyncio.get_running_loop().time())


class _Exchange:
    """One request and its response, seen from outside the application."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        self._receive = receive
        self._send = send
        self._is_early = False
        self.is_body_read = "transfer-encoding" not in headers and headers.get("content-length", "0") == "0"
        self.is_end_withheld = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self.is_body_read = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self.is_body_read:
            self._is_early = True
            kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() != b"connection"]
            message = {**message, "headers": [*kept, (b"connection", b"close")]}
        elif message["type"] == "http.response.body" and self._is_early and not self.is_body_read:
            self.is_end_withheld = not message.get("more_body", False)
            message = {**message, "more_body": True}
        await self._send(message)

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
