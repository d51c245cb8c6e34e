"""The links of a ledger's chain: one for each run that was counted alone, one for each batch of runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

LOWEST_NUMBER: Final = -(2**63)
"""Below the number of any link, even of one that was added by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainLink:
    """One counted run in the chain of a ledger.

    `number` is 1 for the ledger's first run. `entry` is the SHA-256 of the key and of both trials' bytes, `sums` that
    of the ledger's sums after the run, and `head` that of the previous head and of all other fields; in hexadecimal.

    Runs that were counted in one batch share the link of the first one: `runs` is their number, `entry` is
    `TrialBatch.digest`, and the head is made from `digest_keys` of all of them instead of the key. Each other link of
    the batch has 0 `runs`, a number and a key, and is otherwise empty.
    """

    number: int
    key: str
    entry: str
    sums: str
    head: str
    runs: int = 1

    def head_after(self, before: str) -> str:
        """Return the head that this link must have after the head `before`; for a batch, see `join`."""
        text = f"{before}\n{self.number}\n{self.key}\n{self.entry}\n{self.sums}\n"
        if self.runs != 1:
            text += f"{self.runs}\n"
        return hashlib.sha256(text.encode()).hexdigest()

    def join(self, keys: Iterable[str]) -> ChainLink:
        """Return a batch's link with the digest of all its keys as its key, so that its head can be computed."""
        return replace(self, key=digest_keys(keys))

    def spread(self, keys: Sequence[str]) -> tuple[ChainLink, ...]:
        """Return the links of a batch as they are stored: this one with the first key, and the others' own."""
        others = (
            ChainLink(number=number, key=key, entry="", sums="", head="", runs=0)
            for number, key in enumerate(keys[1:], start=self.number + 1)
        )
        return replace(self, key=keys[0]), *others


def digest_keys(keys: Iterable[str]) -> str:
    """Return the SHA-256 of keys, which hold no line breaks, in this order; in hexadecimal."""
    digest = hashlib.sha256()
    for key in keys:
        digest.update(f"{key}\n".encode())
    return digest.hexdigest()
