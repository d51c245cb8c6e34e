"""API keys and sessions: kept as hashes, shown once, refused from the moment that they are revoked."""

from __future__ import annotations

import hmac
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.domain.errors import CredentialsExpired, InvalidCredentials, StoreUnavailable, Unauthenticated
from src.domain.identity import ApiKey
from src.identity import key_file
from src.identity.key_file import KeyFile, copy_keys, hash_secret
from src.identity.keys import SESSION_S, USE_NOTED_EVERY_MS, KeyAuthenticator
from src.ports.identity import Credentials

HOUR_MS = 3_600_000


class SettableClock:
    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self.now = now_ms

    def now_ms(self) -> int:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".access" / "keys.sqlite3"


@pytest.fixture
def file(path: Path) -> Iterator[KeyFile]:
    opened = KeyFile(path)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


def make(
    file: KeyFile, clock: SettableClock, user: str = "ann", *, expires_ms: int | None = None
) -> tuple[ApiKey, str]:
    return file.create(user, name="laptop", now_ms=clock.now_ms(), expires_ms=expires_ms)


def bearer(text: str) -> Credentials:
    return Credentials(headers=(("authorization", f"Bearer {text}"),))


async def test_key_names_its_user_in_either_header(file: KeyFile, clock: SettableClock) -> None:
    _, text = make(file, clock)
    keys = KeyAuthenticator(file, clock)
    assert (await keys.identify(bearer(text))).user_id == "ann"
    assert (await keys.identify(Credentials(headers=(("x-api-key", text),)))).user_id == "ann"


def test_key_has_256_random_bits(file: KeyFile, clock: SettableClock) -> None:
    texts = {make(file, clock)[1] for _ in range(50)}
    assert len(texts) == 50
    assert all(text.startswith("bt_") and len(text) == 3 + 43 for text in texts)


async def test_file_holds_hashes_only(file: KeyFile, path: Path, clock: SettableClock) -> None:
    key, text = make(file, clock)
    session = await KeyAuthenticator(file, clock).sign_in(text)
    file.close()
    content = path.read_bytes()
    assert text.encode() not in content
    assert text[len(key.prefix) :].encode() not in content
    assert session.token.encode() not in content
    assert hash_secret(text) in content
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_key_is_shown_once(file: KeyFile, clock: SettableClock) -> None:
    key, text = make(file, clock)
    assert file.list() == [key]
    assert text not in repr(file.list())
    assert key.prefix == text[:8]


