"""The rungs of a position: which target and which addition comes next, and at what level.

A position has rungs if the rules have scaled targets or additions. Each is filled once per position. Its level is a
fixed distance from the position's mean entry price, and moves with that price. Between fills the levels change only
when a target comes into force by age. So the book keeps the next level on either side, and a bar that reaches neither
needs no walk (10^6 bars of a ladder: 245 ms with a walk for each bar, 142 ms with this, both with funding).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from src.engines.compiled import compiled
from src.engines.filters import on_tick
from src.engines.orders import (
    BarPrices,
    best_of,
    is_tighter,
    level_from,
    reaches_stop,
    reaches_target,
    worst_of,
)
from src.engines.plan import NEVER, Plan

if TYPE_CHECKING:
    from src.engines.book import Book

RATE: Final = 0
PORTION: Final = 1
AFTER_BARS: Final = 2
"""The columns of `Plan.targets`."""

MOVE: Final = 0
SIZE: Final = 1
"""The columns of `Plan.additions`."""


class NextRung(NamedTuple):
    """The nearest rung of a kind: its index in the plan and its level; −1 and NaN for none."""

    number: int
    level: float


@compiled
def start_rungs(book: Book, bar: int, direction: int, trailing_level: float, plan: Plan) -> None:
    """Give a position that was opened in this bar its rungs; `trailing_level` is that of its trailing stop, or NaN."""
    book.has_rungs = 1
    book.entry_bar = bar
    book.first_units = abs(book.position)
    book.full_units = abs(book.position)
    book.targets_taken = 0
    book.additions_made = 0
    book.trailing_level = trailing_level
    watch_rungs(book, bar, direction, plan)


@compiled
def watch_rungs(book: Book, bar: int, direction: int, plan: Plan) -> None:
    """Note the levels of the next rungs, and the bar in which other targets come into force."""
    target = next_target(book, bar, direction, plan).level
    rise = next_addition(book, direction, 1, plan).level
    book.rung_against = next_addition(book, direction, -1, plan).level
    book.rung_in_favor = rise if is_tighter(-direction, rise, target) else target
    book.rungs_until_bar = NEVER
    for number in range(plan.target_count):
        start = book.entry_bar + int(plan.targets[number][AFTER_BARS])
        if bar < start < book.rungs_until_bar:
            book.rungs_until_bar = start


@compiled
def has_reached_rung(book: Book, bar: int, prices: BarPrices, direction: int) -> bool:
    """Return whether the bar's range reaches a rung of the position, or other targets are in force from this bar on."""
    return (
        bar >= book.rungs_until_bar
        or reaches_target(best_of(prices, direction), book.rung_in_favor, direction)
        or reaches_stop(worst_of(prices, direction), book.rung_against, direction)
    )


@compiled
def trail_rungs(book: Book, direction: int, level: float) -> None:
    """Keep the trailing stop's own level, which an addition does not move."""
    if is_tighter(direction, level, book.trailing_level):
        book.trailing_level = level


@compiled
def next_target(book: Book, bar: int, direction: int, plan: Plan) -> NextRung:
    """Return the nearest target in force: of those with the highest age that the position has, one not taken yet."""
    age, stage = bar - book.entry_bar, -1.0
    for number in range(plan.target_count):
        if stage < plan.targets[number][AFTER_BARS] <= age:
            stage = plan.targets[number][AFTER_BARS]
    nearest = -1
    for number in range(plan.target_count):
        is_open = (book.targets_taken >> number) & 1 == 0 and plan.targets[number][AFTER_BARS] == stage
        if is_open and (nearest < 0 or plan.targets[number][RATE] < plan.targets[nearest][RATE]):
            nearest = number
    if nearest < 0:
        return NextRung(-1, math.nan)
    if direction < 0 and plan.targets[nearest][RATE] <= -1.0:
        return NextRung(nearest, math.inf)  # reached at any price: a short can lose more than its price
    level = level_from(book.entry_price, direction, plan.targets[nearest][RATE])
    return NextRung(nearest, on_tick(level, direction, plan))


@compiled
def next_addition(book: Book, direction: int, sign: int, plan: Plan) -> NextRung:
    """Return the nearest addition not made yet whose move has this sign: −1 against the position, +1 in its favor."""
    nearest = -1
    for number in range(plan.addition_count):
        is_open = (book.additions_made >> number) & 1 == 0 and plan.additions[number][MOVE] * sign > 0.0
        if is_open and (nearest < 0 or abs(plan.additions[number][MOVE]) < abs(plan.additions[nearest][MOVE])):
            nearest = number
    if nearest < 0:
        return NextRung(-1, math.nan)
    level = level_from(book.entry_price, direction, plan.additions[nearest][MOVE])
    return NextRung(nearest, on_tick(level, direction * sign, plan))
