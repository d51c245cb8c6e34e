"""Check how ledgers of trials shrink at their limits: one suite over SQLite and MongoDB."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from src.domain.trial_states import EMPTY_LEDGER, LEDGER_BYTES, FoldedLedgers, LedgerUpdate, TrialLedgerState
from src.service.ledger_check import LedgerFinding, check_ledger
from src.stores.ledger_limits import BoundedTrialLedger, LedgerQuota, LedgerSizes, ShrinkableLedger
from src.stores.mongo_connection import MongoDatabase
from src.stores.mongo_ledger import MongoTrialLedger
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_ledger import SqliteTrialLedger
from tests.trial_batches import make_batch

REAL, SIMULATED = "BTCUSDT (Binance)", "BTCUSDT (simulated (seed 7))"
PLENTY = 10**9

OpenLedger = Callable[[], ShrinkableLedger]


@pytest.fixture
async def open_ledger(store_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenLedger]:
    """Open ledgers of one file or database, each as another process would; they are closed after the test."""
    opened: list[SqliteDatabase | MongoDatabase] = []
    name = f"test_{uuid.uuid4().hex}"

    def open_one() -> ShrinkableLedger:
        if store_kind == "sqlite":
            opened.append(file := SqliteDatabase(tmp_path / "results.sqlite3"))
            return SqliteTrialLedger(file)
        opened.append(database := MongoDatabase(request.getfixturevalue("mongo_uri"), name))
        return MongoTrialLedger(database)

    yield open_one
    for database in opened:
        await database.close()


@pytest.fixture
def ledger(open_ledger: OpenLedger) -> ShrinkableLedger:
    return open_ledger()


async def count(ledger: ShrinkableLedger, seeds: Sequence[int], user: str = "ann", symbol: str = REAL) -> LedgerUpdate:
    return await ledger.record_batch(make_batch(seeds), user_id=user, symbol=symbol)


async def count_alone(ledger: ShrinkableLedger, seed: int, user: str = "ann", symbol: str = REAL) -> LedgerUpdate:
    return await ledger.record(make_batch([seed]).entry(0), user_id=user, symbol=symbol)


async def state(ledger: ShrinkableLedger, user: str = "ann", symbol: str = REAL) -> TrialLedgerState:
    return await ledger.state(user_id=user, symbol=symbol)


async def check(ledger: ShrinkableLedger, head: str | None = None) -> LedgerFinding:
    return await check_ledger(ledger, user_id="ann", symbol=REAL, head=head)


async def size(ledger: ShrinkableLedger, user: str | None) -> int:
    sizes = await ledger.measure(user)
    return sizes.full + sizes.reduced


async def fold_all(ledger: ShrinkableLedger, user: str | None) -> int:
    """Reduce all ledgers and fold them; return how many were folded."""
    folded = 0
    while await ledger.reduce_oldest(user):
        pass
    while await ledger.fold_oldest(user):
        folded += 1
    return folded


async def test_reduced_ledger_keeps_every_statistic(open_ledger: OpenLedger) -> None:
    before = (await count(open_ledger(), range(20))).after
    shrunk = await open_ledger().reduce_oldest("ann")
    found = await state(open_ledger())
    assert shrunk == LedgerSizes(full=before.size_bytes, reduced=LEDGER_BYTES)
    assert found == before.reduce()
    assert (found.total.statistics, found.active.statistics) == (before.total.statistics, before.active.statistics)
    assert (found.runs, found.head, found.reduced_runs) == (20, before.head, 20)
    assert found.total.slots.size == found.active.slots.size == 0
    assert await open_ledger().links(user_id="ann", symbol=REAL, after=0, limit=100) == []
    sizes = LedgerSizes(full=0, reduced=LEDGER_BYTES)
    assert await open_ledger().measure("ann") == await open_ledger().measure(None) == sizes
    assert await open_ledger().measure("bob") == LedgerSizes(full=0, reduced=0)
    assert await open_ledger().reduce_oldest("ann") is None


async def test_runs_after_a_reduction_go_on(ledger: ShrinkableLedger) -> None:
    first = (await count(ledger, range(1, 9))).after
    await ledger.reduce_oldest(None)
    await count_alone(ledger, 11)
    found = (await count(ledger, range(12, 17))).after
    expected = first.reduce().add(make_batch([11]).entry(0)).count_batch(make_batch(range(12, 17)))[0]
    assert found == await state(ledger) == expected
    assert (found.runs, found.reduced_runs) == (14, 8)
    links = await ledger.links(user_id="ann", symbol=REAL, after=0, limit=100)
    assert [link.number for link in links] == list(range(9, 15))
    walk = await check(ledger, first.head)
    assert (walk.fault, walk.runs, walk.reduced_runs, walk.head_after) == (None, 14, 8, 8)


async def test_equal_run_after_a_reduction_counts_again(ledger: ShrinkableLedger) -> None:
    await count(ledger, [1, 2])
    await count_alone(ledger, 3)
    await ledger.reduce_oldest("ann")
    for _ in range(2):
        await count_alone(ledger, 3)
        await count(ledger, [1, 3])
    assert (await state(ledger)).runs == 5
    assert (await check(ledger)).fault is None


async def test_ledger_without_new_runs_shrinks_first(ledger: ShrinkableLedger) -> None:
    markets = (REAL, SIMULATED, "ETHUSDT (Binance)")
    for symbol in markets:
        await count(ledger, [1, 2], symbol=symbol)
    await count(ledger, [3], symbol=REAL)
    await count(ledger, [1, 2], symbol=SIMULATED)  # counted before, so that it is no use
    order: list[str] = []
    while await ledger.reduce_oldest("ann"):
        [name] = [name for name in markets if name not in order and (await state(ledger, symbol=name)).is_reduced]
        order.append(name)
    assert order == [SIMULATED, "ETHUSDT (Binance)", REAL]


async def test_simulated_markets_are_folded_first(ledger: ShrinkableLedger) -> None:
    await count(ledger, [1, 2, 3], symbol=REAL)
    await count(ledger, [1, 2], symbol=SIMULATED)
    await count(ledger, [1], user="bob", symbol=REAL)
    assert await ledger.fold_oldest("ann") is None, "only reduced ones are folded"
    while await ledger.reduce_oldest("ann"):
        pass
    assert await ledger.fold_oldest("ann") == LedgerSizes(full=0, reduced=LEDGER_BYTES)
    assert await ledger.count_folded(user_id="ann") == FoldedLedgers(markets=1, runs=2)
    assert await state(ledger, symbol=SIMULATED) == replace(EMPTY_LEDGER, missing_runs=2)
    assert await state(ledger, symbol="ETHUSDT (Binance)") == EMPTY_LEDGER
    assert await state(ledger, user="bob", symbol=SIMULATED) == EMPTY_LEDGER
    assert (await state(ledger)).runs == 3
    assert await fold_all(ledger, "ann") == 1
    assert await ledger.count_folded(user_id="ann") == FoldedLedgers(markets=2, runs=5)
    assert await ledger.measure("ann") == LedgerSizes(full=0, reduced=0)
    assert (await state(ledger, user="bob")).runs == 1


async def test_folded_market_says_what_it_may_lack(ledger: ShrinkableLedger) -> None:
    await count(ledger, [1, 2, 3], symbol=SIMULATED)
    await count(ledger, [1, 2], user="bob", symbol=SIMULATED)
    await fold_all(ledger, "ann")
    await fold_all(ledger, None)
    update = await count(ledger, [4], symbol=SIMULATED)
    assert (update.before.missing_runs, update.after.missing_runs, update.after.runs) == (5, 5, 1)
    assert (await state(ledger, symbol=SIMULATED)).missing_runs == 5
    await count(ledger, [5], symbol=SIMULATED)
    assert (await state(ledger, symbol=SIMULATED)).missing_runs == 5
    assert (await state(ledger, user="eve", symbol=SIMULATED)).missing_runs == 2
    assert await ledger.count_folded(user_id=None) == FoldedLedgers(markets=2, runs=5)


async def test_ledgers_over_a_limit_shrink_below_it(open_ledger: OpenLedger) -> None:
    inner = open_ledger()
    bounded = BoundedTrialLedger(inner, LedgerQuota(max_bytes_per_user=20_000, max_bytes=PLENTY))
    for number in range(40):
        symbol = f"BTCUSDT (simulated (seed {number}))"
        update = await bounded.record_batch(make_batch(range(3)), user_id="ann", symbol=symbol)
        assert update.after.runs == 3
        assert await size(inner, "ann") <= 20_000
    folded = await bounded.count_folded(user_id="ann")
    states = [await state(inner, symbol=f"BTCUSDT (simulated (seed {number}))") for number in range(40)]
    assert sum(found.runs for found in states) + folded.runs == 120
    assert states[-1].reduced_runs == 0, "the market in use is reduced last"
    assert any(found.reduced_runs == 3 for found in states)
    assert folded.markets > 0


async def test_made_up_users_share_one_limit(open_ledger: OpenLedger) -> None:
    inner = open_ledger()
    quota = LedgerQuota(max_bytes_per_user=PLENTY, max_bytes=20_000)
    processes = [BoundedTrialLedger(inner, quota), BoundedTrialLedger(open_ledger(), quota)]
    for number in range(40):
        bounded = processes[number % 2]
        await bounded.record_batch(make_batch(range(3)), user_id=f"user{number}", symbol=REAL)
        assert await size(inner, None) <= 20_000 * 9 / 8
    folded = await inner.count_folded(user_id=None)
    states = [await state(inner, user=f"user{number}") for number in range(40)]
    assert sum(found.runs for found in states) + folded.runs == 120
    assert await inner.count_folded(user_id="user0") == FoldedLedgers()


async def test_runs_that_count_while_ledgers_shrink(open_ledger: OpenLedger) -> None:
    counting, also, shrinking = open_ledger(), open_ledger(), open_ledger()

    async def count_runs(ledger: ShrinkableLedger, first: int) -> None:
        for seed in range(first, first + 120, 6):
            await count_alone(ledger, seed)
            await count(ledger, range(seed + 1, seed + 6))

    writers = asyncio.gather(count_runs(counting, 0), count_runs(also, 1000), count_runs(counting, 0))
    reductions = 0
    while not writers.done():
        reductions += await shrinking.reduce_oldest("ann") is not None
        if reductions % 3 == 0:
            await shrinking.fold_oldest(None)
    await writers
    folded, found = await shrinking.count_folded(user_id=None), await state(shrinking)
    assert reductions > 2
    # Of runs that are counted by two at once, one may come after the reduction. A ledger that others changed while it
    # was folded in MongoDB is counted there as well.
    most = 360 if isinstance(shrinking, SqliteTrialLedger) else 10**6
    assert 240 <= found.runs + folded.runs <= most
    assert (await check(shrinking)).fault is None
    assert await shrinking.count_unlinked(user_id="ann", symbol=REAL) == 0
