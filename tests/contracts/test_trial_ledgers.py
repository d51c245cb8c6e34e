"""Check what every ledger of trials must do: one suite over SQLite and MongoDB."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from src.domain.chain_links import ChainLink
from src.domain.trial_chain import find_fault
from src.domain.trial_states import EMPTY_LEDGER, LedgerUpdate, TrialLedgerState
from src.domain.trials import LedgerEntry, Trial
from src.judgement.trial_ledger import build_trial
from src.ports.stores import TrialLedger
from src.service import ledger_check
from src.stores.mongo_connection import MongoDatabase
from src.stores.mongo_ledger import MongoTrialLedger
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_ledger import SqliteTrialLedger
from tests.mongo_server import driver_of
from tests.trial_batches import make_batch

DAY_MS = 86_400_000

OpenLedger = Callable[[], TrialLedger]


@pytest.fixture
async def open_ledger(store_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenLedger]:
    """Open ledgers of one file or database, each as another process would; they are closed after the test."""
    opened: list[SqliteDatabase | MongoDatabase] = []
    name = f"test_{uuid.uuid4().hex}"

    def open_one() -> TrialLedger:
        if store_kind == "sqlite":
            opened.append(file := SqliteDatabase(tmp_path / "results.sqlite3"))
            return SqliteTrialLedger(file)
        uri = request.getfixturevalue("mongo_uri")
        opened.append(database := MongoDatabase(uri, name, driver=driver_of(store_kind)))
        return MongoTrialLedger(database)

    yield open_one
    for database in opened:
        await database.close()


@pytest.fixture
def ledger(open_ledger: OpenLedger) -> TrialLedger:
    return open_ledger()


def trial(seed: int, days: int = 60) -> Trial:
    returns = np.random.default_rng(seed).standard_normal(days) * 0.01
    found = build_trial(np.arange(days, dtype=np.int64) * DAY_MS + seed % 7 * DAY_MS, returns)
    assert found is not None
    return found


def entry(seed: int) -> LedgerEntry:
    return LedgerEntry(key=f"key-{seed}", total=trial(seed), active=trial(seed + 1000))


async def record(ledger: TrialLedger, seed: int, *, user: str = "ann", symbol: str = "BTCUSDT") -> LedgerUpdate:
    return await ledger.record(entry(seed), user_id=user, symbol=symbol)


async def state(ledger: TrialLedger, *, user: str = "ann", symbol: str = "BTCUSDT") -> TrialLedgerState:
    return await ledger.state(user_id=user, symbol=symbol)


async def chain(ledger: TrialLedger, page: int = 5) -> list[ChainLink]:
    found: list[ChainLink] = []
    while some := await ledger.links(
        user_id="ann", symbol="BTCUSDT", after=found[-1].number if found else 0, limit=page
    ):
        found += some
    return found


async def test_unknown_ledger_is_empty(ledger: TrialLedger) -> None:
    assert await state(ledger) == EMPTY_LEDGER


async def test_entry_is_counted_and_read_back(open_ledger: OpenLedger) -> None:
    expected = EMPTY_LEDGER.add(entry(1))
    update = await record(open_ledger(), 1)
    assert (update.before, update.after) == (EMPTY_LEDGER, expected)
    assert await state(open_ledger()) == expected


async def test_second_entry_continues_the_first(ledger: TrialLedger) -> None:
    first = await record(ledger, 1)
    second = await record(ledger, 2)
    assert second.before == first.after
    assert second.after == first.after.add(entry(2))


async def test_equal_key_is_counted_once(ledger: TrialLedger) -> None:
    await record(ledger, 1)
    await record(ledger, 2)
    known = await state(ledger)
    again = await record(ledger, 1)
    assert (again.before, again.after) == (known, known)
    assert await state(ledger) == known


async def test_flat_run_adds_no_trial_but_is_chained(ledger: TrialLedger) -> None:
    flat = LedgerEntry(key="flat", total=None, active=None)
    update = await ledger.record(flat, user_id="ann", symbol="BTCUSDT")
    assert (update.after.total.trials, update.after.active.trials) == (0, 0)
    assert update.after.head != update.before.head
    assert await state(ledger) == update.after


async def test_ledgers_of_users_and_symbols_are_apart(ledger: TrialLedger) -> None:
    await record(ledger, 1)
    mine = await state(ledger)
    for user, symbol in (("bob", "BTCUSDT"), ("ann", "ETHUSDT"), ("Ann", "BTCUSDT")):
        assert await state(ledger, user=user, symbol=symbol) == EMPTY_LEDGER
        assert (await record(ledger, 1, user=user, symbol=symbol)).before == EMPTY_LEDGER
    assert await state(ledger) == mine


async def test_concurrent_runs_are_counted_once_each(open_ledger: OpenLedger) -> None:
    ledgers = [open_ledger(), open_ledger()]
    seeds = [*range(12), *range(12)]
    updates = await asyncio.gather(*(record(ledgers[number % 2], seed) for number, seed in enumerate(seeds)))
    found = await state(ledgers[0])
    assert found.total.trials == found.active.trials == 12
    assert sum(update.before.head != update.after.head for update in updates) == 12
    in_order = EMPTY_LEDGER
    for seed in range(12):
        in_order = in_order.add(entry(seed))
    links = await chain(ledgers[1])
    assert sorted(link.key for link in links) == sorted(f"key-{seed}" for seed in range(12))
    assert find_fault(links, found) is None
    # The chain shows the order of the entries; the sums do not.
    assert (found.total, found.active) == (in_order.total, in_order.active)


async def test_caller_that_leaves_does_not_break_the_chain(ledger: TrialLedger) -> None:
    for seed in range(6):
        task = asyncio.create_task(record(ledger, seed))
        await asyncio.sleep(0.001 * seed)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    for seed in range(6):
        await record(ledger, seed)
    assert (await state(ledger)).total.trials == 6
    assert find_fault(await chain(ledger), await state(ledger)) is None


async def test_both_stores_keep_the_same_links(ledger: TrialLedger) -> None:
    expected, now = [], EMPTY_LEDGER
    for seed in range(7):
        await record(ledger, seed)
        await record(ledger, seed)
        now, link = now.count(entry(seed))
        expected.append(link)
    assert await chain(ledger, page=3) == expected
    assert await state(ledger) == now


async def test_ledgers_are_listed_one_after_another(ledger: TrialLedger) -> None:
    names = [("ann", "BTCUSDT"), ("ann", "BTCUSDT (x)"), ("ann", "ETHUSDT"), ("ann2", "A"), ("é", "ÀB"), ("𝄞", "B")]
    for user, symbol in reversed(names):
        await record(ledger, 1, user=user, symbol=symbol)

    async def listed(user_id: str | None) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        while name := await ledger.next_ledger(found[-1] if found else None, user_id=user_id):
            found.append(name)
        return found

    assert await listed(None) == names
    assert await listed("ann") == names[:3]
    assert await listed("an") == []


async def test_counted_trials_all_have_links(ledger: TrialLedger) -> None:
    for seed in range(5):
        await record(ledger, seed)
    assert await ledger.count_unlinked(user_id="ann", symbol="BTCUSDT") == 0
    assert await ledger.count_unlinked(user_id="bob", symbol="BTCUSDT") == 0
    assert await ledger.keeps_all_links() == isinstance(ledger, SqliteTrialLedger), "MongoDB cannot tell"


async def test_chain_has_no_fault_while_others_count(open_ledger: OpenLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_check, "PAGE_LINKS", 3)
    monkeypatch.setattr(ledger_check, "MAX_WALKS", 1)
    counting, walking = open_ledger(), open_ledger()
    await record(counting, 0)
    writer = asyncio.create_task(count_all(counting, range(1, 60)))
    walks = 0
    while not writer.done():
        found = await ledger_check.check_ledger(walking, user_id="ann", symbol="BTCUSDT")
        assert found.fault is None
        walks += 1
    await writer
    assert walks > 1
    assert (await ledger_check.check_ledger(walking, user_id="ann", symbol="BTCUSDT")).runs == 60


async def count_all(ledger: TrialLedger, seeds: range) -> None:
    for seed in seeds:
        await record(ledger, seed)


async def test_head_is_found_after_its_run(ledger: TrialLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_check, "PAGE_LINKS", 2)
    heads = [(await record(ledger, seed)).after.head for seed in range(7)]
    for runs, head in enumerate(heads, start=1):
        found = await ledger_check.check_ledger(ledger, user_id="ann", symbol="BTCUSDT", head=head)
        assert (found.fault, found.runs, found.head_after) == (None, 7, runs)
    missing = await ledger_check.check_ledger(ledger, user_id="ann", symbol="BTCUSDT", head="0" * 64)
    assert missing.head_after is None


async def record_batch(ledger: TrialLedger, seeds: Sequence[int], *, first_day: int = 0) -> LedgerUpdate:
    return await ledger.record_batch(make_batch(seeds, first_day=first_day), user_id="ann", symbol="BTCUSDT")


async def record_alone(ledger: TrialLedger, seed: int) -> LedgerUpdate:
    return await ledger.record(make_batch([seed]).entry(0), user_id="ann", symbol="BTCUSDT")


async def check(ledger: TrialLedger, head: str | None = None) -> ledger_check.LedgerFinding:
    return await ledger_check.check_ledger(ledger, user_id="ann", symbol="BTCUSDT", head=head)


def count_in_order(*counted: Sequence[int]) -> tuple[TrialLedgerState, list[ChainLink]]:
    """Return the state and the links after these batches of new runs."""
    now, links = EMPTY_LEDGER, []
    for seeds in counted:
        now, some = now.count_batch(make_batch(seeds))
        links += some
    return now, links


async def test_batches_are_counted_and_read_back(open_ledger: OpenLedger) -> None:
    expected, links = count_in_order([1, 2, 3, 4], [8], range(10, 17))
    first = await record_batch(open_ledger(), [1, 2, 3, 4])
    assert (first.before, first.after) == (EMPTY_LEDGER, count_in_order([1, 2, 3, 4])[0])
    second = await record_batch(open_ledger(), [8])
    assert second.before == first.after
    assert (await record_batch(open_ledger(), range(10, 17))).after == expected
    assert await state(open_ledger()) == expected
    assert await chain(open_ledger(), page=3) == links
    assert await open_ledger().count_unlinked(user_id="ann", symbol="BTCUSDT") == 0


async def test_sums_of_batches_are_those_of_runs(open_ledger: OpenLedger) -> None:
    ledger = open_ledger()
    await record_alone(ledger, 2)
    await record_batch(ledger, [1, 2, 3, 3, 4])
    await record_batch(ledger, [5, 4, 6, 1])
    await record_alone(ledger, 7)
    expected = EMPTY_LEDGER
    for seed in range(7, 0, -1):
        expected = expected.add(make_batch([seed]).entry(0))
    found = await state(ledger)
    assert (found.total, found.active, found.runs) == (expected.total, expected.active, 7)
    assert (await check(ledger)).fault is None


async def test_run_of_a_batch_was_counted_before(ledger: TrialLedger) -> None:
    known = (await record_batch(ledger, [1, 2, 3])).after
    for seed in (1, 3, 2):
        again = await record_alone(ledger, seed)
        assert (again.before, again.after) == (known, known)
    for seeds in ([1, 2, 3], [2], []):
        again = await record_batch(ledger, seeds)
        assert (again.before, again.after) == (known, known)
    assert await state(ledger) == known
    assert (await check(ledger)).fault is None


async def test_concurrent_batches_and_runs_count_once(open_ledger: OpenLedger) -> None:
    ledgers = [open_ledger(), open_ledger()]
    batches = [range(0, 9), range(5, 14), range(3, 20), range(0, 9), range(16, 24)]
    tasks = [record_batch(ledgers[number % 2], seeds) for number, seeds in enumerate(batches)]
    tasks += [record_alone(ledgers[number % 2], seed) for number, seed in enumerate((4, 4, 30, 17, 30))]
    updates = await asyncio.gather(*tasks)
    expected = EMPTY_LEDGER
    for seed in (*range(24), 30):
        expected = expected.add(make_batch([seed]).entry(0))
    found = await state(ledgers[0])
    assert (found.total, found.active, found.runs) == (expected.total, expected.active, 25)
    assert sum(update.after.runs - update.before.runs for update in updates) == 25
    assert (await check(ledgers[1])).fault is None
    assert sorted(link.key for link in await chain(ledgers[0])) == sorted(f"run-{seed}" for seed in (*range(24), 30))


async def test_batch_head_is_found_after_last_run(ledger: TrialLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_check, "PAGE_LINKS", 2)
    heads = {(await record_alone(ledger, 90)).after.head: 1}
    heads[(await record_batch(ledger, range(5))).after.head] = 6
    heads[(await record_batch(ledger, range(5, 9))).after.head] = 10
    heads[(await record_alone(ledger, 91)).after.head] = 11
    for head, runs in heads.items():
        found = await check(ledger, head)
        assert (found.fault, found.runs, found.head_after) == (None, 11, runs)


async def test_chain_has_no_fault_while_batches_count(open_ledger: OpenLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_check, "PAGE_LINKS", 3)
    monkeypatch.setattr(ledger_check, "MAX_WALKS", 1)
    counting, walking = open_ledger(), open_ledger()
    await record_batch(counting, range(7))

    async def count_batches() -> None:
        for first in range(7, 140, 7):
            await record_batch(counting, range(first, first + 7))
            await record_alone(counting, first + 1000)

    writer = asyncio.create_task(count_batches())
    walks = 0
    while not writer.done():
        assert (await check(walking)).fault is None
        walks += 1
    await writer
    assert walks > 1
    assert (await check(walking)).runs == 140 + 19


async def test_caller_that_leaves_a_batch_breaks_no_chain(ledger: TrialLedger) -> None:
    for number in range(6):
        task = asyncio.create_task(record_batch(ledger, range(number, number + 5)))
        await asyncio.sleep(0.002 * number)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (await check(ledger)).fault is None
    await record_batch(ledger, range(10))
    assert (await state(ledger)).runs == 10
    assert (await check(ledger)).fault is None
