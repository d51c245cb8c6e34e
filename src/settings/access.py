"""Which pages and requests are accepted, and how users are identified."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationInfo, field_validator
from pydantic_settings import NoDecode

from src.domain.error_text import quote
from src.domain.identity import AuthMode
from src.settings.letters import LOWERCASE

_HOST_NAME: Final = re.compile(r"\*|(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|[0-9a-f:]*:[0-9a-f:.]*")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_NOT_FOR_USERS: Final = frozenset({"authorization", "cookie", "host", "origin", "x-api-key"})
_TOKEN_SETTINGS: Final = ("jwt_issuer", "jwt_audience", "jwt_jwks")

TokenAlgorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class AccessSettings(BaseModel):
    """Web origins, host names, and the ways to identify users."""

    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (
            "http://localhost:*",
            "http://127.0.0.1:*",
            "http://[::1]:*",
            "https://localhost:*",
            "https://127.0.0.1:*",
            "https://[::1]:*",
        ),
        description="Web origins whose pages may use the API, comma-separated, ':*' for any port; '*' for all, "
        "'none' for none.",
    )
    allowed_hosts: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        None,
        description="Host names that requests may name, comma-separated, '*.name' for all below one, '*' for all; "
        "by default loopback names while HOST is a loopback address, else all.",
    )
    auth_header: str = Field(
        "X-Forwarded-User", description="Header in which the gateway names the user; only with AUTH=header."
    )
    jwt_issuer: str | None = Field(None, description="Issuer (iss) whose tokens are accepted; for AUTH=jwt.")
    jwt_audience: str | None = Field(None, description="Audience (aud) that tokens must be for; for AUTH=jwt.")
    jwt_jwks: str | None = Field(
        None, description="File or https:// address of the issuer's public keys (JWKS); for AUTH=jwt."
    )
    jwt_algorithms: Annotated[tuple[TokenAlgorithm, ...], NoDecode] = Field(
        ("RS256", "ES256", "EdDSA"), description="Signatures of tokens that are accepted, comma-separated."
    )
    jwt_user_claim: str = Field(
        "sub", min_length=1, max_length=100, description="Claim of tokens that holds the user's id."
    )
    auth: Annotated[AuthMode, LOWERCASE] = Field(
        AuthMode.NONE,
        description="How the service knows who asks: none (anybody acts as every user), header, jwt or keys.",
    )

    @field_validator("cors_origins", "allowed_hosts", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        parts = tuple(part.strip().rstrip("/").lower() for part in value.split(",") if part.strip())
        return () if parts == ("none",) else parts

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            parts = urlsplit(origin)
            is_origin = (
                parts.scheme in {"http", "https"} and parts.hostname and origin == f"{parts.scheme}://{parts.netloc}"
            )
            if origin not in {"*", "null"} and not is_origin:
                raise ValueError(
                    f"scheme://host, scheme://host:port, scheme://host:*, null, * or none (not {quote(origin)})"
                )
        return origins

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if hosts == ():
            raise ValueError("host names, or * for all")
        for host in hosts or ():
            if not _HOST_NAME.fullmatch(host):
                raise ValueError(f"names or addresses without port, *.name, or * (not {quote(host)})")
        return hosts

    @field_validator("jwt_algorithms", mode="before")
    @classmethod
    def _split_algorithms(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("auth_header")
    @classmethod
    def _is_header_name(cls, name: str) -> str:
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _NOT_FOR_USERS:
            raise ValueError(f"the name of a header, not {', '.join(sorted(_NOT_FOR_USERS))}")
        return name

    @field_validator("jwt_jwks")
    @classmethod
    def _is_key_set(cls, place: str | None) -> str | None:
        if place is None or Path(place).is_file():
            return place
        parts = urlsplit(place)
        is_local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
        if parts.scheme == "https" or (parts.scheme == "http" and is_local):
            return place
        # A machine that can change the keys in transit can sign tokens.
        raise ValueError("a file that exists, an https:// address, or http:// of this machine")

    @field_validator("auth")
    @classmethod
    def _has_its_settings(cls, mode: AuthMode, info: ValidationInfo) -> AuthMode:
        lacking = [name.upper() for name in _TOKEN_SETTINGS if not info.data.get(name)]
        if mode is AuthMode.JWT and lacking:
            raise ValueError(f"jwt only together with {', '.join(lacking)}; or none, header, keys")
        return mode

    @property
    def checks_secrets(self) -> bool:
        """Whether requests carry keys or tokens that a client could try to guess."""
        return self.auth in {AuthMode.KEYS, AuthMode.JWT}
