"""A process that dies between two commands to MongoDB breaks no chain."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from src.domain.errors import StoreUnavailable
from src.domain.trial_states import EMPTY_LEDGER
from src.service.ledger_check import check_ledger
from src.stores.mongo_connection import MongoDatabase
from src.stores.mongo_ledger import MongoTrialLedger
from tests.mongo_server import OF_THE_DRIVER, MongoServer, running_mongo_server
from tests.trial_batches import make_batch
from tests.unit.stores.chains import count, entry, fault_of

pytestmark = pytest.mark.usefixtures("short_pages")


@pytest.fixture
def server() -> Any:
    with running_mongo_server("results") as running:
        yield running


COMMANDS = {0: 7, 2: 7}
"""Commands of a record after so many others: insert the trial; read the ledger, what was folded if there is none, and
the trial; mark the last trial, if there is one; read the last use; store the ledger; mark the trial."""


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


BATCH_COMMANDS = {0: 7, 2: 7}
"""Commands of a batch after so many runs: read the ledger, and what was folded if there is none; mark the last trial,
if there is one; find the keys; read the last use; store the ledger; insert the trials; remove the keys from the
ledger."""


@pytest.mark.parametrize("next_is_batch", [False, True])
@pytest.mark.parametrize(
    ("counted_before", "survived"),
    [(before, done) for before, steps in BATCH_COMMANDS.items() for done in range(steps + 1)],
)
async def test_crash_inside_a_batch_breaks_no_chain(
    server: MongoServer, survived: int, counted_before: int, next_is_batch: bool
) -> None:
    steps = BATCH_COMMANDS[counted_before]
    database = MongoDatabase(server.uri, "results")
    ledger = MongoTrialLedger(database)
    await count(ledger, *range(counted_before))
    batch = make_batch(range(4))
    server.commands.clear()
    server.hang_up_before = lambda name, body: name not in OF_THE_DRIVER and len(server.commands) >= survived
    if survived < steps:
        with pytest.raises(StoreUnavailable):
            await ledger.record_batch(batch, user_id="ann", symbol="BTCUSDT")
    else:
        await ledger.record_batch(batch, user_id="ann", symbol="BTCUSDT")
        assert len(server.commands) == steps
    server.hang_up_before = lambda name, body: False
    assert await fault_of(ledger) is None
    if not next_is_batch:
        await ledger.record(batch.entry(2), user_id="ann", symbol="BTCUSDT")
        assert await fault_of(ledger) is None
    await ledger.record_batch(make_batch(range(6)), user_id="ann", symbol="BTCUSDT")
    found = await check_ledger(ledger, user_id="ann", symbol="BTCUSDT")
    assert (found.fault, found.runs) == (None, counted_before + 6)
    expected = EMPTY_LEDGER
    for one in (*map(entry, range(counted_before)), *map(make_batch(range(6)).entry, range(6))):
        expected = expected.add(one)
    state = await ledger.state(user_id="ann", symbol="BTCUSDT")
    assert (state.total, state.active) == (expected.total, expected.active)
    await database.close()


SHRINKING_COMMANDS = 11
"""Commands of a reduction of the last batch: find unfinished reductions and the ledger; read it; mark the last trial;
store the sums; remove the trials, and what says that there are some. A fold: find both; count the runs; remove the
ledger."""


@pytest.mark.parametrize("survived", range(SHRINKING_COMMANDS + 1))
async def test_crash_while_a_ledger_shrinks_loses_no_run(server: MongoServer, survived: int) -> None:
    database = MongoDatabase(server.uri, "results")
    ledger = MongoTrialLedger(database)
    batch = make_batch(range(4))
    await ledger.record_batch(batch, user_id="ann", symbol="BTCUSDT")
    before = (await ledger.record(make_batch([8]).entry(0), user_id="ann", symbol="BTCUSDT")).after
    server.commands.clear()
    server.hang_up_before = lambda name, body: name not in OF_THE_DRIVER and len(server.commands) >= survived
    with suppress(StoreUnavailable):
        await ledger.reduce_oldest("ann")
        await ledger.fold_oldest("ann")
    is_whole = survived == SHRINKING_COMMANDS
    assert len(server.commands) == survived
    server.hang_up_before = lambda name, body: False
    state = await ledger.state(user_id="ann", symbol="BTCUSDT")
    folded = await ledger.count_folded(user_id="ann")
    assert state.runs + folded.runs in (5, 10)  # both between the two steps of a fold
    assert state.total.statistics == (before.total.statistics if state.runs else EMPTY_LEDGER.total.statistics)
    assert (state.runs == 0) is is_whole
    assert await fault_of(ledger) is None
    await ledger.record(make_batch([9]).entry(0), user_id="ann", symbol="BTCUSDT")
    assert await fault_of(ledger) is None
    await ledger.reduce_oldest("ann")
    await ledger.fold_oldest("ann")
    assert await database.collection("trials").count_documents({}) == 0
    assert await database.collection("trial_ledgers").count_documents({}) == 0
    assert 6 <= (await ledger.count_folded(user_id="ann")).runs <= 11
    await database.close()
