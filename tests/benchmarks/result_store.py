"""Keeping results in SQLite, each on the disk before it is acknowledged: alone, and many at a time."""

from __future__ import annotations

import asyncio
import pickle
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import closing
from itertools import count
from pathlib import Path

from src.domain.runs import BacktestResult
from src.stores.sqlite import SqliteStore
from src.stores.sqlite_database import SqliteDatabase
from tests.benchmarks.measurement import Measurement, best_of
from tests.factories import make_result

BARS = 1_000
TOGETHER = 64

_names = count()


def measure() -> list[Measurement]:
    """Measure saving against the least that a durable store can do: one pickled row and one commit a result."""
    with tempfile.TemporaryDirectory() as folder, closing(asyncio.new_event_loop()) as loop:
        store = SqliteStore(SqliteDatabase(Path(folder) / "ours.sqlite3"))

        def run(work: Callable[[], Awaitable[object]]) -> None:
            loop.run_until_complete(_awaited(work))

        alone = best_of(lambda: run(lambda: store.save(_result())), repeats=50)
        results = [[_result() for _ in range(TOGETHER)] for _ in range(11)]
        together = best_of(lambda: run(lambda: asyncio.gather(*map(store.save, results.pop()))), repeats=10) / TOGETHER
        kept = f"result-{next(_names)}"
        run(lambda: store.save(make_result(BARS, id=kept)))
        reading = best_of(lambda: run(lambda: store.get(kept)), repeats=50)
        run(store.close)
        writing_peer, reading_peer = _plain(Path(folder) / "plain.sqlite3")
    units, peer = f"{BARS:,} bars", "sqlite3, one pickle a row, one commit each"
    return [
        Measurement(name="result saved, one after the other", seconds=alone, units=units, peer_name=peer,
                    peer_seconds=writing_peer),
        Measurement(name=f"result saved, {TOGETHER} at a time, each", seconds=together, units=units, peer_name=peer,
                    peer_seconds=writing_peer),
        Measurement(name="result read", seconds=reading, units=units, peer_name="sqlite3, one unpickled row",
                    peer_seconds=reading_peer),
    ]  # fmt: skip


async def _awaited(work: Callable[[], Awaitable[object]]) -> None:
    await work()


def _result() -> BacktestResult:
    return make_result(BARS, id=f"result-{next(_names)}")


def _plain(path: Path) -> tuple[float, float]:
    """Return the seconds of saving and of reading one result."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE results (id TEXT PRIMARY KEY, content BLOB)")
        arrays = _arrays(make_result(BARS))

        def save() -> None:
            connection.execute("INSERT INTO results VALUES (?, ?)", (str(next(_names)), pickle.dumps(arrays)))

        writing = best_of(save, repeats=50)
        [[name]] = connection.execute("SELECT id FROM results LIMIT 1").fetchall()

        def read() -> None:
            [[content]] = connection.execute("SELECT content FROM results WHERE id = ?", (name,)).fetchall()
            pickle.loads(content)

        return writing, best_of(read, repeats=50)


def _arrays(result: BacktestResult) -> list[object]:
    simulation = result.simulation
    return [result.time_ms, result.close, result.signals.action, simulation.equity, simulation.cash,
            simulation.position, simulation.fills, simulation.trades]  # fmt: skip
