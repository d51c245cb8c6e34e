"""Trade several symbols with one cash: the event-driven engine's rules, in the order of a common clock.

At each time at which any symbol has a bar, for the symbols that have one, in this order:

1. at the open, funding is paid, then market orders that close are filled, then those that enter;
2. inside the bar, first the entries that wait in the market, those first whose level the open has passed, each with
   what its position does in the rest of the bar; then the positions that were open before. A bar does not tell what
   came first in another symbol, so the cash and the places that an exit frees here are there for other symbols from
   the close on only;
3. at the close, funding is paid and the strategies' signals place orders; with `SAME_CLOSE` market orders that close
   are filled, then those that enter.

Of several entries in one of these steps the best rank goes first, then the symbol that is listed first. An entry for
which there is no place (`max_open`) or no cash is refused: it is removed and counted.

Each symbol has a book of its own (`book.py`), and each position is isolated: it can lose its margin (its value
÷ leverage) and the fee only, a short without leverage too. The cash that no position holds is common. Sizes that are
fractions are fractions of the equity of the portfolio: that cash, and all positions at their last known price (the open
in 1 and 2, the close in 3).

A symbol without a bar at some time is not touched then, and its position is worth what it was at its last close.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.order_rules import Sizing
from src.domain.portfolio import PortfolioSimulation, Rank, SymbolRun
from src.domain.signals import Signals
from src.domain.trading import TradingRules
from src.engines.account import mark_to_market
from src.engines.bar_steps import decide, has_event, note_measures, trade_range
from src.engines.book import ADD_LIMIT, ADD_STOP, LIMIT, STOP, Book, create_book
from src.engines.compiled import compiled, fingerprint
from src.engines.event_driven import RULES, allocate_fills, known_distance
from src.engines.funding import pay_at_open, rate_inside
from src.engines.funding_marks import marks_of
from src.engines.ledger import check_growth, pair_trades
from src.engines.measures import BarMeasures, measure_bars
from src.engines.order_steps import fill_market_entry, fill_market_exit, has_market_order, has_passed_order
from src.engines.orders import MARKET_ENTRY, BarPrices, entry_extreme, reaches_entry
from src.engines.plan import Plan, build_plan, columns_of, plan_record
from src.engines.positions import end_run, move_stops

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class Seat:
    """What is known of one symbol at the time at hand, and what it has of the common cash; layout of `SEAT_DTYPE`."""

    following: int
    """The row of its next bar; its last one is before `end`."""
    end: int
    is_present: int
    """1 if it has a bar at this time, which is at `row`:"""
    row: int
    open: float
    high: float
    low: float
    close: float
    signal: int
    funding_rate: float
    """The sum of the rates of funding inside the bar."""
    bar_rank: float
    """That of a signal at this bar; NaN if it is not known, or the symbols' order counts."""
    mark: float
    """The price at which its position is valued."""
    own_cash: float
    """The cash of its position; negative by what that has borrowed."""
    drawn: float
    """What it has taken out of the common cash in all."""
    entry_rank: float
    """The rank at its last signal."""
    refused_entries: int
    has_traded: int
    """1 if it was flat before this bar's range and has gone through it."""


class Till:
    """What all symbols share; layout of `TILL_DTYPE`."""

    cash: float
    """The cash that no position holds."""
    held_cash: float
    """What of it exits have freed inside this bar: no other symbol can have it yet."""
    open_positions: int
    held_places: int
    """Positions that were closed inside this bar: their places are not free yet."""
    most_open: int


SEAT_DTYPE: Final = np.dtype(columns_of(Seat), align=True)
TILL_DTYPE: Final = np.dtype(columns_of(Till), align=True)


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
    """What a step changes, by symbol [s] but for the fills: those of a book begin where its `fill_count` points at
    first. Bars are counted by rows of the market. `queue` is room to order symbols in."""

    seats: NDArray[np.void]
    books: NDArray[np.void]
    plans: NDArray[np.void]
    fills: NDArray[np.void]
    queue: Counts


class Written(NamedTuple):
    """What a run writes: by time [t] the balances of the portfolio, by row [n] the position and profit of a symbol."""

    equity: Floats
    cash: Floats
    open_positions: Counts
    position: Floats
    profit: Floats


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
    """Take the cash that the position does not hold back from a book after its step."""
    before, is_open = till.cash - till.held_cash, book.position != 0.0
    free = book.outside_cash if is_open else book.cash
    if not is_open:
        seat.own_cash = 0.0
    elif free != before or book.cash != before + seat.own_cash:  # else rounding would add up from step to step
        seat.own_cash = book.cash - free
    till.cash = free + till.held_cash
    till.open_positions += int(is_open) - int(was_open)
    seat.drawn += before - free


