"""The limits per time of one sender of requests, or of one user."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

_NETWORK_BITS: Final = 64
"""A client with one IPv6 address can use all 2^64 addresses of its network."""
_MAX_NAME: Final = 100


class Rate(StrEnum):
    """What is limited; the value is its public name."""

    REQUESTS = "requests"
    UPLOADS = "uploads"
    CORE_SECONDS = "core-seconds"
    FAILED_SIGN_INS = "failed-sign-ins"


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """At most `allowed` in any `window_s` seconds; `setting` is the setting that says so."""

    rate: Rate
    allowed: int
    window_s: int
    setting: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RateUse:
    """What is used of a limit now; `free_after_s` are the seconds until some of it is free again, 0 if none is used."""

    limit: RateLimit
    used: float
    free_after_s: float

    @property
    def remaining(self) -> int:
        """How much is left, rounded down."""
        return max(0, math.floor(self.limit.allowed - self.used))


def sender_of_user(user_id: str) -> str:
    """Return the name under which a user's uses are counted."""
    return f"user {user_id}"


@lru_cache(maxsize=4096)  # reading an address takes 10 µs, as much as counting a use
def sender_of_address(address: str) -> str:
    """Return the name under which the uses of a client's address are counted: IPv6 addresses by their network."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:  # a Unix socket, or a proxy's own name for the client
        return f"address {address[:_MAX_NAME]}"
    if not isinstance(found, IPv6Address):
        return f"address {found}"
    if found.ipv4_mapped is not None:
        return f"address {found.ipv4_mapped}"
    return f"network {IPv6Address(int(found) >> _NETWORK_BITS << _NETWORK_BITS)}"
