"""Documents that were edited in MongoDB are named, and ledgers of the released version go on."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from src.domain.errors import StoreUnavailable
from src.domain.trial_states import EMPTY_LEDGER
from src.service.ledger_check import check_ledger
from src.stores.ledger_limits import LedgerSizes
from src.stores.mongo import MongoStore
from src.stores.mongo_connection import MongoDatabase
from src.stores.mongo_ledger import MongoTrialLedger
from tests.mongo_server import backend_uri
from tests.trial_batches import make_batch
from tests.unit.stores.chains import BATCH, NAME, ZEROS, count, count_batch, entry, fault_of

pytestmark = pytest.mark.usefixtures("short_pages")


@pytest.fixture
async def mongo() -> AsyncIterator[MongoDatabase]:
    database = MongoDatabase(os.environ.get("MONGODB_TEST_URI") or backend_uri(), f"test_{uuid.uuid4().hex}")
    yield database
    await database.close()


@pytest.fixture
async def mongo_ledger(mongo: MongoDatabase) -> MongoTrialLedger:
    """A ledger of five trials."""
    ledger = MongoTrialLedger(mongo)
    await count(ledger, 1, 2, 3, 4, 5)
    assert await fault_of(ledger) is None
    return ledger


async def set_in(collection: Any, key: dict[str, Any], **fields: Any) -> None:
    changed = await collection.update_one(key, {"$set": {name.replace("__", "."): it for name, it in fields.items()}})
    assert changed.modified_count == 1


async def swap(trials: Any, field: str) -> None:
    two, four = [await trials.find_one({"link.number": number}) for number in (2, 4)]
    await trials.update_one({"_id": two["_id"]}, {"$set": {f"link.{field}": four["link"][field]}})
    await trials.update_one({"_id": four["_id"]}, {"$set": {f"link.{field}": two["link"][field]}})


async def copy(trials: Any, number: int, **fields: Any) -> None:
    document = await trials.find_one({"link.number": number})
    await trials.insert_one({**document, "_id": f"{NAME}\nx", **fields})


async def rename(trials: Any, number: int) -> None:
    await copy(trials, number)
    await trials.delete_one({"_id": f"{NAME}\nkey-{number}"})


Edit = Callable[[Any, Any], Any]
EDITS: list[tuple[Edit, str]] = [
    (lambda t, s: rename(t, 2), "link 2 does not follow the head before it: its key"),
    (lambda t, s: set_in(t, {"link.number": 5}, link__entry=ZEROS), "link 5 does not follow the head before it: its k"),
    (lambda t, s: set_in(t, {"link.number": 5}, link__sums=ZEROS), "link 5 does not follow the head before it: its su"),
    (lambda t, s: set_in(t, {"link.number": 3}, link__head=ZEROS), "link 3 does not follow the head before it: its he"),
    (lambda t, s: swap(t, "head"), "link 2 does not follow the head before it: its head was changed"),
    (lambda t, s: swap(t, "number"), "link 2 does not follow the head before it: its key, trial, sums or head"),
    (lambda t, s: set_in(t, {"link.number": 3}, link__sums=None), "link 3 has null as digest of its sums"),
    (lambda t, s: set_in(t, {"link.number": 3}, link__head=7), "link 3 has 7 as head"),
    (lambda t, s: set_in(t, {"link.number": 3}, link={"number": 3}), "link 3 has null as digest of its trial"),
    (lambda t, s: set_in(t, {"link.number": 3}, link=[{"number": 3}]), "a link has the number null"),
    (lambda t, s: set_in(t, {"link.number": 3}, link="x"), "link 3 is missing"),
    (lambda t, s: set_in(t, {"link.number": 3}, link__number="3"), "link 3 is missing"),
    (lambda t, s: set_in(t, {"link.number": 3}, link__number=3.5), "a link has the number 3.5"),
    (lambda t, s: set_in(t, {"link.number": 3}, ledger="x"), "link 3 is missing"),
    (lambda t, s: set_in(t, {"link.number": 3}, is_pending=True), "link 3 is missing"),
    (lambda t, s: t.delete_one({"link.number": 3}), "link 3 is missing"),
    (lambda t, s: t.delete_one({"link.number": 5}), "link 5 is missing"),
    (lambda t, s: copy(t, 2), "two links have the number 2"),
    (lambda t, s: copy(t, 3), "two links have the number 3"),  # at the end of the first page
    (lambda t, s: copy(t, 5), "two links have the number 5"),
    (lambda t, s: copy(t, 5, link={"number": 6}), "link 6 comes after the ledger's last run, 5"),
    (lambda t, s: copy(t, 5, link={"number": -6}), "link -6 stands before the first one, 1"),
    (lambda t, s: copy(t, 5, link=None), "trials without a link: 1, not 0"),
    (lambda t, s: copy(t, 5, link={"number": "6"}), "trials without a link: 1, not 0"),
    (lambda t, s: t.insert_one({"_id": f"{NAME}\nx", "is_pending": False}), "trials without a link: 1, not 0"),
    (lambda t, s: t.insert_one({"_id": f"{NAME}\nx"}), "trials without a link: 1, not 0"),
    (lambda t, s: set_in(s, {}, total=EMPTY_LEDGER.total.to_bytes()), "sums are not those of link 5"),
    (lambda t, s: set_in(s, {}, head=ZEROS), "head is not the head after link 5"),
    (lambda t, s: set_in(s, {}, runs=4), "link 5 comes after the ledger's last run, 4"),
    (lambda t, s: set_in(s, {}, first_head=ZEROS), "or the ledger's first head, were changed"),
    (lambda t, s: s.delete_one({}), "link 1 comes after the ledger's last run, 0"),
]


@pytest.mark.parametrize(("edit", "named"), EDITS, ids=range(len(EDITS)))
async def test_edited_document_is_named(
    mongo_ledger: MongoTrialLedger, mongo: MongoDatabase, edit: Edit, named: str
) -> None:
    await edit(mongo.collection("trials"), mongo.collection("trial_ledgers"))
    assert named in str(await fault_of(mongo_ledger))
    assert await mongo_ledger.next_ledger(None, user_id="ann") == ("ann", "BTCUSDT")


BATCH_EDITS: list[tuple[Edit, str]] = [
    (lambda t, s: set_in(t, {"link.number": 6}, link__entry=ZEROS), BATCH + "its keys, trials or sums"),
    (lambda t, s: set_in(t, {"link.number": 6}, link__head=ZEROS), BATCH + "its head was changed"),
    (lambda t, s: rename_run(t, 2), BATCH + "its keys, trials or sums"),
    (lambda t, s: t.delete_one({"link.number": 8}), "link 8 is missing"),
    (lambda t, s: t.delete_one({"link.number": 6}), "link 6 is missing"),
    (lambda t, s: set_in(t, {"link.number": 8}, is_pending=True), "link 8 is missing"),
    (lambda t, s: copy(t, 8), "two links have the number 8"),
    (lambda t, s: copy(t, 8, link={"number": 11, "runs": 0}), "link 11 comes after the ledger's last run, 10"),
    (lambda t, s: set_in(t, {"link.number": 8}, link__runs=1), "link 8 has null as digest of its trial"),
    (lambda t, s: set_in(t, {"link.number": 8}, link__runs="0"), "link 8 has '0' as number of its runs"),
    (lambda t, s: set_in(t, {"link.number": 8}, link__runs=None), "link 8 has null as number of its runs"),
    (lambda t, s: set_in(t, {"link.number": 8}, link__head=ZEROS), f"link 8 has '{ZEROS}' as head"),
]


@pytest.mark.parametrize(("edit", "named"), BATCH_EDITS, ids=range(len(BATCH_EDITS)))
async def test_edited_batch_of_documents_is_named(
    mongo_ledger: MongoTrialLedger, mongo: MongoDatabase, edit: Edit, named: str
) -> None:
    await count_batch(mongo_ledger)
    assert await fault_of(mongo_ledger) is None
    await edit(mongo.collection("trials"), mongo.collection("trial_ledgers"))
    assert named in str(await fault_of(mongo_ledger))


async def rename_run(trials: Any, seed: int) -> None:
    document = await trials.find_one({"_id": f"{NAME}\nrun-{seed}"})
    await trials.delete_one({"_id": document["_id"]})
    await trials.insert_one({**document, "_id": f"{NAME}\nx"})


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"batch": "x"}, "its batch is no list of keys"),
        ({"batch": []}, "its batch is no list of keys"),
        ({"batch": ["x", 7]}, "its batch is no list of keys"),
        ({"batch": ["x"], "link": None}, "its batch has no number"),
    ],
)
async def test_unreadable_batch_is_named(
    mongo_ledger: MongoTrialLedger, mongo: MongoDatabase, fields: dict[str, Any], named: str
) -> None:
    await set_in(mongo.collection("trial_ledgers"), {}, **fields)
    with pytest.raises(StoreUnavailable, match=named):
        await fault_of(mongo_ledger)
    with pytest.raises(StoreUnavailable, match=named):
        await count(mongo_ledger, 6)
    with pytest.raises(StoreUnavailable, match=named):
        await count_batch(mongo_ledger)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"runs": "5"}, "runs is of the type str"),
        ({"unlinked_runs": None}, "unlinked_runs is of the type NoneType"),
        ({"runs": True}, "runs is of the type bool"),
        ({"head": 7}, "head is of the type int"),
        ({"total": "x"}, "total is of the type str"),
        ({"version": "x"}, "no version"),
        ({"last": 7}, "no key of the last trial"),
    ],
)
async def test_unreadable_document_is_named(
    mongo_ledger: MongoTrialLedger, mongo: MongoDatabase, fields: dict[str, Any], named: str
) -> None:
    await set_in(mongo.collection("trial_ledgers"), {}, **fields)
    with pytest.raises(StoreUnavailable, match=named):
        await fault_of(mongo_ledger)
    with pytest.raises(StoreUnavailable, match=named):
        await count(mongo_ledger, 6)


async def test_documents_of_the_released_version_go_on(mongo: MongoDatabase) -> None:
    sums = EMPTY_LEDGER.add(entry(1)).add(entry(2))
    trials, ledgers = mongo.collection("trials"), mongo.collection("trial_ledgers")
    await trials.insert_many([
        {"_id": f"{NAME}\nkey-1", "is_pending": False},
        {"_id": f"{NAME}\nkey-2", "is_pending": True},
    ])  # fmt: skip
    await ledgers.insert_one({
        "_id": NAME, "version": 2, "total": sums.total.to_bytes(), "active": sums.active.to_bytes(),
        "head": ZEROS, "last": f"{NAME}\nkey-2",
    })  # fmt: skip
    ledger = MongoTrialLedger(mongo)
    found = await check_ledger(ledger, user_id="ann", symbol="BTCUSDT", head=ZEROS)
    assert (found.fault, found.runs, found.unlinked_runs, found.head_after) == (None, 2, 2, 2)
    await count(ledger, 2, 1, 3, 4)
    state = await ledger.state(user_id="ann", symbol="BTCUSDT")
    assert (state.runs, state.unlinked_runs, state.first_head, state.total.trials) == (4, 2, ZEROS, 4)
    assert await fault_of(ledger) is None
    await trials.delete_one({"_id": f"{NAME}\nkey-1"})
    assert "trials without a link: 1, not 2" in str(await fault_of(ledger))


async def test_documents_without_sizes_are_measured(mongo_ledger: MongoTrialLedger, mongo: MongoDatabase) -> None:
    ledgers = mongo.collection("trial_ledgers")
    state = await mongo_ledger.state(user_id="ann", symbol="BTCUSDT")
    await ledgers.update_many({}, {"$unset": dict.fromkeys(("user", "rank", "size_bytes", "used"), "")})
    await ledgers.insert_one({"_id": "bob\nETHUSDT", "version": 1, "last": 5})
    assert await mongo_ledger.reduce_oldest("ann") is None
    await mongo.collection("result_schema").update_one({"_id": "results"}, {"$set": {"version": 4}}, upsert=True)
    assert await MongoStore(mongo).is_reachable()
    assert (await mongo_ledger.measure("ann")).full == state.size_bytes
    assert await mongo_ledger.measure("bob") == LedgerSizes(full=0, reduced=0), "a damaged one is left as it is"
    assert await mongo_ledger.reduce_oldest(None) is not None
    assert (await mongo_ledger.state(user_id="ann", symbol="BTCUSDT")).is_reduced


async def test_documents_go_on_after_an_older_version(mongo_ledger: MongoTrialLedger, mongo: MongoDatabase) -> None:
    # A process of the released version that was still running replaces the whole document.
    trials, ledgers = mongo.collection("trials"), mongo.collection("trial_ledgers")
    await trials.insert_one({"_id": f"{NAME}\nold", "is_pending": False})
    dropped = {"link": "", "runs": "", "unlinked_runs": "", "first_head": ""}
    await ledgers.update_one({}, {"$set": {"head": ZEROS, "last": f"{NAME}\nold"}, "$unset": dropped})
    assert "an older version of the service has counted a trial since" in str(await fault_of(mongo_ledger))
    await count(mongo_ledger, 6, 7)
    state = await mongo_ledger.state(user_id="ann", symbol="BTCUSDT")
    assert (state.runs, state.unlinked_runs, state.first_head) == (8, 6, ZEROS)
    assert "link 1 stands before the first one, 7: an older version" in str(await fault_of(mongo_ledger))


async def test_pending_trial_in_batch_is_counted_once(mongo_ledger: MongoTrialLedger, mongo: MongoDatabase) -> None:
    """Its writer was stopped after it had inserted the trial."""
    await mongo.collection("trials").insert_one({"_id": f"{NAME}\nrun-2", "is_pending": True})
    await count_batch(mongo_ledger)
    again = await mongo_ledger.record(make_batch([2]).entry(0), user_id="ann", symbol="BTCUSDT")
    assert again.before == again.after
    assert (await check_ledger(mongo_ledger, user_id="ann", symbol="BTCUSDT")).runs == 10
    assert await fault_of(mongo_ledger) is None


async def test_start_up_prepares_the_database_for_links(mongo: MongoDatabase) -> None:
    assert await MongoStore(mongo).is_reachable()
    # Builds that drop links know versions up to 2, those that drop a batch's keys up to 3, ledgers' sizes up to 4.
    assert (await mongo.collection("result_schema").find_one({}))["version"] == 5
    indexes = await mongo.collection("trials").index_information()
    assert [("ledger", 1), ("link.number", 1)] in [index["key"] for index in indexes.values()]
