"""Construct what finds out who sends requests, in the way that AUTH names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import httpx

from src.bars.clock import SystemClock
from src.domain.identity import AuthMode
from src.identity.anybody import AnybodyAuthenticator
from src.identity.gateway import HeaderAuthenticator
from src.identity.key_file import KeyFile
from src.identity.key_sets import TIMEOUT_S, KeySet, reads_address, reads_file
from src.identity.keys import KeyAuthenticator
from src.identity.tokens import TokenAuthenticator
from src.ports.identity import Authenticator
from src.settings import Settings

KEY_FILE: Final = ".access/keys.sqlite3"
"""Inside the storage folder; no user's folder begins with a dot."""


def build_authenticator(settings: Settings) -> Authenticator:
    """Return what finds out who sends requests."""
    return AUTHENTICATORS[settings.auth](settings)


def build_key_file(settings: Settings) -> KeyFile:
    """Return the file of API keys, which a running service reads too."""
    return KeyFile(settings.storage_dir / KEY_FILE)


def _build_tokens(settings: Settings) -> TokenAuthenticator:
    place = settings.jwt_jwks or ""
    client = httpx.AsyncClient(timeout=TIMEOUT_S)
    read = reads_file(Path(place)) if Path(place).is_file() else reads_address(place, client)
    return TokenAuthenticator(
        issuer=settings.jwt_issuer or "",
        audience=settings.jwt_audience or "",
        algorithms=settings.jwt_algorithms,
        keys=KeySet(read),
        user_claim=settings.jwt_user_claim,
        close=client.aclose,
    )


AUTHENTICATORS: Final[Mapping[AuthMode, Callable[[Settings], Authenticator]]] = {
    AuthMode.NONE: lambda _: AnybodyAuthenticator(),
    AuthMode.HEADER: lambda settings: HeaderAuthenticator(settings.auth_header),
    AuthMode.JWT: _build_tokens,
    AuthMode.KEYS: lambda settings: KeyAuthenticator(build_key_file(settings), SystemClock()),
}
