"""The state of a ledger of trials, and how runs that are counted change it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Final

from src.domain.chain_links import ChainLink, digest_keys
from src.domain.trials import NO_TRIALS, LedgerEntry, TrialBatch, TrialSums

LEDGER_BYTES: Final = 1024
"""The bytes of a ledger in a store besides its directions and runs: its names, sums, heads and indexes."""
RUN_BYTES: Final = 512
"""The most bytes of a run's key and link: 510 bytes alone and 272 in a batch, measured in SQLite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialLedgerState:
    """The trials of a user on a symbol, of total and of active returns, and the head of the chain of their entries.

    `runs` is the number of runs counted, and `head` the head of the last one's link; empty before the first. The first
    `unlinked_runs` were counted before links were kept; links go on from `first_head`.

    To bound the store, only sums are kept of the first `reduced_runs`: no keys, no links, no directions. `missing_runs`
    is the most runs that the ledger may lack because its sums were folded into `FoldedLedgers`; 0 if it lacks none.
    """

    total: TrialSums
    active: TrialSums
    head: str
    runs: int = 0
    unlinked_runs: int = 0
    first_head: str = ""
    reduced_runs: int = 0
    missing_runs: int = 0

    @property
    def linkless_runs(self) -> int:
        """Return how many of the first runs have no links."""
        return self.unlinked_runs + self.reduced_runs

    @property
    def is_reduced(self) -> bool:
        """Return whether only sums are kept of all runs."""
        return self.reduced_runs == self.runs and not self.total.slots.size and not self.active.slots.size

    @property
    def size_bytes(self) -> int:
        """Estimate the bytes that the ledger takes in a store, on the high side."""
        directions = 16 * (self.total.slots.size + self.active.slots.size)
        return LEDGER_BYTES + directions + RUN_BYTES * (self.runs - self.reduced_runs)

    def reduce(self) -> TrialLedgerState:
        """Return the state without directions, for a store that drops the keys and links of all runs too.

        Its statistics do not change. A later run that equals one of these counts again.
        """
        return replace(
            self,
            total=self.total.drop_directions(),
            active=self.active.drop_directions(),
            unlinked_runs=0,
            reduced_runs=self.runs,
            first_head=self.head,
        )

    @property
    def is_unnumbered(self) -> bool:
        """Return whether the last writer of this state was a version of the service that keeps no links."""
        return bool(self.head) and not self.runs

    def start_chain(self, runs: int) -> TrialLedgerState:
        """Return the state from which links go on after `runs` runs without links."""
        return replace(self, runs=runs, unlinked_runs=runs, first_head=self.head)

    def count(self, entry: LedgerEntry) -> tuple[TrialLedgerState, ChainLink]:
        """Return the state with one more run, and the run's link."""
        digest = hashlib.sha256(f"{entry.key}\n".encode())
        for trial in (entry.total, entry.active):
            digest.update(b"flat\n" if trial is None else trial.to_bytes())
        after = replace(
            self,
            total=self.total if entry.total is None else self.total.add(entry.total),
            active=self.active if entry.active is None else self.active.add(entry.active),
            runs=self.runs + 1,
        )
        return self._link(after, key=entry.key, entry=digest.hexdigest())

    def count_batch(self, batch: TrialBatch) -> tuple[TrialLedgerState, tuple[ChainLink, ...]]:
        """Return the state with the runs of a batch, and their links; no key may occur twice or be counted already.

        A batch of one run gets the link of a single run; several runs share one link.
        """
        if len(batch) == 0:
            return self, ()
        if len(batch) == 1:
            after, link = self.count(batch.entry(0))
            return after, (link,)
        total, active = batch.total.sums(batch.slots), batch.active.sums(batch.slots)
        after = replace(
            self, total=self.total.merge(total), active=self.active.merge(active), runs=self.runs + len(batch)
        )
        after, link = self._link(after, key=digest_keys(batch.keys), entry=batch.digest(total, active))
        return after, link.spread(batch.keys)

    def add(self, entry: LedgerEntry) -> TrialLedgerState:
        """Return the state with one more run."""
        return self.count(entry)[0]

    def sums_digest(self) -> str:
        """Return the SHA-256 of the sums, in hexadecimal."""
        return hashlib.sha256(self.total.to_bytes() + self.active.to_bytes()).hexdigest()

    def _link(self, after: TrialLedgerState, *, key: str, entry: str) -> tuple[TrialLedgerState, ChainLink]:
        """Return the state after this one with its head, and the link that leads to it."""
        runs = after.runs - self.runs
        link = ChainLink(number=self.runs + 1, key=key, entry=entry, sums=after.sums_digest(), head="", runs=runs)
        link = replace(link, head=link.head_after(self.head))
        return replace(after, head=link.head), link


EMPTY_LEDGER: Final = TrialLedgerState(total=NO_TRIALS, active=NO_TRIALS, head="")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldedLedgers:
    """How many markets' ledgers were removed to bound the store, and how many runs they had counted."""

    markets: int = 0
    runs: int = 0

    def __add__(self, other: FoldedLedgers) -> FoldedLedgers:
        return FoldedLedgers(markets=self.markets + other.markets, runs=self.runs + other.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerUpdate:
    """A ledger before and after runs were counted; both are the same if all of them had been counted before."""

    before: TrialLedgerState
    after: TrialLedgerState
