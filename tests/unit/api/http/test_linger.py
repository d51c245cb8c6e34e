from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from src.api.http.connection_limits import ConnectionLimits
from src.api.http.linger import Linger, LingerLimits

GENEROUS = LingerLimits(max_s=20.0, max_bytes=10_000)


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("no", status_code=413)(scope, receive, send)


async def read_and_respond(scope: Scope, receive: Receive, send: Send) -> None:
    await Request(scope, receive).body()
    await PlainTextResponse("read")(scope, receive, send)


class Connection:
    """A client that sends pieces of a body on demand, and what the server would have written to it."""

    def __init__(self, linger: Linger, *, headers: tuple[tuple[bytes, bytes], ...] = ((b"content-length", b"90"),)):
        self._linger = linger
        self._pieces: asyncio.Queue[Message] = asyncio.Queue()
        self._scope = {"type": "http", "method": "POST", "path": "/", "headers": list(headers)}
        self.read_bytes = 0
        self.sent: list[Message] = []
        self.task = asyncio.ensure_future(linger(self._scope, self._receive, self._send))

    def deliver(self, body: bytes, *, is_last: bool = False) -> None:
        self._pieces.put_nowait({"type": "http.request", "body": body, "more_body": not is_last})

    def leave(self) -> None:
        self._pieces.put_nowait({"type": "http.disconnect"})

    @property
    def is_ended(self) -> bool:
        return any(m["type"] == "http.response.body" and not m.get("more_body") for m in self.sent)

    @property
    def text(self) -> bytes:
        return b"".join(m.get("body", b"") for m in self.sent)

    @property
    def connection_fields(self) -> list[bytes]:
        return [value for name, value in self.sent[0]["headers"] if name == b"connection"]

    async def _receive(self) -> Message:
        message = await self._pieces.get()
        self.read_bytes += len(message.get("body", b""))
        return message

    async def _send(self, message: Message) -> None:
        self.sent.append(message)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def test_early_response_goes_out_before_body_is_read() -> None:
    connection = Connection(Linger(refuse, GENEROUS))
    await until(lambda: connection.text == b"no")
    assert connection.connection_fields == [b"close"]
    assert not connection.is_ended
    connection.deliver(b"x" * 80)
    connection.deliver(b"x" * 10, is_last=True)
    await connection.task
    assert connection.is_ended
    assert (connection.read_bytes, connection.text) == (90, b"no")


async def test_read_body_leaves_the_connection_open() -> None:
    connection = Connection(Linger(read_and_respond, GENEROUS))
    connection.deliver(b"x" * 90, is_last=True)
    await connection.task
    assert connection.is_ended
    assert connection.connection_fields == []


@pytest.mark.parametrize("headers", [(), ((b"content-length", b"0"),)])
async def test_request_without_body_leaves_the_connection_open(headers: Any) -> None:
    connection = Connection(Linger(refuse, GENEROUS), headers=headers)
    await connection.task
    assert connection.is_ended
    assert connection.connection_fields == []


async def test_chunked_body_is_read_on_too() -> None:
    connection = Connection(Linger(refuse, GENEROUS), headers=((b"transfer-encoding", b"chunked"),))
    connection.deliver(b"x" * 90, is_last=True)
    await connection.task
    assert connection.read_bytes == 90


async def test_early_response_ends_when_the_body_ends() -> None:
    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async for piece in Request(scope, receive).stream():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    connection = Connection(Linger(echo, GENEROUS))
    connection.deliver(b"x" * 90, is_last=True)
    await connection.task
    assert connection.is_ended
    assert connection.text == b"x" * 90


async def test_application_has_ended_before_lingering() -> None:
    has_ended = False

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal has_ended
        await refuse(scope, receive, send)
        has_ended = True

    connection = Connection(Linger(application, GENEROUS))
    await until(lambda: has_ended)
    assert not connection.is_ended
    connection.leave()
    await connection.task


async def test_connection_field_of_the_application_is_replaced() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("no", headers={"Connection": "keep-alive"})(scope, receive, send)

    connection = Connection(Linger(application, GENEROUS))
    connection.leave()
    await connection.task
    assert connection.connection_fields == [b"close"]


async def test_lingering_ends_after_the_most_bytes() -> None:
    connection = Connection(Linger(refuse, GENEROUS))
    for _ in range(20):
        connection.deliver(b"x" * 1_000)
    await connection.task
    assert connection.is_ended
    assert connection.read_bytes == 10_000


async def test_lingering_ends_after_its_time() -> None:
    connection = Connection(Linger(refuse, LingerLimits(max_s=0.05)))
    await asyncio.wait_for(connection.task, 4)
    assert connection.is_ended


async def test_trickle_does_not_prolong_lingering() -> None:
    connection = Connection(Linger(refuse, LingerLimits(max_s=0.2)))

    async def trickle() -> None:
        while True:
            connection.deliver(b"x")
            await asyncio.sleep(0.01)

    trickling = asyncio.ensure_future(trickle())
    await asyncio.wait_for(connection.task, 4)
    trickling.cancel()
    assert connection.is_ended


async def test_body_without_pause_does_not_prolong_lingering() -> None:
    class Flood(Connection):
        async def _receive(self) -> Message:
            await asyncio.sleep(0)
            return {"type": "http.request", "body": b"", "more_body": True}

    connection = Flood(Linger(refuse, LingerLimits(max_s=0.05)))
    await asyncio.wait_for(connection.task, 4)
    assert connection.is_ended


@pytest.mark.parametrize(("descriptors", "most"), [(65_536, 1024), (4096, 1024), (1024, 256), (100, 25)])
def test_half_of_the_connections_may_linger(monkeypatch: pytest.MonkeyPatch, descriptors: int, most: int) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (descriptors, descriptors))
    assert LingerLimits().most_requests() == most
    assert most <= ConnectionLimits().open_connections() / 2
    assert LingerLimits(max_requests=3).most_requests() == 3


async def test_many_refused_uploads_are_read_on_at_once() -> None:
    linger = Linger(refuse, LingerLimits(max_s=20.0))
    connections = [Connection(linger) for _ in range(200)]
    await until(lambda: all(connection.text == b"no" for connection in connections))
    assert not any(connection.is_ended for connection in connections)
    for connection in connections:
        connection.leave()
    await asyncio.gather(*(connection.task for connection in connections))


async def test_full_house_ends_the_oldest_lingering() -> None:
    linger = Linger(refuse, LingerLimits(max_s=20.0, max_requests=2))
    connections = []
    for _ in range(4):
        connections.append(Connection(linger))
        await until(lambda: connections[-1].text == b"no")
    await asyncio.wait_for(asyncio.gather(*(connection.task for connection in connections[:2])), 10)
    assert [connection.is_ended for connection in connections] == [True, True, False, False]
    for connection in connections[2:]:
        connection.leave()
        await connection.task


async def test_errors_of_the_application_pass_through_at_once() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await refuse(scope, receive, send)
        raise LookupError("its own")

    with pytest.raises(LookupError):
        await Connection(Linger(broken, GENEROUS)).task
