"""The steps of one bar, in order: its open, its range, its close; `event_driven.py` describes each of them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from src.engines.book import Book, get_direction
from src.engines.compiled import compiled
from src.engines.funding import pay_at_open, pay_funding, rate_inside
from src.engines.measures import BarMeasures
from src.engines.order_steps import (
    expire_entry,
    fill_market_orders,
    fill_passed_orders,
    fill_resting_entry,
    has_market_order,
    has_passed_order,
    place_orders,
    reprice_entry,
)
from src.engines.orders import MARKET_ENTRY, BarPrices
from src.engines.plan import NEVER, Plan
from src.engines.positions import fill_exits, has_reached_exit, move_stops, note_margin
from src.engines.rungs import has_reached_rung
from src.engines.walk import walk_bar, walk_entry_bar


@compiled
def note_measures(book: Book, bar: int, measures: BarMeasures, plan: Plan) -> None:
    """Note the figures of the bar that the rules use; called if `plan.uses_measures`."""
    if plan.uses_atr:
        book.bar_atr = measures.atr[bar]
    if plan.uses_volatility:
        book.bar_volatility = measures.volatility[bar]
    if plan.uses_volume:
        book.bar_volume = measures.volume[bar]


@compiled
def has_reached_order(book: Book, bar: int, prices: BarPrices) -> bool:
    """Return whether the bar's range reaches the position's stop, its target or one of its rungs."""
    return has_reached_exit(book, prices) or (
        book.has_rungs != 0 and has_reached_rung(book, bar, prices, get_direction(book.position))
    )


@compiled
def has_event(book: Book, bar: int, prices: BarPrices, signal: int) -> bool:
    """Return whether the bar may do more than move the stops: a signal, a waiting order or a level reached.

    The open is inside the bar's range, so it passes no level of a position that the range does not reach.
    """
    return (
        signal != 0
        or book.entry_side != 0
        or book.exit_waits != 0
        or (book.position != 0.0 and (bar >= book.time_exit_bar or has_reached_order(book, bar, prices)))
    )


@compiled
def is_at_rest(book: Book, plan: Plan) -> bool:
    """Return whether only a signal can change the book: no order waits, and prices and time do nothing to a position.

    Checked after each event, so that the bars up to the next signal are only marked: 2 ns a bar, not 8 (10⁵ bars).
    """
    if book.entry_side != 0 or book.exit_waits != 0:
        return False
    return book.position == 0.0 or not (
        plan.follows_bars
        or plan.uses_measures
        or plan.funding_rate != 0.0
        or book.has_rungs != 0
        or book.time_exit_bar < NEVER
        or not math.isnan(book.stop_level)
        or not math.isnan(book.target_level)
    )


@compiled
def open_bar(book: Book, fills: NDArray[np.void], bar: int, open: float, plan: Plan) -> None:
    """Fill the market orders that wait for the open.

    A cheap check precedes each event, here and below, because passing on the array `fills` costs more than the check.
    """
    if not plan.is_filled_at_close and has_market_order(book, bar, plan):
        fill_market_orders(book, fills, bar, open, plan)


@compiled
def trade_range(book: Book, fills: NDArray[np.void], bar: int, prices: BarPrices, plan: Plan) -> None:
    """Fill resting orders while prices go from the open through the range of a bar, or of a part of one."""
    if plan.watches_margin and book.position != 0.0:
        note_margin(book, prices.open, plan)
    if has_passed_order(book, prices.open):
        fill_passed_orders(book, fills, bar, prices, plan)
    if has_reached_order(book, bar, prices):
        if book.has_rungs != 0:
            walk_bar(book, fills, bar, prices, prices, MARKET_ENTRY, plan)
        else:
            fill_exits(book, fills, bar, prices, prices, MARKET_ENTRY, plan)
    move_stops(book, prices, plan)
    if book.entry_side != 0:
        level, kind = book.entry_level, book.entry_kind
        fill_resting_entry(book, fills, bar, prices, plan)
        if book.has_rungs != 0:
            walk_entry_bar(book, fills, bar, prices, level, kind, plan)


@compiled
def close_bar(
    book: Book, fills: NDArray[np.void], bar: int, close: float, signal: int, funding_rate: float, plan: Plan
) -> None:
    """Do what `decide` does, and fill the market orders that do not wait for the open.

    If the book is at rest, this is the bar's only step: its other prices need not even be read from memory.
    """
    decide(book, fills, bar, close, signal, funding_rate, plan)
    if plan.is_filled_at_close and has_market_order(book, bar, plan):
        fill_market_orders(book, fills, bar, close, plan)


@compiled
def decide(
    book: Book, fills: NDArray[np.void], bar: int, close: float, signal: int, funding_rate: float, plan: Plan
) -> None:
    """Pay the funding of marks inside the bar, let entries expire, and place the orders for `signal`.

    `funding_rate` is the sum of the rates of funding inside the bar.
    """
    if funding_rate != 0.0 and book.position != 0.0:
        pay_funding(book, fills, bar, close, funding_rate, plan)
    expire_entry(book, bar)
    place_orders(book, bar, close, signal, plan)
    if plan.reprices_entry:
        reprice_entry(book, close, plan)


@compiled
def step(
    book: Book, fills: NDArray[np.void], bar: int, prices: BarPrices, signal: int, funding_rate: float, plan: Plan
) -> None:
    """Take the book through one bar, up to its close and the orders for `signal`.

    `funding_rate` is the sum of the rates of funding inside the bar.
    """
    open_bar(book, fills, bar, prices.open, plan)
    if not is_at_rest(book, plan):
        trade_range(book, fills, bar, prices, plan)
    close_bar(book, fills, bar, prices.close, signal, funding_rate, plan)


@compiled
def funded_step(
    book: Book,
    fills: NDArray[np.void],
    bar: int,
    prices: BarPrices,
    signal: int,
    marks: NDArray[np.float64],
    plan: Plan,
) -> None:
    """Do the same as `step` with funding; `marks` [2] are those of the bar (`funding_marks`)."""
    pay_at_open(book, fills, bar, prices.open, marks, plan)
    step(book, fills, bar, prices, signal, rate_inside(marks, plan), plan)
