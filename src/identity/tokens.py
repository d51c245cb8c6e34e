"""AUTH=jwt: a token (JWT, RFC 7519) that an issuer signed with a key of its published key set names the user.

Rules, in order: 1. the token's algorithm is one of those in the settings, which are asymmetric: the token does not
choose how it is checked; 2. its key (`kid`) is in the issuer's key set, and of the kind that the algorithm needs; 3.
the signature fits; 4. issuer, audience and times fit; 5. the claim that names the user is usable as userId.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Final

import jwt

from src.domain.error_text import quote
from src.domain.errors import CredentialsExpired, InvalidCredentials, InvalidInput, Unauthenticated
from src.domain.identity import AuthMode, Caller
from src.domain.model_files import check_user_id
from src.identity.bearer import read_bearer
from src.identity.key_sets import Jwk, KeySet
from src.ports.identity import Credentials

LEEWAY_S: Final = 30.0
"""Seconds by which the issuer's clock and ours may differ."""

_EXPLAINED: Final[Sequence[tuple[type[jwt.PyJWTError], str]]] = (
    (jwt.ImmatureSignatureError, "The token is not valid yet (nbf or iat)."),
    (jwt.InvalidAudienceError, "The token is for another audience (aud)."),
    (jwt.InvalidIssuerError, "The token is from another issuer (iss)."),
    (jwt.InvalidSignatureError, "The token's signature does not fit."),
    (jwt.InvalidKeyError, "The token's algorithm does not fit its key."),
    (jwt.MissingRequiredClaimError, "The token lacks a claim. Required: exp, iss, aud and the claim with the user."),
)
"""What is wrong with a token, most specific first."""


class TokenAuthenticator:
    """Accepts tokens of one issuer for one audience; `user_claim` is the claim that holds the user's id."""

    mode: ClassVar = AuthMode.JWT
    challenge: ClassVar = 'Bearer realm="backtesting"'

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        algorithms: Sequence[str],
        keys: KeySet,
        user_claim: str = "sub",
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._algorithms = tuple(algorithms)
        self._keys = keys
        self._user_claim = user_claim
        self._close = close

    async def identify(self, credentials: Credentials) -> Caller:
        token = read_bearer(credentials)
        if token is None:
            raise Unauthenticated("The request has no token. Send it as 'Authorization: Bearer' and the token.")
        algorithm, kid = self._read_header(token)
        key = await self._keys.find(kid)
        if key is None:
            raise InvalidCredentials("The token is signed with a key that the issuer does not publish (kid).")
        user_id = self._verify(token, algorithm, key)[self._user_claim]
        if not isinstance(user_id, str):
            raise InvalidCredentials("The token's claim {claim!r} is not text.", claim=self._user_claim)
        try:
            return Caller(user_id=check_user_id(user_id))
        except InvalidInput as error:
            raise InvalidCredentials(
                "The token's claim {claim!r} is not usable as userId: {reason}",
                claim=self._user_claim,
                reason=error.message,
            ) from error

    async def close(self) -> None:
        await self._keys.close()
        if self._close is not None:
            await self._close()

    def _read_header(self, token: str) -> tuple[str, str]:
        """Return the token's algorithm, which is an allowed one, and the id of its key."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise InvalidCredentials("The token is not a signed JWT of three parts.") from error
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm.lower() == "none":
            raise InvalidCredentials("The token is not signed (alg none).")
        if algorithm not in self._algorithms:
            raise InvalidCredentials(
                "The token's algorithm is {got}. Allowed: {allowed}.", got=quote(algorithm), allowed=self._algorithms
            )
        if not isinstance(kid, str):
            raise InvalidCredentials("The token does not name its key (kid).")
        return algorithm, kid

    def _verify(self, token: str, algorithm: str, key: Jwk) -> dict[str, Any]:
        if key.get("alg", algorithm) != algorithm:
            raise InvalidCredentials("The token's algorithm does not fit its key.")
        try:
            found: dict[str, Any] = jwt.decode(
                token,
                jwt.PyJWK(dict(key), algorithm=algorithm),
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", self._user_claim], "enforce_minimum_key_length": True},
            )
        except jwt.ExpiredSignatureError as error:
            raise CredentialsExpired("The token has expired.") from error
        except jwt.PyJWTError as error:
            # Some texts of these errors repeat parts of the token.
            text = next((text for kind, text in _EXPLAINED if isinstance(error, kind)), "The token cannot be read.")
            raise InvalidCredentials(text) from error
        return found
