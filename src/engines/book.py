"""The book of one run (cash, position and resting orders), and the steps of a bar that change it.

A `Book` is one record of numbers that compiled code changes in place. The loop in `event_driven.py` calls the steps;
their rules are in `account.py` (money) and `orders.py` (matching).
"""

from __future__ import annotations

import math
from typing import Final, get_type_hints

import numpy as np
from numpy.typing import NDArray

from src.domain.signals import Action
from src.domain.simulation import FillReason
from src.engines.account import (
    ABSOLUTE_TOLERANCE,
    SMALLEST_ORDER,
    Costs,
    Purchase,
    bankruptcy_price,
    break_even_price,
    cash_after_fill,
    cash_outside,
    liquidation_level,
    made_limit,
    purchase_at_risk,
    purchase_worth,
    size_entry,
    slipped_price,
    taken_limit,
    takes_all_margin,
)
from src.engines.compiled import compiled
from src.engines.filters import entry_on_tick, in_steps, is_too_small, on_tick
from src.engines.orders import (
    LIMIT_ENTRY,
    MARKET_ENTRY,
    STOP_LIMIT_ENTRY,
    BarPrices,
    best_of,
    entry_extreme,
    entry_level,
    is_tighter,
    level_at,
    level_from,
    proven_after_entry,
    reaches_entry,
    reaches_stop,
    reaches_target,
    worst_of,
)
from src.engines.paths import favors_position
from src.engines.plan import NEVER, Plan, costs_of
from src.engines.rungs import start_rungs, trail_rungs

CLOSE_LONG: Final = int(Action.CLOSE_LONG)
CLOSE_SHORT: Final = int(Action.CLOSE_SHORT)

SIGNAL: Final = int(FillReason.SIGNAL)
STOP_LOSS: Final = int(FillReason.STOP_LOSS)
TAKE_PROFIT: Final = int(FillReason.TAKE_PROFIT)
TRAILING_STOP: Final = int(FillReason.TRAILING_STOP)
TIME: Final = int(FillReason.TIME)
LIMIT: Final = int(FillReason.LIMIT)
STOP: Final = int(FillReason.STOP)
LIQUIDATION: Final = int(FillReason.LIQUIDATION)
BREAK_EVEN: Final = int(FillReason.BREAK_EVEN)
END: Final = int(FillReason.END)
ADD_LIMIT: Final = int(FillReason.ADD_LIMIT)
ADD_STOP: Final = int(FillReason.ADD_STOP)


class Book:
    """Cash, position and resting orders; the layout of `BOOK_DTYPE`."""

    cash: float
    """Quote currency; includes the proceeds of a short, and is negative by what a long has borrowed."""
    outside_cash: float
    """What of the cash the position cannot lose, except by funding."""
    position: float
    """Units of the base asset; negative when short, 0 when flat."""
    entry_price: float
    """Of the position, after slippage; of the last one when flat."""
    funding: float
    """What the position has paid in funding since its last fill, in the quote currency; negative if it got more."""
    break_even_price: float
    """The market price at which closing the position pays back its entry and all costs."""
    stop_level: float
    """The tightest of stop loss, trailing stop, break-even stop and liquidation level; NaN for none."""
    stop_reason: int
    """The `FillReason` of the order at `stop_level`."""
    target_level: float
    time_exit_bar: int
    """The bar of the time exit."""
    exit_waits: int
    """1 if a market order waits to close the position."""
    entry_side: int
    """+1 or −1 if an entry waits, 0 if none does."""
    entry_kind: int
    entry_level: float
    entry_atr: float
    """The ATR of the signal's bar; read if distances are in ATR."""
    entry_last_bar: int
    """The last bar in which an entry that waits may be filled."""
    bar_atr: float
    """The ATR of the bar at hand."""
    trail_distance: float
    """How far the trailing stop lies from the best price, in the quote currency; NaN if that is a fraction."""
    calm_until_bar: int
    """The first bar whose signal may open a position again after a stop."""
    fill_count: int
    reduced_entries: int
    dropped_entries: int
    """Entries that were not made, because the exchange would have refused them, or nothing could protect them."""
    ambiguous_bars: int
    liquidations: int
    is_liquidated: int
    """1 if a liquidation left no cash."""
    trade_count: int
    """Positions that are closed."""
    has_rungs: int
    """1 if the position has targets or additions beside `target_level`; `engines.walk` fills them."""
    entry_bar: int
    first_units: float
    """Of the position's first entry; and with all that was added since, whatever was sold:"""
    full_units: float
    trailing_level: float
    """Of the trailing stop alone, of a position with rungs; NaN for none."""
    targets_taken: int
    """A bit for each target that the position has had; and for each addition:"""
    additions_made: int
    rung_in_favor: float
    """The nearest level of a rung in the position's favor, and against it; NaN for none."""
    rung_against: float
    rungs_until_bar: int
    """The first bar for which these levels were not noted: other targets are in force."""


