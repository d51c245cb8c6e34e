"""A ledger of trials in memory, for tests of what uses one."""

from __future__ import annotations

from collections.abc import Sequence

from src.domain.chain_links import ChainLink
from src.domain.trial_states import EMPTY_LEDGER, FoldedLedgers, LedgerUpdate, TrialLedgerState
from src.domain.trials import LedgerEntry, TrialBatch


class MemoryLedger:
    """A `TrialLedger` that forgets."""

    def __init__(self) -> None:
        self.states: dict[tuple[str, str], TrialLedgerState] = {}
        self.chains: dict[tuple[str, str], list[ChainLink]] = {}
        self.keys: set[tuple[str, str, str]] = set()

    async def record(self, entry: LedgerEntry, *, user_id: str, symbol: str) -> LedgerUpdate:
        before = await self.state(user_id=user_id, symbol=symbol)
        if (user_id, symbol, entry.key) in self.keys:
            return LedgerUpdate(before=before, after=before)
        self.keys.add((user_id, symbol, entry.key))
        after, link = before.count(entry)
        self.states[user_id, symbol] = after
        self.chains.setdefault((user_id, symbol), []).append(link)
        return LedgerUpdate(before=before, after=after)

    async def record_batch(self, batch: TrialBatch, *, user_id: str, symbol: str) -> LedgerUpdate:
        before = await self.state(user_id=user_id, symbol=symbol)
        new = batch.without({key for user, name, key in self.keys if (user, name) == (user_id, symbol)})
        self.keys.update((user_id, symbol, key) for key in new.keys)
        after, links = before.count_batch(new)
        self.states[user_id, symbol] = after
        self.chains.setdefault((user_id, symbol), []).extend(links)
        return LedgerUpdate(before=before, after=after)

    async def state(self, *, user_id: str, symbol: str) -> TrialLedgerState:
        return self.states.get((user_id, symbol), EMPTY_LEDGER)

    async def links(self, *, user_id: str, symbol: str, after: int, limit: int) -> Sequence[ChainLink]:
        return [link for link in self.chains.get((user_id, symbol), []) if link.number > after][:limit]

    async def count_unlinked(self, *, user_id: str, symbol: str) -> int:
        return 0

    async def keeps_all_links(self) -> bool:
        return True

    async def count_folded(self, *, user_id: str | None) -> FoldedLedgers:
        return FoldedLedgers()

    async def next_ledger(self, after: tuple[str, str] | None, *, user_id: str | None) -> tuple[str, str] | None:
        names = [name for name in self.states if after is None or name > after]
        return min((name for name in names if user_id in (None, name[0])), default=None)
