"""The steps of a portfolio at one time of its common clock.

At each time at which any symbol has a bar, for the symbols that have one, in this order:

1. at the open, funding is paid, then market orders that close are filled, then those that enter;
2. inside the bar, resting entries are filled, first those whose level the open has passed; each new position goes
   through the rest of the bar at once. Then the positions that were open before are traded. The bars do not tell which
   symbol's fill came first, so other symbols can use the cash and the places that an exit frees only from the close on;
3. at the close, funding is paid and the strategies' signals place orders; with `SAME_CLOSE` market orders that close
   are filled, then those that enter.

If one of these steps has several entries, the best rank goes first, then the symbol that is listed first. An entry
beyond `max_open`, or without cash, is refused: it is removed and counted.

Each symbol has a book of its own (`book.py`), and each position is isolated, even a short without leverage: it can lose
only its margin (its value ÷ leverage) and the fee. All symbols share the cash that no position holds. Sizes that are
fractions are fractions of the equity of the portfolio: that cash, and all positions at their last known price (the open
in steps 1 and 2, the close in step 3).

A symbol without a bar at some time is left alone then, and its position keeps the value of its last close.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from src.engines.bar_steps import decide, has_event, note_measures, trade_range
from src.engines.book import ADD_LIMIT, ADD_STOP, LIMIT, STOP, Book
from src.engines.compiled import compiled
from src.engines.funding import pay_at_open, rate_inside
from src.engines.measures import BarMeasures
from src.engines.order_steps import fill_market_entry, fill_market_exit, has_market_order, has_passed_order
from src.engines.orders import MARKET_ENTRY, BarPrices, entry_extreme, reaches_entry
from src.engines.plan import Plan
from src.engines.positions import end_run, move_stops
from src.engines.till import Seat, Till, hand_out, has_place, note_refusal, refuse, take_back, value_of

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class Market(NamedTuple):
    """The bars of all symbols, one symbol after another [n].

    `marks`, `rank` and the arrays of `measures` are empty if nothing reads them.
    """

    time_ms: Counts
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    action: NDArray[np.int8]
    marks: Floats
    rank: Floats
    measures: BarMeasures


class Portfolio(NamedTuple):
    """The state that steps change, by symbol [s] except for the fills: a book's fills begin at the initial value of its
    `fill_count`. Bar numbers are rows of the market. `queue` is scratch space to sort symbols in."""

    seats: NDArray[np.void]
    books: NDArray[np.void]
    plans: NDArray[np.void]
    fills: NDArray[np.void]
    queue: Counts


class Written(NamedTuple):
    """The output of a run: the portfolio's balances at each time [t], each symbol's position and profit by row [n]."""

    equity: Floats
    cash: Floats
    open_positions: Counts
    position: Floats
    profit: Floats


@compiled
def hold_back(portfolio: Portfolio, symbol: int, till: Till, before: float, fills_before: int, was_open: bool) -> None:
    """Hold back from other symbols the cash and places that exits inside the bar have freed, until the bar's close.

    `before` is the cash that the symbol could spend, `fills_before` the number of its fills before.
    """
    book, plan = portfolio.books[symbol], portfolio.plans[symbol]
    spent, has_entry, has_exit = 0.0, False, False
    for number in range(fills_before, book.fill_count):
        fill = portfolio.fills[number]
        if fill.reason in (LIMIT, STOP, ADD_LIMIT, ADD_STOP):
            spent += fill.quantity * fill.price * plan.margin_rate + fill.fee
            has_entry = True
        else:
            has_exit = True
    if has_exit:
        till.held_cash += max(till.cash - till.held_cash - (before - spent), 0.0)
        till.held_places += int((was_open or has_entry) and book.position == 0.0)


@compiled
def lend_for_entry(portfolio: Portfolio, symbol: int, till: Till) -> None:
    """Give the common cash to a flat book whose entry may be filled, and set the value of the other positions in it.

    An open may pass the level of a liquidation later in the bar: that position loses its margin, and no more.
    """
    book, total = portfolio.books[symbol], 0.0
    for other in range(portfolio.seats.size):
        if other != symbol and portfolio.books[other].position != 0.0:
            total += max(value_of(portfolio.seats[other], portfolio.books[other]), 0.0)
    hand_out(portfolio.seats[symbol], book, till)
    book.other_equity = total + till.held_cash


@compiled
def enter_at_market(portfolio: Portfolio, symbol: int, till: Till) -> None:
    """Fill a market order that enters, or refuse it."""
    seat, book = portfolio.seats[symbol], portfolio.books[symbol]
    if not has_place(till):
        refuse(seat, book)
        return
    lend_for_entry(portfolio, symbol, till)
    fills_before, dropped_before = book.fill_count, book.dropped_entries
    fill_market_entry(book, portfolio.fills, seat.row, seat.mark, portfolio.plans[symbol])
    note_refusal(seat, book, fills_before, dropped_before)
    take_back(seat, book, till, False)


@compiled
def prices_of(seat: Seat) -> BarPrices:
    """Return the prices of a symbol's bar."""
    return BarPrices(seat.open, seat.high, seat.low, seat.close)


