"""Store results in one SQLite file, which several processes may use at once."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

from src.domain.errors import Conflict, StoreUnavailable, result_not_found
from src.domain.runs import BacktestResult, ResultPage, ResultQuota, ResultSummary, StoreUsage
from src.stores.documents import ResultDocument, decode, decode_summary, encode, read_summary
from src.stores.pages import Position, check_page_size, check_result_id, is_storable_text
from src.stores.quotas import check_result_size
from src.stores.result_rows import build_page, in_order, reading
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_writer import Statement

logger = logging.getLogger(__name__)

_SUMMARY: Final = "CAST(summary AS BLOB)"
"""Read as bytes: for text that is not UTF-8, Python's module raises the same error as for a damaged file."""

_IDS_PER_QUERY: Final = 500

_INSERT: Final = (
    "INSERT INTO results (id, created_ms, user_id, symbol, summary, size_bytes) "
    "VALUES (:id, :created_ms, :user_id, :symbol, :summary, :size_bytes)"
)

_DELETE_SURPLUS: Final = """
    DELETE FROM results WHERE id IN (
        SELECT id FROM (
            SELECT id, row_number() OVER newest AS place, sum(size_bytes) OVER newest AS total_bytes
            FROM results WHERE user_id = :user_id AND (
                SELECT count(*) > :max_results OR sum(size_bytes) > :max_bytes FROM results WHERE user_id = :user_id
            )
            WINDOW newest AS (ORDER BY id = :id DESC, created_ms DESC, id DESC ROWS UNBOUNDED PRECEDING)
        ) WHERE place > :max_results OR total_bytes > :max_bytes
    )"""
"""Delete a user's results beyond the quota. The one just stored counts first, so it is never deleted. For 10,000
results an index gives the sums in 1 ms; sorting takes 50 ms, and is done only if the quota is exceeded."""

_DELETE_OLDER: Final = (
    "DELETE FROM results WHERE id IN (SELECT id FROM results WHERE created_ms < ? ORDER BY created_ms, id LIMIT 100)"
)


class SqliteStore:
    """A ResultStore in a SQLite file; a save is one transaction.

    Parameters
    ----------
    quota
        What one user may store; None for no limit.

    Every method raises StoreUnavailable as `SqliteDatabase` does.
    """

    def __init__(self, database: SqliteDatabase, *, quota: ResultQuota | None = None) -> None:
        self._database = database
        self._quota = quota

    async def save(self, result: BacktestResult) -> None:
        row, parts = await asyncio.to_thread(_build_rows, result)
        check_result_size(row["size_bytes"], self._quota)
        await self._database.open()
        self._database.check_room(row["size_bytes"])
        try:
            await self._database.write(
                (_INSERT, [row]),
                ("INSERT INTO result_parts (result_id, name, content) VALUES (?, ?, ?)", parts),
                *self._surplus_deletion(row),
            )
        except sqlite3.IntegrityError as error:
            raise Conflict("Backtest {id!r} exists already.", id=result.id) from error

    async def get(self, result_id: str) -> BacktestResult:
        check_result_id(result_id)
        # One statement sees one state of the database, so a delete in between cannot leave half a result.
        rows = await self._database.read(
            f"SELECT '', {_SUMMARY} FROM results WHERE id = ?1 "  # noqa: S608
            "UNION ALL SELECT name, content FROM result_parts WHERE result_id = ?1",
            (result_id,),
        )
        parts = {name: content for name, content in rows if name}
        summaries = [content for name, content in rows if not name]
        if not summaries:
            raise result_not_found(result_id)
        with reading(result_id):
            summary = read_summary(summaries[0])
            return await asyncio.to_thread(decode, ResultDocument(summary=summary, parts=parts))

    async def summaries(self, result_ids: Sequence[str]) -> Sequence[ResultSummary]:
        wanted = list(dict.fromkeys(check_result_id(result_id) for result_id in result_ids))
        found: dict[str, ResultSummary] = {}
        for start in range(0, len(wanted), _IDS_PER_QUERY):
            some = wanted[start : start + _IDS_PER_QUERY]
            marks = ", ".join("?" * len(some))
            rows = await self._database.read(f"SELECT id, {_SUMMARY} FROM results WHERE id IN ({marks})", some)  # noqa: S608
            found |= {result_id: _read(result_id, summary) for result_id, summary in rows}
        return in_order(result_ids, found)

    async def list(self, *, user_id: str | None, symbol: str | None, first: int, after: str | None) -> ResultPage:
        check_page_size(first)
        conditions: dict[str, tuple[Any, ...]] = {}
        if after is not None:
            conditions["(created_ms, id) < (?, ?)"] = tuple(Position.from_cursor(after))
        for column, wanted in (("user_id", user_id), ("symbol", symbol)):
            if wanted is not None:
                if not is_storable_text(wanted):
                    return ResultPage(summaries=(), next_cursor=None)
                conditions[f"{column} = ?"] = (wanted,)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        rows = await self._database.read(
            f"SELECT created_ms, id, {_SUMMARY} FROM results "  # noqa: S608
            f"{where} ORDER BY created_ms DESC, id DESC LIMIT ?",
            [*(value for values in conditions.values() for value in values), first + 1],
        )
        return build_page(rows, _read, first=first)

    async def owner(self, result_id: str) -> str:
        rows = await self._database.read("SELECT user_id FROM results WHERE id = ?", [check_result_id(result_id)])
        if not rows:
            raise result_not_found(result_id)
        return str(rows[0][0])

    async def delete(self, result_id: str) -> None:
        check_result_id(result_id)
        if not await self._database.write(("DELETE FROM results WHERE id = ?", [(result_id,)]), frees_space=True):
            raise result_not_found(result_id)

    async def delete_older(self, created_before_ms: int) -> int:
        deleted = 0
        while some := await self._database.write((_DELETE_OLDER, [(created_before_ms,)]), frees_space=True):
            deleted += some
        return deleted

    async def usage(self) -> StoreUsage:
        [[results]] = await self._database.read("SELECT count(*) FROM results")
        return StoreUsage(results=results, size_bytes=await self._database.size_bytes())

    async def is_reachable(self) -> bool:
        try:
            await self._database.read("SELECT id FROM results LIMIT 1")
        except StoreUnavailable as error:
            logger.warning("result store not reachable: error=%s", error.__cause__ or error)
            return False
        return True

    async def close(self) -> None:
        await self._database.close()

    def _surplus_deletion(self, row: Mapping[str, Any]) -> Sequence[Statement]:
        """Return the statement that brings the user of a new row back under the quota."""
        if self._quota is None:
            return ()
        limits = {"max_results": self._quota.max_results, "max_bytes": self._quota.max_bytes}
        return [(_DELETE_SURPLUS, [{"id": row["id"], "user_id": row["user_id"], **limits}])]


def _build_rows(result: BacktestResult) -> tuple[Mapping[str, Any], Sequence[Sequence[Any]]]:
    """Return a result's row of `results`, and its rows of `result_parts`."""
    document = encode(result)
    summary = json.dumps(document.summary, allow_nan=False)
    row = {
        "id": result.id,
        "created_ms": result.created_ms,
        "user_id": result.request.user_id,
        "symbol": result.request.market.symbol,
        "summary": summary,
        "size_bytes": len(summary.encode()) + sum(map(len, document.parts.values())),
    }
    return row, [(result.id, name, content) for name, content in document.parts.items()]


def _read(result_id: str, summary: bytes) -> ResultSummary:
    with reading(result_id):
        return decode_summary(read_summary(summary))