BOOK_DTYPE: Final = np.dtype(
    [(name, np.float64 if kind is float else np.int64) for name, kind in get_type_hints(Book).items()]
)


def create_book(initial_cash: float) -> NDArray[np.void]:
    """Return an array of one flat book without orders."""
    books = np.zeros(1, dtype=BOOK_DTYPE)
    books["cash"] = initial_cash
    books["time_exit_bar"] = NEVER
    books["stop_level"] = books["target_level"] = books["trail_distance"] = math.nan
    return books


@compiled
def get_direction(position: float) -> int:
    """Return +1 for a long, −1 for a short, 0 for none."""
    return 1 if position > 0.0 else -1 if position < 0.0 else 0


@compiled
def write_fill(
    book: Book, fills: NDArray[np.void], bar: int, side: int, quantity: float, price: float, fee: float, reason: int
) -> None:
    """Append a fill; `fills` is large enough, as all possible fills were counted before."""
    fill = fills[book.fill_count]
    fill.bar = bar
    fill.side = side
    fill.quantity = quantity
    fill.price = price
    fill.fee = fee
    fill.reason = reason
    fill.trade = book.trade_count
    fill.funding = book.funding
    book.funding = 0.0
    book.fill_count += 1


@compiled
def tighten_stop(book: Book, direction: int, level: float, reason: int) -> None:
    """Move the protective stop to `level` if that is tighter; it never moves away from the price."""
    if is_tighter(direction, level, book.stop_level):
        book.stop_level = level
        book.stop_reason = reason


@compiled
def stop_below(price: float, direction: int, rate: float, plan: Plan) -> float:
    """Return the level of a stop at `rate` (a fraction) from `price` against the position, on a tick."""
    return on_tick(level_from(price, direction, -rate), -direction, plan)


@compiled
def trailing_level(book: Book, best: float, direction: int, plan: Plan) -> float:
    """Return the level of the trailing stop for this best price; NaN without one."""
    if math.isnan(book.trail_distance):
        return stop_below(best, direction, plan.trailing_stop_rate, plan)
    return on_tick(level_at(best, direction, -book.trail_distance), -direction, plan)


@compiled
def place_atr_exits(book: Book, price: float, side: int, plan: Plan) -> None:
    """Place the exits whose distance from the entry's `price` is in ATR of the signal's bar."""
    atr = book.entry_atr
    book.trail_distance = plan.trailing_stop_atr * atr
    if not math.isnan(plan.take_profit_atr):
        book.target_level = on_tick(level_at(price, side, plan.take_profit_atr * atr), side, plan)
    tighten_stop(book, side, on_tick(level_at(price, side, -plan.stop_loss_atr * atr), -side, plan), STOP_LOSS)


