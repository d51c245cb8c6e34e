"""AUTH=none: every request may act as every user."""

from __future__ import annotations

from typing import ClassVar

from src.domain.identity import ANYBODY, AuthMode, Caller
from src.ports.identity import Credentials


class AnybodyAuthenticator:
    """Accepts every request without asking who sends it."""

    mode: ClassVar = AuthMode.NONE
    challenge: ClassVar = ""

    async def identify(self, credentials: Credentials) -> Caller:  # noqa: ARG002  (as the port says)
        return ANYBODY

    async def close(self) -> None:
        """Hold nothing that must be closed."""
