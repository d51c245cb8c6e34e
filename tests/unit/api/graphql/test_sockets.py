"""Limits of WebSockets: silence, haste, and how many there may be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect, WebSocketState
from strawberry.http.exceptions import NonJsonMessageReceived, NonTextMessageReceived, WebSocketDisconnected

from src.api.graphql import sockets
from src.api.graphql.sockets import BoundedSocket, OpenSockets


class Peer:
    """A WebSocket whose client sends these texts and then nothing more; an exception stands for what it causes."""

    def __init__(self, *texts: str | Exception, has_left: bool = False) -> None:
        self.texts = list(texts)
        self.has_left = has_left
        self.closed: tuple[int, str] | None = None
        self.accepted: str | None = None
        self.sent: list[str] = []
        self.application_state = WebSocketState.CONNECTED

    def __getitem__(self, name: str) -> list[str]:
        return {"subprotocols": ["graphql-transport-ws"]}[name]

    async def accept(self, subprotocol: str | None = None) -> None:
        self.accepted = subprotocol

    async def receive_text(self) -> str:
        if self.application_state is not WebSocketState.CONNECTED:  # as Starlette's
            raise RuntimeError('WebSocket is not connected. Need to call "accept" first.')
        if not self.texts:
            await asyncio.Event().wait()
        text = self.texts.pop(0)
        if isinstance(text, Exception):
            raise text
        return text

    async def send_text(self, text: str) -> None:
        if self.has_left:
            raise WebSocketDisconnect
        self.sent.append(text)

    async def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)
        self.application_state = WebSocketState.DISCONNECTED


def socket_of(peer: Peer) -> BoundedSocket:
    given: Any = peer
    view: Any = None
    return BoundedSocket(view, given, given)


async def messages_of(socket: BoundedSocket) -> list[object]:
    async with asyncio.timeout(10):
        return [message async for message in socket.iter_json()]


async def test_silent_socket_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "IDLE_S", 0.02)
    peer = Peer('{"type": "ping"}')
    assert await messages_of(socket_of(peer)) == [{"type": "ping"}]
    assert peer.closed == (4408, "No subscription was open for too long.")


async def test_socket_closed_by_its_handler_reads_no_more() -> None:
    peer = Peer('{"type": "subscribe"}', '{"type": "ping"}')
    socket, messages = socket_of(peer), list[object]()
    async with asyncio.timeout(10):
        async for message in socket.iter_json():
            messages.append(message)
            await socket.close(4401, "Unauthorized")
    assert messages == [{"type": "subscribe"}]
    assert peer.closed == (4401, "Unauthorized")


async def test_silent_socket_with_a_subscription_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "IDLE_S", 0.02)
    peer, asked = Peer(), 0
    socket = socket_of(peer)

    def is_used() -> bool:
        nonlocal asked
        asked += 1
        return asked < 4

    socket.is_used = is_used
    assert await messages_of(socket) == []
    assert (asked, peer.closed is not None) == (4, True)


async def test_hasty_socket_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "MAX_MESSAGES", 3)
    peer = Peer(*['{"type": "ping"}'] * 5)
    assert len(await messages_of(socket_of(peer))) == 3
    assert peer.closed == (4429, "More than 3 messages in a minute.")


@pytest.mark.parametrize(
    ("text", "error"),
    [("{", NonJsonMessageReceived), ("[1]", NonJsonMessageReceived), (KeyError("text"), NonTextMessageReceived)],
)
async def test_frame_that_is_no_object_is_told(text: str | Exception, error: type[Exception]) -> None:
    with pytest.raises(error):
        await messages_of(socket_of(Peer(text)))


async def test_client_that_left_ends_both_directions() -> None:
    assert await messages_of(socket_of(Peer(WebSocketDisconnect()))) == []
    with pytest.raises(WebSocketDisconnected):
        await socket_of(Peer(has_left=True)).send_json({"type": "pong"})


async def test_long_reason_is_cut_to_a_close_frame() -> None:
    peer = Peer()
    await socket_of(peer).close(4400, "ä" * 200)
    assert peer.closed is not None
    assert len(peer.closed[1].encode()) == 122


async def test_one_socket_too_many_is_closed_at_once() -> None:
    open_sockets, leave = OpenSockets(max_sockets=1), asyncio.Event()
    first: Any = Peer()
    served = asyncio.create_task(open_sockets.serve(first, leave.wait))
    await asyncio.sleep(0)
    second: Any = Peer()
    await open_sockets.serve(second, leave.wait)
    assert (second.accepted, second.closed[0]) == ("graphql-transport-ws", 1013)
    leave.set()
    await served
    third: Any = Peer()
    assert await open_sockets.serve(third, leave.wait) is True
    assert third.closed is None
