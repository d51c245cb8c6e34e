"""Count the runs of each user on each symbol in the SQLite file of the results."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from src.domain.chain_links import LOWEST_NUMBER, ChainLink
from src.domain.trial_states import EMPTY_LEDGER, FoldedLedgers, LedgerUpdate, TrialLedgerState
from src.domain.trials import LedgerEntry, TrialBatch
from src.stores.ledger_fields import FULL, is_simulated, rank_of, read_state
from src.stores.ledger_limits import EVERYBODY, LedgerSizes
from src.stores.sqlite_database import SqliteDatabase

_SELECT: Final = (
    "SELECT total, active, head, runs, unlinked_runs, first_head, reduced_runs, missing_runs FROM trial_ledgers "
    "WHERE user_id = ? AND symbol = ?"
)
_SELECT_MISSING: Final = "SELECT coalesce(sum(runs), 0) FROM ledger_folds WHERE keeper IN (?, ?) AND is_simulated = ?"
_IS_COUNTED: Final = "SELECT 1 FROM trials WHERE user_id = ? AND symbol = ? AND key = ?"
_ARE_COUNTED: Final = "SELECT key FROM trials WHERE user_id = ? AND symbol = ? AND key IN ({marks})"
_COUNT: Final = (
    "INSERT INTO trials (user_id, symbol, key, number, entry, sums, head, runs) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_COUNT_WITH_BATCH: Final = (
    "INSERT INTO trials (user_id, symbol, key, number, entry, sums, head, runs) VALUES (?, ?, ?, ?, '', '', '', 0)"
)
_STORE: Final = (
    "INSERT INTO trial_ledgers (user_id, symbol, total, active, head, runs, unlinked_runs, first_head, reduced_runs, "
    "missing_runs, rank, size_bytes, used) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT coalesce(max(used), 0) + 1 FROM trial_ledgers)) "
    "ON CONFLICT DO UPDATE SET total = excluded.total, active = excluded.active, head = excluded.head, "
    "runs = excluded.runs, unlinked_runs = excluded.unlinked_runs, first_head = excluded.first_head, "
    "reduced_runs = excluded.reduced_runs, missing_runs = excluded.missing_runs, rank = excluded.rank, "
    "size_bytes = excluded.size_bytes, used = {used}"
)
_NEW_USE: Final = "excluded.used"
_SAME_USE: Final = "trial_ledgers.used"
_LINKS: Final = (
    "SELECT number, key, entry, sums, head, runs FROM trials WHERE user_id = ? AND symbol = ? AND number > ? "
    "ORDER BY number, key LIMIT ?"
)
_COUNT_RUNS: Final = "SELECT count(*) FROM trials WHERE user_id = ? AND symbol = ?"
_COUNT_UNLINKED: Final = f"{_COUNT_RUNS} AND (number IS NULL OR number <= ?)"
_ARE_COMPLETE: Final = "SELECT count(*) FROM trial_links WHERE are_complete"
_IS_TEXT: Final = "typeof(user_id) = 'text' AND typeof(symbol) = 'text'"
"""The service reads no other rows, because SQLite sorts other types differently from their text."""
_NEXT: Final = (
    "SELECT * FROM (SELECT user_id, symbol FROM trial_ledgers WHERE {where} ORDER BY user_id, symbol LIMIT 1) UNION "
    "SELECT * FROM (SELECT user_id, symbol FROM trials WHERE {where} ORDER BY user_id, symbol LIMIT 1) "
    "ORDER BY user_id, symbol LIMIT 1"
)

_MEASURE: Final = "SELECT rank, sum(size_bytes) FROM trial_ledgers{where} GROUP BY rank"
_OLDEST: Final = (
    "SELECT user_id, symbol, size_bytes, runs FROM trial_ledgers WHERE {where}rank {ranks} ORDER BY rank, used LIMIT 1"
)
_REMOVE_TRIALS: Final = "DELETE FROM trials WHERE user_id = ? AND symbol = ?"
_REMOVE: Final = "DELETE FROM trial_ledgers WHERE user_id = ? AND symbol = ?"
_FOLD: Final = (
    "INSERT INTO ledger_folds (keeper, is_simulated, markets, runs) VALUES (?, ?, 1, ?) "
    "ON CONFLICT DO UPDATE SET markets = markets + 1, runs = runs + excluded.runs"
)
_COUNT_FOLDED: Final = "SELECT coalesce(sum(markets), 0), coalesce(sum(runs), 0) FROM ledger_folds{where}"

_KEYS_A_QUERY: Final = 500
"""SQLite allows 999 parameters in a statement in its oldest builds."""

_CountRuns = Callable[[TrialLedgerState], tuple[TrialLedgerState, Sequence[ChainLink]]]


class SqliteTrialLedger:
    """A TrialLedger in a SQLite file.

    One transaction stores the links of the counted runs and the sums that they change, so a crash keeps both or
    neither. It does not wait for the disk: the result of the run, or the rows of the sweep, are stored after it, and
    that write flushes both.
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
        rows = await self._database.read(_SELECT, (user_id, symbol))
        missing = () if rows else await self._database.read(_SELECT_MISSING, _keepers(user_id, symbol))
        return _read_state(rows, missing)

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

    async def count_folded(self, *, user_id: str | None) -> FoldedLedgers:
        where, values = ("", ()) if user_id is None else (" WHERE keeper = ?", (user_id,))
        [[markets, runs]] = await self._database.read(_COUNT_FOLDED.format(where=where), values)
        return FoldedLedgers(markets=markets, runs=runs)

    async def measure(self, user_id: str | None) -> LedgerSizes:
        where, values = ("", ()) if user_id is None else (" WHERE user_id = ?", (user_id,))
        sizes = dict(await self._database.read(_MEASURE.format(where=where), values))
        return LedgerSizes(full=sizes.pop(FULL, 0), reduced=sum(sizes.values()))

    async def reduce_oldest(self, user_id: str | None) -> LedgerSizes | None:
        def reduce(connection: sqlite3.Connection) -> LedgerSizes | None:
            for user, symbol, size_bytes, _ in _find_oldest(connection, user_id, f"= {FULL}"):
                return LedgerSizes(full=size_bytes, reduced=_reduce(connection, user, symbol).size_bytes)
            return None

        return await self._database.transact(reduce, frees_space=True, is_durable=False)

    async def fold_oldest(self, user_id: str | None) -> LedgerSizes | None:
        def fold(connection: sqlite3.Connection) -> LedgerSizes | None:
            for user, symbol, size_bytes, runs in _find_oldest(connection, user_id, f"> {FULL}"):
                connection.execute(_REMOVE, (user, symbol))
                connection.execute(_FOLD, (EVERYBODY if user_id is None else user_id, is_simulated(symbol), runs))
                return LedgerSizes(full=0, reduced=size_bytes)
            return None

        return await self._database.transact(fold, frees_space=True, is_durable=False)

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
    state = _find_state(connection, user_id, symbol)
    return LedgerUpdate(before=state, after=state)


