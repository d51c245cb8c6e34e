"""Limit the rows of a table in one response, and say how to read the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from src.domain.errors import InvalidInput, bad_value
from src.domain.runs import BacktestResult

TABLES = ("data", "fills", "trades")


def check_first(first: int, *, max_rows: int) -> int:
    """Return `first` if a page may have that many rows; raises InvalidInput on field `first`."""
    if not 0 <= first <= max_rows:
        allowed = f"a whole number from 0 to {max_rows} (MAX_ROWS_PER_ANSWER)"
        raise bad_value("first", got=first, allowed=allowed)
    return first


def check_whole(length: int, *, max_rows: int) -> int:
    """Return the length of a table if one response may hold it; raises InvalidInput on field `first`."""
    if length > max_rows:
        raise InvalidInput(
            "{field} is required for {length} rows: one response holds {most} at most (MAX_ROWS_PER_ANSWER). Read page "
            "by page with first and offset.",
            field="first",
            length=length,
            most=max_rows,
        )
    return length


def long_tables(result: BacktestResult, max_rows: int | None) -> Mapping[str, int]:
    """Return the length of each table that has more rows than one response holds, by its name."""
    simulation = result.simulation
    lengths = (len(result.time_ms), len(simulation.fills), len(simulation.trades))
    return {
        name: length for name, length in zip(TABLES, lengths, strict=True) if max_rows is not None and length > max_rows
    }


def cut_warnings(tables: Mapping[str, int], max_rows: int | None, next_page: Callable[[str], str]) -> list[str]:
    """Return a sentence for each table that is cut; `next_page` says how to request its second page."""
    return [
        f"{name} has {length:,} rows, and one response holds {max_rows:,} of them at most (MAX_ROWS_PER_ANSWER): "
        f"read the rest page by page, beginning with {next_page(name)}."
        for name, length in tables.items()
    ]
