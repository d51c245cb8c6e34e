"""Close a listening socket that several processes share without resetting a connection.

The kernel resets every connection that waits in the accept queue when the last descriptor of the socket closes. So:

1. `refuse_new_connections`;
2. the workers accept the connections that wait, until `is_queue_empty`;
3. all close the socket.
"""

from __future__ import annotations

import ctypes
import logging
import select
import socket
import struct
import sys
from typing import Final

from src.settings import SettingsError

logger = logging.getLogger("uvicorn.error")

_SO_ATTACH_FILTER: Final = 26  # asm-generic/socket.h
_FLAGS_OFFSET: Final = 13  # of the flags in a TCP header; a filter on a TCP socket sees the packet from there on
_SYN, _ACK = 0x02, 0x10

_DROP_NEW_CONNECTIONS: Final = (
    (0x30, 0, 0, _FLAGS_OFFSET),  # load the byte of flags
    (0x54, 0, 0, _SYN | _ACK),  # and
    (0x15, 0, 1, _SYN),  # if only SYN is set: next, else skip one
    (0x06, 0, 0, 0),  # return 0: drop
    (0x06, 0, 0, 0xFFFFFFFF),  # return: keep the whole packet
)
"""Classic BPF (code, jump if true, jump if false, operand); see linux/filter.h."""


def open_metrics_listener(host: str, port: int) -> socket.socket:
    """Return a socket on METRICS_PORT, which all workers of a user may bind at once.

    Raises SettingsError if the port is not available.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        reason = error.strerror or error
        raise SettingsError(
            f"METRICS_PORT is {port}. Allowed: a port that no other program uses, or 0 ({reason})."
        ) from error
    return listener


def refuse_new_connections(listener: socket.socket) -> bool:
    """Have the kernel drop packets that begin a connection; return whether it does.

    Handshakes in progress still finish. A client whose first packet is dropped sends it again after a second, when the
    socket is closed, and is refused. On systems without such filters, a connection that arrives in the last moment may
    be reset.
    """
    if sys.platform != "linux" or listener.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in _DROP_NEW_CONNECTIONS)
    buffer = ctypes.create_string_buffer(program, len(program))
    try:
        listener.setsockopt(
            socket.SOL_SOCKET,
            _SO_ATTACH_FILTER,
            struct.pack("HL", len(_DROP_NEW_CONNECTIONS), ctypes.addressof(buffer)),
        )
    except OSError as error:
        logger.warning("socket filter not available: error=%s", error)
        return False
    return True


def is_queue_empty(listener: socket.socket) -> bool:
    """Return whether no connection waits to be accepted; true for a socket that does not listen yet."""
    if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return True
    return not select.select([listener], [], [], 0)[0]
