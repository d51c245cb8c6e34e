"""Serve subscriptions over WebSockets (graphql-transport-ws), with limits; queries and mutations use HTTP.

Protocol: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md. uvicorn sends the pings that find dead peers,
and bounds the size of a message (`ws_max_size`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, Final

import orjson
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.exceptions import ConnectionRejectionError
from strawberry.http.exceptions import NonJsonMessageReceived, NonTextMessageReceived, WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler
from strawberry.subscriptions.protocols.graphql_transport_ws.types import SubscribeMessage

from src.api.allowance import client_address, found_allowance
from src.api.caller import found_caller
from src.api.dependencies import authenticator_of
from src.api.errors import describe_error, extensions_of, graphql_message
from src.api.http.authentication import UNAUTHORIZED_SOCKET as UNAUTHORIZED
from src.api.http.authentication import read_credentials, remember
from src.domain.errors import RateLimited, ServiceError
from src.domain.rates import Rate
from src.ports.identity import Credentials

logger = logging.getLogger(__name__)

CREDENTIALS: Final = "socket_credentials"
"""Where a WebSocket's scope keeps the credentials of its first message."""
MAX_SOCKETS: Final = 256
"""WebSockets of one process: each holds one of its connections."""
MAX_SUBSCRIPTIONS: Final = 20
"""Subscriptions of one WebSocket."""
INIT_S: Final = 10.0
"""Seconds in which a client must send `connection_init`."""
IDLE_S: Final = 60.0
"""Seconds after which a WebSocket without a subscription is closed."""
MAX_MESSAGES: Final = 600
"""Messages of one WebSocket in a minute."""
MAX_REASON_BYTES: Final = 123
"""The most that a close frame can hold (RFC 6455, 5.5)."""

TRY_AGAIN_LATER: Final = 1013
IDLE: Final = 4408
TOO_MANY: Final = 4429


class OpenSockets:
    """The open WebSockets of one process."""

    def __init__(self, *, max_sockets: int = MAX_SOCKETS) -> None:
        self._max_sockets = max_sockets
        self._open = 0

    async def serve(self, socket: WebSocket, serve_one: Callable[[], Awaitable[Any]]) -> Any:
        """Serve a WebSocket; one too many is closed at once with the code 1013."""
        if self._open >= self._max_sockets:
            await socket.accept(subprotocol=next(iter(socket["subprotocols"]), None))
            await socket.close(TRY_AGAIN_LATER, "Too many WebSockets are open. Try again later.")
            return socket
        self._open += 1
        try:
            return await serve_one()
        finally:
            self._open -= 1


class BoundedSocket(ASGIWebSocketAdapter):
    """A WebSocket whose messages are JSON objects in text frames, not too many of them."""

    is_used: Callable[[], bool] = staticmethod(lambda: False)
    """Whether a subscription is open."""

    async def iter_json(self, *, ignore_parsing_errors: bool = False) -> AsyncGenerator[object, None]:  # noqa: ARG002
        """Yield the messages; close an idle WebSocket, and one that sends too many."""
        counted, minute = 0, time.monotonic()
        try:
            # Starlette raises RuntimeError on a read of a WebSocket that the protocol's handler has closed.
            while self.ws.application_state is not WebSocketState.DISCONNECTED:
                try:
                    async with asyncio.timeout(IDLE_S):
                        text = await self.ws.receive_text()
                except TimeoutError:
                    if self.is_used():
                        continue
                    await self.close(IDLE, "No subscription was open for too long.")
                    return
                if time.monotonic() - minute > 60:
                    counted, minute = 0, time.monotonic()
                counted += 1
                if counted > MAX_MESSAGES:
                    await self.close(TOO_MANY, f"More than {MAX_MESSAGES} messages in a minute.")
                    return
                yield _read(text)
        except KeyError as error:
            raise NonTextMessageReceived from error
        except WebSocketDisconnect:
            return

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send a message as text."""
        try:
            await self.ws.send_text(orjson.dumps(message).decode())
        except WebSocketDisconnect as error:
            raise WebSocketDisconnected from error

    async def close(self, code: int, reason: str) -> None:
        """Close, with as much of the reason as fits."""
        await super().close(code, reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore"))


class _SubscriptionsOnly:
    """A schema that streams subscriptions, and refuses queries and mutations: only HTTP has their limits."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema

    async def stream(self, query: str, **options: Any) -> Any:
        return await self._schema.subscribe(query, **options)


class SubscriptionHandler(BaseGraphQLTransportWSHandler[Any, None]):
    """Strawberry's handler of one WebSocket, for subscriptions only."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.schema: Any = _SubscriptionsOnly(options["schema"])
        self._connection: HTTPConnection = options["websocket"].ws
        options["websocket"].is_used = lambda: bool(self.operations)

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        """Begin a subscription; close the WebSocket if the message is invalid.

        Close it too if its key, session or token is no longer valid.
        """
        if _is_subscribe(message):
            if not await is_still_known(self._connection):
                await self.websocket.close(UNAUTHORIZED, "The key, session or token is not valid any more.")
            elif (refusal := self._count()) is not None:
                await self.send_message({"id": message["id"], "type": "error", "payload": [refusal]})
            else:
                await super().handle_subscribe(message)
        else:
            await self.handle_invalid_message("The message subscribe has no id and payload as the protocol asks for")

    def _count(self) -> Any:
        """Count a subscription as a request; return the GraphQL error if it is over a limit."""
        allowance = found_allowance(self._connection)
        try:
            if allowance is not None:
                allowance.begin_message()
                allowance.spend(Rate.REQUESTS)
        except RateLimited as error:
            described = describe_error(error)
            return {"message": graphql_message(described), "extensions": extensions_of(described)}
        return None


async def authenticate_socket(connection: HTTPConnection, params: object) -> None:
    """Find out who opened a WebSocket, from the `authorization` in the payload of its first message.

    Do nothing if the handshake had credentials. Raises ConnectionRejectionError, which closes the WebSocket.
    """
    if found_caller(connection) is not None:
        return
    given = params.get("authorization") if isinstance(params, Mapping) else None
    headers = (("authorization", given),) if isinstance(given, str) else ()
    credentials = Credentials(headers=headers, address=client_address(connection.scope))
    try:
        caller = await authenticator_of(connection).identify(credentials)
    except ServiceError as error:
        logger.info("websocket refused: error=%s", error.message)
        raise ConnectionRejectionError from error
    remember(connection.scope, caller)
    connection.scope["state"][CREDENTIALS] = credentials


async def is_still_known(connection: HTTPConnection) -> bool:
    """Return whether the credentials with which a WebSocket was opened are still accepted."""
    given = connection.scope.get("state", {}).get(CREDENTIALS) or read_credentials(connection.scope)
    try:
        return await authenticator_of(connection).identify(given) == found_caller(connection)
    except ServiceError as error:
        logger.info("websocket ended: error=%s", error.message)
        return False


def _read(text: str) -> dict[str, object]:
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise NonJsonMessageReceived from error
    if not isinstance(message, dict):
        raise NonJsonMessageReceived
    return message


def _is_subscribe(message: Mapping[str, Any]) -> bool:
    payload = message.get("payload")
    return (
        isinstance(message.get("id"), str)
        and isinstance(payload, dict)
        and isinstance(payload.get("query"), str)
        and isinstance(payload.get("variables"), dict | None)
        and isinstance(payload.get("operationName"), str | None)
    )