@compiled
def hold_back(portfolio: Portfolio, symbol: int, till: Till, before: float, fills_before: int, was_open: bool) -> None:
    """Hold back from other symbols what exits inside the bar have freed: cash that was spent is spent for this bar.

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
def value_of(seat: Seat, book: Book) -> float:
    """Return what a symbol's position is worth, its own cash included: 0 if there is none."""
    return mark_to_market(seat.own_cash, book.position, seat.mark)


@compiled
def lend_for_entry(portfolio: Portfolio, symbol: int, till: Till) -> None:
    """Give the common cash to a flat book whose entry may be filled, and tell it what the other positions are worth."""
    book, total = portfolio.books[symbol], 0.0
    for other in range(portfolio.seats.size):
        if other != symbol and portfolio.books[other].position != 0.0:
            total += value_of(portfolio.seats[other], portfolio.books[other])
    hand_out(portfolio.seats[symbol], book, till)
    book.other_equity = total + till.held_cash


@compiled
def has_place(till: Till) -> bool:
    """Return whether another position may be opened."""
    return till.open_positions + till.held_places < till.most_open


@compiled
def refuse(seat: Seat, book: Book) -> None:
    """Remove an entry for which there is no place."""
    book.entry_side = 0
    seat.refused_entries += 1


@compiled
def note_refusal(seat: Seat, book: Book, fills_before: int, dropped_before: int) -> None:
    """Count an entry that was removed without a fill, because there was no cash."""
    if book.entry_side == 0 and book.fill_count == fills_before and book.dropped_entries == dropped_before:
        seat.refused_entries += 1


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
    """Take a flat symbol whose entry waits in the market through the range of its bar."""
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
    """Insert a symbol into a queue of `count`, the best rank first, of equals the first listed; return its length."""
    queue, seats = portfolio.queue, portfolio.seats
    place = count
    while place > 0 and goes_before(seats[symbol].entry_rank, seats[queue[place - 1]].entry_rank):
        queue[place] = queue[place - 1]
        place -= 1
    queue[place] = symbol
    return count + 1