@compiled
def enter_inside(portfolio: Portfolio, symbol: int, till: Till) -> None:
    """Trade a flat symbol with a resting entry through the range of its bar."""
    seat, book, prices = portfolio.seats[symbol], portfolio.books[symbol], prices_of(portfolio.seats[symbol])
    seat.has_traded = 1
    if not has_place(till):
        side, kind = book.entry_side, book.entry_kind
        is_reached = reaches_entry(entry_extreme(prices, side, kind), book.entry_level, side, kind)
        if is_reached or has_passed_order(book, prices.open):
            refuse(seat, book)
        return
    lend_for_entry(portfolio, symbol, till)
    before, fills_before, dropped_before = book.cash, book.fill_count, book.dropped_entries
    trade_range(book, portfolio.fills, seat.row, prices, portfolio.plans[symbol])
    note_refusal(seat, book, fills_before, dropped_before)
    take_back(seat, book, till, False)
    hold_back(portfolio, symbol, till, before, fills_before, False)


@compiled
def goes_before(rank: float, other: float) -> bool:
    """Return whether an entry of this rank is filled before one of a symbol that is listed earlier."""
    return rank > other or (math.isnan(other) and not math.isnan(rank))


@compiled
def enqueue(portfolio: Portfolio, count: int, symbol: int) -> int:
    """Insert a symbol into a queue of `count`, best rank first, ties as listed; return the new length."""
    queue, seats = portfolio.queue, portfolio.seats
    place = count
    while place > 0 and goes_before(seats[symbol].entry_rank, seats[queue[place - 1]].entry_rank):
        queue[place] = queue[place - 1]
        place -= 1
    queue[place] = symbol
    return count + 1


@compiled
def fill_market_orders(portfolio: Portfolio, till: Till) -> None:
    """Fill at their mark the market orders of the symbols that have a bar, exits before entries."""
    waiting = 0
    for symbol in range(portfolio.seats.size):
        seat, book, plan = portfolio.seats[symbol], portfolio.books[symbol], portfolio.plans[symbol]
        if seat.is_present != 0 and has_market_order(book, seat.row, plan):
            if book.position != 0.0:
                hand_out(seat, book, till)
                fill_market_exit(book, portfolio.fills, seat.row, seat.mark, plan)
                take_back(seat, book, till, True)
            if book.entry_side != 0 and plan.entry_kind == MARKET_ENTRY:
                waiting = enqueue(portfolio, waiting, symbol)
    for number in range(waiting):
        enter_at_market(portfolio, portfolio.queue[number], till)


@compiled
def fill_waiting_entries(portfolio: Portfolio, till: Till, are_passed: bool) -> None:
    """Trade the flat symbols with resting entries through the ranges of their bars: those whose level the open has
    passed, or the others."""
    waiting = 0
    for symbol in range(portfolio.seats.size):
        seat, book = portfolio.seats[symbol], portfolio.books[symbol]
        is_waiting = seat.is_present != 0 and seat.has_traded == 0 and book.position == 0.0 and book.entry_side != 0
        if is_waiting and has_passed_order(book, seat.open) == are_passed:
            waiting = enqueue(portfolio, waiting, symbol)
    for number in range(waiting):
        enter_inside(portfolio, portfolio.queue[number], till)


@compiled
def trade_held(portfolio: Portfolio, symbol: int, till: Till) -> None:
    """Trade a position that was open before through the range of its bar."""
    seat, book, plan = portfolio.seats[symbol], portfolio.books[symbol], portfolio.plans[symbol]
    prices = prices_of(seat)
    if has_event(book, seat.row, prices, 0):
        hand_out(seat, book, till)
        before, fills_before = till.cash - till.held_cash, book.fill_count
        trade_range(book, portfolio.fills, seat.row, prices, plan)
        take_back(seat, book, till, True)
        hold_back(portfolio, symbol, till, before, fills_before, True)
    else:
        move_stops(book, prices, plan)


@compiled
def decide_at_close(seat: Seat, book: Book, till: Till, fills: NDArray[np.void], plan: Plan) -> None:
    """Pay the funding of a symbol's bar, and place the orders of its signal."""
    was_open = book.position != 0.0
    hand_out(seat, book, till)
    decide(book, fills, seat.row, prices_of(seat).close, seat.signal, seat.funding_rate, plan)
    take_back(seat, book, till, was_open)
    if seat.signal != 0:
        seat.entry_rank = seat.bar_rank


