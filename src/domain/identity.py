"""The caller of a request, and the rule of whose data it may use.

With every setting of AUTH except `none`: 1. a caller acts only as itself, so another user's id in a request is
Forbidden, and a request may leave the id out; 2. a caller reads only its own data; the ids of other users' data do not
exist for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from src.domain.errors import Forbidden


class AuthMode(StrEnum):
    """How the service knows who asks."""

    NONE = "none"
    HEADER = "header"
    JWT = "jwt"
    KEYS = "keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sends a request; `user_id` None is anybody, who may act as every user."""

    user_id: str | None

    @property
    def is_anybody(self) -> bool:
        return self.user_id is None

    def acts_as(self, requested: str | None, *, field: str = "userId") -> str | None:
        """Return the user that a request of this caller is about: the caller if the request names none.

        None if the caller is anybody and the request names no user. Raises Forbidden if it names another user.
        """
        if self.user_id is None:
            return requested
        if requested is None or requested == self.user_id:
            return self.user_id
        raise Forbidden(
            "{field} is {got!r}, but the request comes from {caller!r}. Allowed: {caller!r}, or leave it out.",
            field=field,
            got=requested,
            caller=self.user_id,
        )

    def may_read(self, owner: str) -> bool:
        """Return whether the caller may use this user's data."""
        return self.user_id is None or self.user_id == owner


ANYBODY: Final = Caller(user_id=None)
"""The caller of every request with AUTH=none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is stored, without the key itself.

    `prefix` are its first characters, for display. Times are in milliseconds since the epoch; None means never, or
    not yet.
    """

    id: str
    user_id: str
    name: str
    prefix: str
    created_ms: int
    expires_ms: int | None = None
    last_used_ms: int | None = None
    revoked_ms: int | None = None
