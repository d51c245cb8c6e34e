"""Check what a client may hold of a real server before a request exists: heads, connections, unread responses."""

from __future__ import annotations

import asyncio
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
import pytest
from starlette.types import Receive, Scope, Send
from websockets.sync.client import connect

from src.api.http.connection_limits import MAX_CONNECTIONS, MAX_DESCRIPTORS, ConnectionLimits, raise_descriptor_limit
from src.api.http.linger import LingerLimits
from tests.server import serving

LINGER = LingerLimits(max_s=2.0, max_requests=4)
LIMITS = ConnectionLimits(head_s=0.5, stall_s=0.5, linger=LINGER)
PATIENT = ConnectionLimits(linger=LINGER)
GET = b"GET / HTTP/1.1\r\nHost: s\r\n\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: s\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n"


class Echo:
    """An application whose response is the path and the size of the body; /slow waits for `release`, /long is long."""

    def __init__(self) -> None:
        self.release = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await (self._live if scope["type"] == "lifespan" else self._talk)(receive, send)
            return
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        if scope["path"] == "/slow":
            while not self.release.is_set():
                await asyncio.sleep(0.01)
        text = b"x" * 2**26 if scope["path"] == "/long" else f"{scope['path']} {size};".encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
        await send({"type": "http.response.body", "body": text})

    async def _talk(self, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] != "websocket.disconnect":
            if message["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": message["text"]})

    async def _live(self, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})


class Server:
    def __init__(self, url: str, application: Echo) -> None:
        self.url = url
        self.application = application
        self._open: list[socket.socket] = []

    def connect(self, first: bytes = b"") -> socket.socket:
        address = urlsplit(self.url)
        connection = socket.create_connection((address.hostname or "", address.port or 0), timeout=20)
        connection.sendall(first)
        self._open.append(connection)
        return connection

    def exchange(self, *pieces: bytes) -> bytes:
        """Send pieces, each in a packet of its own, and return all that comes until the server closes."""
        connection = self.connect()
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.02)
        return read_all(connection)

    def is_alive(self) -> bool:
        return httpx.get(self.url, timeout=20).status_code == 200

    def close(self) -> None:
        for connection in self._open:
            connection.close()


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return received


def problem(response: bytes) -> tuple[int, str]:
    """Return the status and code of a response that is a problem document and closes the connection."""
    head, _, body = response.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    assert f"content-length: {len(body)}".encode() in head
    document = orjson.loads(body)
    assert document["status"] == int(head.split(b" ")[1])
    return document["status"], document["code"]


@pytest.fixture
def start() -> Iterator[Callable[[ConnectionLimits], Server]]:
    blocks: list[tuple[Any, Server]] = []

    def open_server(limits: ConnectionLimits) -> Server:
        application = Echo()
        block = serving(application, limits)
        blocks.append((block, Server(block.__enter__(), application)))
        return blocks[-1][1]

    yield open_server
    for block, server in blocks:
        server.application.release.set()
        server.close()
        block.__exit__(None, None, None)


@pytest.fixture
def server(start: Callable[[ConnectionLimits], Server]) -> Server:
    return start(PATIENT)


def head_of(size: int) -> bytes:
    beginning, end = b"GET /head HTTP/1.1\r\nHost: s\r\nConnection: close\r\nX: ", b"\r\n\r\n"
    return beginning + b"x" * (size - len(beginning) - len(end)) + end


