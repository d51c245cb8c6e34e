"""Respond with a page of a table as JSON, or with the table as a file."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request
from starlette.responses import Response

from src.api.dependencies import max_rows_of
from src.api.json_responses import PendingTable
from src.api.rest.formats import Format, respond_file
from src.api.rest.presenting import respond
from src.api.rest.tables import rest_columns
from src.api.rows.columns import ColumnTable
from src.api.rows.row_pages import check_first, check_whole
from src.api.rows.tables import Columns

PAGE_ROWS = 100
"""Rows of a page if the client names no number."""


async def respond_rows(
    request: Request, name: str, columns: Columns, total: int, first: int | None, offset: int, chosen: Format
) -> Response:
    """Return a page of a table; in a file, all rows from `offset` on if `first` is None."""
    most = max_rows_of(request)
    left = max(0, total - offset)
    if first is None:
        first = min(PAGE_ROWS, most) if chosen is Format.JSON else check_whole(left, max_rows=most)
    size = check_first(first, max_rows=most)
    page = rest_columns({field: column.part(slice(offset, offset + size)) for field, column in columns.items()})
    length = min(size, left)
    if chosen is not Format.JSON:
        return await respond_file(name, page, length, chosen, warnings=())
    return respond_page(ColumnTable(page, length), total=total, first=size, offset=offset, headers={"Vary": "Accept"})


def respond_page(
    items: PendingTable, *, total: int, first: int, offset: int, headers: Mapping[str, str] | None = None
) -> Response:
    """Return one page of rows, `total` of them on all pages."""
    page = {"items": items, "total": total, "offset": offset, "first": first}
    return respond(f"{total} row(s) in all", page, headers=headers)
