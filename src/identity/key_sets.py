"""Read the public keys of tokens' issuers (JWKS, RFC 7517) from a file or an address, and cache them."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx

from src.domain.errors import IdentityUnavailable

logger = logging.getLogger(__name__)

MAX_BYTES: Final = 256 * 1024
TIMEOUT_S: Final = 5.0
MAX_AGE_S: Final = 300.0
"""Seconds after which the key set is read again, so that a withdrawn key is not accepted forever."""
MAX_STALE_S: Final = 3600.0
"""Seconds for which the last key set is used while a new one cannot be read."""
MIN_REFETCH_S: Final = 10.0
"""Pause between two reads for unknown keys, because anybody can send tokens that name unknown keys."""

_ASYMMETRIC: Final = frozenset({"RSA", "EC", "OKP"})

Jwk = Mapping[str, Any]


class KeySet:
    """The issuer's public keys by their id (`kid`).

    `read` returns the JSON text of the set, or raises OSError. Several callers share one read.
    """

    def __init__(self, read: Callable[[], Awaitable[bytes]], *, now: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._now = now
        self._keys: Mapping[str, Jwk] = {}
        self._read_s: float | None = None
        self._tried_s: float | None = None
        self._reading = asyncio.Lock()
        self._renewing: asyncio.Task[None] | None = None

    async def find(self, kid: str) -> Jwk | None:
        """Return the key of that id; None if the issuer publishes no such key.

        A known key is returned at once; an old set is then read again in the background. Raises IdentityUnavailable if
        the set cannot be read, and the last one is too old or lacks the key.
        """
        found = None if self._is_older_than(MAX_STALE_S) else self._keys.get(kid)
        if found is not None:
            if self._is_older_than(MAX_AGE_S) and self._may_try():
                self._renewing = asyncio.create_task(self._renew())
            return found
        await self._renew()
        found = self._keys.get(kid)
        has_failed = self._read_s is None or self._read_s != self._tried_s
        if self._is_older_than(MAX_STALE_S) or (found is None and has_failed):
            raise IdentityUnavailable("The keys of the tokens' issuer cannot be read.", retry_after_s=MIN_REFETCH_S)
        return found

    async def close(self) -> None:
        """End a read that is under way."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])

    def _is_older_than(self, seconds: float) -> bool:
        return self._read_s is None or self._now() - self._read_s > seconds

    def _may_try(self) -> bool:
        return self._tried_s is None or self._now() - self._tried_s >= MIN_REFETCH_S

    async def _renew(self) -> None:
        """Read the set again, unless that was tried a moment ago; log a failure and keep the last set."""
        async with self._reading:
            if not self._may_try():
                return
            self._tried_s = self._now()
            try:
                self._keys = parse_key_set(await self._read())
            except (OSError, ValueError) as error:
                logger.warning("key set not read: error=%s", error)
                return
            self._read_s = self._tried_s


def parse_key_set(content: bytes) -> Mapping[str, Jwk]:
    """Return the public signing keys of a set by id; raises ValueError if the text is not a key set.

    Symmetric keys are left out: a published secret proves nothing.
    """
    found = json.loads(content)
    keys = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(keys, list):
        raise ValueError("the key set has no list 'keys'")
    return {
        key["kid"]: key
        for key in keys
        if isinstance(key, dict)
        and isinstance(key.get("kid"), str)
        and key.get("kty") in _ASYMMETRIC
        and key.get("use", "sig") == "sig"
    }


def reads_file(path: Path) -> Callable[[], Awaitable[bytes]]:
    """Return a function that reads a key set from a file."""

    async def read() -> bytes:
        return await asyncio.to_thread(_read_file, path)

    return read


def _read_file(path: Path) -> bytes:
    with path.open("rb") as stream:
        return _checked(stream.read(MAX_BYTES + 1))


def reads_address(url: str, client: httpx.AsyncClient) -> Callable[[], Awaitable[bytes]]:
    """Return a function that reads a key set from an address, with limits on time and size and without redirects."""

    async def read() -> bytes:
        try:
            async with asyncio.timeout(TIMEOUT_S), client.stream("GET", url) as response:
                if response.status_code != 200:
                    raise OSError(f"the issuer responded with status {response.status_code}")
                content = b""
                async for chunk in response.aiter_bytes():
                    content = _checked(content + chunk)
                return content
        except TimeoutError as error:
            raise OSError(f"no response within {TIMEOUT_S:g} s") from error
        except httpx.HTTPError as error:
            raise OSError(f"{type(error).__name__}: {error}") from error

    return read


def _checked(content: bytes) -> bytes:
    if len(content) > MAX_BYTES:
        raise OSError(f"the key set is larger than {MAX_BYTES} bytes")
    return content
