from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from src.api.http.disconnects import CancelOnDisconnect

GET: dict[str, Any] = {"type": "http", "method": "GET", "path": "/slow", "headers": []}
POST = {**GET, "method": "POST", "headers": [(b"content-length", b"6")]}
GONE: Message = {"type": "http.disconnect"}


def body(content: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.request", "body": content, "more_body": more}


class Client:
    """A connection whose messages a test decides."""

    def __init__(self, *messages: Message) -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        for message in messages:
            self.messages.put_nowait(message)
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        return await self.messages.get()

    async def send(self, message: Message) -> None:
        self.sent.append(message)


class Slow:
    """An application that reads its body, then takes for ever, then puts things away."""

    def __init__(self) -> None:
        self.read = b""
        self.is_working = asyncio.Event()
        self.ended: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            more = True
            while more:
                message = await receive()
                self.read += message.get("body", b"")
                more = message.get("more_body", False)
            self.is_working.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            self.ended.append("put away")


async def serve(app: Any, scope: Scope, client: Client) -> None:
    await asyncio.wait_for(CancelOnDisconnect(app)(scope, client.receive, client.send), 5)


@pytest.mark.parametrize(
    ("scope", "messages"), [(GET, [body()]), (POST, [body(b"abc", more=True), body(b"def")])], ids=["GET", "POST"]
)
async def test_disconnect_cancels_the_work_and_cleans_up(scope: Scope, messages: list[Message]) -> None:
    app, client = Slow(), Client(*messages)
    request = asyncio.create_task(serve(app, scope, client))
    await asyncio.wait_for(app.is_working.wait(), 5)
    assert not request.done()
    client.messages.put_nowait(GONE)
    await request
    assert app.ended == ["put away"]
    assert app.read == b"".join(message["body"] for message in messages)
    assert client.sent == []


async def test_disconnect_within_body_reaches_the_application() -> None:
    heard: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        heard.extend([(await receive())["type"] for _ in range(2)])

    await serve(app, POST, Client(body(b"abc", more=True), GONE))
    assert heard == ["http.request", "http.disconnect"]


async def test_cancellation_by_the_server_passes_through() -> None:
    app = Slow()
    request = asyncio.create_task(serve(app, GET, Client(body())))
    await asyncio.wait_for(app.is_working.wait(), 5)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert app.ended == ["put away"]


async def test_cleanup_after_the_response_is_not_cancelled() -> None:
    client, ended = Client(body()), []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})
        client.messages.put_nowait(GONE)  # as servers say once the answer is out
        await asyncio.sleep(0.02)
        ended.append("put away")

    await serve(app, GET, client)
    assert ended == ["put away"]
    assert len(client.sent) == 2


async def test_application_that_waits_for_disconnect_receives_it() -> None:
    client = Client(body(b"abcdef"))
    heard: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        client.messages.put_nowait(GONE)
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(5)
        heard.append(await receive())

    await serve(app, POST, client)
    assert heard == [GONE]


async def test_errors_pass_through() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError("its own")

    with pytest.raises(LookupError):
        await serve(broken, GET, Client(body()))
