"""Bound what a client can hold before the application sees a request: heads, connections, unread responses.

`uvicorn` takes the class as its `http=` (on the command line `--http src.api.http.connections:BoundedHttpProtocol`).
httptools, its parser, has no limits of its own: it collects a header of any length, and copies all of it again with
each piece that arrives.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, ClassVar, Final
from weakref import WeakKeyDictionary

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from src.api.errors import ErrorResponse, describe_error, describe_http_error, problem_response
from src.api.http.connection_limits import ConnectionLimits
from src.domain.errors import Busy, MalformedRequest

logger = logging.getLogger(__name__)


class _Connections:
    """The connections of one server that may be closed for new ones, oldest first.

    `idle`: no request is in progress. `lingering`: refused, and still read. `leaving`: aborted, still counted by
    uvicorn.
    """

    def __init__(self) -> None:
        self.idle: dict[BoundedHttpProtocol, None] = {}
        self.lingering: dict[BoundedHttpProtocol, None] = {}
        self.leaving: set[BoundedHttpProtocol] = set()

    def forget(self, connection: BoundedHttpProtocol) -> None:
        self.idle.pop(connection, None)
        self.lingering.pop(connection, None)
        self.leaving.discard(connection)

    def abort_oldest(self, kind: dict[BoundedHttpProtocol, None]) -> bool:
        """Abort the oldest connection of a kind; False if there is none."""
        if not kind:
            return False
        oldest = next(iter(kind))
        self.forget(oldest)
        self.leaving.add(oldest)
        oldest.transport.abort()
        return True


_LONG_HEAD: Final = "The head of the request (or what frames its body) is too large. Maximum: {most} bytes."
_MANY_FIELDS: Final = "The head of the request (or what frames its body) has too many fields. Maximum: {most}."
_SERVERS: Final[WeakKeyDictionary[ServerState, _Connections]] = WeakKeyDictionary()


class BoundedHttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with limits; a refused client receives a problem document before the connection
    closes.

    1. A head that is too large or has too many fields gets 431; one that takes too long gets 408.
    2. Bytes that are not HTTP get 400.
    3. If too many connections are open, the oldest idle one is closed; if none is idle, the new one gets 503.
    4. A client that reads nothing of its response for `stall_s` is disconnected.
    """

    limits: ClassVar[ConnectionLimits] = ConnectionLimits()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._known = _SERVERS.setdefault(self.server_state, _Connections())
        self._refusal: ErrorResponse | None = None
        self._is_refused = False
        self._is_upgraded = False
        self._running: RequestResponseCycle
        self._is_in_message = False  # from the first byte of a head to the last of its body
        self._is_in_body = False
        self._has_advanced = False  # the parser finished a head, a piece of a body or a message
        self._unfinished_bytes = 0  # received since then
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        self._lingered_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        known = self._known
        while len(self.connections) - len(known.leaving) > self.limits.open_connections():
            if not known.abort_oldest(known.lingering) and not known.abort_oldest(known.idle):
                self._refuse(describe_error(Busy("Too many connections are open. Retry in 1 s.", retry_after_s=1.0)))
                return
        known.idle[self] = None
        self._start_head_timer()

    def handle_websocket_upgrade(self) -> None:
        self._is_upgraded = True  # another protocol has the connection from here on
        self._known.forget(self)
        self._cancel_timers()
        super().handle_websocket_upgrade()

    def connection_lost(self, exc: Exception | None) -> None:
        self._known.forget(self)
        self._cancel_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest and not (self._is_refused or self._is_upgraded or self.transport.is_closing()):
            piece = rest[: self.limits.max_head_bytes - self._unfinished_bytes]
            rest = rest[len(piece) :]
            self._has_advanced = False
            super().data_received(piece)  # type: ignore[arg-type]  # httptools takes any buffer
            self._unfinished_bytes = 0 if self._has_advanced else self._unfinished_bytes + len(piece)
            if self._unfinished_bytes >= self.limits.max_head_bytes and not self._is_refused:
                self._refuse(_head_too_large(_LONG_HEAD, self.limits.max_head_bytes))
        if self._is_refused:
            self._discard(len(rest))
        elif not self._is_upgraded and not self._is_in_body and (self._is_in_message or self._unfinished_bytes):
            self._start_head_timer()

    def on_message_begin(self) -> None:
        self._is_in_message = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > self.limits.max_fields:  # trailers come here too
            self._refusal = _head_too_large(_MANY_FIELDS, self.limits.max_fields)
            raise ValueError("too many fields")  # makes the parser fail, and uvicorn call `send_400_response`

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= self.limits.max_pipelined:
            self._refusal = describe_error(
                Busy("Too many requests wait on this connection. Retry in 1 s.", retry_after_s=1.0)
            )
            raise ValueError("too many pipelined requests")
        self._has_advanced = self._is_in_body = True
        self._known.idle.pop(self, None)
        self._stop_head_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._has_advanced = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._has_advanced = True
        self._is_in_message = self._is_in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch_reading()
        is_written = not self.transport.get_write_buffer_size()  # else closing it would cut the response off
        if is_written and not self.transport.is_closing() and self.cycle.response_complete:
            self._known.idle[self] = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reading()

    def timeout_keep_alive_handler(self) -> None:
        self._watch_reading()
        super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (uvicorn's text)
        if not self._is_refused:
            self._refuse(
                self._refusal or describe_error(MalformedRequest("The bytes received are not an HTTP/1.1 request."))
            )

    def _cancel_timers(self) -> None:
        for timer in (self._head_timer, self._stall_timer, self._linger_timer):
            if timer is not None:
                timer.cancel()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.limits.head_s, self._end_head)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_head(self) -> None:
        self._head_timer = None
        if self.flow.read_paused:  # the rest may have come, but waits for the response to the request before it
            self._start_head_timer()
        elif self._is_in_message or self._unfinished_bytes:
            late = "The head of the request did not end in time. Maximum: {most:g} s."
            self._refuse(describe_http_error("REQUEST_TIMEOUT", late, most=self.limits.head_s))
        else:
            self.transport.close()

    def _refuse(self, failure: ErrorResponse) -> None:
        """Send a refusal for bytes that cannot become a request, and close."""
        self._is_refused = True
        self._stop_head_timer()
        self._unset_keepalive_if_required()
        self._known.forget(self)
        logger.info("connection refused: status=%d client=%s", failure.status, self.client)
        if not self._has_to_wait():
            self._write(failure)
            self._linger()

    def _has_to_wait(self) -> bool:
        """Return whether a refusal cannot be written now: responses to earlier requests come first, or have begun.

        The connection closes after them. If a request's own body is bad, the refusal is its response.
        """
        last = self.cycle
        if last is None or last.response_complete:
            return False
        if last.more_body:
            last.disconnected = True
            last.message_event.set()
            if last is self._running:
                if last.response_started:
                    self.transport.close()
                return last.response_started
            self.pipeline.popleft()
            last = self.pipeline[0][0] if self.pipeline else self._running
        last.keep_alive = False  # uvicorn closes the connection after this response
        return True

    def _write(self, failure: ErrorResponse) -> None:
        response = problem_response(None, failure, root_path=self.root_path)
        fields = [*self.server_state.default_headers, *response.raw_headers, (b"connection", b"close")]
        head = b"".join(b"%b: %b\r\n" % pair for pair in fields)
        self.transport.write(b"".join((STATUS_LINE[failure.status], head, b"\r\n", bytes(response.body))))
        self._watch_reading()

    def _linger(self) -> None:
        """Read on after a refusal, so that the client can read the response (see `linger`)."""
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        while len(self._known.lingering) >= self.limits.linger.most_requests():
            self._known.abort_oldest(self._known.lingering)
        self._known.lingering[self] = None
        self._linger_timer = self.loop.call_later(self.limits.linger.max_s, self.transport.close)

    def _discard(self, received_bytes: int) -> None:
        if self in self._known.lingering:
            self._lingered_bytes += received_bytes
            if self._lingered_bytes > self.limits.linger.max_bytes:
                self.transport.close()

    def _watch_reading(self) -> None:
        """Disconnect the client if it reads nothing for `stall_s`, until all that is written is read."""
        unread_bytes = self.transport.get_write_buffer_size()
        if self._stall_timer is None and unread_bytes:
            self._stall_timer = self.loop.call_later(self.limits.stall_s, self._end_stall, unread_bytes)

    def _end_stall(self, unread_bytes: int) -> None:
        self._stall_timer = None
        if self.transport.get_write_buffer_size() < unread_bytes:
            self._watch_reading()
        else:
            logger.info("client stopped reading: client=%s unread_bytes=%d", self.client, unread_bytes)
            self.transport.abort()


def _head_too_large(template: str, most: int) -> ErrorResponse:
    return describe_http_error("HEAD_TOO_LARGE", template, most=most)
