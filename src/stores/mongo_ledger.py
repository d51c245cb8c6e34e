"""Count the runs of each user on each symbol in MongoDB, whose documents change one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from pymongo.errors import BulkWriteError, DuplicateKeyError

from src.domain.chain_links import LOWEST_NUMBER, ChainLink
from src.domain.trial_states import EMPTY_LEDGER, FoldedLedgers, LedgerUpdate, TrialLedgerState
from src.domain.trials import LedgerEntry, TrialBatch
from src.stores.ledger_fields import FULL, is_simulated
from src.stores.ledger_limits import EVERYBODY, LedgerSizes
from src.stores.mongo_connection import MongoDatabase, finished
from src.stores.mongo_driver import aggregate
from src.stores.mongo_ledger_documents import (
    FOLDS,
    LEDGERS,
    LEDGERS_BY_USE,
    TRIALS,
    ids_below,
    make_ledger_id,
    place,
    read_batch,
    read_link,
    scope,
    state_fields,
    to_fields,
    to_state,
)

_BATCH_STEP: Final = 1000
"""Keys that one command finds or inserts."""
_DUPLICATE: Final = 11000
"""MongoDB's code of the error that an `_id` exists."""


class MongoTrialLedger:
    """A TrialLedger in a MongoDB database.

    `trials` holds a document for each key, which is pending until the ledger has it; `trial_ledgers` holds the sums, a
    version, and the key that was added last with its link. A key is stored only in its document's `_id`, because the
    link's other fields are useless under another key. An entry is counted in this order:

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

    A ledger is reduced in this order:

    1. Finish its batch, and mark the trial that was added last as counted.
    2. Replace the ledger by its sums, if its version is still the one that was read; it now notes that it has trials.
    3. Remove the trials that it has counted, and then that note.

    A crash before 3 leaves trials without use: `links` returns none of them, and the next reduction removes them. A
    ledger is folded by counting its runs in `ledger_folds` and then removing it. A crash between the two counts them at
    most twice, so the stored number of removed runs is never too small.
    """

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._ledgers = database.collection(LEDGERS)
        self._trials = database.collection(TRIALS)
        self._folds = database.collection(FOLDS)

    @finished
    async def record(self, entry: LedgerEntry, *, user_id: str, symbol: str) -> LedgerUpdate:
        ledger_id, trial_id = make_ledger_id(user_id, symbol), f"{make_ledger_id(user_id, symbol)}\n{entry.key}"
        async with self._database.session():
            # A trial that exists was counted, or is being counted, or its writer was stopped before it could.
            with suppress(DuplicateKeyError):
                await self._trials.insert_one({"_id": trial_id, "is_pending": True})
            while True:
                document = await self._ledgers.find_one({"_id": ledger_id})
                state = await self._read_state(user_id, symbol, document)
                await self._finish_batch(ledger_id, document)
                last = document["last"] if document else None
                if last == trial_id or not await self._is_pending(trial_id):
                    return LedgerUpdate(before=state, after=state)
                await self._mark_last(ledger_id, document)
                state = await self._start_chain(ledger_id, state)
                after, link = state.count(entry)
                if await self._replace(ledger_id, document, after, link) is not None:
                    await self._mark_as_counted(trial_id, ledger_id, to_fields(link))
                    return LedgerUpdate(before=state, after=after)

    @finished
    async def record_batch(self, batch: TrialBatch, *, user_id: str, symbol: str) -> LedgerUpdate:
        ledger_id = make_ledger_id(user_id, symbol)
        async with self._database.session():
            while True:
                document = await self._ledgers.find_one({"_id": ledger_id})
                state = await self._read_state(user_id, symbol, document)
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
            document = await self._ledgers.find_one({"_id": make_ledger_id(user_id, symbol)})
            return await self._read_state(user_id, symbol, document)

    async def links(self, *, user_id: str, symbol: str, after: int, limit: int) -> Sequence[ChainLink]:
        ledger_id = make_ledger_id(user_id, symbol)
        async with self._database.session():
            left = await self._ledgers.find_one({"_id": ledger_id, "has_reduced": True}, {"reduced_runs": True})
            after = after if left is None else max(after, left["reduced_runs"])
            query = {"ledger": ledger_id, "link.number": {"$gt": after}, "is_pending": False}
            # Read these first: if the last trials are marked meanwhile, they are among the marked ones.
            last = [link for link in await self._unmarked_links(ledger_id) if link.number > after]
            found = self._trials.find(query, {"link": True}).sort([("link.number", 1), ("_id", 1)]).limit(limit)
            links = [read_link(ledger_id, trial["_id"], trial["link"]) for trial in await found.to_list(None)]
        known = {link.key for link in links}
        if not (unmarked := [link for link in last if link.key not in known]):
            return links
        return sorted((*links, *unmarked), key=place)[:limit]

    async def count_unlinked(self, *, user_id: str, symbol: str) -> int:
        ledger_id = make_ledger_id(user_id, symbol)
        async with self._database.session():
            ledger = await self._ledgers.find_one({"_id": ledger_id}, {"last": True, "link": True}) or {}
            counted: list[dict[str, Any]] = [{"is_pending": {"$ne": True}}]
            if ledger.get("link") is None:  # an earlier version counted it, and may have been stopped after step 4
                counted.append({"_id": ledger.get("last")})
            unlinked = {"link.number": {"$not": {"$gt": LOWEST_NUMBER}}}
            return int(await self._trials.count_documents({"_id": ids_below(ledger_id), "$or": counted, **unlinked}))

    async def keeps_all_links(self) -> bool:
        # Documents are not migrated, so that no step could tell a database of an earlier version from a new one.
        return False

    async def count_folded(self, *, user_id: str | None) -> FoldedLedgers:
        async with self._database.session():
            found = await self._folds.find({} if user_id is None else {"keeper": user_id}).to_list(None)
        folded = (FoldedLedgers(markets=each["markets"], runs=each["runs"]) for each in found)
        return sum(folded, FoldedLedgers())

    async def measure(self, user_id: str | None) -> LedgerSizes:
        totals = {"$group": {"_id": "$rank", "size_bytes": {"$sum": "$size_bytes"}}}
        async with self._database.session():
            found = await aggregate(self._ledgers, [{"$match": scope(user_id)}, totals])
        sizes = {each["_id"]: int(each["size_bytes"]) for each in found}
        return LedgerSizes(full=sizes.pop(FULL, 0), reduced=sum(sizes.values()))

    @finished
    async def reduce_oldest(self, user_id: str | None) -> LedgerSizes | None:
        async with self._database.session():
            await self._remove_all_reduced(user_id)
            while ledger := await self._find_oldest(user_id, {"rank": FULL}):
                if sizes := await self._reduce(ledger["_id"]):
                    return sizes
        return None

    @finished
    async def fold_oldest(self, user_id: str | None) -> LedgerSizes | None:
        async with self._database.session():
            await self._remove_all_reduced(user_id)
            while ledger := await self._find_oldest(user_id, {"rank": {"$gt": FULL}}):
                if await self._fold(ledger, EVERYBODY if user_id is None else user_id):
                    return LedgerSizes(full=0, reduced=ledger["size_bytes"])
        return None

    async def _find_oldest(self, user_id: str | None, ranks: Mapping[str, Any]) -> Mapping[str, Any] | None:
        fields = {"size_bytes": True, "version": True, "runs": True}
        found = self._ledgers.find({**scope(user_id), **ranks}, fields).sort([("rank", 1), ("used", 1)]).limit(1)
        return next(iter(await found.to_list(1)), None)

    async def _remove_all_reduced(self, user_id: str | None) -> None:
        """Remove the trials that interrupted writers have left in reduced ledgers."""
        unfinished = self._ledgers.find({"has_reduced": True, **scope(user_id)}, {"reduced_runs": True})
        for ledger in await unfinished.to_list(None):
            await self._remove_reduced(ledger["_id"], ledger["reduced_runs"])

    async def _reduce(self, ledger_id: str) -> LedgerSizes | None:
        """Reduce a ledger to its sums; return its sizes before and after, None if it was changed meanwhile."""
        document = await self._ledgers.find_one({"_id": ledger_id})
        if document is None:
            return None
        await self._finish_batch(ledger_id, document)
        await self._mark_last(ledger_id, document)
        state = await self._start_chain(ledger_id, to_state(document))
        after = state.reduce()
        version = document["version"]
        # Without the key that was added last: the run may be counted again, and would seem to be that one.
        fields = {**state_fields(ledger_id, after), "version": version + 1, "last": "", "has_reduced": True}
        of_version = {"_id": ledger_id, "version": version}
        changed = await self._ledgers.update_one(of_version, {"$set": fields, "$unset": {"batch": "", "link": ""}})
        if not changed.matched_count:
            return None
        await self._remove_reduced(ledger_id, after.reduced_runs)
        return LedgerSizes(full=document["size_bytes"], reduced=after.size_bytes)

    async def _remove_reduced(self, ledger_id: str, reduced_runs: int) -> None:
        """Remove the trials of the first runs of a reduced ledger, and those without a link."""
        counted = {"_id": ids_below(ledger_id), "is_pending": {"$ne": True}}
        await self._trials.delete_many({**counted, "link.number": {"$not": {"$gt": reduced_runs}}})
        of_reduction = {"_id": ledger_id, "reduced_runs": reduced_runs}
        await self._ledgers.update_one(of_reduction, {"$unset": {"has_reduced": ""}})

    async def _fold(self, ledger: Mapping[str, Any], keeper: str) -> bool:
        """Count the runs of a reduced ledger among the folded ones and remove it; False if it was changed meanwhile."""
        ledger_id, version = ledger["_id"], ledger["version"]
        kind = is_simulated(ledger_id.partition("\n")[2])
        added = {"$inc": {"markets": 1, "runs": ledger["runs"]}}
        # After a crash between this step and the next, `last` shows that the ledger is counted already.
        token = f"{ledger_id}\n{version}"
        new = {"_id": f"{keeper}\n{int(kind)}", "keeper": keeper, "is_simulated": kind, "last": {"$ne": token}}
        with suppress(DuplicateKeyError):
            await self._folds.update_one(new, {**added, "$set": {"last": token}}, upsert=True)
        removed = await self._ledgers.delete_one({"_id": ledger_id, "version": version})
        return bool(removed.deleted_count)

    async def next_ledger(self, after: tuple[str, str] | None, *, user_id: str | None) -> tuple[str, str] | None:
        # The next character after the line break ends the range of the ids of one user, or of one ledger's trials.
        ids = {"$gt": ""} if user_id is None else dict(ids_below(user_id))
        found: list[list[str]] = []
        async with self._database.session():
            for collection, end in ((self._ledgers, ""), (self._trials, "\v")):
                above = ids if after is None else {**ids, "$gt": make_ledger_id(*after) + end}
                first = await collection.find({"_id": above}, {"_id": True}).sort("_id", 1).limit(1).to_list(1)
                found += [f"{document['_id']}\n\n".split("\n") for document in first]
        return (min(found)[0], min(found)[1]) if found else None

    async def _read_state(self, user_id: str, symbol: str, document: Mapping[str, Any] | None) -> TrialLedgerState:
        """Return the state in a document; without one, an empty state with the number of runs that it may lack."""
        if document is not None:
            return to_state(document)
        keepers = {"keeper": {"$in": [user_id, EVERYBODY]}, "is_simulated": is_simulated(symbol)}
        missing = [each["runs"] for each in await self._folds.find(keepers, {"runs": True}).to_list(None)]
        return replace(EMPTY_LEDGER, missing_runs=sum(missing))

    async def _next_use(self) -> int:
        """Return a number greater than that of any ledger; simultaneous writers may get the same."""
        last = await self._ledgers.find({}, {"used": True}).sort(LEDGERS_BY_USE).limit(1).to_list(1)
        return int(last[0].get("used", 0)) + 1 if last else 1

    async def _unmarked_links(self, ledger_id: str) -> Sequence[ChainLink]:
        """Return the links of the trials that were added last, if their writer has not reached its last step."""
        fields = {"last": True, "link": True, "batch": True}
        ledger = await self._ledgers.find_one({"_id": ledger_id}, fields) or {}
        if "batch" in ledger:
            return read_batch(ledger_id, ledger)
        link = read_link(ledger_id, ledger.get("last"), ledger.get("link"))
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
        links = read_batch(ledger_id, ledger)
        for first in range(0, len(links), _BATCH_STEP):
            await self._insert_counted(ledger_id, links[first : first + _BATCH_STEP])
        # If another process has replaced the ledger since, it has done all this before.
        of_batch = {"_id": ledger_id, "version": ledger["version"]}
        await self._ledgers.update_one(of_batch, {"$unset": {"batch": ""}})

    async def _insert_counted(self, ledger_id: str, links: Sequence[ChainLink]) -> None:
        trials = [
            {"_id": f"{ledger_id}\n{link.key}", "is_pending": False, "ledger": ledger_id, "link": to_fields(link)}
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
        """Return the state that links continue from; it differs if a version that keeps no links wrote it last."""
        if not state.is_unnumbered:
            return state
        counted = {"_id": ids_below(ledger_id), "is_pending": False}
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
            **state_fields(ledger_id, state),
            "version": 1 if read is None else read["version"] + 1,
            "last": f"{ledger_id}\n{link.key}",
            "link": to_fields(link),
            "used": await self._next_use(),
        }
        if batch:
            fields["batch"] = list(batch)
        if read is not None and read.get("has_reduced"):
            fields["has_reduced"] = True
        if read is None:
            try:
                await self._ledgers.insert_one({"_id": ledger_id, **fields})
            except DuplicateKeyError:
                return None
            return fields
        replaced = await self._ledgers.replace_one({"_id": ledger_id, "version": read["version"]}, fields)
        return fields if replaced.matched_count else None
