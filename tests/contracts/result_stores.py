"""Helpers of the suites over result stores: open one, and read the ids of all its pages."""

from __future__ import annotations

from collections.abc import Callable

from src.domain.runs import ResultQuota
from src.ports.stores import ResultStore

OpenStore = Callable[[ResultQuota | None], ResultStore]


async def ids_of_pages(
    store: ResultStore, *, first: int, user_id: str | None = None, symbol: str | None = None
) -> list[list[str]]:
    pages: list[list[str]] = []
    after = None
    for _ in range(50):
        page = await store.list(user_id=user_id, symbol=symbol, first=first, after=after)
        pages.append([summary.id for summary in page.summaries])
        after = page.next_cursor
        if after is None:
            return pages
    raise AssertionError("the pages do not end")


def quota(max_results: int = 1000, max_bytes: int = 2**40) -> ResultQuota:
    return ResultQuota(max_results=max_results, max_bytes=max_bytes)