@compiled
def close_position(
    book: Book, fills: NDArray[np.void], bar: int, market_price: float, terms: Costs, reason: int, plan: Plan
) -> None:
    """Close the whole position at `market_price` with the costs of `terms`, and cancel its orders.

    If that would leave nothing of its margin, it is liquidated at its bankruptcy price instead; so is any position that
    is liquidated without leverage: a short, or a long that owes funding.
    """
    side = -get_direction(book.position)
    quantity = abs(book.position)
    price = slipped_price(market_price, side, terms.slippage_rate)
    fee = quantity * price * terms.fee_rate
    own_cash, has_leverage = book.cash - book.outside_cash, plan.margin_rate != 1.0
    is_ruined = (side > 0 or has_leverage or own_cash < 0.0) and takes_all_margin(own_cash, side, quantity * price, fee)
    if is_ruined or (reason == LIQUIDATION and not has_leverage):
        price = bankruptcy_price(own_cash, book.position, plan.fee_rate)
        fee = quantity * price * plan.fee_rate
        reason = LIQUIDATION
        book.cash = book.outside_cash
    else:
        book.cash = cash_after_fill(book.cash, side, quantity * price, fee)
    write_fill(book, fills, bar, side, quantity, price, fee, reason)
    book.trade_count += 1
    if reason == LIQUIDATION:
        book.liquidations += 1
        if book.cash <= ABSOLUTE_TOLERANCE:
            book.is_liquidated = 1
    if reason in (STOP_LOSS, TRAILING_STOP, BREAK_EVEN, LIQUIDATION):
        book.calm_until_bar = bar + plan.cooldown_bars
    book.position = 0.0
    book.stop_level = math.nan
    book.target_level = math.nan
    book.has_rungs = 0
    book.exit_waits = 0
    book.time_exit_bar = NEVER


@compiled
def first_stop_distance(price: float, side: int, atr: float, plan: Plan) -> float:
    """Return how far the nearest stop of a position entered at `price` lies from it, in the quote currency."""
    distance = price * plan.first_stop_rate
    if plan.uses_atr:
        distance = np.fmin(distance, plan.first_stop_atr * atr)
    if math.isnan(plan.tick_numerator):
        return float(distance)
    return side * (price - on_tick(level_at(price, side, -distance), -side, plan))


@compiled
def size_position(cash: float, side: int, price: float, atr: float, fee_rate: float, plan: Plan) -> Purchase:
    """Return the size of an entry at `price` (after slippage) from a flat book."""
    if not math.isnan(plan.quote_amount):
        return purchase_worth(plan.quote_amount, cash, price, fee_rate, plan.margin_rate)
    if not math.isnan(plan.risk_fraction):
        risk = plan.risk_fraction * cash
        loss = first_stop_distance(price, side, atr, plan)
        return purchase_at_risk(risk, loss, cash, price, fee_rate, plan.margin_rate)
    return size_entry(cash, price, plan.fixed_units, plan.equity_fraction, fee_rate, plan.margin_rate)


@compiled
def open_position(
    book: Book, fills: NDArray[np.void], bar: int, market_price: float, terms: Costs, reason: int, plan: Plan
) -> None:
    """Open a position at `market_price` with the costs of `terms`, and place the orders that protect it.

    The entry order is removed, even if there was no cash to fill it.
    """
    side = book.entry_side
    book.entry_side = 0
    price = slipped_price(market_price, side, terms.slippage_rate)
    purchase = size_position(book.cash, side, price, book.entry_atr, terms.fee_rate, plan)
    if book.cash <= ABSOLUTE_TOLERANCE or purchase.quantity <= SMALLEST_ORDER:
        return
    purchase = in_steps(purchase, price, terms.fee_rate, plan)
    if is_too_small(purchase, price, plan):
        book.dropped_entries += 1
        return
    write_fill(book, fills, bar, side, purchase.quantity, price, purchase.fee, reason)
    book.reduced_entries += purchase.is_reduced
    value = purchase.quantity * price
    book.outside_cash = cash_outside(book.cash, value, purchase.fee, plan.margin_rate)
    book.cash = cash_after_fill(book.cash, side, value, purchase.fee)
    book.position = side * purchase.quantity
    book.entry_price = price
    book.break_even_price = break_even_price(price, side, terms.fee_rate, costs_of(plan))
    book.time_exit_bar = bar + plan.max_bars
    book.target_level = on_tick(level_from(price, side, plan.take_profit_rate), side, plan)
    tighten_stop(book, side, stop_below(price, side, plan.stop_loss_rate, plan), STOP_LOSS)
    if plan.uses_atr:
        place_atr_exits(book, price, side, plan)
    if math.isnan(plan.trailing_start_rate):
        tighten_stop(book, side, trailing_level(book, price, side, plan), TRAILING_STOP)
    own_cash = book.cash - book.outside_cash
    liquidation = liquidation_level(own_cash, book.position, costs_of(plan), plan.margin_rate, plan.maintenance_rate)
    tighten_stop(book, side, liquidation, LIQUIDATION)
    if plan.has_rungs:
        trail = trailing_level(book, price, side, plan) if math.isnan(plan.trailing_start_rate) else math.nan
        start_rungs(book, bar, side, trail, plan)
    if reaches_stop(market_price, liquidation, side):
        close_position(book, fills, bar, market_price, costs_of(plan), LIQUIDATION, plan)