@compiled
def fill_market_orders(portfolio: Portfolio, till: Till) -> None:
    """Fill the market orders of the symbols that have a bar at their marks, exits before entries."""
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
    """Take the flat symbols whose entries wait in the market through their ranges: those whose level the open has
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
    """Take a position that was open before through the range of its bar."""
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
    decide(book, fills, seat.row, prices_of(seat), seat.signal, seat.funding_rate, plan)
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
    """Run the portfolio through the times [t], ascending, at which any symbol has a bar, and write what it does."""
    till = tills[0]
    for number in range(times_ms.size):
        open_bars(portfolio, market, times_ms[number], till)
        trade_ranges(portfolio, till)
        close_bars(portfolio, till)
        write_balances(portfolio, number, till, written)


def _cached_on_disk(rules_fingerprint: str) -> Callable[..., None]:
    """Return `simulate_portfolio` compiled once per machine, and again when a rule changes; see `event_driven`."""

    @njit(cache=True, nogil=True)
    def cached_simulate(*arguments: Any) -> None:
        _ = rules_fingerprint
        simulate_portfolio(*arguments)

    return cached_simulate  # type: ignore[no-any-return]


_simulate: Final = _cached_on_disk(fingerprint(sys.modules[__name__], *RULES))


def run_portfolio(
    bars: Sequence[Bars],
    signals: Sequence[Signals],
    rules: Sequence[TradingRules],
    *,
    most_open: int,
    rank: Rank = Rank.LISTED,
    rank_bars: int = 1,
) -> PortfolioSimulation:
    """Trade the signals of several symbols with the initial cash of the first rules.

    Parameters
    ----------
    bars, signals, rules
        Of each symbol, in the order in which they are listed. The rules differ in the exchange's steps only. If they
        give no size, an entry takes the equity ÷ `most_open`.
    rank, rank_bars
        See `domain.portfolio.PortfolioRequest`.

    Raises ValueError if there is not one signal per bar; InvalidInput if the equity grows beyond `MAX_EQUITY`.
    """
    for own, given in zip(signals, bars, strict=True):
        if len(own) != len(given):
            raise ValueError(f"{len(own)} signals for {len(given)} bars")
    plans = [_isolate(build_plan(own), own, most_open) for own in rules]
    portfolio, starts = _allocate(bars, signals, plans)
    times_ms = join_times([own.open_time_ms for own in bars])
    till = np.array([(rules[0].initial_cash, 0.0, 0, 0, most_open)], dtype=TILL_DTYPE)
    equity, cash = np.empty((2, len(times_ms)))
    position, profit = np.empty((2, sum(map(len, bars))))
    written = Written(equity, cash, np.empty(len(times_ms), dtype=np.int64), position, profit)
    _simulate(times_ms, _join(bars, signals, rules, rank, rank_bars), portfolio, till, written)
    check_growth(written.equity)
    return PortfolioSimulation(
        time_ms=times_ms,
        equity=written.equity,
        cash=written.cash,
        open_positions=written.open_positions,
        runs=tuple(_conclude(own, portfolio, number, starts, written) for number, own in enumerate(bars)),
    )


def join_times(times_ms: Sequence[Counts]) -> Counts:
    """Return the times [t], ascending, that are in any of these ascending arrays, each once."""
    if all(np.array_equal(own, times_ms[0]) for own in times_ms):
        return times_ms[0].copy()  # a read-only array would be another type to compile for
    every = np.concatenate(times_ms)
    every.sort(kind="stable")  # which merges what is in order already
    return every[np.flatnonzero(np.diff(every, prepend=every[0] - 1))]


def _allocate(bars: Sequence[Bars], signals: Sequence[Signals], plans: Sequence[Plan]) -> tuple[Portfolio, Counts]:
    """Return a portfolio of flat books, and where the fills of each begin [s]."""
    fills = [allocate_fills(own.action, plan) for own, plan in zip(signals, plans, strict=True)]
    starts = np.cumsum([0, *map(len, fills)])[:-1]
    books = np.repeat(create_book(0.0), len(bars))
    books["fill_count"] = starts
    seats = np.zeros(len(bars), dtype=SEAT_DTYPE)
    seats["end"] = np.cumsum([len(own) for own in bars])
    seats["following"] = seats["end"] - [len(own) for own in bars]
    seats["bar_rank"] = seats["entry_rank"] = math.nan
    return (
        Portfolio(
            seats=seats,
            books=books,
            plans=np.concatenate([plan_record(plan) for plan in plans]),
            fills=np.concatenate(fills),
            queue=np.empty(len(bars), dtype=np.int64),
        ),
        starts,
    )


def _isolate(plan: Plan, rules: TradingRules, most_open: int) -> Plan:
    """Return the plan of a symbol: its positions are isolated, and take an equal part if the rules give no size."""
    fraction = 1.0 / most_open if rules.sizing == Sizing() else plan.equity_fraction
    return plan._replace(is_isolated=True, equity_fraction=fraction)


def _join(
    bars: Sequence[Bars], signals: Sequence[Signals], rules: Sequence[TradingRules], rank: Rank, rank_bars: int
) -> Market:
    """Return the bars of all symbols, and what is read of each, one symbol after another."""
    measures = [measure_bars(own, given) for own, given in zip(bars, rules, strict=True)]
    ranks = [] if rank is Rank.LISTED else [measure_rank(own, rank, rank_bars) for own in bars]
    return Market(
        time_ms=np.concatenate([own.open_time_ms for own in bars]),
        open=np.concatenate([own.open for own in bars]),
        high=np.concatenate([own.high for own in bars]),
        low=np.concatenate([own.low for own in bars]),
        close=np.concatenate([own.close for own in bars]),
        action=np.concatenate([own.action for own in signals]),
        marks=np.concatenate([marks_of(own, given.funding) for own, given in zip(bars, rules, strict=True)]),
        rank=np.concatenate([*ranks, np.empty(0)]),
        measures=BarMeasures(*map(np.concatenate, zip(*measures, strict=True))),
    )


def measure_rank(bars: Bars, rank: Rank, rank_bars: int) -> Floats:
    """Return the rank [n] of a signal at each bar, from the bars up to it; NaN where these are fewer than asked.

    VOLUME is the traded value (close × volume) of the last `rank_bars` bars, MOMENTUM the close ÷ that of `rank_bars`
    bars before − 1.
    """
    found = np.full(len(bars), math.nan)
    if rank is Rank.MOMENTUM:
        found[rank_bars:] = bars.close[rank_bars:] / bars.close[: max(len(bars) - rank_bars, 0)] - 1.0
    else:
        sums = np.concatenate(([0.0], np.cumsum(bars.close * bars.volume)))
        found[rank_bars - 1 :] = sums[rank_bars:] - sums[: max(len(sums) - rank_bars, 0)]
    return found


def _conclude(bars: Bars, portfolio: Portfolio, number: int, starts: Counts, written: Written) -> SymbolRun:
    """Return what one symbol did."""
    book, seat = portfolio.books[number], portfolio.seats[number]
    first = int(seat["end"]) - len(bars)
    rows = slice(first, first + len(bars))
    fills = portfolio.fills[starts[number] : int(book["fill_count"])].copy()
    fills["bar"] -= first
    fills["time_ms"] = bars.open_time_ms[fills["bar"]]
    return SymbolRun(
        symbol=bars.symbol,
        open_time_ms=bars.open_time_ms,
        position=written.position[rows],
        profit=written.profit[rows],
        fills=fills,
        trades=pair_trades(fills, bars.open_time_ms, float(bars.close[-1]), open_funding=float(book["funding"])),
        refused_entries=int(seat["refused_entries"]),
        reduced_entries=int(book["reduced_entries"]),
        dropped_entries=int(book["dropped_entries"]),
        ambiguous_bars=int(book["ambiguous_bars"]),
        liquidations=int(book["liquidations"]),
        liquidation_distance=known_distance(float(book["liquidation_distance"])),
    )