@compiled
def read_bar(seat: Seat, book: Book, market: Market, row: int, plan: Plan) -> None:
    """Note the bar of a symbol."""
    seat.is_present = 1
    seat.has_traded = 0
    seat.row = row
    seat.following = row + 1
    seat.open = seat.mark = market.open[row]
    seat.high = market.high[row]
    seat.low = market.low[row]
    seat.close = market.close[row]
    seat.signal = market.action[row]
    if plan.uses_measures:
        note_measures(book, row, market.measures, plan)
    if market.rank.size > 0:
        seat.bar_rank = market.rank[row]


@compiled
def open_bars(portfolio: Portfolio, market: Market, time_ms: int, till: Till) -> None:
    """Do step 1 of the module."""
    has_orders = False
    for symbol in range(portfolio.seats.size):
        seat = portfolio.seats[symbol]
        row = seat.following
        if row >= seat.end or market.time_ms[row] != time_ms:
            seat.is_present = 0
            continue
        book, plan = portfolio.books[symbol], portfolio.plans[symbol]
        read_bar(seat, book, market, row, plan)
        if plan.funding_rate != 0.0:
            seat.funding_rate = rate_inside(market.marks[row], plan)
            if book.position != 0.0:
                hand_out(seat, book, till)
                pay_at_open(book, portfolio.fills, row, seat.open, market.marks[row], plan)
                take_back(seat, book, till, True)
        has_orders = has_orders or has_market_order(book, row, plan)
    if has_orders and not portfolio.plans[0].is_filled_at_close:
        fill_market_orders(portfolio, till)


@compiled
def trade_ranges(portfolio: Portfolio, till: Till) -> None:
    """Do step 2 of the module."""
    has_entries = False
    for symbol in range(portfolio.seats.size):
        book = portfolio.books[symbol]
        has_entries = has_entries or (
            portfolio.seats[symbol].is_present != 0 and book.position == 0.0 and book.entry_side != 0
        )
    if has_entries:
        fill_waiting_entries(portfolio, till, True)
        fill_waiting_entries(portfolio, till, False)
    for symbol in range(portfolio.seats.size):
        seat, book = portfolio.seats[symbol], portfolio.books[symbol]
        if seat.is_present != 0 and seat.has_traded == 0 and book.position != 0.0:
            trade_held(portfolio, symbol, till)
    till.held_cash = 0.0
    till.held_places = 0


@compiled
def close_bars(portfolio: Portfolio, till: Till) -> None:
    """Do step 3 of the module, and end the run of each symbol whose last bar this is."""
    has_orders = False
    for symbol in range(portfolio.seats.size):
        seat, book, plan = portfolio.seats[symbol], portfolio.books[symbol], portfolio.plans[symbol]
        if seat.is_present != 0:
            seat.mark = seat.close
            if seat.signal != 0 or book.entry_side != 0 or seat.funding_rate != 0.0:
                decide_at_close(seat, book, till, portfolio.fills, plan)
            has_orders = has_orders or has_market_order(book, seat.row, plan)
    if has_orders and portfolio.plans[0].is_filled_at_close:
        fill_market_orders(portfolio, till)
    if portfolio.plans[0].closes_at_end:
        for symbol in range(portfolio.seats.size):
            seat, book = portfolio.seats[symbol], portfolio.books[symbol]
            if seat.is_present != 0 and seat.following == seat.end and book.position != 0.0:
                hand_out(seat, book, till)
                end_run(book, portfolio.fills, seat.row, seat.close, portfolio.plans[symbol])
                take_back(seat, book, till, True)


@compiled
def write_balances(portfolio: Portfolio, number: int, till: Till, written: Written) -> None:
    """Write the balances at the close of one time."""
    equity = till.cash
    for symbol in range(portfolio.seats.size):
        seat, book = portfolio.seats[symbol], portfolio.books[symbol]
        value = value_of(seat, book)
        equity += value
        if seat.is_present != 0:
            written.position[seat.row] = book.position
            written.profit[seat.row] = value - seat.drawn
    written.equity[number] = equity
    written.cash[number] = till.cash
    written.open_positions[number] = till.open_positions


@compiled
def simulate_portfolio(
    times_ms: Counts, market: Market, portfolio: Portfolio, tills: NDArray[np.void], written: Written
) -> None:
    """Run the portfolio through the times [t], ascending, at which any symbol has a bar, and write the results."""
    till = tills[0]
    for number in range(times_ms.size):
        open_bars(portfolio, market, times_ms[number], till)
        trade_ranges(portfolio, till)
        close_bars(portfolio, till)
        write_balances(portfolio, number, till, written)
