"""The signer of receipts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Signer(Protocol):
    """Signs with the service's Ed25519 key, which all workers share and a restart keeps."""

    @property
    def key_id(self) -> str:
        """The id of the present key; raises StoreUnavailable before the key is open, as the others do."""
        ...

    @property
    def public_keys(self) -> Sequence[Mapping[str, str]]:
        """The public keys as JWKs: the present one first, then the retired ones."""
        ...

    def sign(self, content: bytes) -> str:
        """Return the signature, base64url without padding."""
        ...
