"""AUTH=header: a gateway in front of the service has signed the user in, and names the user in a header.

A client that bypasses the gateway can send that header too, so only the gateway may reach the service.
"""

from __future__ import annotations

from typing import ClassVar

from src.domain.errors import InvalidCredentials, InvalidInput, Unauthenticated
from src.domain.identity import AuthMode, Caller
from src.domain.model_files import check_user_id
from src.identity.bearer import read_once
from src.ports.identity import Credentials


class HeaderAuthenticator:
    """Trusts the header `name`, whose value is the user's id."""

    mode: ClassVar = AuthMode.HEADER
    challenge: ClassVar = "Gateway"

    def __init__(self, name: str) -> None:
        self._name = name.lower()

    async def identify(self, credentials: Credentials) -> Caller:
        value = read_once(credentials, self._name)
        if not value:
            raise Unauthenticated("The gateway in front of the service named no user.")
        try:
            return Caller(user_id=check_user_id(value.strip(" \t")))
        except InvalidInput as error:
            raise InvalidCredentials(
                "The user that the gateway named is not usable as userId: {reason}", reason=error.message
            ) from error

    async def close(self) -> None:
        """Hold nothing that must be closed."""
