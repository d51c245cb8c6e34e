"""Key sets of issuers: they rotate, they are down, and unknown keys do not flood the issuer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from src.domain.errors import IdentityUnavailable
from src.identity.key_sets import (
    MAX_AGE_S,
    MAX_BYTES,
    MAX_STALE_S,
    MIN_REFETCH_S,
    KeySet,
    parse_key_set,
    reads_address,
    reads_file,
)
from tests.tokens import Issuer, key_set

FIRST, SECOND = Issuer(kid="first").jwk, Issuer(kid="second").jwk


@dataclass
class Published:
    """What an issuer publishes, and how often it was read; it is down if `content` is None."""

    content: bytes | None = field(default_factory=lambda: key_set(FIRST))
    reads: int = 0
    now_s: float = 1000.0

    async def read(self) -> bytes:
        self.reads += 1
        await asyncio.sleep(0)
        if self.content is None:
            raise OSError("down")
        return self.content

    def key_set(self) -> KeySet:
        return KeySet(self.read, now=lambda: self.now_s)


async def test_known_key_is_read_once() -> None:
    issuer = Published()
    keys = issuer.key_set()
    found = await asyncio.gather(*(keys.find("first") for _ in range(20)))
    assert (found, issuer.reads) == ([FIRST] * 20, 1)


async def test_rotated_key_is_found_without_waiting_for_the_age() -> None:
    issuer = Published()
    keys = issuer.key_set()
    await keys.find("first")
    issuer.content, issuer.now_s = key_set(FIRST, SECOND), issuer.now_s + MIN_REFETCH_S
    assert await keys.find("second") == SECOND


async def test_unknown_keys_do_not_flood_the_issuer() -> None:
    issuer = Published()
    keys = issuer.key_set()
    for number in range(50):
        assert await keys.find(f"made-up-{number}") is None
    assert issuer.reads == 1
    issuer.now_s += MIN_REFETCH_S
    await asyncio.gather(*(keys.find(f"again-{number}") for number in range(50)))
    assert issuer.reads == 2


async def test_withdrawn_key_is_refused_after_the_age() -> None:
    issuer = Published(content=key_set(FIRST, SECOND))
    keys = issuer.key_set()
    await keys.find("first")
    issuer.content, issuer.now_s = key_set(SECOND), issuer.now_s + MAX_AGE_S + 1
    assert await keys.find("first") == FIRST  # the set is read again meanwhile
    for _ in range(10):
        await asyncio.sleep(0)
    assert await keys.find("first") is None
    await keys.close()


async def test_known_keys_last_while_the_issuer_is_down() -> None:
    issuer = Published()
    keys = issuer.key_set()
    await keys.find("first")
    issuer.content, issuer.now_s = None, issuer.now_s + MAX_STALE_S
    assert await keys.find("first") == FIRST
    with pytest.raises(IdentityUnavailable, match="cannot be read"):
        await keys.find("second")
    issuer.now_s += 1
    with pytest.raises(IdentityUnavailable) as failed:
        await keys.find("first")
    assert failed.value.retry_after_s == MIN_REFETCH_S
    await keys.close()


async def test_issuer_that_was_never_reached_is_unavailable() -> None:
    issuer = Published(content=None)
    keys = issuer.key_set()
    for _ in range(5):
        with pytest.raises(IdentityUnavailable):
            await keys.find("first")
    assert issuer.reads == 1
    issuer.content, issuer.now_s = key_set(FIRST), issuer.now_s + MIN_REFETCH_S
    assert await keys.find("first") == FIRST


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"keys": {}}', b"\xff"])
async def test_text_that_is_no_key_set_keeps_the_last_one(content: bytes) -> None:
    issuer = Published()
    keys = issuer.key_set()
    await keys.find("first")
    issuer.content, issuer.now_s = content, issuer.now_s + MIN_REFETCH_S
    with pytest.raises(IdentityUnavailable):
        await keys.find("second")
    assert await keys.find("first") == FIRST


def test_only_public_signing_keys_are_used() -> None:
    others = [
        {"kty": "oct", "kid": "secret", "k": "AAAA"},
        {**FIRST, "kid": "encryption", "use": "enc"},
        {name: value for name, value in FIRST.items() if name != "kid"},
        "text",
    ]
    assert parse_key_set(key_set(FIRST, *others)) == {"first": FIRST}  # type: ignore[arg-type]


async def test_file_is_read_up_to_a_size(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_bytes(key_set(FIRST))
    assert await KeySet(reads_file(file)).find("first") == FIRST
    file.write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(OSError, match="larger than"):
        await reads_file(file)()


def answering(respond: Callable[[httpx.Request], httpx.Response]) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(respond))


async def test_address_is_read_without_following_it_elsewhere() -> None:
    async with answering(lambda _: httpx.Response(200, content=key_set(FIRST))) as client:
        assert await KeySet(reads_address("https://issuer.test/jwks", client)).find("first") == FIRST
    moved = httpx.Response(302, headers={"Location": "https://evil.test/jwks"})
    async with answering(lambda _: moved) as client:
        with pytest.raises(OSError, match="status 302"):
            await reads_address("https://issuer.test/jwks", client)()
    async with answering(lambda _: httpx.Response(200, content=b" " * (MAX_BYTES + 1))) as client:
        with pytest.raises(OSError, match="larger than"):
            await reads_address("https://issuer.test/jwks", client)()
