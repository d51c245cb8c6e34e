"""Who sends a request, and sessions of the pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from src.domain.identity import AuthMode, Caller


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a request carries about its sender; the `repr` shows none of it.

    `headers` are all fields of the request, their names in lower case. `session` is the cookie of the service's own
    pages; None if there is none, or if another page sent the request. `address` is the client's, empty if unknown.
    """

    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    session: str | None = field(default=None, repr=False)
    address: str = field(default="", repr=False)

    def values(self, name: str) -> list[str]:
        """Return all values of a header, whose name is in lower case."""
        return [value for given, value in self.headers if given == name]


class Authenticator(Protocol):
    """Finds out who sends a request, in one of the ways that AUTH names."""

    @property
    def mode(self) -> AuthMode: ...

    @property
    def challenge(self) -> str:
        """The value of WWW-Authenticate in a response with status 401."""
        ...

    async def identify(self, credentials: Credentials) -> Caller:
        """Return who sends a request.

        Raises Unauthenticated if it has no key or token; its subclasses if one cannot be accepted;
        IdentityUnavailable or StoreUnavailable if it cannot be identified now; RateLimited if the address has sent too
        many wrong keys or tokens.
        """
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session of the pages; `token` is the secret that the cookie holds, `expires_ms` since the epoch."""

    token: str = field(repr=False)
    user_id: str
    expires_ms: int


class SessionKeeper(Protocol):
    """Exchanges keys for sessions of the pages."""

    @property
    def session_s(self) -> int:
        """The longest time of a session, in seconds."""
        ...

    async def sign_in(self, key: str) -> Session:
        """Begin a session; raises InvalidCredentials or CredentialsExpired if the key cannot be used."""
        ...

    async def sign_out(self, token: str) -> None:
        """End a session; nothing happens if there is none."""
        ...
