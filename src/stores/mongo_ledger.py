"""Count the runs of each user on each symbol in MongoDB, whose documents change one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from pymongo.errors import DuplicateKeyError

from src.domain.trials import (
    EMPTY_LEDGER,
    LOWEST_NUMBER,
    ChainLink,
    LedgerEntry,
    LedgerUpdate,
    TrialLedgerState,
)
from src.stores.ledger_fields import read_state, unreadable
from src.stores.mongo_connection import MongoDatabase

TRIALS: Final = "trials"
TRIALS_IN_ORDER: Final = [("ledger", 1), ("link.number", 1)]
"""The index of the collection `TRIALS` that `links` reads."""


class MongoTrialLedger:
    """A TrialLedger in a MongoDB database.

    `trials` holds a document for each key, which is pending until the ledger has it; `trial_ledgers` holds the sums, a
    version, and the key that was added last with its link. A key stands in its document's `_id` only, as the link's
    other fields are of no use under another key. An entry is counted in this order:

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
                last, last_link = (document["last"], document.get("link")) if document else (None, None)
                if last == trial_id or not await self._is_pending(trial_id):
                    return LedgerUpdate(before=state, after=state)
                if last is not None:
                    await self._mark_as_counted(last, ledger_id, last_link)
                if state.is_unnumbered:
                    counted = {"_id": _ids_below(ledger_id), "is_pending": False}
                    state = state.start_chain(await self._trials.count_documents(counted))
                after, link = state.count(entry)
                fields = {"number": link.number, "entry": link.entry, "sums": link.sums, "head": link.head}
                if await self._replace(ledger_id, document, after, last=trial_id, link=fields):
                    await self._mark_as_counted(trial_id, ledger_id, fields)
                    return LedgerUpdate(before=state, after=after)

    async def state(self, *, user_id: str, symbol: str) -> TrialLedgerState:
        async with self._database.session():
            return _read_state(await self._ledgers.find_one({"_id": _ledger_id(user_id, symbol)}))

    async def links(self, *, user_id: str, symbol: str, after: int, limit: int) -> Sequence[ChainLink]:
        ledger_id = _ledger_id(user_id, symbol)
        query = {"ledger": ledger_id, "link.number": {"$gt": after}, "is_pending": False}
        async with self._database.session():
            # First: if the last trial is marked meanwhile, it is among the marked ones.
            unmarked = await self._unmarked_link(ledger_id)
            found = self._trials.find(query, {"link": True}).sort([("link.number", 1), ("_id", 1)]).limit(limit)
            links = [_read_link(ledger_id, trial["_id"], trial["link"]) for trial in await found.to_list(None)]
        if unmarked is None or unmarked.number <= after or unmarked in links or len(links) == limit:
            return links
        return [*links, unmarked]

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

    async def _unmarked_link(self, ledger_id: str) -> ChainLink | None:
        """Return the link of the trial that was added last, if its writer has not come to step 5."""
        ledger = await self._ledgers.find_one({"_id": ledger_id}, {"last": True, "link": True}) or {}
        link = _read_link(ledger_id, ledger.get("last"), ledger.get("link"))
        is_whole = isinstance(link.number, int)
        return link if is_whole and await self._is_pending(ledger.get("last")) else None

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


def _ids_below(prefix: str) -> Mapping[str, str]:
    """Return the query for ids of the form prefix, line break, anything."""
    return {"$gt": f"{prefix}\n", "$lt": f"{prefix}\v"}


def _ledger_id(user_id: str, symbol: str) -> str:
    # Neither holds a line break, so two ledgers never share an id.
    return f"{user_id}\n{symbol}"


def _read_link(ledger_id: str, trial_id: Any, fields: Any) -> ChainLink:
    fields = fields if isinstance(fields, dict) else {}
    named = {name: fields.get(name) for name in ("number", "entry", "sums", "head")}
    return ChainLink(key=str(trial_id).removeprefix(f"{ledger_id}\n"), **named)


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
