from __future__ import annotations

import socket
import sys

import pytest

from src.runtime.listener import is_queue_empty, refuse_new_connections

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="filters on sockets are Linux's")


@pytest.fixture(params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["IPv4", "IPv6"])
def address(request: pytest.FixtureRequest) -> tuple[socket.AddressFamily, str]:
    family, host = request.param
    try:
        socket.create_server((host, 0), family=family).close()
    except OSError:
        pytest.skip(f"no {host} on this machine")
    return family, host


def test_queue_holds_connections_until_they_are_accepted(address: tuple[socket.AddressFamily, str]) -> None:
    family, host = address
    with socket.create_server((host, 0), family=family) as listener:
        assert is_queue_empty(listener)
        with socket.create_connection(listener.getsockname()[:2]):
            assert not is_queue_empty(listener)
            listener.accept()[0].close()
            assert is_queue_empty(listener)


def test_queue_of_unlistened_socket_is_empty() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert is_queue_empty(bound)


@linux_only
def test_old_connections_live_and_new_ones_are_dropped(address: tuple[socket.AddressFamily, str]) -> None:
    family, host = address
    with socket.create_server((host, 0), family=family) as listener:
        place = listener.getsockname()[:2]
        with socket.create_connection(place) as before, socket.create_connection(place) as waiting:
            server_side, _ = listener.accept()
            assert refuse_new_connections(listener)
            with pytest.raises(TimeoutError):
                socket.create_connection(place, timeout=0.5)
            before.sendall(b"first")
            assert server_side.recv(5) == b"first"
            accepted, _ = listener.accept()
            waiting.sendall(b"second")
            assert accepted.recv(6) == b"second"
            assert is_queue_empty(listener)
            server_side.close()
            accepted.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(place, timeout=10)


def test_sockets_of_other_families_take_no_filter() -> None:
    with socket.socket(socket.AF_UNIX) as other:
        assert not refuse_new_connections(other)
