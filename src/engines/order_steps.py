"""Place the orders of a book and fill those that a bar's prices reach: market orders, passed orders, resting entries.

The loop in `event_driven.py` calls them by `bar_steps.py`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.signals import Action
from src.engines.account import Costs, made_limit, taken_limit
from src.engines.book import LIMIT, SIGNAL, STOP, TAKE_PROFIT, TIME, Book, get_direction
from src.engines.compiled import compiled
from src.engines.filters import entry_on_tick, on_tick
from src.engines.orders import (
    LIMIT_ENTRY,
    MARKET_ENTRY,
    STOP_LIMIT_ENTRY,
    BarPrices,
    entry_extreme,
    entry_level,
    is_tighter,
    level_from,
    proven_after_entry,
    reaches_entry,
    reaches_stop,
    reaches_target,
)
from src.engines.plan import Plan, costs_of
from src.engines.positions import close_position, fill_exits, move_stops, open_position

CLOSE_LONG: Final = int(Action.CLOSE_LONG)
CLOSE_SHORT: Final = int(Action.CLOSE_SHORT)


@compiled
def has_market_order(book: Book, bar: int, plan: Plan) -> bool:
    """Return whether a market order waits at this bar."""
    return (
        book.exit_waits != 0 or bar >= book.time_exit_bar or (book.entry_side != 0 and plan.entry_kind == MARKET_ENTRY)
    )


@compiled
def fill_market_orders(book: Book, fills: NDArray[np.void], bar: int, price: float, plan: Plan) -> None:
    """Fill the market orders, exits before entries: a reversal is two fills at one price."""
    fill_market_exit(book, fills, bar, price, plan)
    fill_market_entry(book, fills, bar, price, plan)


@compiled
def fill_market_exit(book: Book, fills: NDArray[np.void], bar: int, price: float, plan: Plan) -> None:
    """Close a position at the market; the caller knows that a market order waits."""
    if book.position != 0.0:
        close_position(book, fills, bar, price, costs_of(plan), SIGNAL if book.exit_waits else TIME, plan)


@compiled
def fill_market_entry(book: Book, fills: NDArray[np.void], bar: int, price: float, plan: Plan) -> None:
    """Enter at the market, if such an entry waits."""
    if book.entry_side != 0 and plan.entry_kind == MARKET_ENTRY:
        open_position(book, fills, bar, price, costs_of(plan), SIGNAL, plan)


@compiled
def has_passed_order(book: Book, open: float) -> bool:
    """Return whether the open has passed the level of a stop, a target or a resting entry."""
    direction = get_direction(book.position)
    return (
        reaches_stop(open, book.stop_level, direction)
        or reaches_target(open, book.target_level, direction)
        or (book.entry_side != 0 and reaches_entry(open, book.entry_level, book.entry_side, book.entry_kind))
    )


@compiled
def fill_passed_orders(book: Book, fills: NDArray[np.void], bar: int, prices: BarPrices, plan: Plan) -> None:
    """Fill at the open the entries, stops and targets whose level the open has passed.

    A stop-limit entry whose limit the open has passed too becomes a limit entry.
    """
    if book.position == 0.0:
        if book.entry_kind == STOP_LIMIT_ENTRY:
            limit = level_from(book.entry_level, book.entry_side, plan.limit_offset_rate)
            limit = entry_on_tick(limit, book.entry_side, LIMIT_ENTRY, plan)
            if not reaches_entry(prices.open, limit, book.entry_side, LIMIT_ENTRY):
                book.entry_kind = LIMIT_ENTRY
                book.entry_level = limit
                return
        enter_resting(book, fills, bar, prices.open, taken_limit(costs_of(plan)), plan)
    fill_passed_exits(book, fills, bar, prices.open, plan)


@compiled
def fill_passed_exits(book: Book, fills: NDArray[np.void], bar: int, price: float, plan: Plan) -> None:
    """Fill at `price` the stop or the target whose level it has passed.

    An entry that slips beyond its own stop has passed it at once.
    """
    direction = get_direction(book.position)
    if reaches_stop(price, book.stop_level, direction):
        close_position(book, fills, bar, price, costs_of(plan), book.stop_reason, plan)
    elif reaches_target(price, book.target_level, direction):
        close_position(book, fills, bar, price, taken_limit(costs_of(plan)), book.target_reason, plan)


@compiled
def enter_resting(book: Book, fills: NDArray[np.void], bar: int, price: float, terms: Costs, plan: Plan) -> None:
    """Fill a limit entry on the terms of a limit order, or a stop entry as a market order, at `price`.

    A stop-limit entry is filled on the terms of a limit order too: the price that it has passed was traded.
    """
    if book.entry_kind == LIMIT_ENTRY:
        open_position(book, fills, bar, price, terms, LIMIT, plan)
    elif book.entry_kind == STOP_LIMIT_ENTRY:
        open_position(book, fills, bar, price, taken_limit(costs_of(plan)), LIMIT, plan)
    else:
        open_position(book, fills, bar, price, costs_of(plan), STOP, plan)


@compiled
def fill_resting_entry(book: Book, fills: NDArray[np.void], bar: int, prices: BarPrices, plan: Plan) -> None:
    """Fill the entry whose level the bar's range reaches.

    For the new position, the rest of the bar begins at the entry's level, with the prices that the bar proves. If it
    has rungs, `engines.walk.walk_entry_bar` handles the rest of the bar.
    """
    side, kind, level = book.entry_side, book.entry_kind, book.entry_level
    if reaches_entry(entry_extreme(prices, side, kind), level, side, kind):
        enter_resting(book, fills, bar, level, made_limit(costs_of(plan)), plan)
        fill_passed_exits(book, fills, bar, level, plan)
        if book.has_rungs != 0:
            return
        proven = proven_after_entry(prices, level, side, kind)
        fill_exits(book, fills, bar, proven, prices, kind, plan)
        move_stops(book, proven, plan)


@compiled
def expire_entry(book: Book, bar: int) -> None:
    """Remove the entry that still waits after the last bar in which it may be filled."""
    if bar >= book.entry_last_bar:
        book.entry_side = 0


@compiled
def cancel_exit(book: Book) -> None:
    """Cancel the limit order of an exit signal; the position keeps its target."""
    book.target_level = book.profit_level
    book.target_reason = TAKE_PROFIT


@compiled
def place_exit(book: Book, close: float, plan: Plan) -> None:
    """Place the order by which a signal closes the position; a limit order replaces that of an earlier signal."""
    if not plan.exits_by_limit:
        book.exit_waits = 1
        return
    direction = get_direction(book.position)
    level = on_tick(level_from(close, direction, plan.exit_offset_rate), direction, plan)
    cancel_exit(book)
    if is_tighter(-direction, level, book.profit_level):
        book.target_level = level
        book.target_reason = SIGNAL


@compiled
def close_direction(book: Book, direction: int, close: float, plan: Plan) -> None:
    """Close a position of this direction, or cancel the entry that would open one."""
    if direction * book.position > 0.0 and plan.exits_on_signal:
        place_exit(book, close, plan)
    if book.entry_side == direction:
        book.entry_side = 0


@compiled
def place_orders(book: Book, bar: int, close: float, signal: int, plan: Plan) -> None:
    """Place orders for the strategy's signal at the close (an `Action`).

    A signal in the position's own direction only cancels the limit order of an exit signal. An opposite one closes the
    position; if it closes by a limit order, it opens no new position. Buy and sell signals replace or cancel an entry
    that still waits; a signal that only closes cancels a waiting entry of the direction that it closes.

    If signals do not close positions, they do nothing while a position is open. If the bar has no ATR, no entry is
    placed whose exits are multiples of it: it would lack the protection asked for. If the bar has no volatility, no
    entry is placed whose size is a volatility target.
    """
    if signal in (CLOSE_LONG, CLOSE_SHORT):
        close_direction(book, 1 if signal == CLOSE_LONG else -1, close, plan)
        return
    if signal * book.position > 0.0 and plan.exits_by_limit:
        cancel_exit(book)
    if signal == 0 or signal * book.position > 0.0:
        return
    if book.position != 0.0:
        if not plan.exits_on_signal:
            return
        place_exit(book, close, plan)
    book.entry_side = 0
    is_held = plan.exits_by_limit and book.position != 0.0
    if not is_held and plan.allowed_side != -signal and bar >= book.calm_until_bar:
        lacks_atr = plan.uses_atr and not book.bar_atr > 0.0
        if lacks_atr or (plan.uses_volatility and not book.bar_volatility > 0.0):
            book.dropped_entries += 1
            return
        book.entry_atr = book.bar_atr
        book.entry_volatility = book.bar_volatility
        book.entry_side = signal
        book.entry_kind = plan.entry_kind
        level = entry_level(close, signal, plan.entry_kind, plan.entry_offset_rate)
        book.entry_level = entry_on_tick(level, signal, plan.entry_kind, plan)
        book.entry_last_bar = bar + plan.entry_life_bars


@compiled
def reprice_entry(book: Book, close: float, plan: Plan) -> None:
    """Move the waiting entry to its distance from the close, unless it has become another kind of order."""
    if book.entry_side != 0 and book.entry_kind == plan.entry_kind:
        level = entry_level(close, book.entry_side, book.entry_kind, plan.entry_offset_rate)
        book.entry_level = entry_on_tick(level, book.entry_side, book.entry_kind, plan)
