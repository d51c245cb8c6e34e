"""Count the runs of each user on each symbol in the SQLite file of the results."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from src.domain.errors import StoreUnavailable
from src.domain.trials import EMPTY_LEDGER, ChainLink, LedgerEntry, LedgerUpdate, TrialLedgerState, TrialSums
from src.stores.sqlite_database import SqliteDatabase

_SELECT: Final = (
    "SELECT total, active, head, runs, unlinked_runs, first_head FROM trial_ledgers WHERE user_id = ? AND symbol = ?"
)
_IS_COUNTED: Final = "SELECT 1 FROM trials WHERE user_id = ? AND symbol = ? AND key = ?"
_COUNT: Final = "INSERT INTO trials (user_id, symbol, key, number, entry, sums, head) VALUES (?, ?, ?, ?, ?, ?, ?)"
_STORE: Final = (
    "INSERT OR REPLACE INTO trial_ledgers (user_id, symbol, total, active, head, runs, unlinked_runs, first_head) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_LINKS: Final = (
    "SELECT number, key, entry, sums, head FROM trials WHERE user_id = ? AND symbol = ? AND number > ? "
    "ORDER BY number LIMIT ?"
)


class SqliteTrialLedger:
    """A TrialLedger in a SQLite file.

    An entry's link and the sums that it changes are stored in one transaction: a crash keeps both or neither. It does
    not wait for the disk: the result of the run is stored after it, and that write brings both to the disk.
    """

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def record(self, entry: LedgerEntry, *, user_id: str, symbol: str) -> LedgerUpdate:
        def count(connection: sqlite3.Connection) -> LedgerUpdate:
            before = _read_state(connection.execute(_SELECT, (user_id, symbol)).fetchall())
            if connection.execute(_IS_COUNTED, (user_id, symbol, entry.key)).fetchall():
                return LedgerUpdate(before=before, after=before)
            after, link = before.count(entry)
            content = (link.key, link.number, link.entry, link.sums, link.head)
            connection.execute(_COUNT, (user_id, symbol, *content))
            sums = (after.total.to_bytes(), after.active.to_bytes(), after.head)
            chain = (after.runs, after.unlinked_runs, after.first_head)
            connection.execute(_STORE, (user_id, symbol, *sums, *chain))
            return LedgerUpdate(before=before, after=after)

        return await self._database.transact(count, is_durable=False)

    async def state(self, *, user_id: str, symbol: str) -> TrialLedgerState:
        return _read_state(await self._database.read(_SELECT, (user_id, symbol)))

    async def links(self, *, user_id: str, symbol: str, after: int, limit: int) -> Sequence[ChainLink]:
        rows = await self._database.read(_LINKS, (user_id, symbol, after, limit))
        return [
            ChainLink(number=number, key=key, entry=str(entry), sums=str(sums), head=str(head))
            for number, key, entry, sums, head in rows
        ]


def _read_state(rows: Sequence[Any]) -> TrialLedgerState:
    if not rows:
        return EMPTY_LEDGER
    [[total, active, head, runs, unlinked_runs, first_head]] = rows
    try:
        return TrialLedgerState(
            total=TrialSums.from_bytes(total),
            active=TrialSums.from_bytes(active),
            head=head,
            runs=runs,
            unlinked_runs=unlinked_runs,
            first_head=first_head,
        )
    except (TypeError, ValueError) as error:
        raise StoreUnavailable("The ledger of trials cannot be read: {reason}", reason=str(error)) from error
