"""The common cash of a portfolio, and each symbol's part of it."""

from __future__ import annotations

from typing import Final

import numpy as np

from src.engines.account import mark_to_market
from src.engines.book import Book
from src.engines.compiled import compiled
from src.engines.plan import columns_of


class Seat:
    """The state of one symbol at the current step, and its part of the shared cash; layout of `SEAT_DTYPE`."""

    following: int
    """The row of its next bar; its last one is before `end`."""
    end: int
    is_present: int
    """1 if it has a bar at this time; `row` is that bar's row."""
    row: int
    open: float
    high: float
    low: float
    close: float
    signal: int
    funding_rate: float
    """The sum of the rates of funding inside the bar."""
    bar_rank: float
    """The rank of a signal at this bar; NaN if it is unknown, or if the order of the symbols decides."""
    mark: float
    """The price at which its position is valued."""
    own_cash: float
    """The cash of its position; negative by the amount that the position has borrowed."""
    drawn: float
    """The total that it has taken out of the common cash."""
    entry_rank: float
    """The rank at its last signal."""
    refused_entries: int
    has_traded: int
    """1 if it was flat before this bar's range and has already been traded through it."""


class Till:
    """The state that all symbols share; layout of `TILL_DTYPE`."""

    cash: float
    """The cash that no position holds."""
    held_cash: float
    """The part of `cash` that exits have freed inside this bar: other symbols cannot use it yet."""
    open_positions: int
    held_places: int
    """Positions that were closed inside this bar: their places are not free yet."""
    most_open: int


SEAT_DTYPE: Final = np.dtype(columns_of(Seat), align=True)
TILL_DTYPE: Final = np.dtype(columns_of(Till), align=True)


@compiled
def hand_out(seat: Seat, book: Book, till: Till) -> None:
    """Give the common cash to a book before its step."""
    free = till.cash - till.held_cash
    if book.position == 0.0:
        book.cash = free
        book.outside_cash = 0.0
    elif book.outside_cash != free:
        book.cash = free + seat.own_cash
        book.outside_cash = free


@compiled
def take_back(seat: Seat, book: Book, till: Till, was_open: bool) -> None:
    """Return to the common cash what the position does not hold, after a book's step."""
    before, is_open = till.cash - till.held_cash, book.position != 0.0
    free = book.outside_cash if is_open else book.cash
    if not is_open:
        seat.own_cash = 0.0
    elif free != before or book.cash != before + seat.own_cash:  # otherwise rounding would add up over steps
        seat.own_cash = book.cash - free
    till.cash = free + till.held_cash
    till.open_positions += int(is_open) - int(was_open)
    seat.drawn += before - free


@compiled
def value_of(seat: Seat, book: Book) -> float:
    """Return the value of a symbol's position, its own cash included; 0 without a position."""
    return mark_to_market(seat.own_cash, book.position, seat.mark)


@compiled
def has_place(till: Till) -> bool:
    """Return whether another position may be opened."""
    return till.open_positions + till.held_places < till.most_open


@compiled
def refuse(seat: Seat, book: Book) -> None:
    """Remove an entry that would exceed `max_open`."""
    book.entry_side = 0
    seat.refused_entries += 1


@compiled
def note_refusal(seat: Seat, book: Book, fills_before: int, dropped_before: int) -> None:
    """Count an entry that was removed without a fill, because there was no cash."""
    if book.entry_side == 0 and book.fill_count == fills_before and book.dropped_entries == dropped_before:
        seat.refused_entries += 1
