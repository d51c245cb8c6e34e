"""Limits of one connection, and of all connections of one process."""

from __future__ import annotations

import resource
from dataclasses import dataclass, field
from typing import Final

from src.api.http.linger import LingerLimits

MAX_CONNECTIONS: Final = 2048
MAX_DESCRIPTORS: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """Limits of one connection, and of all connections of one process.

    `max_head_bytes` bounds a request's head, and the bytes between two pieces of a body (chunk extensions, trailers).
    `max_pipelined` requests may wait for the responses to earlier ones. `head_s` is the time for a head: from the
    opening of the connection for the first head, from the first byte for later ones. `stall_s` is the time in which a
    client must read some of a response. `max_connections` None means half of the descriptors that this process may
    have, at most `MAX_CONNECTIONS`.
    """

    max_head_bytes: int = 64 * 1024
    max_fields: int = 100
    max_pipelined: int = 64
    head_s: float = 15.0
    stall_s: float = 30.0
    max_connections: int | None = None
    linger: LingerLimits = field(default_factory=LingerLimits)

    def open_connections(self) -> int:
        """Return the maximum number of connections open at once."""
        if self.max_connections is not None:
            return self.max_connections
        return min(MAX_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)


def raise_descriptor_limit() -> None:
    """Raise this process's soft limit of descriptors to its hard limit, at most `MAX_DESCRIPTORS`.

    The soft limit is 1024 on most systems, because programs that use `select` need that.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
