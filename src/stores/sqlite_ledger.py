"""Count the runs of each user on each symbol in the SQLite file of the results."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Final

from src.domain.chain_links import LOWEST_NUMBER, ChainLink
from src.domain.trial_states import EMPTY_LEDGER, LedgerUpdate, TrialLedgerState
from src.domain.trials import LedgerEntry, TrialBatch
from src.stores.ledger_fields import read_state
from src.stores.sqlite_database import SqliteDatabase

_SELECT: Final = (
    "SELECT total, active, head, runs, unlinked_runs, first_head FROM trial_ledgers WHERE user_id = ? AND symbol = ?"
)
_IS_COUNTED: Final = "SELECT 1 FROM trials WHERE user_id = ? AND symbol = ? AND key = ?"
_ARE_COUNTED: Final = "SELECT key FROM trials WHERE user_id = ? AND symbol = ? AND key IN ({marks})"
_COUNT: Final = (
    "INSERT INTO trials (user_id, symbol, key, number, entry, sums, head, runs) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_COUNT_WITH_BATCH: Final = (
    "INSERT INTO trials (user_id, symbol, key, number, entry, sums, head, runs) VALUES (?, ?, ?, ?, '', '', '', 0)"
)
_STORE: Final = (
    "INSERT OR REPLACE INTO trial_ledgers (user_id, symbol, total, active, head, runs, unlinked_runs, first_head) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_LINKS: Final = (
    "SELECT number, key, entry, sums, head, runs FROM trials WHERE user_id = ? AND symbol = ? AND number > ? "
    "ORDER BY number, key LIMIT ?"
)
_COUNT_RUNS: Final = "SELECT count(*) FROM trials WHERE user_id = ? AND symbol = ?"
_COUNT_UNLINKED: Final = f"{_COUNT_RUNS} AND (number IS NULL OR number <= ?)"
_ARE_COMPLETE: Final = "SELECT count(*) FROM trial_links WHERE are_complete"
_IS_TEXT: Final = "typeof(user_id) = 'text' AND typeof(symbol) = 'text'"
"""The service reads no other rows; another type would have another place in the order than its text."""
_NEXT: Final = (
    "SELECT * FROM (SELECT user_id, symbol FROM trial_ledgers WHERE {where} ORDER BY user_id, symbol LIMIT 1) UNION "
    "SELECT * FROM (SELECT user_id, symbol FROM trials WHERE {where} ORDER BY user_id, symbol LIMIT 1) "
    "ORDER BY user_id, symbol LIMIT 1"
)


_KEYS_A_QUERY: Final = 500
"""SQLite allows 999 parameters in a statement in its oldest builds."""

_CountRuns = Callable[[TrialLedgerState], tuple[TrialLedgerState, Sequence[ChainLink]]]


class SqliteTrialLedger:
    """A TrialLedger in a SQLite file.

    The links of the runs that are counted and the sums that they change are stored in one transaction: a crash keeps
    both or neither. It does not wait for the disk: the result of the run, or the rows of the sweep, are stored after
    it, and that write brings both to the disk.
    """

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def record(self, entry: LedgerEntry, *, user_id: str, symbol: str) -> LedgerUpdate:
        def count(connection: sqlite3.Connection) -> LedgerUpdate:
            if connection.execute(_IS_COUNTED, (user_id, symbol, entry.key)).fetchall():
                return _keep(connection, user_id, symbol)

            def count_run(state: TrialLedgerState) -> tuple[TrialLedgerState, Sequence[ChainLink]]:
                after, link = state.count(entry)
                return after, [link]

            return _count(connection, user_id, symbol, count_run)

        return await self._database.transact(count, is_durable=False)

    async def record_batch(self, batch: TrialBatch, *, user_id: str, symbol: str) -> LedgerUpdate:
        def count(connection: sqlite3.Connection) -> LedgerUpdate:
            new = batch.without(_find_counted(connection, user_id, symbol, batch.keys))
            if not len(new):
                return _keep(connection, user_id, symbol)
            return _count(connection, user_id, symbol, lambda state: state.count_batch(new))

        return await self._database.transact(count, is_durable=False)

    async def state(self, *, user_id: str, symbol: str) -> TrialLedgerState:
        return _read_state(await self._database.read(_SELECT, (user_id, symbol)))

    async def links(self, *, user_id: str, symbol: str, after: int, limit: int) -> Sequence[ChainLink]:
        rows = await self._database.read(_LINKS, (user_id, symbol, after, limit))
        return [
            ChainLink(number=number, key=key, entry=entry, sums=sums, head=head, runs=runs)
            for number, key, entry, sums, head, runs in rows
        ]

    async def count_unlinked(self, *, user_id: str, symbol: str) -> int:
        [[count]] = await self._database.read(_COUNT_UNLINKED, (user_id, symbol, LOWEST_NUMBER))
        return int(count)

    async def keeps_all_links(self) -> bool:
        [[rows]] = await self._database.read(_ARE_COMPLETE, ())
        return bool(rows)

    async def next_ledger(self, after: tuple[str, str] | None, *, user_id: str | None) -> tuple[str, str] | None:
        conditions = {"(user_id, symbol) > (?, ?)": after or (), "user_id = ?": () if user_id is None else (user_id,)}
        wanted = {condition: values for condition, values in conditions.items() if values}
        parameters = [value for values in wanted.values() for value in values]
        query = _NEXT.format(where=" AND ".join((_IS_TEXT, *wanted)))
        for user, symbol in await self._database.read(query, parameters * 2):
            return str(user), str(symbol)
        return None


def _find_counted(connection: sqlite3.Connection, user_id: str, symbol: str, keys: Sequence[str]) -> set[str]:
    """Return those of the keys that are counted."""
    found: set[str] = set()
    for first in range(0, len(keys), _KEYS_A_QUERY):
        some = keys[first : first + _KEYS_A_QUERY]
        query = _ARE_COUNTED.format(marks=", ".join("?" * len(some)))
        found.update(key for (key,) in connection.execute(query, (user_id, symbol, *some)))
    return found


def _keep(connection: sqlite3.Connection, user_id: str, symbol: str) -> LedgerUpdate:
    state = _read_state(connection.execute(_SELECT, (user_id, symbol)).fetchall())
    return LedgerUpdate(before=state, after=state)


def _count(connection: sqlite3.Connection, user_id: str, symbol: str, count_runs: _CountRuns) -> LedgerUpdate:
    """Store the state after some runs, and their links."""
    before = _read_state(connection.execute(_SELECT, (user_id, symbol)).fetchall())
    if before.is_unnumbered:
        [[runs]] = connection.execute(_COUNT_RUNS, (user_id, symbol)).fetchall()
        before = before.start_chain(runs)
    after, [first, *others] = count_runs(before)
    content = (first.key, first.number, first.entry, first.sums, first.head, first.runs)
    connection.execute(_COUNT, (user_id, symbol, *content))
    # In the order of the table, so that each of its pages is looked up once.
    rows = sorted((user_id, symbol, link.key, link.number) for link in others)
    connection.executemany(_COUNT_WITH_BATCH, rows)
    sums = (after.total.to_bytes(), after.active.to_bytes(), after.head)
    chain = (after.runs, after.unlinked_runs, after.first_head)
    connection.execute(_STORE, (user_id, symbol, *sums, *chain))
    return LedgerUpdate(before=before, after=after)


def _read_state(rows: Sequence[Any]) -> TrialLedgerState:
    if not rows:
        return EMPTY_LEDGER
    [[total, active, head, runs, unlinked_runs, first_head]] = rows
    return read_state(
        total=total, active=active, head=head, runs=runs, unlinked_runs=unlinked_runs, first_head=first_head
    )
