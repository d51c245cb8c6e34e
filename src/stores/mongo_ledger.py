"""Count the runs of each user on each symbol in MongoDB, whose documents change one by one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from pymongo.errors import BulkWriteError, DuplicateKeyError

from src.domain.chain_links import LOWEST_NUMBER, ChainLink
from src.domain.trial_states import EMPTY_LEDGER, LedgerUpdate, TrialLedgerState
from src.domain.trials import LedgerEntry, TrialBatch
from src.stores.ledger_fields import read_state, unreadable
from src.stores.mongo_connection import MongoDatabase

TRIALS: Final = "trials"
TRIALS_IN_ORDER: Final = [("ledger", 1), ("link.number", 1)]
"""The index of the collection `TRIALS` that `links` reads."""


_BATCH_STEP: Final = 1000
"""Keys that one command finds or inserts."""
_DUPLICATE: Final = 11000
"""MongoDB's code of the error that an `_id` exists."""


class MongoTrialLedger:
    """A TrialLedger in a MongoDB database.

    `trials` holds a document for each key, which is pending until the ledger has it; `trial_ledgers` holds the sums, a
    version, and the key that was added last with its link. A key stands in its document's `_id` only, as the link's
    other fields are of no use under another key. An entry is counted in this order:

    1. Insert its trial as pending, unless the key exists.
    2. Read the ledger, finish its batch, and read the trial. End if the trial is not pending, or if the ledger says
       that it was added last.
    3. Mark the trial that was added last as counted, with its link.
    4. Replace the ledger, if its version is still the one that was read; else go back to 2.
    5. Mark the trial as counted, with its link.

    A crash after 4 leaves a trial that is pending although it is counted; the writer of the next one finds its key in
    the ledger and does 5 first. So each key is counted once, without transactions, which a single server does not have.

    A batch is counted in this order:

    1. Read the ledger, finish its batch, and mark the trial that was added last as counted.
    2. Find which keys are counted; end if all are.
    3. Replace the ledger, if its version is still the one that was read; else go back to 1. It now holds all keys of
       the batch too.
    4. Finish the batch: insert its trials as counted, mark those that are pending, and remove its keys from the ledger.
    """

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._ledgers = database.collection("trial_ledgers")
        self._trials = database.collection(TRIALS)

    async def record(self, entry: LedgerEntry, *, user_id: str, symbol: str) -> LedgerUpdate:
        ledger_id, trial_id = _ledger_id(user_id, symbol), f"{_ledger_id(user_id, symbol)}\n{entry.key}"
        async with self._database.session():
            # A trial that exists was counted, or is being counted, or its writer was stopped before it could.
            with suppress(DuplicateKeyError):
                await self._trials.insert_one({"_id": trial_id, "is_pending": True})
            while True:
                document = await self._ledgers.find_one({"_id": ledger_id})
                state = _read_state(document)
                await self._finish_batch(ledger_id, document)
                last = document["last"] if document else None
                if last == trial_id or not await self._is_pending(trial_id):
                    return LedgerUpdate(before=state, after=state)
                await self._mark_last(ledger_id, document)
                state = await self._start_chain(ledger_id, state)
                after, link = state.count(entry)
                if await self._replace(ledger_id, document, after, link) is not None:
                    await self._mark_as_counted(trial_id, ledger_id, _to_fields(link))
                    return LedgerUpdate(before=state, after=after)

    async def record_batch(self, batch: TrialBatch, *, user_id: str, symbol: str) -> LedgerUpdate:
        ledger_id = _ledger_id(user_id, symbol)
        async with self._database.session():
            while True:
                document = await self._ledgers.find_one({"_id": ledger_id})
                state = _read_state(document)
                await self._finish_batch(ledger_id, document)
                await self._mark_last(ledger_id, document)
                new = batch.without(await self._find_counted(ledger_id, batch.keys))
                if not len(new):
                    return LedgerUpdate(before=state, after=state)
                state = await self._start_chain(ledger_id, state)
                after, links = state.count_batch(new)
                stored = await self._replace(ledger_id, document, after, links[0], batch=new.keys)
                if stored is not None:
                    await self._finish_batch(ledger_id, stored)
                    return LedgerUpdate(before=state, after=after)

    async def state(self, *, user_id: str, symbol: str) -> TrialLedgerState:
        async with self._database.session():
            return _read_state(await self._ledgers.find_one({"_id": _ledger_id(user_id, symbol)}))

    async def links(self, *, user_id: str, symbol: str, after: int, limit: int) -> Sequence[ChainLink]:
        ledger_id = _ledger_id(user_id, symbol)
        query = {"ledger": ledger_id, "link.number": {"$gt": after}, "is_pending": False}
        async with self._database.session():
            # First: if the last trials are marked meanwhile, they are among the marked ones.
            last = [link for link in await self._unmarked_links(ledger_id) if link.number > after]
            found = self._trials.find(query, {"link": True}).sort([("link.number", 1), ("_id", 1)]).limit(limit)
            links = [_read_link(ledger_id, trial["_id"], trial["link"]) for trial in await found.to_list(None)]
        known = {link.key for link in links}
        if not (unmarked := [link for link in last if link.key not in known]):
            return links
        return sorted((*links, *unmarked), key=_place)[:limit]

    async def count_unlinked(self, *, user_id: str, symbol: str) -> int:
        ledger_id = _ledger_id(user_id, symbol)
        async with self._database.session():
            ledger = await self._ledgers.find_one({"_id": ledger_id}, {"last": True, "link": True}) or {}
            counted: list[dict[str, Any]] = [{"is_pending": {"$ne": True}}]
            if ledger.get("link") is None:  # an earlier version counted it, and may have been stopped after step 4
                counted.append({"_id": ledger.get("last")})
            unlinked = {"link.number": {"$not": {"$gt": LOWEST_NUMBER}}}
            return int(await self._trials.count_documents({"_id": _ids_below(ledger_id), "$or": counted, **unlinked}))

    async def keeps_all_links(self) -> bool:
        # Documents are not migrated, so that no step could tell a database of an earlier version from a new one.
        return False

    async def next_ledger(self, after: tuple[str, str] | None, *, user_id: str | None) -> tuple[str, str] | None:
        # The next character after the line break ends the range of the ids of one user, or of one ledger's trials.
        ids = {"$gt": ""} if user_id is None else dict(_ids_below(user_id))
        found: list[list[str]] = []
        async with self._database.session():
            for collection, end in ((self._ledgers, ""), (self._trials, "\v")):
                above = ids if after is None else {**ids, "$gt": _ledger_id(*after) + end}
                first = await collection.find({"_id": above}, {"_id": True}).sort("_id", 1).limit(1).to_list(1)
                found += [f"{document['_id']}\n\n".split("\n") for document in first]
        return (min(found)[0], min(found)[1]) if found else None

    async def _unmarked_links(self, ledger_id: str) -> Sequence[ChainLink]:
        """Return the links of the trials that were added last, if their writer has not come to its last step."""
        fields = {"last": True, "link": True, "batch": True}
        ledger = await self._ledgers.find_one({"_id": ledger_id}, fields) or {}
        if "batch" in ledger:
            return _read_batch(ledger_id, ledger)
        link = _read_link(ledger_id, ledger.get("last"), ledger.get("link"))
        is_whole = isinstance(link.number, int)
        return [link] if is_whole and await self._is_pending(ledger.get("last")) else []

    async def _find_counted(self, ledger_id: str, keys: Sequence[str]) -> set[str]:
        """Return those of the keys that are counted."""
        found: set[str] = set()
        for first in range(0, len(keys), _BATCH_STEP):
            ids = [f"{ledger_id}\n{key}" for key in keys[first : first + _BATCH_STEP]]
            counted = self._trials.find({"_id": {"$in": ids}, "is_pending": {"$ne": True}}, {"_id": True})
            found.update(trial["_id"].removeprefix(f"{ledger_id}\n") for trial in await counted.to_list(None))
        return found

    async def _finish_batch(self, ledger_id: str, ledger: Mapping[str, Any] | None) -> None:
        """Store the trials of the batch that a ledger has counted last as counted, if it still holds their keys."""
        if ledger is None or "batch" not in ledger:
            return
        links = _read_batch(ledger_id, ledger)
        for first in range(0, len(links), _BATCH_STEP):
            await self._insert_counted(ledger_id, links[first : first + _BATCH_STEP])
        # If another process has replaced the ledger since, it has done all this before.
        of_batch = {"_id": ledger_id, "version": ledger["version"]}
        await self._ledgers.update_one(of_batch, {"$unset": {"batch": ""}})

    async def _insert_counted(self, ledger_id: str, links: Sequence[ChainLink]) -> None:
        trials = [
            {"_id": f"{ledger_id}\n{link.key}", "is_pending": False, "ledger": ledger_id, "link": _to_fields(link)}
            for link in links
        ]
        try:
            await self._trials.insert_many(trials, ordered=False)
        except BulkWriteError as error:
            faults = error.details["writeErrors"]
            if error.details["writeConcernErrors"] or any(fault["code"] != _DUPLICATE for fault in faults):
                raise
            # Other writers have inserted them, as pending ones or in this same step.
            for fault in faults:
                trial = trials[fault["index"]]
                await self._mark_as_counted(trial["_id"], ledger_id, trial["link"])

    async def _mark_last(self, ledger_id: str, ledger: Mapping[str, Any] | None) -> None:
        if ledger is not None:
            await self._mark_as_counted(ledger["last"], ledger_id, ledger.get("link"))

    async def _start_chain(self, ledger_id: str, state: TrialLedgerState) -> TrialLedgerState:
        """Return the state from which links go on, if a version of the service that keeps none wrote it last."""
        if not state.is_unnumbered:
            return state
        counted = {"_id": _ids_below(ledger_id), "is_pending": False}
        return state.start_chain(await self._trials.count_documents(counted))

    async def _is_pending(self, trial_id: object) -> bool:
        trial = await self._trials.find_one({"_id": trial_id})
        return trial is not None and bool(trial.get("is_pending"))

    async def _mark_as_counted(self, trial_id: str, ledger_id: str, link: Mapping[str, Any] | None) -> None:
        chained = {} if link is None else {"ledger": ledger_id, "link": link}
        await self._trials.update_one({"_id": trial_id, "is_pending": True}, {"$set": {"is_pending": False, **chained}})

    async def _replace(
        self,
        ledger_id: str,
        read: Mapping[str, Any] | None,
        state: TrialLedgerState,
        link: ChainLink,
        *,
        batch: Sequence[str] = (),
    ) -> Mapping[str, Any] | None:
        """Store a ledger's next state and return its fields; None if another process has stored one since it was read.

        Parameters
        ----------
        link, batch
            The link that leads to the state, and the keys of its runs if they are not among the trials yet.
        """
        fields: dict[str, Any] = {
            "version": 1 if read is None else read["version"] + 1,
            "total": state.total.to_bytes(),
            "active": state.active.to_bytes(),
            "head": state.head,
            "last": f"{ledger_id}\n{link.key}",
            "link": _to_fields(link),
            "runs": state.runs,
            "unlinked_runs": state.unlinked_runs,
            "first_head": state.first_head,
        }
        if batch:
            fields["batch"] = list(batch)
        if read is None:
            try:
                await self._ledgers.insert_one({"_id": ledger_id, **fields})
            except DuplicateKeyError:
                return None
            return fields
        replaced = await self._ledgers.replace_one({"_id": ledger_id, "version": read["version"]}, fields)
        return fields if replaced.matched_count else None


