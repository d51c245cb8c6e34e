"""Reject keys and tokens of an address that has sent too many wrong ones, so that none can be guessed quickly."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from src.domain.errors import CredentialsExpired, InvalidCredentials
from src.domain.identity import AuthMode, Caller
from src.domain.rates import Rate, sender_of_address
from src.ports.identity import Authenticator, Credentials
from src.ports.rates import RateLimiter

MAX_REMEMBERED: Final = 10_000
_SECRET_HEADERS: Final = frozenset({"authorization", "x-api-key"})


class CountedAttempts:
    """An Authenticator that counts, by client address, the credentials that another one refuses.

    Recently accepted credentials are checked from every address: otherwise, behind a proxy that names no client, one
    wrong key in a loop would lock out all users.
    """

    def __init__(self, authenticator: Authenticator, limiter: RateLimiter) -> None:
        self._authenticator = authenticator
        self._limiter = limiter
        self._accepted: OrderedDict[int, None] = OrderedDict()

    @property
    def mode(self) -> AuthMode:
        return self._authenticator.mode

    @property
    def challenge(self) -> str:
        return self._authenticator.challenge

    async def identify(self, credentials: Credentials) -> Caller:
        """Raise RateLimited if the address sent too many wrong credentials; else what the other one raises."""
        mark, sender = _mark_of(credentials), sender_of_address(credentials.address)
        if mark is not None and mark not in self._accepted:
            self._limiter.check(sender, Rate.FAILED_SIGN_INS)
        try:
            caller = await self._authenticator.identify(credentials)
        except (InvalidCredentials, CredentialsExpired):
            self._limiter.charge(sender, Rate.FAILED_SIGN_INS, 1)
            raise
        if mark is not None:
            self._remember(mark)
        return caller

    async def close(self) -> None:
        await self._authenticator.close()

    def _remember(self, mark: int) -> None:
        self._accepted[mark] = None
        self._accepted.move_to_end(mark)
        if len(self._accepted) > MAX_REMEMBERED:
            self._accepted.popitem(last=False)


def _mark_of(credentials: Credentials) -> int | None:
    """Return a number that identifies credentials without containing them; None if there are none.

    Python's hash has a secret seed in each process, so a client cannot construct different credentials with the same
    number.
    """
    secrets = tuple(item for item in credentials.headers if item[0] in _SECRET_HEADERS)
    if not secrets and credentials.session is None:
        return None
    return hash((secrets, credentials.session))