@compiled
def has_market_order(book: Book, bar: int, plan: Plan) -> bool:
    """Return whether a market order waits at this bar."""
    return (
        book.exit_waits != 0 or bar >= book.time_exit_bar or (book.entry_side != 0 and plan.entry_kind == MARKET_ENTRY)
    )


@compiled
def fill_market_orders(book: Book, fills: NDArray[np.void], bar: int, price: float, plan: Plan) -> None:
    """Fill the market orders, exits before entries: a reversal is two fills at one price."""
    if book.position != 0.0:
        close_position(book, fills, bar, price, costs_of(plan), SIGNAL if book.exit_waits else TIME, plan)
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

    A stop-limit entry whose limit the open has passed too goes on as a limit entry.
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
        close_position(book, fills, bar, price, taken_limit(costs_of(plan)), TAKE_PROFIT, plan)


@compiled
def enter_resting(book: Book, fills: NDArray[np.void], bar: int, price: float, terms: Costs, plan: Plan) -> None:
    """Fill a limit entry on the terms of a limit order, or a stop entry as a market order, at `price`.

    A stop-limit entry is filled on the terms of a limit order too; what it has passed is a price that was there.
    """
    if book.entry_kind == LIMIT_ENTRY:
        open_position(book, fills, bar, price, terms, LIMIT, plan)
    elif book.entry_kind == STOP_LIMIT_ENTRY:
        open_position(book, fills, bar, price, taken_limit(costs_of(plan)), LIMIT, plan)
    else:
        open_position(book, fills, bar, price, costs_of(plan), STOP, plan)


@compiled
def has_reached_exit(book: Book, prices: BarPrices) -> bool:
    """Return whether the bar's range reaches the position's stop or target."""
    direction = get_direction(book.position)
    return reaches_stop(worst_of(prices, direction), book.stop_level, direction) or reaches_target(
        best_of(prices, direction), book.target_level, direction
    )


@compiled
def fill_exits(
    book: Book, fills: NDArray[np.void], bar: int, proven: BarPrices, prices: BarPrices, kind: int, plan: Plan
) -> None:
    """Fill the stop or the target that the position reaches in the bar; if the bar is ambiguous, the policy chooses.

    `proven` are the prices that certainly came while the position was open, `prices` those that may have; they are
    equal if the position was open from the start. `kind` is that of the entry that this bar's range filled,
    `MARKET_ENTRY` without one. The bar is ambiguous if both orders may be reached, or one only by a price that is not
    proven. Then the stop fills and the target does not, or the other way round if the policy favors the position.
    """
    direction = get_direction(book.position)
    may_stop = reaches_stop(worst_of(prices, direction), book.stop_level, direction)
    must_stop = reaches_stop(worst_of(proven, direction), book.stop_level, direction)
    may_win = reaches_target(best_of(prices, direction), book.target_level, direction)
    must_win = reaches_target(best_of(proven, direction), book.target_level, direction)
    if (may_stop and may_win) or may_stop != must_stop or may_win != must_win:
        book.ambiguous_bars += 1
    is_favored = favors_position(prices, direction, kind, may_stop and may_win, plan.intrabar)
    if may_win and (is_favored or (must_win and not may_stop)):
        close_position(book, fills, bar, book.target_level, made_limit(costs_of(plan)), TAKE_PROFIT, plan)
    elif may_stop and (must_stop or not is_favored):
        close_position(book, fills, bar, book.stop_level, costs_of(plan), book.stop_reason, plan)


