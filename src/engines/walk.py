"""Walk a position with rungs through a bar: from the open to one extreme, to the other, and to the close.

On each leg the orders fill in the order of their levels, and the levels move with the mean entry price. It is not known
which extreme came first. A stop that is reached first leaves less equity than a target, so `PESSIMISTIC` goes to the
worse extreme first, `OPTIMISTIC` to the better one. With additions the reverse can be true (an addition and then a
target give more than the target alone). Then `PESSIMISTIC` takes the path that leaves less equity at the close,
`OPTIMISTIC` the other one. `NEAREST` goes to the extreme nearer to the open first (see `paths`). A bar whose two paths
differ is counted as ambiguous.

If the entry was filled inside the bar, one extreme may have come before the fill. `PESSIMISTIC` goes there first if it
is the worse one, and not at all if it is the better one; `OPTIMISTIC` does the opposite. `NEAREST` continues along its
path (see `walk_nearest`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from src.engines.account import (
    ABSOLUTE_TOLERANCE,
    SMALLEST_ORDER,
    Costs,
    break_even_price,
    cash_after_fill,
    cash_outside,
    is_close,
    liquidation_level,
    made_limit,
    mark_to_market,
    purchase_of,
    slipped_price,
    taken_limit,
    takes_all_margin,
    volume_impact,
)
from src.engines.book import (
    ADD_LIMIT,
    ADD_STOP,
    LIQUIDATION,
    STOP_LOSS,
    TAKE_PROFIT,
    TRAILING_STOP,
    Book,
    get_direction,
    tighten_stop,
    write_fill,
)
from src.engines.compiled import compiled
from src.engines.filters import down_to_step, in_steps, is_too_small, on_tick
from src.engines.orders import (
    LIMIT_ENTRY,
    MARKET_ENTRY,
    BarPrices,
    best_of,
    is_tighter,
    level_at,
    proven_after_entry,
    reaches_stop,
    reaches_target,
    worst_of,
)
from src.engines.paths import FARTHEST, NEAREST, OPTIMISTIC, PESSIMISTIC, favors_position, has_late_extreme
from src.engines.plan import Plan, costs_of
from src.engines.positions import close_position, fit_volume, move_stops, note_margin, stop_below
from src.engines.rungs import PORTION, SIZE, next_addition, next_target, watch_rungs


class Path(NamedTuple):
    """The extremes of a bar in the order in which a walk visits them; equal if it visits only one."""

    first: float
    second: float


class Memory(NamedTuple):
    """The fields of a book that a walk may change, except for the count of ambiguous bars."""

    cash: float
    outside_cash: float
    position: float
    entry_price: float
    break_even_price: float
    stop_level: float
    stop_reason: int
    target_level: float
    time_exit_bar: int
    exit_waits: int
    calm_until_bar: int
    has_rungs: int
    full_units: float
    targets_taken: int
    additions_made: int
    fill_count: int
    trade_count: int
    reduced_entries: int
    dropped_entries: int
    liquidations: int
    liquidation_distance: float
    is_liquidated: int
    funding: float


@compiled
def remember(book: Book) -> Memory:
    """Return the fields that a walk may change."""
    return Memory(
        book.cash,
        book.outside_cash,
        book.position,
        book.entry_price,
        book.break_even_price,
        book.stop_level,
        book.stop_reason,
        book.target_level,
        book.time_exit_bar,
        book.exit_waits,
        book.calm_until_bar,
        book.has_rungs,
        book.full_units,
        book.targets_taken,
        book.additions_made,
        book.fill_count,
        book.trade_count,
        book.reduced_entries,
        book.dropped_entries,
        book.liquidations,
        book.liquidation_distance,
        book.is_liquidated,
        book.funding,
    )


@compiled
def restore(book: Book, memory: Memory) -> None:
    """Undo a walk; fills that it wrote are overwritten by the next."""
    book.cash, book.outside_cash, book.position = memory.cash, memory.outside_cash, memory.position
    book.entry_price, book.break_even_price = memory.entry_price, memory.break_even_price
    book.stop_level, book.stop_reason, book.target_level = memory.stop_level, memory.stop_reason, memory.target_level
    book.time_exit_bar, book.exit_waits = memory.time_exit_bar, memory.exit_waits
    book.calm_until_bar, book.has_rungs, book.full_units = memory.calm_until_bar, memory.has_rungs, memory.full_units
    book.targets_taken, book.additions_made = memory.targets_taken, memory.additions_made
    book.fill_count, book.trade_count = memory.fill_count, memory.trade_count
    book.reduced_entries, book.liquidations = memory.reduced_entries, memory.liquidations
    book.liquidation_distance = memory.liquidation_distance
    book.dropped_entries, book.is_liquidated, book.funding = (
        memory.dropped_entries,
        memory.is_liquidated,
        memory.funding,
    )


@compiled
def place_stops(book: Book, direction: int, plan: Plan) -> None:
    """Place the stops anew; the trailing stop keeps its level, and the break-even stop must be triggered again."""
    book.stop_level = math.nan
    tighten_stop(book, direction, stop_below(book.entry_price, direction, plan.stop_loss_rate, plan), STOP_LOSS)
    if plan.uses_atr:
        level = level_at(book.entry_price, direction, -plan.stop_loss_atr * book.entry_atr)
        tighten_stop(book, direction, on_tick(level, -direction, plan), STOP_LOSS)
    tighten_stop(book, direction, book.trailing_level, TRAILING_STOP)
    own_cash = book.cash - book.outside_cash
    level = liquidation_level(own_cash, book.position, costs_of(plan), plan.margin_rate, plan.maintenance_rate)
    tighten_stop(book, direction, level, LIQUIDATION)


@compiled
def take_portion(
    book: Book, fills: NDArray[np.void], bar: int, price: float, terms: Costs, number: int, plan: Plan
) -> None:
    """Close the part of a target at `price`: the position keeps its mean entry price, and the rest of its margin."""
    book.targets_taken |= 1 << number
    side, held = -get_direction(book.position), abs(book.position)
    quantity = down_to_step(plan.targets[number][PORTION] * book.full_units, plan)
    if quantity == 0.0:
        return  # a part of less than a step
    own_cash, has_leverage = book.cash - book.outside_cash, plan.margin_rate != 1.0
    is_whole = quantity >= held or is_close(quantity, held) or held - quantity <= SMALLEST_ORDER
    may_ruin = side > 0 or has_leverage
    if is_whole or (may_ruin and takes_all_margin(own_cash, side, held * price, held * price * terms.fee_rate)):
        close_position(book, fills, bar, price, terms, TAKE_PROFIT, plan)
        return
    fee = quantity * price * terms.fee_rate
    write_fill(book, fills, bar, side, quantity, price, fee, TAKE_PROFIT, 0.0)
    book.cash = cash_after_fill(book.cash, side, quantity * price, fee)
    if plan.is_isolated:
        book.outside_cash = book.cash - own_cash * (1.0 - quantity / held)
    book.position += side * quantity
    if book.stop_reason == LIQUIDATION:
        # The margin of a short without leverage is all cash, so each remaining unit now has more of it.
        place_stops(book, -side, plan)


@compiled
def cash_for_addition(book: Book, price: float, plan: Plan) -> float:
    """Return what an addition may spend on margin and fee.

    All cash is the margin of a short that is not isolated: its value plus the addition's may not exceed the equity.
    """
    if plan.is_isolated:
        return book.outside_cash
    if book.position > 0.0:
        return book.cash
    return max(book.cash + 2.0 * book.position * price, 0.0)


@compiled
def add_units(
    book: Book,
    fills: NDArray[np.void],
    bar: int,
    market_price: float,
    terms: Costs,
    reason: int,
    number: int,
    plan: Plan,
) -> None:
    """Add the units of an addition at `market_price`, as far as cash pays for them, and place all orders anew."""
    book.additions_made |= 1 << number
    if plan.watches_margin:
        note_margin(book, market_price, plan)
    side, held = get_direction(book.position), abs(book.position)
    price = slipped_price(market_price, side, terms.slippage_rate)
    budget = cash_for_addition(book, market_price, plan)
    units = plan.additions[number][SIZE] * book.first_units
    bought = purchase_of(units, budget, price, terms.fee_rate, plan.margin_rate)
    if budget <= ABSOLUTE_TOLERANCE or bought.quantity <= SMALLEST_ORDER:
        book.reduced_entries += 1
        return
    impact = 0.0
    if plan.uses_volume:
        bought = fit_volume(book, side, market_price, terms, bought, budget, units, plan)
        if bought.quantity <= SMALLEST_ORDER:
            book.dropped_entries += 1
            return
        impact = volume_impact(terms, bought.quantity, book.bar_volume)
        price = slipped_price(market_price, side, terms.slippage_rate + impact)
    bought = in_steps(bought, price, terms.fee_rate, plan)
    if is_too_small(bought, price, plan):
        book.dropped_entries += 1
        return
    write_fill(book, fills, bar, side, bought.quantity, price, bought.fee, reason, impact)
    book.reduced_entries += bought.is_reduced
    value, whole = bought.quantity * price, held + bought.quantity
    if plan.is_isolated:
        book.outside_cash = cash_outside(book.outside_cash, value, bought.fee, plan.margin_rate)
    book.cash = cash_after_fill(book.cash, side, value, bought.fee)
    exit_impact = volume_impact(costs_of(plan), whole, book.bar_volume)
    own_break_even = break_even_price(price, side, terms.fee_rate, costs_of(plan), exit_impact)
    book.entry_price = (book.entry_price * held + value) / whole
    book.break_even_price = (book.break_even_price * held + own_break_even * bought.quantity) / whole
    book.position += side * bought.quantity
    book.full_units += bought.quantity
    place_stops(book, side, plan)


@compiled
def walk_to(book: Book, fills: NDArray[np.void], bar: int, here: float, there: float, plan: Plan) -> None:
    """Fill what the price reaches between `here` and `there`, nearest first.

    Orders whose level `here` has passed are filled there at once: the stop first, then targets, then additions.
    """
    made, taken, costs = made_limit(costs_of(plan)), taken_limit(costs_of(plan)), costs_of(plan)
    while book.position != 0.0:
        direction, stop = get_direction(book.position), book.stop_level
        target = next_target(book, bar, direction, plan)
        dip, rise = next_addition(book, direction, -1, plan), next_addition(book, direction, 1, plan)
        if reaches_stop(here, stop, direction):
            close_position(book, fills, bar, here, costs, book.stop_reason, plan)
        elif reaches_target(here, target.level, direction):
            take_portion(book, fills, bar, here, taken, target.number, plan)
        elif reaches_stop(here, dip.level, direction):
            add_units(book, fills, bar, here, taken, ADD_LIMIT, dip.number, plan)
        elif reaches_target(here, rise.level, direction):
            add_units(book, fills, bar, here, costs, ADD_STOP, rise.number, plan)
        elif reaches_stop(there, dip.level, direction) and is_tighter(direction, dip.level, stop):
            here = dip.level
            add_units(book, fills, bar, here, made, ADD_LIMIT, dip.number, plan)
        elif reaches_stop(there, stop, direction):
            close_position(book, fills, bar, stop, costs, book.stop_reason, plan)
        elif reaches_target(there, target.level, direction) and not is_tighter(-direction, rise.level, target.level):
            here = target.level
            take_portion(book, fills, bar, here, made, target.number, plan)
        elif reaches_target(there, rise.level, direction):
            here = rise.level
            add_units(book, fills, bar, here, costs, ADD_STOP, rise.number, plan)
        else:
            return


@compiled
def walk_path(
    book: Book, fills: NDArray[np.void], bar: int, start: float, path: Path, close: float, plan: Plan
) -> float:
    """Walk from `start` to the extremes of the path and to the close; return the equity there."""
    walk_to(book, fills, bar, start, path.first, plan)
    if path.second != path.first:
        walk_to(book, fills, bar, path.first, path.second, plan)
    walk_to(book, fills, bar, path.second, close, plan)
    return mark_to_market(book.cash, book.position, close)


@compiled
def path_of(proven: BarPrices, prices: BarPrices, direction: int, is_better_first: bool) -> Path:
    """Return the path to the better or the worse extreme first, and to the other if it is proven."""
    first, second, proven_second = worst_of(prices, direction), best_of(prices, direction), best_of(proven, direction)
    if is_better_first:
        first, second, proven_second = second, first, worst_of(proven, direction)
    return Path(first, second if second == proven_second else first)


@compiled
def walk_policy(
    book: Book, fills: NDArray[np.void], bar: int, proven: BarPrices, prices: BarPrices, kind: int, plan: Plan
) -> None:
    """Walk the path that `intrabar` chooses, and count the bar as ambiguous if the other path differs."""
    before, direction = remember(book), get_direction(book.position)
    is_favored = favors_position(prices, direction, kind, True, plan.intrabar)
    chosen = path_of(proven, prices, direction, is_favored)
    other = path_of(proven, prices, direction, not is_favored)
    other_equity = walk_path(book, fills, bar, proven.open, other, prices.close, plan)
    other_cash, other_position = book.cash, book.position
    restore(book, before)
    equity = walk_path(book, fills, bar, proven.open, chosen, prices.close, plan)
    if book.cash == other_cash and book.position == other_position:
        return
    book.ambiguous_bars += 1
    is_less, is_by_equity = other_equity < equity, plan.intrabar in (PESSIMISTIC, OPTIMISTIC)
    if plan.addition_count > 0 and is_by_equity and other_equity != equity and is_less != is_favored:
        restore(book, before)
        walk_path(book, fills, bar, proven.open, other, prices.close, plan)


@compiled
def walk_nearest(
    book: Book, fills: NDArray[np.void], bar: int, proven: BarPrices, prices: BarPrices, kind: int, plan: Plan
) -> None:
    """Walk the rest of `NEAREST`'s path after an entry inside the bar, and count the bar if another path differs.

    The path goes to the extreme that filled the entry, and then to the other extreme if that came later. The
    alternative paths go to the other extreme first, or leave it out if this path visits it. `FARTHEST` walks the first
    alternative that differs.
    """
    before, direction = remember(book), get_direction(book.position)
    later = path_of(proven, prices, direction, kind != LIMIT_ENTRY)
    earlier = path_of(proven, prices, direction, kind == LIMIT_ENTRY)
    both = Path(earlier.second, earlier.first)
    chosen, left = (both, later) if has_late_extreme(prices, direction, kind) else (later, both)
    walk_path(book, fills, bar, proven.open, chosen, prices.close, plan)
    cash, position = book.cash, book.position
    for other in (earlier, left):
        restore(book, before)
        walk_path(book, fills, bar, proven.open, other, prices.close, plan)
        if book.cash != cash or book.position != position:
            book.ambiguous_bars += 1
            if plan.intrabar == FARTHEST:
                return
            break
    restore(book, before)
    walk_path(book, fills, bar, proven.open, chosen, prices.close, plan)


@compiled
def walk_bar(
    book: Book, fills: NDArray[np.void], bar: int, proven: BarPrices, prices: BarPrices, kind: int, plan: Plan
) -> None:
    """Fill the orders of a position with rungs that the bar reaches, from `proven.open` on; see the module.

    `proven` are the prices that certainly came while the position was open, `prices` those that may have. `kind` is
    that of the entry that this bar's range filled, `MARKET_ENTRY` without one.
    """
    walk_to(book, fills, bar, proven.open, proven.open, plan)
    if book.position != 0.0:
        if kind != MARKET_ENTRY and plan.intrabar in (NEAREST, FARTHEST):
            walk_nearest(book, fills, bar, proven, prices, kind, plan)
        else:
            walk_policy(book, fills, bar, proven, prices, kind, plan)
    watch_rungs(book, bar, get_direction(book.position), plan)


@compiled
def walk_entry_bar(
    book: Book, fills: NDArray[np.void], bar: int, prices: BarPrices, level: float, kind: int, plan: Plan
) -> None:
    """Do the rest of the bar for a position with rungs whose entry was filled inside it at `level`."""
    proven = proven_after_entry(prices, level, get_direction(book.position), kind)
    walk_bar(book, fills, bar, proven, prices, kind, plan)
    move_stops(book, proven, plan)
