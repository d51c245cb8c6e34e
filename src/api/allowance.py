"""Count what the sender of a request uses; both APIs, agents and the pages spend here."""

from __future__ import annotations

import math
from typing import Final

from starlette.requests import HTTPConnection
from starlette.types import Scope

from src.api.caller import CALLER
from src.domain.errors import RateLimited
from src.domain.identity import Caller
from src.domain.rates import Rate, RateUse, sender_of_address, sender_of_user
from src.ports.rates import RateLimiter

ALLOWANCE: Final = "allowance"
"""Name in the state of a request's scope."""


class Allowance:
    """What the sender of one request, or of one WebSocket, may still use."""

    def __init__(self, limiter: RateLimiter, scope: Scope) -> None:
        self._limiter = limiter
        self._scope = scope
        self._counted: dict[Rate, int] = {}
        self._claimed_uploads = 0

    def begin_message(self) -> None:
        """Begin a new message of the WebSocket: `give_back` then takes back only its uses."""
        self._counted.clear()
        self._claimed_uploads = 0

    def spend(self, rate: Rate, amount: int = 1) -> None:
        """Count uses before they happen; raises RateLimited if they are over the limit."""
        if rate in self._limiter.limits and amount > 0:
            self._counted.setdefault(rate, 0)
            self._limiter.spend(sender_of(self._scope), rate, amount)
            self._counted[rate] += amount

    def spend_further(self, rate: Rate, amount: int = 1) -> None:
        """Count more uses of a request that has not begun, together with those counted before.

        If all of them together are over the limit, counts nothing of the request and raises RateLimited.
        """
        if rate not in self._limiter.limits or amount <= 0:
            return
        counted = self._counted.setdefault(rate, 0)
        self._take_back(rate)
        try:
            self.spend(rate, counted + amount)
        except RateLimited:
            self.give_back()
            raise

    def give_back(self) -> None:
        """Take back all uses of a request that is refused."""
        for rate in self._counted:
            self._take_back(rate)

    def claim_upload(self) -> None:
        """Count a use of a file beyond those counted for its upload: one file can be used for several fields."""
        self._claimed_uploads += 1
        if self._claimed_uploads > self._counted.get(Rate.UPLOADS, 0):
            self.spend(Rate.UPLOADS)

    def _take_back(self, rate: Rate) -> None:
        if amount := self._counted[rate]:
            self._limiter.give_back(sender_of(self._scope), rate, amount)
            self._counted[rate] = 0

    def list_uses(self) -> list[RateUse]:
        """Return what is used now of the limits that this request counts for, and of its user's processor time."""
        sender = sender_of(self._scope)
        rates = [*self._counted, *([Rate.CORE_SECONDS] if _user_of(self._scope) is not None else [])]
        return [use for rate in rates if (use := self._limiter.read_use(sender, rate)) is not None]


def found_allowance(connection: HTTPConnection) -> Allowance | None:
    """Return the allowance of a request or WebSocket; None if nothing is limited."""
    found = connection.scope.get("state", {}).get(ALLOWANCE)
    return found if isinstance(found, Allowance) else None


def sender_of(scope: Scope) -> str:
    """Return the name under which the uses of a request count: its user's, else its client's address."""
    user_id = _user_of(scope)
    return sender_of_address(client_address(scope)) if user_id is None else sender_of_user(user_id)


def client_address(scope: Scope) -> str:
    """Return the address of a request's client, as the proxies of FORWARDED_ALLOW_IPS name it; may be empty."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def write_headers(uses: list[RateUse]) -> list[tuple[bytes, bytes]]:
    """Return the headers RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10).

    `q` is allowed per `w` seconds, of which `r` is left; after `t` seconds more is free.
    """
    if not uses:
        return []
    policies = ", ".join(f'"{use.limit.rate.value}";q={use.limit.allowed};w={use.limit.window_s}' for use in uses)
    left = ", ".join(f'"{use.limit.rate.value}";r={use.remaining}{_free_after(use)}' for use in uses)
    return [(b"ratelimit-policy", policies.encode()), (b"ratelimit", left.encode())]


def _free_after(use: RateUse) -> str:
    return f";t={math.ceil(use.free_after_s)}" if use.used else ""


def _user_of(scope: Scope) -> str | None:
    caller = scope.get("state", {}).get(CALLER)
    return caller.user_id if isinstance(caller, Caller) else None
