"""The documents of the ledgers of trials in MongoDB: names, indexes, fields, and how they are read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from src.domain.chain_links import ChainLink
from src.domain.errors import StoreUnavailable
from src.domain.trial_states import TrialLedgerState
from src.stores.ledger_fields import REDUCED, rank_of, read_state, unreadable
from src.stores.mongo_connection import MongoDatabase

TRIALS: Final = "trials"
TRIALS_IN_ORDER: Final = [("ledger", 1), ("link.number", 1)]
"""The index of the collection `TRIALS` that `links` reads."""
LEDGERS: Final = "trial_ledgers"
LEDGERS_TO_SHRINK: Final = [("rank", 1), ("used", 1), ("size_bytes", 1)]
"""With the size, so that totals are read from the index alone; with the user before it, those of a user."""
LEDGERS_BY_USE: Final = [("used", -1)]
LEDGERS_WITH_REDUCED: Final = [("has_reduced", 1)]
FOLDS: Final = "ledger_folds"


def ids_below(prefix: str) -> Mapping[str, str]:
    """Return the query for ids of the form prefix, line break, anything."""
    return {"$gt": f"{prefix}\n", "$lt": f"{prefix}\v"}


def make_ledger_id(user_id: str, symbol: str) -> str:
    # Neither holds a line break, so two ledgers never share an id.
    return f"{user_id}\n{symbol}"


def to_fields(link: ChainLink) -> Mapping[str, Any]:
    """Return what is stored of a link beside its key."""
    if link.runs == 0:
        return {"number": link.number, "runs": 0}
    fields = {"number": link.number, "entry": link.entry, "sums": link.sums, "head": link.head}
    return fields if link.runs == 1 else {**fields, "runs": link.runs}


def read_link(ledger_id: str, trial_id: Any, fields: Any) -> ChainLink:
    fields = fields if isinstance(fields, dict) else {}
    runs = fields.get("runs", 1)
    texts = {name: fields.get(name, None if runs else "") for name in ("entry", "sums", "head")}
    key = str(trial_id).removeprefix(f"{ledger_id}\n")
    return ChainLink(key=key, number=fields.get("number"), runs=runs, **texts)


def read_batch(ledger_id: str, ledger: Mapping[str, Any]) -> Sequence[ChainLink]:
    """Return the links of the batch whose keys a ledger holds."""
    keys, link = ledger["batch"], read_link(ledger_id, ledger.get("last"), ledger.get("link"))
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
        raise unreadable("its batch is no list of keys.")
    if not isinstance(link.number, int):
        raise unreadable("its batch has no number.")
    return link.spread(keys)


def place(link: ChainLink) -> float:
    """Return the number of a link for sorting; a damaged one is the last."""
    return link.number if isinstance(link.number, int | float) else math.inf


def scope(user_id: str | None) -> Mapping[str, Any]:
    """Return the query for one user's ledgers, or for all."""
    return {} if user_id is None else {"user": user_id}


def state_fields(ledger_id: str, state: TrialLedgerState) -> dict[str, Any]:
    """Return what a document holds of a ledger's state."""
    user_id, _, symbol = ledger_id.partition("\n")
    return {
        "total": state.total.to_bytes(),
        "active": state.active.to_bytes(),
        "head": state.head,
        "runs": state.runs,
        "unlinked_runs": state.unlinked_runs,
        "first_head": state.first_head,
        "reduced_runs": state.reduced_runs,
        "missing_runs": state.missing_runs,
        "user": user_id,
        "rank": rank_of(state, symbol),
        "size_bytes": state.size_bytes,
    }


def to_state(document: Mapping[str, Any]) -> TrialLedgerState:
    if not isinstance(document.get("last"), str) or not isinstance(document.get("version"), int):
        raise unreadable("it has no key of the last trial, or no version.")
    return read_state(
        total=document.get("total"),
        active=document.get("active"),
        head=document.get("head"),
        runs=document.get("runs", 0),
        unlinked_runs=document.get("unlinked_runs", 0),
        first_head=document.get("first_head", document.get("head")),
        reduced_runs=document.get("reduced_runs", 0),
        missing_runs=document.get("missing_runs", 0),
    )


async def measure_older(database: MongoDatabase) -> None:
    """Store the sizes of ledgers that were last written by a version without sizes."""
    ledgers = database.collection(LEDGERS)
    async for document in ledgers.find({"size_bytes": {"$exists": False}}):
        try:
            fields = state_fields(document["_id"], to_state(document))
        except StoreUnavailable:  # it is damaged, and only `run.py ledger` can say more
            fields = {"user": document["_id"].partition("\n")[0], "rank": REDUCED, "size_bytes": 0}
        of_version = {"_id": document["_id"], "version": document.get("version")}
        sizes = {name: fields[name] for name in ("user", "rank", "size_bytes")}
        await ledgers.update_one(of_version, {"$set": {**sizes, "used": 0}})
