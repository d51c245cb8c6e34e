"""Prepare the collections of results: migrate them, create the indexes, and report results that no list can show."""

from __future__ import annotations

import logging
from typing import Final

from pymongo import ASCENDING, DESCENDING

from src.domain.error_text import quote_all
from src.domain.errors import StoreUnavailable
from src.stores.mongo_connection import MongoDatabase
from src.stores.mongo_heads import HAS_NO_OWNER
from src.stores.mongo_ledger_documents import (
    LEDGERS,
    LEDGERS_BY_USE,
    LEDGERS_TO_SHRINK,
    LEDGERS_WITH_REDUCED,
    TRIALS,
    TRIALS_IN_ORDER,
    measure_older,
)
from src.stores.mongo_saves import Collections

SCHEMA_VERSION: Final = 5
"""The version of the database; a document has a version of its own. Builds of version 2 drop the links of trials, those
of version 3 the keys of a batch that was counted last, those of version 4 the sizes of ledgers."""

NEWEST_FIRST: Final = (("created_ms", DESCENDING), ("_id", DESCENDING))
"""The order of lists of results."""

_SIZE: Final = {"$sum": {"$map": {"input": "$parts", "in": {"$arrayElemAt": ["$$this", 1]}}}}
_MAX_NAMED: Final = 5

logger = logging.getLogger(__name__)


async def migrate(collections: Collections, database: MongoDatabase) -> None:
    """Migrate the database to this build's version: 1 had no sizes, 2 no links, 3 no batches, 4 no sizes of ledgers.

    Raises StoreUnavailable if a newer build has written it.
    """
    marker = await collections.schema.find_one({"_id": "results"}) or {"version": 1}
    if marker["version"] > SCHEMA_VERSION:
        raise StoreUnavailable(
            "The result store was written by a newer version of this service (schema {version}; this build knows "
            "up to {known}).",
            version=marker["version"],
            known=SCHEMA_VERSION,
        )
    if marker["version"] < SCHEMA_VERSION:
        await collections.results.update_many({"size_bytes": {"$exists": False}}, [{"$set": {"size_bytes": _SIZE}}])
        await measure_older(database)
        version = {"$set": {"version": SCHEMA_VERSION}}
        await collections.schema.update_one({"_id": "results"}, version, upsert=True)


async def create_indexes(collections: Collections, database: MongoDatabase) -> None:
    """Create the indexes of results and trials that do not exist yet."""
    results = collections.results
    for filters in ([], ["symbol"], ["user_id", "symbol"]):
        await results.create_index([*((name, ASCENDING) for name in filters), *NEWEST_FIRST])
    # With the size, so that a user's total is read from the index alone.
    await results.create_index([("user_id", ASCENDING), *NEWEST_FIRST, ("size_bytes", ASCENDING)])
    await results.create_index([("save", ASCENDING)], unique=True)
    await collections.chunks.create_index([("save", ASCENDING), ("number", ASCENDING)], unique=True)
    await collections.intents.create_index([("started_ms", ASCENDING)])
    await database.collection(TRIALS).create_index(TRIALS_IN_ORDER)
    ledgers = database.collection(LEDGERS)
    for index in (LEDGERS_TO_SHRINK, [("user", ASCENDING), *LEDGERS_TO_SHRINK], LEDGERS_BY_USE):
        await ledgers.create_index(index)
    await ledgers.create_index(LEDGERS_WITH_REDUCED, sparse=True)


async def report_ownerless(collections: Collections) -> None:
    """Log the results that no user's list can show."""
    found = collections.results.find(HAS_NO_OWNER, {"_id": True}).limit(_MAX_NAMED + 1)
    ids = [head["_id"] for head in await found.to_list(length=_MAX_NAMED + 1)]
    if ids:
        shown = quote_all(ids[:_MAX_NAMED]) + " and more" * (len(ids) > _MAX_NAMED)
        logger.warning("results without an owner are in no list (docs/operations.md, MongoDB): ids=%s", shown)
