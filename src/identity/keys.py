"""AUTH=keys: an API key that `run.py keys` made names the user; the pages exchange it for a session's cookie."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Final, TypeVar

from src.domain.errors import CredentialsExpired, InvalidCredentials, StoreUnavailable, Unauthenticated
from src.domain.identity import ApiKey, AuthMode, Caller
from src.identity.bearer import MAX_SECRET_LENGTH, read_bearer, read_once
from src.identity.key_file import KeyFile
from src.ports.clock import Clock
from src.ports.identity import Credentials, Session

KEY_HEADER: Final = "x-api-key"
USE_NOTED_EVERY_MS: Final = 60_000
"""Time between two writes of a key's last use."""
SESSION_S: Final = 12 * 3600

Found = TypeVar("Found")

logger = logging.getLogger(__name__)


class KeyAuthenticator:
    """Accepts API keys in `Authorization: Bearer` or `X-API-Key`, and sessions of the pages.

    Each request reads the file, so a key that another process revokes is refused from the next request on.
    """

    mode: ClassVar = AuthMode.KEYS
    challenge: ClassVar = 'Bearer realm="backtesting"'
    session_s: ClassVar = SESSION_S

    def __init__(self, file: KeyFile, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        # It has a thread of its own: in the shared threads a request could wait for a download of bars.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="keys")

    async def identify(self, credentials: Credentials) -> Caller:
        text = self._read_key(credentials)
        if text is not None:
            key = await self._check(text)
        elif credentials.session is not None:
            key = await self._check_session(credentials.session)
        else:
            raise Unauthenticated(
                "The request has no API key. Send it as X-API-Key, or as 'Authorization: Bearer' and the key."
            )
        await self._note_use(key)
        return Caller(user_id=key.user_id)

    async def sign_in(self, key: str) -> Session:
        found = await self._check(key)
        now_ms = self._clock.now_ms()
        expires_ms = min(now_ms + SESSION_S * 1000, found.expires_ms or now_ms + SESSION_S * 1000)
        begin = functools.partial(self._file.begin_session, found, now_ms=now_ms, expires_ms=expires_ms)
        return Session(token=await self._run(begin), user_id=found.user_id, expires_ms=expires_ms)

    async def sign_out(self, token: str) -> None:
        await self._run(functools.partial(self._file.end_session, token))

    async def close(self) -> None:
        await self._run(self._file.close)
        self._thread.shutdown()

    def _read_key(self, credentials: Credentials) -> str | None:
        bearer, header = read_bearer(credentials), read_once(credentials, KEY_HEADER)
        if bearer is not None and header is not None:
            raise InvalidCredentials("Authorization and X-API-Key are both given. Allowed: one of them.")
        return bearer if bearer is not None else header

    async def _check(self, text: str) -> ApiKey:
        found = None
        if len(text) <= MAX_SECRET_LENGTH:
            found = await self._run(functools.partial(self._file.find, text.strip()))
        if found is None:
            raise InvalidCredentials("The API key is unknown.")
        return self._check_usable(found)

    async def _check_session(self, token: str) -> ApiKey:
        now_ms = self._clock.now_ms()
        found = await self._run(functools.partial(self._file.find_session, token, now_ms=now_ms))
        if found is None:
            raise CredentialsExpired("The session is over. Sign in again.")
        return self._check_usable(found)

    def _check_usable(self, key: ApiKey) -> ApiKey:
        if key.revoked_ms is not None:
            raise InvalidCredentials("The API key is revoked.")
        if key.expires_ms is not None and key.expires_ms <= self._clock.now_ms():
            raise CredentialsExpired("The API key has expired.")
        return key

    async def _run(self, call: Callable[[], Found]) -> Found:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def _note_use(self, key: ApiKey) -> None:
        """Store when a key was used last, once a minute."""
        now_ms = self._clock.now_ms()
        if key.last_used_ms is not None and now_ms - key.last_used_ms < USE_NOTED_EVERY_MS:
            return
        try:
            await self._run(functools.partial(self._file.note_use, key, now_ms=now_ms))
        except StoreUnavailable as error:
            # This time is only displayed: a full disk must not lock users out.
            logger.warning("use of a key not stored: key=%s error=%s", key.id, error.message)