def test_hashes_are_compared_in_constant_time(
    file: KeyFile, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, text = make(file, clock)
    compared: list[tuple[bytes, bytes]] = []

    def compare(found: bytes, wanted: bytes) -> bool:
        compared.append((found, wanted))
        return False

    monkeypatch.setattr(key_file.hmac, "compare_digest", compare)
    assert file.find(text) is None  # what compare_digest says decides
    assert compared == [(hash_secret(text), hash_secret(text))]
    assert key_file.hmac is hmac


@pytest.mark.parametrize("change", [str.upper, lambda text: text[:-1], lambda text: text + "a", lambda _: "bt_"])
async def test_other_text_is_no_key(file: KeyFile, clock: SettableClock, change: object) -> None:
    _, text = make(file, clock)
    with pytest.raises(InvalidCredentials, match="unknown") as refused:
        await KeyAuthenticator(file, clock).identify(bearer(change(text)))  # type: ignore[operator]
    assert text[3:12] not in refused.value.message


async def test_revoked_key_is_refused_at_once(file: KeyFile, path: Path, clock: SettableClock) -> None:
    key, text = make(file, clock)
    keys, other_process = KeyAuthenticator(file, clock), KeyFile(path)
    session = await keys.sign_in(text)
    assert other_process.revoke(key.id, now_ms=clock.now_ms())
    assert not other_process.revoke(key.id, now_ms=clock.now_ms())
    other_process.close()
    with pytest.raises(InvalidCredentials, match="revoked"):
        await keys.identify(bearer(text))
    with pytest.raises(CredentialsExpired, match="session is over"):
        await keys.identify(Credentials(session=session.token))
    with pytest.raises(InvalidCredentials, match="revoked"):
        await keys.sign_in(text)


async def test_key_expires_at_its_time(file: KeyFile, clock: SettableClock) -> None:
    _, text = make(file, clock, expires_ms=clock.now + HOUR_MS)
    keys = KeyAuthenticator(file, clock)
    session = await keys.sign_in(text)
    assert session.expires_ms == clock.now + HOUR_MS
    clock.now += HOUR_MS - 1
    assert (await keys.identify(bearer(text))).user_id == "ann"
    clock.now += 1
    with pytest.raises(CredentialsExpired, match="key has expired"):
        await keys.identify(bearer(text))
    with pytest.raises(CredentialsExpired):
        await keys.identify(Credentials(session=session.token))


async def test_session_ends_after_its_time_and_at_sign_out(file: KeyFile, clock: SettableClock) -> None:
    _, text = make(file, clock)
    keys = KeyAuthenticator(file, clock)
    first, second = await keys.sign_in(text), await keys.sign_in(text)
    assert first.expires_ms == clock.now + SESSION_S * 1000
    assert first.token not in repr(first)
    assert (await keys.identify(Credentials(session=first.token))).user_id == "ann"
    await keys.sign_out(first.token)
    with pytest.raises(CredentialsExpired):
        await keys.identify(Credentials(session=first.token))
    assert (await keys.identify(Credentials(session=second.token))).user_id == "ann"
    clock.now += SESSION_S * 1000
    with pytest.raises(CredentialsExpired):
        await keys.identify(Credentials(session=second.token))


async def test_key_in_the_request_counts_more_than_the_session(file: KeyFile, clock: SettableClock) -> None:
    keys = KeyAuthenticator(file, clock)
    session = await keys.sign_in(make(file, clock, "ann")[1])
    own = bearer(make(file, clock, "bob")[1])
    both = Credentials(headers=own.headers, session=session.token)
    assert (await keys.identify(both)).user_id == "bob"


async def test_two_keys_in_one_request_are_refused(file: KeyFile, clock: SettableClock) -> None:
    _, text = make(file, clock)
    both = Credentials(headers=(("authorization", f"Bearer {text}"), ("x-api-key", text)))
    with pytest.raises(InvalidCredentials, match="both given"):
        await KeyAuthenticator(file, clock).identify(both)


async def test_request_without_key_names_nobody(file: KeyFile, clock: SettableClock) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await KeyAuthenticator(file, clock).identify(Credentials())
    assert type(refused.value) is Unauthenticated


async def test_last_use_is_stored_once_a_minute(file: KeyFile, clock: SettableClock) -> None:
    _, text = make(file, clock)
    keys = KeyAuthenticator(file, clock)
    seen = []
    for step_ms in (0, USE_NOTED_EVERY_MS - 1, 1):
        clock.now += step_ms
        await keys.identify(bearer(text))
        seen.append(file.list()[0].last_used_ms)
    assert seen == [1_700_000_000_000, 1_700_000_000_000, 1_700_000_060_000]


def test_user_is_deleted_with_all_keys_and_sessions(file: KeyFile, clock: SettableClock) -> None:
    ours, text = make(file, clock, "ann")
    token = file.begin_session(ours, now_ms=clock.now, expires_ms=clock.now + 1)
    make(file, clock, "ann")
    other, _ = make(file, clock, "bob")
    assert file.delete_user("ann") == 2
    assert file.list() == [other]
    assert file.find(text) is None
    assert file.find_session(token, now_ms=clock.now) is None


async def test_file_that_cannot_be_read_is_no_refusal(path: Path, clock: SettableClock) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database, for longer than the header of one is" * 10)
    broken = KeyAuthenticator(KeyFile(path), clock)
    with pytest.raises(StoreUnavailable, match=r"keys\.sqlite3"):
        await broken.identify(bearer("bt_x"))


def test_copy_has_the_keys_and_no_sessions(file: KeyFile, path: Path, clock: SettableClock, tmp_path: Path) -> None:
    key, text = make(file, clock)
    token = file.begin_session(key, now_ms=clock.now, expires_ms=clock.now + HOUR_MS)
    copy_keys(path, tmp_path / "copy.sqlite3")
    copied = KeyFile(tmp_path / "copy.sqlite3")
    assert copied.find(text) == key
    assert copied.find_session(token, now_ms=clock.now) is None
    copied.close()


def test_write_of_another_process_is_seen(file: KeyFile, path: Path, clock: SettableClock) -> None:
    assert file.list() == []
    with sqlite3.connect(path) as other:
        other.execute(
            "INSERT INTO api_keys (id, user_id, name, prefix, hash, created_ms) VALUES ('1','a','','p',x'00',1)"
        )
    other.close()
    assert [key.user_id for key in file.list()] == ["a"]