def _count(connection: sqlite3.Connection, user_id: str, symbol: str, count_runs: _CountRuns) -> LedgerUpdate:
    """Store the state after some runs, and their links."""
    before = _with_chain(connection, user_id, symbol, _find_state(connection, user_id, symbol))
    after, [first, *others] = count_runs(before)
    content = (first.key, first.number, first.entry, first.sums, first.head, first.runs)
    connection.execute(_COUNT, (user_id, symbol, *content))
    # In the order of the table, so that each of its pages is looked up once.
    rows = sorted((user_id, symbol, link.key, link.number) for link in others)
    connection.executemany(_COUNT_WITH_BATCH, rows)
    _store(connection, user_id, symbol, after, use=_NEW_USE)
    return LedgerUpdate(before=before, after=after)


def _reduce(connection: sqlite3.Connection, user_id: str, symbol: str) -> TrialLedgerState:
    """Reduce a ledger to its sums."""
    state = _with_chain(connection, user_id, symbol, _find_state(connection, user_id, symbol)).reduce()
    connection.execute(_REMOVE_TRIALS, (user_id, symbol))
    _store(connection, user_id, symbol, state, use=_SAME_USE)
    return state


def _with_chain(connection: sqlite3.Connection, user_id: str, symbol: str, state: TrialLedgerState) -> TrialLedgerState:
    """Return the state with its number of runs, which a version that keeps no links did not store."""
    if not state.is_unnumbered:
        return state
    [[runs]] = connection.execute(_COUNT_RUNS, (user_id, symbol)).fetchall()
    return state.start_chain(runs)


def _store(connection: sqlite3.Connection, user_id: str, symbol: str, state: TrialLedgerState, *, use: str) -> None:
    sums = (state.total.to_bytes(), state.active.to_bytes(), state.head)
    chain = (state.runs, state.unlinked_runs, state.first_head, state.reduced_runs, state.missing_runs)
    values = (user_id, symbol, *sums, *chain, rank_of(state, symbol), state.size_bytes)
    connection.execute(_STORE.format(used=use), values)


def _find_oldest(connection: sqlite3.Connection, user_id: str | None, ranks: str) -> Sequence[Any]:
    """Return the names, bytes and runs of the ledger that shrinks next, of one user or of all, in a list."""
    where, values = ("", ()) if user_id is None else ("user_id = ? AND ", (user_id,))
    return connection.execute(_OLDEST.format(where=where, ranks=ranks), values).fetchall()


def _keepers(user_id: str, symbol: str) -> tuple[str, str, bool]:
    """Return the values of `_SELECT_MISSING`."""
    return user_id, EVERYBODY, is_simulated(symbol)


def _find_state(connection: sqlite3.Connection, user_id: str, symbol: str) -> TrialLedgerState:
    rows = connection.execute(_SELECT, (user_id, symbol)).fetchall()
    missing = () if rows else connection.execute(_SELECT_MISSING, _keepers(user_id, symbol)).fetchall()
    return _read_state(rows, missing)


def _read_state(rows: Sequence[Any], missing: Sequence[Any]) -> TrialLedgerState:
    """Return the state in a row; without one, an empty state with the number of runs that it may lack."""
    if not rows:
        [[missing_runs]] = missing
        return replace(EMPTY_LEDGER, missing_runs=missing_runs)
    [[total, active, head, runs, unlinked_runs, first_head, reduced_runs, missing_runs]] = rows
    return read_state(
        total=total,
        active=active,
        head=head,
        runs=runs,
        unlinked_runs=unlinked_runs,
        first_head=first_head,
        reduced_runs=reduced_runs,
        missing_runs=missing_runs,
    )