@pytest.mark.parametrize("pieces", [1, 7])
def test_head_of_64_kib_is_read(server: Server, pieces: int) -> None:
    head = head_of(65_536)
    step = -(-len(head) // pieces)
    assert b"/head 0;" in server.exchange(*(head[start : start + step] for start in range(0, len(head), step)))


@pytest.mark.parametrize("pieces", [1, 7])
def test_head_of_one_byte_more_is_431(server: Server, pieces: int) -> None:
    head = head_of(65_537)
    step = -(-len(head) // pieces)
    response = server.exchange(*(head[start : start + step] for start in range(0, len(head), step)))
    assert problem(response) == (431, "HEAD_TOO_LARGE")


def test_long_url_is_431(server: Server) -> None:
    assert problem(server.exchange(b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: s\r\n\r\n"))[0] == 431


def test_endless_head_is_read_away_and_refused(server: Server) -> None:
    connection = server.connect(b"GET / HTTP/1.1\r\nX: ")
    for _ in range(300):
        connection.sendall(b"x" * 65_536)
    assert problem(read_all(connection)) == (431, "HEAD_TOO_LARGE")
    assert server.is_alive()


@pytest.mark.parametrize(("fields", "status"), [(100, 200), (101, 431)])
def test_head_has_at_most_100_fields(server: Server, fields: int, status: int) -> None:
    more = b"".join(b"X-%d: 1\r\n" % number for number in range(fields - 2))
    response = server.exchange(b"GET / HTTP/1.1\r\nHost: s\r\nConnection: close\r\n" + more + b"\r\n")
    assert int(response.split(b" ")[1]) == status


def test_second_head_of_a_connection_is_bounded_too(server: Server) -> None:
    connection = server.connect(GET)
    assert b"/ 0;" in connection.recv(65536)
    connection.sendall(head_of(65_537))
    assert problem(read_all(connection))[0] == 431


def test_body_is_no_part_of_the_head(server: Server) -> None:
    body = b"POST /body HTTP/1.1\r\nHost: s\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000
    assert b"/body 300000;" in server.exchange(body + LAST)


CHUNKED = b"POST /chunks HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_many_small_chunks_are_read(server: Server) -> None:
    assert b"/chunks 40000;" in server.exchange(CHUNKED + b"1\r\nx\r\n" * 40_000 + b"0\r\n\r\n" + LAST)


@pytest.mark.parametrize(
    "endless", [b"2\r\n{}\r\n0\r\nTrailer: ", b"2;extension=", b"2\r\n{}\r\n2;x="], ids=["trailer", "first", "second"]
)
def test_endless_chunk_framing_is_431(server: Server, endless: bytes) -> None:
    assert problem(server.exchange(CHUNKED + endless + b"x" * 200_000)) == (431, "HEAD_TOO_LARGE")


def test_endless_trailers_are_431(server: Server) -> None:
    trailers = b"".join(b"T-%d: 1\r\n" % number for number in range(200))
    assert problem(server.exchange(CHUNKED + b"0\r\n" + trailers + b"\r\n"))[0] == 431


def test_endless_empty_lines_are_431(server: Server) -> None:
    assert problem(server.exchange(b"\r\n" * 50_000))[0] == 431


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"hello there\r\n\r\n", b"GET / HTTP/1.1\r\nno field\r\n\r\n",
     b"GET / HTTP/7.3\r\n\r\n", b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: -1\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: s\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
     CHUNKED + b"no size\r\n"],
    ids=lambda garbage: repr(garbage[:24]),
)  # fmt: skip
def test_bytes_that_are_no_http_are_400(server: Server, garbage: bytes) -> None:
    assert problem(server.exchange(garbage)) == (400, "MALFORMED_REQUEST")
    assert server.is_alive()


def test_garbage_after_a_request_keeps_its_response(server: Server) -> None:
    connection = server.connect(SLOW + b"\x00 garbage\r\n\r\n")
    time.sleep(0.1)
    server.application.release.set()
    response = read_all(connection)
    assert response.startswith(b"HTTP/1.1 200 ")
    assert response.endswith(b"/slow 0;")


def test_pipelined_requests_get_responses_in_order(server: Server) -> None:
    connection = server.connect(SLOW + GET * 50 + LAST)
    time.sleep(0.1)
    server.application.release.set()
    response = read_all(connection)
    assert response.count(b"HTTP/1.1 200 ") == 52
    assert response.index(b"/slow 0;") < response.index(b"/ 0;") < response.index(b"/last 0;")


@pytest.mark.parametrize("beginning", [b"GET", b"GET / HTTP/1.1\r\nHost: s\r\n", b"\r\n"])
def test_head_that_does_not_end_is_408(start: Callable[[ConnectionLimits], Server], beginning: bytes) -> None:
    assert problem(start(LIMITS).exchange(beginning)) == (408, "REQUEST_TIMEOUT")


def test_trickling_head_is_408(start: Callable[[ConnectionLimits], Server]) -> None:
    connection = start(LIMITS).connect(b"GET / HTTP/1.1\r\n")
    connection.settimeout(0.02)
    response = b""
    for _ in range(500):
        try:
            if not response:
                connection.sendall(b"X: y\r\n")
            response += (piece := connection.recv(65536))
            if not piece:
                break
        except TimeoutError:
            continue
    assert problem(response)[0] == 408


def test_second_head_must_end_in_time_too(start: Callable[[ConnectionLimits], Server]) -> None:
    connection = start(LIMITS).connect(GET)
    assert b"/ 0;" in connection.recv(65536)
    connection.sendall(b"GET / HT")
    assert problem(read_all(connection))[0] == 408


def test_silent_connection_is_closed_without_a_response(start: Callable[[ConnectionLimits], Server]) -> None:
    assert start(LIMITS).exchange() == b""


def test_head_queued_behind_slow_request_is_not_late(start: Callable[[ConnectionLimits], Server]) -> None:
    server = start(LIMITS)
    connection = server.connect(SLOW)
    time.sleep(0.1)
    for piece in (GET + LAST[:-2], LAST[-2:]):  # the server reads on only after the slow response
        connection.sendall(piece)
        time.sleep(0.05)
    time.sleep(1.2)
    server.application.release.set()
    assert read_all(connection).count(b"HTTP/1.1 200 ") == 3


def test_late_head_does_not_take_earlier_responses(start: Callable[[ConnectionLimits], Server]) -> None:
    server = start(LIMITS)
    connection = server.connect(SLOW + GET + LAST[:-2])
    time.sleep(1.2)
    server.application.release.set()
    response = read_all(connection)
    assert response.count(b"HTTP/1.1 200 ") == 2
    assert response.endswith(b"/ 0;")


def test_bad_body_does_not_take_earlier_responses(server: Server) -> None:
    connection = server.connect(SLOW + GET + CHUNKED + b"no size\r\n")
    time.sleep(0.1)
    server.application.release.set()
    response = read_all(connection)
    assert response.count(b"HTTP/1.1 200 ") == 2
    assert response.endswith(b"/ 0;")


def test_pipelined_requests_are_bounded(start: Callable[[ConnectionLimits], Server]) -> None:
    server = start(ConnectionLimits(max_pipelined=5, linger=LINGER))
    connection = server.connect(SLOW + GET * 20)
    time.sleep(0.1)
    server.application.release.set()
    assert read_all(connection).count(b"HTTP/1.1 200 ") == 6


def test_slow_request_has_no_deadline_of_the_head(start: Callable[[ConnectionLimits], Server]) -> None:
    server = start(LIMITS)
    connection = server.connect(b"POST /slow HTTP/1.1\r\nHost: s\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{")
    time.sleep(1.2)
    connection.sendall(b"}")
    server.application.release.set()
    assert b"/slow 2;" in read_all(connection)


def test_half_open_heads_do_not_keep_others_out(start: Callable[[ConnectionLimits], Server]) -> None:
    server = start(ConnectionLimits(max_connections=20, linger=LINGER))
    half_open = [server.connect(b"GET / HTTP/1.1\r\nHost: ") for _ in range(60)]
    assert server.is_alive()
    for connection in half_open[:40]:  # the oldest were closed to make room
        with pytest.raises(ConnectionResetError):
            if not connection.recv(1):
                raise ConnectionResetError
    half_open[-1].sendall(b"s\r\nConnection: close\r\n\r\n")
    assert b"/ 0;" in read_all(half_open[-1])


def test_busy_connections_stay_and_new_ones_get_503(start: Callable[[ConnectionLimits], Server]) -> None:
    server = start(ConnectionLimits(max_connections=3, linger=LINGER))
    busy = [server.connect(b"GET /slow HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n") for _ in range(3)]
    time.sleep(0.2)
    refused = server.exchange(GET)
    assert problem(refused) == (503, "BUSY")
    assert b"retry-after: 1" in refused
    server.application.release.set()
    assert all(read_all(connection).endswith(b"/slow 0;") for connection in busy)
    assert server.is_alive()


def test_client_that_reads_nothing_is_disconnected(start: Callable[[ConnectionLimits], Server]) -> None:
    connection = start(LIMITS).connect(b"GET /long HTTP/1.1\r\nHost: s\r\n\r\n")
    time.sleep(2.5)
    with pytest.raises(ConnectionResetError):
        if len(read_all(connection)) < 2**26:
            raise ConnectionResetError


def test_client_that_reads_slowly_gets_everything(start: Callable[[ConnectionLimits], Server]) -> None:
    connection = start(LIMITS).connect(b"GET /long HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n")
    received_bytes = 0
    while piece := connection.recv(2**20):
        received_bytes += len(piece)
        time.sleep(0.02)
    assert received_bytes > 2**26


def test_websocket_is_left_alone_after_its_head() -> None:
    with serving(Echo(), LIMITS, ws="auto") as url, connect(url.replace("http", "ws"), proxy=None) as websocket:
        for text in ("early", "x" * 200_000):
            websocket.send(text)
            assert websocket.recv(timeout=20) == text
        time.sleep(1.2)  # longer than the deadlines of heads and responses
        websocket.send("late")
        assert websocket.recv(timeout=20) == "late"


def test_limit_of_connections_follows_the_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    assert ConnectionLimits().open_connections() == 512
    monkeypatch.setattr(resource, "getrlimit", lambda _: (65_536, 65_536))
    assert ConnectionLimits().open_connections() == MAX_CONNECTIONS
    assert ConnectionLimits(max_connections=7).open_connections() == 7


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((1024, 4096), (4096, 4096)),
        ((1024, 1_000_000), (MAX_DESCRIPTORS, 1_000_000)),
        ((1024, resource.RLIM_INFINITY), (MAX_DESCRIPTORS, resource.RLIM_INFINITY)),
        ((100_000, 1_000_000), None),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None),
    ],
)
def test_descriptor_limit_is_raised_once(
    limits: tuple[int, int], expected: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: asked.append(wanted))
    raise_descriptor_limit()
    assert asked == ([] if expected is None else [expected])
