"""Read a secret that a request carries in one of its headers."""

from __future__ import annotations

from typing import Final

from src.domain.errors import InvalidCredentials
from src.ports.identity import Credentials

AUTHORIZATION: Final = "authorization"
MAX_SECRET_LENGTH: Final = 16_384
"""Characters; a token with many claims has some 4,000."""


def read_bearer(credentials: Credentials) -> str | None:
    """Return the secret in `Authorization: Bearer …`; None if the request has no such header.

    Raises InvalidCredentials if there are two, or the scheme is not Bearer.
    """
    value = read_once(credentials, AUTHORIZATION)
    if value is None:
        return None
    scheme, _, secret = value.partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        # The value is left out: it may be a password.
        raise InvalidCredentials("The header Authorization is not 'Bearer' and a key or token.")
    if len(secret) > MAX_SECRET_LENGTH:
        raise InvalidCredentials("The header Authorization is too long. Maximum: {most}.", most=MAX_SECRET_LENGTH)
    return secret.strip()


def read_once(credentials: Credentials, name: str) -> str | None:
    """Return the value of a header, None without it; raises InvalidCredentials if it was sent twice."""
    values = credentials.values(name)
    if len(values) > 1:
        raise InvalidCredentials(
            "The request has {count} headers {name!r}. Allowed: one.", count=len(values), name=name
        )
    return values[0] if values else None
