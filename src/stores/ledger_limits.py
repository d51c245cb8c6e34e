"""Limit the size of the ledgers of trials, per user and of all users, in the same way for every store.

The ledgers that have been without a new run for longest shrink first, in one of two ways:

1. A full ledger is reduced to its sums: it keeps no directions, keys and links, and no statistic of it changes.
2. Once reduced ledgers take over 1/4 of the limit, they are folded: the sums are removed, those of simulated markets
   before those of real ones, and their runs are counted in `FoldedLedgers`. So markets in use keep full ledgers,
   however many others were made up.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from src.domain.chain_links import ChainLink
from src.domain.trial_states import FoldedLedgers, LedgerUpdate, TrialLedgerState
from src.domain.trials import LedgerEntry, TrialBatch
from src.ports.stores import TrialLedger

EVERYBODY: Final = ""
"""The owner of ledgers that are folded at the limit of all users; no user has this id."""
_SLACK: Final = 8
"""A scope that is over its limit shrinks to 7/8 of it, and is measured again after 1/8 of what is left: measuring all
ledgers for each run would take as long as counting it."""
_REDUCED_PART: Final = 4
"""Reduced ledgers may take 1/4 of a limit."""
_MAX_KNOWN_USERS: Final = 10_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerQuota:
    """Bytes of the ledgers of one user, and of all users."""

    max_bytes_per_user: int
    max_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSizes:
    """Bytes of full ledgers and of reduced ones (`TrialLedgerState.size_bytes`)."""

    full: int
    reduced: int


class ShrinkableLedger(TrialLedger, Protocol):
    """A TrialLedger whose ledgers can be made smaller; `user_id` None means all users."""

    async def measure(self, user_id: str | None) -> LedgerSizes:
        """Return the sizes of ledgers."""
        ...

    async def reduce_oldest(self, user_id: str | None) -> LedgerSizes | None:
        """Reduce the full ledger without a new run for longest; return its sizes before and after, None without one.

        A crash leaves it as it was, or reduced.
        """
        ...

    async def fold_oldest(self, user_id: str | None) -> LedgerSizes | None:
        """Remove the next reduced ledger and count its runs for the user, or for `EVERYBODY`; None if there is none.

        After a crash at least as many runs are counted as were removed.
        """
        ...


class BoundedTrialLedger:
    """A TrialLedger that shrinks ledgers after a run is counted, if they are over a quota.

    Each process measures on its own, so several processes exceed a limit by at most 1/8 for each one beyond the first.
    """

    def __init__(self, ledger: ShrinkableLedger, quota: LedgerQuota) -> None:
        self._ledger = ledger
        self._quota = quota
        self._left: OrderedDict[str, int] = OrderedDict()
        self._shrinking = asyncio.Lock()

    async def record(self, entry: LedgerEntry, *, user_id: str, symbol: str) -> LedgerUpdate:
        update = await self._ledger.record(entry, user_id=user_id, symbol=symbol)
        await self._shrink(user_id, update)
        return update

    async def record_batch(self, batch: TrialBatch, *, user_id: str, symbol: str) -> LedgerUpdate:
        update = await self._ledger.record_batch(batch, user_id=user_id, symbol=symbol)
        await self._shrink(user_id, update)
        return update

    async def _shrink(self, user_id: str, update: LedgerUpdate) -> None:
        """Shrink the user's ledgers, and then those of all, if the run that was counted brings them over a limit."""
        grown = update.after.size_bytes - (update.before.size_bytes if update.before.runs else 0)
        if not grown:
            return
        for scope, limit in ((user_id, self._quota.max_bytes_per_user), (None, self._quota.max_bytes)):
            key = EVERYBODY if scope is None else scope
            left = self._left.pop(key, 0) - grown
            if left <= 0:
                async with self._shrinking:  # two at once would shrink twice as much
                    left = await self._shrink_to(scope, limit)
            self._left[key] = left
        while len(self._left) > _MAX_KNOWN_USERS:
            self._left.popitem(last=False)

    async def _shrink_to(self, user_id: str | None, limit: int) -> int:
        """Measure ledgers and shrink those over a limit; return how much they may grow before the next measurement."""
        sizes = await self._ledger.measure(user_id)
        full, reduced, counts = sizes.full, sizes.reduced, [0, 0]
        if full + reduced > limit:
            while full + reduced > limit - limit // _SLACK:
                folds = not full or reduced > limit // _REDUCED_PART
                shrink = self._ledger.fold_oldest if folds else self._ledger.reduce_oldest
                if (found := await shrink(user_id)) is None:
                    break  # other processes have shrunk them
                full, reduced = full - found.full, reduced + (-found.reduced if folds else found.reduced)
                counts[folds] += 1
            logger.info("ledgers shrunk: scope=%s reduced=%d folded=%d", "user" if user_id else "all", *counts)
        return (limit - full - reduced) // _SLACK

    async def state(self, *, user_id: str, symbol: str) -> TrialLedgerState:
        return await self._ledger.state(user_id=user_id, symbol=symbol)

    async def links(self, *, user_id: str, symbol: str, after: int, limit: int) -> Sequence[ChainLink]:
        return await self._ledger.links(user_id=user_id, symbol=symbol, after=after, limit=limit)

    async def count_unlinked(self, *, user_id: str, symbol: str) -> int:
        return await self._ledger.count_unlinked(user_id=user_id, symbol=symbol)

    async def keeps_all_links(self) -> bool:
        return await self._ledger.keeps_all_links()

    async def count_folded(self, *, user_id: str | None) -> FoldedLedgers:
        return await self._ledger.count_folded(user_id=user_id)

    async def next_ledger(self, after: tuple[str, str] | None, *, user_id: str | None) -> tuple[str, str] | None:
        return await self._ledger.next_ledger(after, user_id=user_id)
