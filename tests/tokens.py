"""An issuer of tokens for tests: keys made here, tokens written by hand, without the library that checks them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ISSUER = "https://issuer.test/"
AUDIENCE = "backtesting"
NOW_S = 1_700_000_000


def encode(content: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def number(value: int) -> str:
    """Return a number as a JWK writes it."""
    return encode(value.to_bytes((value.bit_length() + 7) // 8))


@dataclass
class Issuer:
    """Signs with one RSA key, `kid`."""

    kid: str = "first"
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    @property
    def jwk(self) -> dict[str, str]:
        public = self.key.public_key().public_numbers()
        return {"kty": "RSA", "kid": self.kid, "use": "sig", "n": number(public.n), "e": number(public.e)}

    @property
    def pem(self) -> bytes:
        """The public key, which an attacker has too."""
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, signed: bytes) -> bytes:
        return self.key.sign(signed, padding.PKCS1v15(), hashes.SHA256())

    def token(self, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Return a token for ann; a header or claim of None is left out."""
        return self.write(header or {}, claims, self.sign)

    def write(self, header: dict[str, Any], claims: dict[str, Any], sign: Any) -> str:
        """Return a token with a signature that `sign` makes."""
        whole = {"alg": "RS256", "typ": "JWT", "kid": self.kid, **header}
        body = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": 4_000_000_000, **claims}
        parts = [
            encode(json.dumps({k: v for k, v in part.items() if v is not None}).encode()) for part in (whole, body)
        ]
        signed = ".".join(parts)
        return f"{signed}.{encode(sign(signed.encode()))}"


def key_set(*jwks: dict[str, str]) -> bytes:
    return json.dumps({"keys": jwks}).encode()


def sign_with_secret(secret: bytes) -> Any:
    """Return what signs with HMAC-SHA-256."""
    return lambda signed: hmac.new(secret, signed, hashlib.sha256).digest()


def make_ed25519(kid: str) -> tuple[Ed25519PrivateKey, dict[str, str]]:
    """Return a key of the other kind, and its JWK."""
    key = Ed25519PrivateKey.generate()
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return key, {"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": encode(raw)}
