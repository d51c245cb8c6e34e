"""Check what every way of AUTH must do: one suite over all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from src.bars.clock import SystemClock
from src.domain.errors import InvalidCredentials, Unauthenticated
from src.domain.identity import ANYBODY, AuthMode
from src.identity.anybody import AnybodyAuthenticator
from src.identity.gateway import HeaderAuthenticator
from src.identity.key_file import KeyFile
from src.identity.key_sets import KeySet
from src.identity.keys import KeyAuthenticator
from src.identity.tokens import TokenAuthenticator
from src.ports.identity import Authenticator, Credentials
from src.wiring.identity import AUTHENTICATORS
from tests.tokens import AUDIENCE, ISSUER, Issuer, key_set

Made = tuple[Authenticator, Credentials]
ANNS = Issuer()


def make_none(_: Path) -> Made:
    return AnybodyAuthenticator(), Credentials()


def make_header(_: Path) -> Made:
    return HeaderAuthenticator("X-User"), Credentials(headers=(("x-user", "ann"),))


def make_jwt(_: Path) -> Made:
    async def read() -> bytes:
        return key_set(ANNS.jwk)

    tokens = TokenAuthenticator(issuer=ISSUER, audience=AUDIENCE, algorithms=("RS256",), keys=KeySet(read))
    return tokens, Credentials(headers=(("authorization", f"Bearer {ANNS.token()}"),))


def make_keys(folder: Path) -> Made:
    file = KeyFile(folder / "keys.sqlite3")
    _, text = file.create("ann", name="", now_ms=1, expires_ms=None)
    return KeyAuthenticator(file, SystemClock()), Credentials(headers=(("x-api-key", text),))


MAKERS: dict[AuthMode, Callable[[Path], Made]] = {
    AuthMode.NONE: make_none,
    AuthMode.HEADER: make_header,
    AuthMode.JWT: make_jwt,
    AuthMode.KEYS: make_keys,
}
ASKING = [mode for mode in AuthMode if mode is not AuthMode.NONE]


def test_every_way_is_registered_and_tested() -> None:
    assert set(AUTHENTICATORS) == set(AuthMode) == set(MAKERS)


@pytest.mark.parametrize("mode", AuthMode)
async def test_own_credentials_name_their_user(mode: AuthMode, tmp_path: Path) -> None:
    authenticator, own = MAKERS[mode](tmp_path)
    assert authenticator.mode is mode
    caller = await authenticator.identify(own)
    assert caller == ANYBODY if mode is AuthMode.NONE else caller.user_id == "ann"
    await authenticator.close()


@pytest.mark.parametrize("mode", ASKING)
async def test_request_without_credentials_names_nobody(mode: AuthMode, tmp_path: Path) -> None:
    authenticator, _ = MAKERS[mode](tmp_path)
    with pytest.raises(Unauthenticated) as refused:
        await authenticator.identify(Credentials(headers=(("accept", "*/*"),)))
    assert type(refused.value) is Unauthenticated
    assert authenticator.challenge
    await authenticator.close()


@pytest.mark.parametrize("mode", ASKING)
async def test_header_that_came_twice_is_refused(mode: AuthMode, tmp_path: Path) -> None:
    authenticator, own = MAKERS[mode](tmp_path)
    [(name, value)] = own.headers
    for second in (value, "bob"):
        with pytest.raises(InvalidCredentials, match="Allowed: one"):
            await authenticator.identify(Credentials(headers=((name, value), (name, second))))
    await authenticator.close()


@pytest.mark.parametrize("mode", ASKING)
async def test_refusal_and_repr_show_no_secret(mode: AuthMode, tmp_path: Path) -> None:
    authenticator, own = MAKERS[mode](tmp_path)
    [(name, value)] = own.headers
    assert value not in repr(own)
    with pytest.raises(InvalidCredentials) as refused:
        await authenticator.identify(Credentials(headers=((name, f"{value}!SECRET"),)))
    if mode is not AuthMode.HEADER:  # a user's id is no secret
        assert "SECRET" not in refused.value.message
    await authenticator.close()


@pytest.mark.parametrize("value", ["../ann", "a b", "-ann", "a" * 65, "ann,bob"])
async def test_gateway_names_only_usable_ids(value: str) -> None:
    with pytest.raises(InvalidCredentials, match="not usable as userId"):
        await HeaderAuthenticator("X-User").identify(Credentials(headers=(("x-user", value),)))


async def test_empty_header_names_nobody() -> None:
    with pytest.raises(Unauthenticated):
        await HeaderAuthenticator("X-User").identify(Credentials(headers=(("x-user", ""),)))
