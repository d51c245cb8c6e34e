"""Count the runs of each user on each symbol in MongoDB, whose documents change one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from pymongo.errors import DuplicateKeyError

from src.domain.errors import StoreUnavailable
from src.domain.trials import EMPTY_LEDGER, ChainLink, LedgerEntry, LedgerUpdate, TrialLedgerState, TrialSums
from src.stores.mongo_connection import MongoDatabase


class MongoTrialLedger:
    """A TrialLedger in a MongoDB database.

    `trials` holds a document for each key, which is pending until the ledger has it; `trial_ledgers` holds the sums, a
    version, and the key that was added last with its link. An entry is counted in this order:

    1. Insert its trial as pending, unless the key exists.
    2. Read the ledger, then the trial. End if the trial is not pending, or if the ledger says that it was added last.
    3. Mark the trial that was added last as counted, with its link.
    4. Replace the ledger, if its version is still the one that was read; else go back to 2.
    5. Mark the trial as counted, with its link.

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
                    await self._mark_as_counted(last, ledger_id, document.get("link"))
                if document is not None and "runs" not in document:
                    state = await self._number(ledger_id, state)
                after, link = state.count(entry)
                if await self._replace(ledger_id, document, after, last=trial_id, link=asdict(link)):
                    await self._mark_as_counted(trial_id, ledger_id, asdict(link))
                    return LedgerUpdate(before=state, after=after)

    async def state(self, *, user_id: str, symbol: str) -> TrialLedgerState:
        async with self._database.session():
            return _read_state(await self._ledgers.find_one({"_id": _ledger_id(user_id, symbol)}))

    async def links(self, *, user_id: str, symbol: str, after: int, limit: int) -> Sequence[ChainLink]:
        ledger_id = _ledger_id(user_id, symbol)
        async with self._database.session():
            await self._trials.create_index([("ledger", 1), ("link.number", 1)])
            query = {"ledger": ledger_id, "link.number": {"$gt": after}}
            found = await self._trials.find(query).sort("link.number", 1).limit(limit).to_list(None)
            links = [document["link"] for document in found]
            if not links:
                # A crash after step 4 leaves the last link in the ledger only.
                ledger = await self._ledgers.find_one({"_id": ledger_id}) or {}
                link = ledger.get("link")
                if link is not None and link["number"] > after and await self._is_pending(ledger["last"]):
                    links = [link]
        try:
            return [ChainLink(**link) for link in links]
        except TypeError as error:
            raise StoreUnavailable("The ledger of trials cannot be read: {reason}", reason=str(error)) from error

    async def _number(self, ledger_id: str, state: TrialLedgerState) -> TrialLedgerState:
        """Return the state of a ledger from before links were kept, with the number of its runs."""
        # The next character after the line break ends the range of the ids of this ledger's trials.
        ids = {"$gt": f"{ledger_id}\n", "$lt": f"{ledger_id}\v"}
        runs = await self._trials.count_documents({"_id": ids, "is_pending": False})
        return replace(state, runs=runs, unlinked_runs=runs, first_head=state.head)

    async def _is_pending(self, trial_id: str) -> bool:
        trial = await self._trials.find_one({"_id": trial_id})
        return trial is not None and bool(trial["is_pending"])

    async def _mark_as_counted(self, trial_id: str, ledger_id: str, link: Mapping[str, Any] | None) -> None:
        chained = {} if link is None else {"ledger": ledger_id, "link": link}
        await self._trials.update_one({"_id": trial_id, "is_pending": True}, {"$set": {"is_pending": False, **chained}})

    async def _replace(
        self,
        ledger_id: str,
        read: Mapping[str, Any] | None,
        state: TrialLedgerState,
        *,
        last: str,
        link: Mapping[str, Any],
    ) -> bool:
        """Store a ledger's next state; return False if another process has stored one since it was read."""
        fields = {
            "version": 1 if read is None else read["version"] + 1,
            "total": state.total.to_bytes(),
            "active": state.active.to_bytes(),
            "head": state.head,
            "last": last,
            "link": link,
            "runs": state.runs,
            "unlinked_runs": state.unlinked_runs,
            "first_head": state.first_head,
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
            runs=document.get("runs", 0),
            unlinked_runs=document.get("unlinked_runs", 0),
            first_head=document.get("first_head", document["head"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StoreUnavailable("The ledger of trials cannot be read: {reason}", reason=str(error)) from error
