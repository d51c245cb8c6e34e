"""Read, list, compare and delete stored results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from src.domain.errors import ResultNotFound, UnreadableResult, result_not_found
from src.domain.model_files import check_user_id
from src.domain.runs import BacktestResult, ResultPage, ResultSummary
from src.domain.symbols import normalize_symbol
from src.ports.stores import ResultStore
from src.service.recent_results import RecentResults


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultService:
    """The use cases of stored results."""

    store: ResultStore
    _recent: RecentResults = field(default_factory=RecentResults, init=False)

    async def get(self, result_id: str) -> BacktestResult:
        """Return a stored result; raises ResultNotFound."""
        return await self._recent.get(
            result_id,
            read=lambda: self.store.get(result_id),
            check_exists=lambda: self.store.owner(result_id),
        )

    async def check_exists(self, result_id: str) -> None:
        """Raise ResultNotFound if no such result is stored, without reading it."""
        await self.store.owner(result_id)

    async def owner(self, result_id: str) -> str:
        """Return the owner of a stored result; raises ResultNotFound."""
        return await self.store.owner(result_id)

    async def delete(self, result_id: str, *, user_id: str) -> ResultSummary | None:
        """Delete a user's stored result and return its summary; None if it could not be read.

        Raises ResultNotFound if there is none, or it belongs to another user.
        """
        check_user_id(user_id)
        if await self.store.owner(result_id) != user_id:
            raise result_not_found(result_id)
        try:
            [summary] = await self.store.summaries([result_id])
        except UnreadableResult:
            summary = None
        await self.store.delete(result_id)
        self._recent.forget(result_id)
        return summary

    async def list(self, *, user_id: str, symbol: str | None, first: int, after: str | None) -> ResultPage:
        """Return a page of a user's results, newest first."""
        symbol = normalize_symbol(symbol) if symbol else None
        return await self.store.list(user_id=check_user_id(user_id), symbol=symbol, first=first, after=after)

    async def compare(self, result_ids: Sequence[str]) -> Sequence[ResultSummary]:
        """Return summaries of stored results in the requested order; raises ResultNotFound."""
        return await self.store.summaries(result_ids)


async def is_stored(store: ResultStore, result_id: str) -> bool:
    """Return whether a result with this id is stored."""
    try:
        await store.owner(result_id)
    except ResultNotFound:
        return False
    return True
