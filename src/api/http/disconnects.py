"""Cancel a request whose client has disconnected."""

from __future__ import annotations

import asyncio
import logging

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.api.observation import request_line

logger = logging.getLogger(__name__)


class CancelOnDisconnect:
    """Watch for http.disconnect once the body is read, and cancel the application if it comes before the response.

    The application cleans up as in any cancellation, in its `finally` blocks. While a body still arrives, the
    application itself receives http.disconnect.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        client = _Client(receive, send)
        if not has_body:
            client.listen()
        try:
            await self._app(scope, client.receive, client.send)
        except asyncio.CancelledError:
            if not client.is_gone or client.handler.uncancel():
                raise
            logger.info("client disconnected: request=%s", request_line(scope))
        finally:
            client.stop_listening()


class _Client:
    """The client of the request that the current task serves."""

    def __init__(self, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("requests are served in tasks only")
        self.handler = task
        self.is_gone = False
        self._receive = receive
        self._send = send
        self._is_response_complete = False
        self._unread: asyncio.Queue[Message] = asyncio.Queue()
        self._listener: asyncio.Task[None] | None = None

    def listen(self) -> None:
        """Start to receive messages, and queue those that the application may still ask for."""
        self._listener = asyncio.create_task(self._listen())

    async def receive(self) -> Message:
        """Pass the next message to the application."""
        if self._listener is not None:
            return await self._unread.get()
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self.listen()
        return message

    async def send(self, message: Message) -> None:
        """Pass the application's response on."""
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._is_response_complete = True
        await self._send(message)

    def stop_listening(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.cancel()

    async def _listen(self) -> None:
        while True:
            message = await self._receive()
            self._unread.put_nowait(message)
            if message["type"] == "http.disconnect":
                # It also comes after a complete response, when the application may still have to clean up.
                if not self._is_response_complete:
                    self.is_gone = True
                    self.handler.cancel()
                return
