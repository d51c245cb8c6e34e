"""Build the request for rows of a result from a client's texts, by either API."""

from __future__ import annotations

from src.api.spelling import snake_case
from src.domain.errors import bad_pair, bad_value
from src.domain.instants import format_instant, parse_instant
from src.domain.tearsheet import SERIES_COLUMNS, SeriesRequest


def build_series_request(
    *,
    columns: str | None,
    points: int | None,
    start: str | None,
    end: str | None,
    max_rows: int,
    allows_nulls: bool = True,
) -> SeriesRequest:
    """Check and complete a request for rows; raises InvalidInput."""
    start_ms, end_ms = read_range(start, end)
    return SeriesRequest(
        columns=None if columns is None else read_columns(columns),
        start_ms=start_ms,
        end_ms=end_ms,
        points=points,
        max_rows=max_rows,
        allows_nulls=allows_nulls,
    )


def read_range(start: str | None, end: str | None) -> tuple[int | None, int | None]:
    """Return the first and the last open time of a range of bars; raises InvalidInput."""
    start_ms = None if start is None else parse_instant(start, field="start")
    end_ms = None if end is None else parse_instant(end, field="end", is_end=True)
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        raise bad_pair(
            "start", got=format_instant(start_ms), rule="at or before", other="end", value=format_instant(end_ms)
        )
    return start_ms, end_ms


def read_columns(text: str) -> tuple[str, ...]:
    """Return the names of columns with commas between them, in either spelling, each once; raises InvalidInput."""
    names = [snake_case(part.strip()) for part in text.split(",")]
    if unknown := [name for name in names if name not in SERIES_COLUMNS]:
        raise bad_value("columns", got=unknown[0], allowed=tuple(SERIES_COLUMNS))
    return tuple(dict.fromkeys(names))
