"""Keep the service's Ed25519 key, which signs receipts, in a file that all workers share."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from src.domain.errors import StoreUnavailable
from src.files.unfinished import open_in_folder, remove_unfinished, unfinished_name
from src.files.writing import sync, write_synced

KEYS_FOLDER: Final = ".keys"
"""Inside the storage folder; no user's folder begins with a dot."""

KEY_FILE: Final = "receipts.pem"
RETIRED_KEYS: Final = "retired-*.pem"
"""Public keys that signed earlier receipts, in PEM."""

_MAX_KEY_BYTES: Final = 16 * 1024


class FileSigner:
    """A Signer whose private key is `folder/receipts.pem` (PKCS #8, mode 0600), created by the first `open`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key: Ed25519PrivateKey | None = None
        self._public_keys: tuple[Mapping[str, str], ...] = ()

    def open(self) -> None:
        """Read the keys, and create the private one if there is none; of several processes one creates it.

        Raises StoreUnavailable naming the file if a key cannot be read or written.
        """
        path = self._folder / KEY_FILE
        try:
            self._folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.path.lexists(path):
                _create_key(path)
            remove_unfinished(self._folder.iterdir())
            retired_files = sorted(self._folder.glob(RETIRED_KEYS))
        except OSError as error:
            raise _unusable(path, error.strerror or "it cannot be created") from error
        key = _read_private_key(path)
        found = [_to_jwk(key.public_key()), *(_to_jwk(_read_public_key(file)) for file in retired_files)]
        self._public_keys = tuple({jwk["kid"]: jwk for jwk in found}.values())
        self._key = key

    @property
    def key_id(self) -> str:
        return self.public_keys[0]["kid"]

    @property
    def public_keys(self) -> Sequence[Mapping[str, str]]:
        if not self._public_keys:
            raise StoreUnavailable("The key that signs receipts is not open.")
        return self._public_keys

    def sign(self, content: bytes) -> str:
        if self._key is None:
            raise StoreUnavailable("The key that signs receipts is not open.")
        return _base64url(self._key.sign(content))


def _create_key(path: Path) -> None:
    content = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = path.with_name(unfinished_name())
    try:
        with os.fdopen(open_in_folder(draft), "wb") as stream:
            write_synced(stream, content)
        try:
            # Unlike a rename, a link never replaces the key of a process that was faster.
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink(missing_ok=True)
    sync(path.parent)
    sync(path.parent.parent)


def _read_private_key(path: Path) -> Ed25519PrivateKey:
    content = _read(path)
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without its cause, which may quote the content.
        raise _unusable(path, "it holds no private key in PEM without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(path, "its key is not an Ed25519 key")
    return key


def _read_public_key(path: Path) -> Ed25519PublicKey:
    content = _read(path)
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise _unusable(path, "it holds no public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise _unusable(path, "its key is not an Ed25519 key")
    return key


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_KEY_BYTES)
    except OSError as error:
        raise _unusable(path, error.strerror or "it cannot be read") from error


def _to_jwk(key: Ed25519PublicKey) -> dict[str, str]:
    """Return a public key as RFC 8037 writes it; its id is its thumbprint by RFC 7638."""
    x = _base64url(key.public_bytes(Encoding.Raw, PublicFormat.Raw))
    thumbprint = hashlib.sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest()
    return {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": _base64url(thumbprint), "use": "sig", "alg": "EdDSA"}


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _unusable(path: Path, reason: str) -> StoreUnavailable:
    return StoreUnavailable(
        "The key file {path} cannot be used: {reason}. Restore it from a backup, or move it away so that a new key is "
        "created.",
        path=str(path),
        reason=reason,
    )
