"""Count the runs of each user on each symbol in MongoDB, whose documents change one by one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pymongo.errors import DuplicateKeyError

from src.domain.errors import StoreUnavailable
from src.domain.trials import EMPTY_LEDGER, LedgerEntry, LedgerUpdate, TrialLedgerState, TrialSums
from src.stores.mongo_connection import MongoDatabase


class MongoTrialLedger:
    """A TrialLedger in a MongoDB database.

    `trials` holds a document for each key, which is pending until the ledger has it; `trial_ledgers` holds the sums, a
    version, and the key that was added last. An entry is counted in this order:

    1. Insert its trial as pending, unless the key exists.
    2. Read the ledger, then the trial. End if the trial is not pending, or if the ledger says that it was added last.
    3. Mark the trial that was added last as counted.
    4. Replace the ledger, if its version is still the one that was read; else go back to 2.
    5. Mark the trial as counted.

    A crash after 4 leaves a trial that is pending although it is counted; the writer of the next one finds its key in
    the ledger and does 5 first. So each key is counted once, without transactions, which a single server does not have.
    """

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._ledgers = database.collection("trial_ledgers")
        self._trials = database.collection("trials")

    async def record(self, entry: LedgerEntry, *, user_id: str, symbol: str) -> LedgerUpdate:
        ledger_id, trial_id = _ledger_id(user_id, symbol), f"{_ledger_id(user_id, symbol)}\n{entry.key}"
        async with self._database.session():
            # A trial that exists was counted, or is being counted, or its writer was stopped before it could.
            with suppress(DuplicateKeyError):
                await self._trials.insert_one({"_id": trial_id, "is_pending": True})
            while True:
                document = await self._ledgers.find_one({"_id": ledger_id})
                state = _read_state(document)
                last = document["last"] if document else None
                if last == trial_id or not await self._is_pending(trial_id):
                    return LedgerUpdate(before=state, after=state)
                if last is not None:
                    await self._mark_as_counted(last)
                after = state.add(entry)
                if await self._replace(ledger_id, document, after, last=trial_id):
                    await self._mark_as_counted(trial_id)
                    return LedgerUpdate(before=state, after=after)

    async def state(self, *, user_id: str, symbol: str) -> TrialLedgerState:
        async with self._database.session():
            return _read_state(await self._ledgers.find_one({"_id": _ledger_id(user_id, symbol)}))

    async def _is_pending(self, trial_id: str) -> bool:
        trial = await self._trials.find_one({"_id": trial_id})
        return trial is not None and bool(trial["is_pending"])

    async def _mark_as_counted(self, trial_id: str) -> None:
        await self._trials.update_one({"_id": trial_id}, {"$set": {"is_pending": False}})

    async def _replace(
        self, ledger_id: str, read: Mapping[str, Any] | None, state: TrialLedgerState, *, last: str
    ) -> bool:
        """Store a ledger's next state; return False if another process has stored one since it was read."""
        fields = {
            "version": 1 if read is None else read["version"] + 1,
            "total": state.total.to_bytes(),
            "active": state.active.to_bytes(),
            "head": state.head,
            "last": last,
        }
        if read is None:
            try:
                await self._ledgers.insert_one({"_id": ledger_id, **fields})
            except DuplicateKeyError:
                return False
            return True
        replaced = await self._ledgers.replace_one({"_id": ledger_id, "version": read["version"]}, fields)
        return bool(replaced.matched_count)


def _ledger_id(user_id: str, symbol: str) -> str:
    # Neither holds a line break, so two ledgers never share an id.
    return f"{user_id}\n{symbol}"


def _read_state(document: Mapping[str, Any] | None) -> TrialLedgerState:
    if document is None:
        return EMPTY_LEDGER
    try:
        return TrialLedgerState(
            total=TrialSums.from_bytes(document["total"]),
            active=TrialSums.from_bytes(document["active"]),
            head=document["head"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StoreUnavailable("The ledger of trials cannot be read: {reason}", reason=str(error)) from error