@compiled
def fill_resting_entry(book: Book, fills: NDArray[np.void], bar: int, prices: BarPrices, plan: Plan) -> None:
    """Fill the entry whose level the bar's range reaches.

    For the new position the rest of the bar begins at the entry's level, with the prices that the bar proves; of one
    with rungs, `engines.walk.walk_entry_bar` does the rest.
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
def move_stops(book: Book, prices: BarPrices, plan: Plan) -> None:
    """Tighten the stops that follow the bar's best price; they can be hit from the next bar on.

    The break-even stop moves once the price has also passed its level: it would close the position at once otherwise.
    """
    if plan.moves_stops and book.position != 0.0:
        direction = get_direction(book.position)
        best = best_of(prices, direction)
        start = level_from(book.entry_price, direction, plan.trailing_start_rate)
        if math.isnan(start) or reaches_target(best, start, direction):
            level = trailing_level(book, best, direction, plan)
            tighten_stop(book, direction, level, TRAILING_STOP)
            if book.has_rungs != 0:
                trail_rungs(book, direction, level)
        start = level_from(book.entry_price, direction, plan.break_even_rate)
        if reaches_target(best, start, direction) and direction * best > direction * book.break_even_price:
            tighten_stop(book, direction, on_tick(book.break_even_price, -direction, plan), BREAK_EVEN)


@compiled
def close_direction(book: Book, direction: int, plan: Plan) -> None:
    """Close a position of this direction at the market, or cancel the entry that would open one."""
    if direction * book.position > 0.0 and plan.exits_on_signal:
        book.exit_waits = 1
    if book.entry_side == direction:
        book.entry_side = 0


@compiled
def place_orders(book: Book, bar: int, close: float, signal: int, plan: Plan) -> None:
    """Place orders for the strategy's signal at the close (an `Action`).

    A signal in the position's own direction changes nothing. An opposite one closes the position at the market. Both
    buy and sell signals replace or cancel an entry that still waits; a signal that only closes cancels an entry of the
    direction that it closes.

    If signals do not close positions, none does anything while one is open. Without an ATR, no entry is placed whose
    exits are counted in it: it would be without the protection asked for.
    """
    if signal in (CLOSE_LONG, CLOSE_SHORT):
        close_direction(book, 1 if signal == CLOSE_LONG else -1, plan)
        return
    if signal == 0 or signal * book.position > 0.0:
        return
    if book.position != 0.0:
        if not plan.exits_on_signal:
            return
        book.exit_waits = 1
    book.entry_side = 0
    if plan.allowed_side != -signal and bar >= book.calm_until_bar:
        if plan.uses_atr and not book.bar_atr > 0.0:
            book.dropped_entries += 1
            return
        book.entry_atr = book.bar_atr
        book.entry_side = signal
        book.entry_kind = plan.entry_kind
        level = entry_level(close, signal, plan.entry_kind, plan.entry_offset_rate)
        book.entry_level = entry_on_tick(level, signal, plan.entry_kind, plan)
        book.entry_last_bar = bar + plan.entry_life_bars


@compiled
def reprice_entry(book: Book, close: float, plan: Plan) -> None:
    """Move the entry that waits to its distance from the close, unless it has become another kind of order."""
    if book.entry_side != 0 and book.entry_kind == plan.entry_kind:
        level = entry_level(close, book.entry_side, book.entry_kind, plan.entry_offset_rate)
        book.entry_level = entry_on_tick(level, book.entry_side, book.entry_kind, plan)


@compiled
def end_run(book: Book, fills: NDArray[np.void], bar: int, close: float, plan: Plan) -> None:
    """Close the position that is open at the close of the last bar, if the rules say so."""
    if plan.closes_at_end and book.position != 0.0:
        close_position(book, fills, bar, close, costs_of(plan), END, plan)
