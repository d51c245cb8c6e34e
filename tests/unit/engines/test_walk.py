"""The walk through a bar: what it remembers, and that both ways start from the same book."""

from __future__ import annotations

import math
from typing import get_type_hints

from src.engines.book import Book, create_book
from src.engines.walk import Memory, remember, restore

LEFT_ALONE = {
    "entry_side", "entry_kind", "entry_level", "entry_last_bar",  # no entry waits while a position is open
    "entry_bar", "first_units", "trailing_level", "entry_atr", "bar_atr", "trail_distance", "entry_volatility",
    "bar_volatility", "bar_volume", "target_reason", "profit_level",
    # (the nine above are set when it opens, or once a bar)
    "other_equity",  # is what other books hold
    "ambiguous_bars",  # counts the difference of both ways
    "rung_in_favor", "rung_against", "rungs_until_bar",  # noted after the walk
}  # fmt: skip


def test_all_that_a_walk_changes_is_remembered() -> None:
    assert set(get_type_hints(Memory)) | LEFT_ALONE == set(get_type_hints(Book))
    assert not set(get_type_hints(Memory)) & LEFT_ALONE


def test_restored_book_is_the_remembered_one() -> None:
    books = create_book(1.0)
    for number, name in enumerate(books.dtype.names or ()):
        books[name] = number + 1
    before = books.copy()
    memory = remember(books[0])
    for name in Memory._fields:
        books[name] = math.e if books.dtype[name].kind == "f" else -7
    restore(books[0], memory)
    assert books.tobytes() == before.tobytes()
