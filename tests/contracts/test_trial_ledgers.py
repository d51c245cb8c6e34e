"""Check what every ledger of trials must do: one suite over SQLite and MongoDB."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from src.domain.trial_chain import find_fault
from src.domain.trials import EMPTY_LEDGER, ChainLink, LedgerEntry, LedgerUpdate, Trial, TrialLedgerState
from src.judgement.trial_ledger import build_trial
from src.ports import TrialLedger
from src.service import ledger_check
from src.stores.mongo_connection import MongoDatabase
from src.stores.mongo_ledger import MongoTrialLedger
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_ledger import SqliteTrialLedger

DAY_MS = 86_400_000

OpenLedger = Callable[[], TrialLedger]


@pytest.fixture(params=["sqlite", "mongo"])
async def open_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenLedger]:
    """Open ledgers of one file or database, each as another process would; they are closed after the test."""
    opened: list[SqliteDatabase | MongoDatabase] = []
    name = f"test_{uuid.uuid4().hex}"

    def open_one() -> TrialLedger:
        if request.param == "sqlite":
            opened.append(file := SqliteDatabase(tmp_path / "results.sqlite3"))
            return SqliteTrialLedger(file)
        opened.append(database := MongoDatabase(request.getfixturevalue("mongo_uri"), name))
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