def _ids_below(prefix: str) -> Mapping[str, str]:
    """Return the query for ids of the form prefix, line break, anything."""
    return {"$gt": f"{prefix}\n", "$lt": f"{prefix}\v"}


def _ledger_id(user_id: str, symbol: str) -> str:
    # Neither holds a line break, so two ledgers never share an id.
    return f"{user_id}\n{symbol}"


def _to_fields(link: ChainLink) -> Mapping[str, Any]:
    """Return what is stored of a link beside its key."""
    if link.runs == 0:
        return {"number": link.number, "runs": 0}
    fields = {"number": link.number, "entry": link.entry, "sums": link.sums, "head": link.head}
    return fields if link.runs == 1 else {**fields, "runs": link.runs}


def _read_link(ledger_id: str, trial_id: Any, fields: Any) -> ChainLink:
    fields = fields if isinstance(fields, dict) else {}
    runs = fields.get("runs", 1)
    texts = {name: fields.get(name, None if runs else "") for name in ("entry", "sums", "head")}
    key = str(trial_id).removeprefix(f"{ledger_id}\n")
    return ChainLink(key=key, number=fields.get("number"), runs=runs, **texts)


def _read_batch(ledger_id: str, ledger: Mapping[str, Any]) -> Sequence[ChainLink]:
    """Return the links of the batch whose keys a ledger holds."""
    keys, link = ledger["batch"], _read_link(ledger_id, ledger.get("last"), ledger.get("link"))
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
        raise unreadable("its batch is no list of keys.")
    if not isinstance(link.number, int):
        raise unreadable("its batch has no number.")
    return link.spread(keys)


def _place(link: ChainLink) -> float:
    """Return the number of a link for sorting; a damaged one is the last."""
    return link.number if isinstance(link.number, int | float) else math.inf


def _read_state(document: Mapping[str, Any] | None) -> TrialLedgerState:
    if document is None:
        return EMPTY_LEDGER
    if not isinstance(document.get("last"), str) or not isinstance(document.get("version"), int):
        raise unreadable("it has no key of the last trial, or no version.")
    return read_state(
        total=document.get("total"),
        active=document.get("active"),
        head=document.get("head"),
        runs=document.get("runs", 0),
        unlinked_runs=document.get("unlinked_runs", 0),
        first_head=document.get("first_head", document.get("head")),
    )
