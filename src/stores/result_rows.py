"""Read stored results one by one, in a wanted order, or as a page, in the same way for every database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from src.domain.errors import UnreadableResult, result_not_found
from src.domain.runs import ResultPage, ResultSummary
from src.stores.documents import UnreadableDocument
from src.stores.pages import Position

Content = TypeVar("Content")


@contextmanager
def reading(result_id: str) -> Iterator[None]:
    """Raise UnreadableResult, which names the result, for an UnreadableDocument."""
    try:
        yield
    except UnreadableDocument as error:
        raise UnreadableResult(
            "The stored result {id!r} cannot be read: {reason}.", id=result_id, reason=str(error)
        ) from error


def in_order(result_ids: Sequence[str], found: Mapping[str, ResultSummary]) -> Sequence[ResultSummary]:
    """Return the summaries of these results; raises ResultNotFound for the first that is missing."""
    for result_id in result_ids:
        if result_id not in found:
            raise result_not_found(result_id)
    return [found[result_id] for result_id in result_ids]


def build_page(
    rows: Sequence[tuple[int, str, Content]],
    read: Callable[[str, Content], ResultSummary],
    *,
    first: int,
    warnings: Sequence[str] = (),
) -> ResultPage:
    """Build a page from rows of time, id and stored summary, newest first.

    One row more than `first` means that a page follows. If `read` raises UnreadableResult, the page warns of it.
    """
    summaries, warnings = [], list(warnings)
    for _, result_id, content in rows[:first]:
        try:
            summaries.append(read(result_id, content))
        except UnreadableResult as error:
            warnings.append(f"{error.message} It is left out here, and can be deleted.")
    cursor = Position(*rows[first - 1][:2]).to_cursor() if len(rows) > first else None
    return ResultPage(summaries=tuple(summaries), next_cursor=cursor, warnings=tuple(warnings))
