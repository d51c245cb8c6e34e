"""Tokens: each way to be wrong has its own error, and no token chooses how it is checked."""

from __future__ import annotations

from typing import Any

import pytest

from src.domain.errors import CredentialsExpired, InvalidCredentials, Unauthenticated
from src.identity.key_sets import KeySet
from src.identity.tokens import TokenAuthenticator
from src.ports.identity import Credentials
from tests.tokens import AUDIENCE, ISSUER, Issuer, encode, key_set, make_ed25519, sign_with_secret

OTHER = Issuer(kid="first")
OUR = Issuer(kid="first")
ED_KEY, ED_JWK = make_ed25519("ed")


async def read() -> bytes:
    return key_set(OUR.jwk, ED_JWK, {"kty": "oct", "kid": "secret", "k": encode(b"published" * 8)})


def authenticator(**settings: Any) -> TokenAuthenticator:
    given = {"issuer": ISSUER, "audience": AUDIENCE, "algorithms": ("RS256", "EdDSA"), "keys": KeySet(read)} | settings
    return TokenAuthenticator(**given)


async def identify(token: str, **settings: Any) -> str | None:
    credentials = Credentials(headers=(("authorization", f"Bearer {token}"),))
    return (await authenticator(**settings).identify(credentials)).user_id


async def test_signed_token_names_its_user() -> None:
    assert await identify(OUR.token(sub="bob@firm")) == "bob@firm"
    assert await identify(OUR.write({"alg": "EdDSA", "kid": "ed"}, {}, ED_KEY.sign)) == "ann"
    assert await identify(OUR.token(sub=None, email="c@d"), user_claim="email") == "c@d"
    assert await identify(OUR.token(aud=["other", AUDIENCE])) == "ann"


BAD: dict[str, tuple[str, str]] = {
    "unsigned": (OUR.write({"alg": "none"}, {}, lambda _: b""), "The token is not signed (alg none)."),
    "unsigned, spelled otherwise": (
        OUR.write({"alg": "nOnE"}, {}, lambda _: b""),
        "The token is not signed (alg none).",
    ),
    "empty signature": (OUR.write({}, {}, lambda _: b""), "The token's signature does not fit."),
    "HMAC with the public key": (
        OUR.write({"alg": "HS256"}, {}, sign_with_secret(OUR.pem)),
        "The token's algorithm is 'HS256'. Allowed: RS256, EdDSA.",
    ),
    "HMAC under an asymmetric name": (
        OUR.write({}, {}, sign_with_secret(OUR.pem)),
        "The token's signature does not fit.",
    ),
    "HMAC with a published secret": (
        OUR.write({"kid": "secret"}, {}, sign_with_secret(b"published" * 8)),
        "The token is signed with a key that the issuer does not publish (kid).",
    ),
    "algorithm of another kind of key": (
        OUR.write({"alg": "EdDSA"}, {}, OUR.sign),
        "The token's algorithm does not fit its key.",
    ),
    "algorithm that is not set": (
        OUR.write({"alg": "RS512"}, {}, OUR.sign),
        "The token's algorithm is 'RS512'. Allowed: RS256, EdDSA.",
    ),
    "key of another issuer": (OTHER.token(), "The token's signature does not fit."),
    "unknown key": (
        Issuer(kid="new").token(),
        "The token is signed with a key that the issuer does not publish (kid).",
    ),
    "key in the token": (
        OTHER.token(header={"kid": None, "jwk": OTHER.jwk}),
        "The token does not name its key (kid).",
    ),
    "other audience": (OUR.token(aud="shop"), "The token is for another audience (aud)."),
    "other issuer": (OUR.token(iss="https://evil.test/"), "The token is from another issuer (iss)."),
    "not valid yet": (OUR.token(nbf=3_900_000_000), "The token is not valid yet (nbf or iat)."),
    "no expiry": (
        OUR.token(exp=None),
        "The token lacks a claim. Required: exp, iss, aud and the claim with the user.",
    ),
    "no user": (
        OUR.token(sub=None),
        "The token lacks a claim. Required: exp, iss, aud and the claim with the user.",
    ),
    "user of another shape": (
        OUR.token(sub="../bob"),
        "The token's claim 'sub' is not usable as userId: userId is '../bob'. Allowed: 1 to 64 characters of A-Z a-z "
        "0-9 _ . @ -, the first a letter or digit.",
    ),
    "no token": ("abc", "The token is not a signed JWT of three parts."),
    "changed claims": (
        OUR.token().split(".")[0] + "." + OUR.token(sub="bob").split(".")[1] + "." + OUR.token().split(".")[2],
        "The token's signature does not fit.",
    ),
}


@pytest.mark.parametrize("case", BAD)
async def test_bad_token_has_its_own_error(case: str) -> None:
    token, message = BAD[case]
    with pytest.raises(InvalidCredentials) as refused:
        await identify(token)
    assert refused.value.message == message
    assert token.rpartition(".")[2] not in refused.value.message or not token.rpartition(".")[2]


async def test_expired_token_has_a_code_of_its_own() -> None:
    with pytest.raises(CredentialsExpired, match="has expired"):
        await identify(OUR.token(exp=1_600_000_000))


async def test_user_claim_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidCredentials, match="is not text"):
        await identify(OUR.token(uid=5), user_claim="uid")


async def test_algorithm_of_the_key_set_binds_the_key() -> None:
    async def read_bound() -> bytes:
        return key_set({**OUR.jwk, "alg": "PS256"})

    with pytest.raises(InvalidCredentials, match="does not fit its key"):
        await identify(OUR.token(), keys=KeySet(read_bound))


async def test_request_without_token_names_nobody() -> None:
    with pytest.raises(Unauthenticated, match="has no token") as refused:
        await authenticator().identify(Credentials())
    assert type(refused.value) is Unauthenticated


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ([("authorization", "Basic YTpi")], "The header Authorization is not 'Bearer' and a key or token."),
        ([("authorization", "Bearer")], "The header Authorization is not 'Bearer' and a key or token."),
        ([("authorization", "Bearer a"), ("authorization", "Bearer b")], "2 headers 'authorization'"),
        ([("authorization", "Bearer " + "a" * 20_000)], "The header Authorization is too long. Maximum: 16384."),
    ],
)
async def test_authorization_that_is_no_bearer_is_refused(headers: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(InvalidCredentials) as refused:
        await authenticator().identify(Credentials(headers=tuple(headers)))
    assert message in refused.value.message
    assert "YTpi" not in refused.value.message
