"""Documents of the ledger that were edited in MongoDB are named, and those of the released version go on."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from src.domain.errors import StoreUnavailable
from src.domain.trials import EMPTY_LEDGER
from src.service import ledger_check
from src.service.ledger_check import check_ledger
from src.stores.mongo import MongoStore
from src.stores.mongo_connection import MongoDatabase
from src.stores.mongo_ledger import MongoTrialLedger
from tests.mongo_server import OF_THE_DRIVER, MongoServer, backend_uri, running_mongo_server
from tests.unit.stores.chains import ZEROS, count, entry, fault_of

NAME = "ann\nBTCUSDT"


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_check, "PAGE_LINKS", 3)


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
    (lambda t, s: set_in(t, {"link.number": 3}, link__sums=None), "link 3 has None as digest of its sums"),
    (lambda t, s: set_in(t, {"link.number": 3}, link__head=7), "link 3 has 7 as head"),
    (lambda t, s: set_in(t, {"link.number": 3}, link={"number": 3}), "link 3 has None as digest of its trial"),
    (lambda t, s: set_in(t, {"link.number": 3}, link=[{"number": 3}]), "a link has the number None"),
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


@pytest.fixture
def server() -> Any:
    with running_mongo_server("results") as running:
        yield running


COMMANDS = {0: 5, 2: 6}
"""Commands of a record after so many others: insert the trial; read the ledger and the trial; mark the last trial, if
there is one; store the ledger; mark the trial."""


@pytest.mark.parametrize(
    ("counted_before", "survived"), [(before, done) for before, steps in COMMANDS.items() for done in range(steps + 1)]
)
async def test_crash_between_two_steps_breaks_no_chain(server: MongoServer, survived: int, counted_before: int) -> None:
    steps = COMMANDS[counted_before]
    database = MongoDatabase(server.uri, "results")
    ledger = MongoTrialLedger(database)
    await count(ledger, *range(counted_before))
    server.commands.clear()
    server.hang_up_before = lambda name, body: name not in OF_THE_DRIVER and len(server.commands) >= survived
    if survived < steps:
        with pytest.raises(StoreUnavailable):
            await count(ledger, 7)
    else:
        await count(ledger, 7)
        assert len(server.commands) == steps
    server.hang_up_before = lambda name, body: False
    assert await fault_of(ledger) is None
    await count(ledger, 8, 7, 8)
    found = await check_ledger(ledger, user_id="ann", symbol="BTCUSDT")
    assert (found.fault, found.runs) == (None, counted_before + 2)
    await database.close()


async def test_start_up_prepares_the_database_for_links(mongo: MongoDatabase) -> None:
    assert await MongoStore(mongo).is_reachable()
    # Builds that drop the links know versions up to 2.
    assert (await mongo.collection("result_schema").find_one({}))["version"] == 3
    indexes = await mongo.collection("trials").index_information()
    assert [("ledger", 1), ("link.number", 1)] in [index["key"] for index in indexes.values()]
