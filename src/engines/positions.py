"""Open a position, protect it and close it: the fills that change the book, and the levels that move with the price.

The rules are in `account.py` (money), `orders.py` (matching) and `filters.py` (the exchange's steps).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

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
    purchase_at_volatility,
    purchase_of,
    purchase_worth,
    size_entry,
    slipped_price,
    takes_all_margin,
    volume_impact,
)
from src.engines.book import (
    BREAK_EVEN,
    END,
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
from src.engines.orders import BarPrices, best_of, level_at, level_from, reaches_stop, reaches_target, worst_of
from src.engines.paths import favors_position
from src.engines.plan import NEVER, Plan, costs_of
from src.engines.rungs import start_rungs, trail_rungs


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
def note_margin(book: Book, price: float, plan: Plan) -> None:
    """Note how far `price` is from the level at which the position would be liquidated."""
    own_cash = book.cash - book.outside_cash
    level = liquidation_level(own_cash, book.position, costs_of(plan), plan.margin_rate, plan.maintenance_rate)
    left = max(get_direction(book.position) * (price - level), 0.0)
    book.liquidation_distance = min(book.liquidation_distance, left / book.entry_price)


@compiled
def close_position(
    book: Book, fills: NDArray[np.void], bar: int, market_price: float, terms: Costs, reason: int, plan: Plan
) -> None:
    """Close the whole position at `market_price` with the costs of `terms`, and cancel its orders.

    If that would use up its margin, the position is liquidated at its bankruptcy price instead. So is any position that
    is liquidated without leverage: a short, or a long that owes funding.
    """
    if plan.watches_margin:
        note_margin(book, market_price, plan)
    side = -get_direction(book.position)
    quantity = abs(book.position)
    impact = volume_impact(terms, quantity, book.bar_volume)
    price = slipped_price(market_price, side, terms.slippage_rate + impact)
    fee = quantity * price * terms.fee_rate
    own_cash, has_leverage = book.cash - book.outside_cash, plan.margin_rate != 1.0
    is_ruined = (side > 0 or has_leverage or own_cash < 0.0) and takes_all_margin(own_cash, side, quantity * price, fee)
    if is_ruined or (reason == LIQUIDATION and not has_leverage):
        price, impact = bankruptcy_price(own_cash, book.position, plan.fee_rate), 0.0
        fee = quantity * price * plan.fee_rate
        reason = LIQUIDATION
        book.cash = book.outside_cash
    else:
        book.cash = cash_after_fill(book.cash, side, quantity * price, fee)
    write_fill(book, fills, bar, side, quantity, price, fee, reason, impact)
    book.trade_count += 1
    if reason == LIQUIDATION:
        book.liquidations += 1
        if plan.watches_margin:
            book.liquidation_distance = 0.0
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
def size_position(book: Book, side: int, price: float, fee_rate: float, plan: Plan) -> Purchase:
    """Return the size of an entry at `price` (after slippage); the book is flat."""
    cash, equity = book.cash, book.cash + book.other_equity
    if not math.isnan(plan.quote_amount):
        return purchase_worth(plan.quote_amount, cash, price, fee_rate, plan.margin_rate)
    if not math.isnan(plan.risk_fraction):
        risk = plan.risk_fraction * equity
        loss = first_stop_distance(price, side, book.entry_atr, plan)
        return purchase_at_risk(risk, loss, cash, price, fee_rate, plan.margin_rate)
    if plan.uses_volatility:
        fraction = plan.volatility_target / book.entry_volatility
        return purchase_at_volatility(fraction, equity, cash, price, fee_rate, plan.margin_rate)
    return size_entry(cash, equity, price, plan.fixed_units, plan.equity_fraction, fee_rate, plan.margin_rate)


@compiled
def size_at(book: Book, side: int, price: float, fee_rate: float, budget: float, units: float, plan: Plan) -> Purchase:
    """Return the size of an addition of `units` that `budget` pays for, or of a first entry if they are NaN."""
    if math.isnan(units):
        return size_position(book, side, price, fee_rate, plan)
    return purchase_of(units, budget, price, fee_rate, plan.margin_rate)


@compiled
def size_moved(
    book: Book, side: int, market_price: float, terms: Costs, moving: float, budget: float, units: float, plan: Plan
) -> Purchase:
    """Return the size at the price to which a fill of `moving` units moves the market price; see `size_at`."""
    slippage = terms.slippage_rate + volume_impact(terms, moving, book.bar_volume)
    return size_at(book, side, slipped_price(market_price, side, slippage), terms.fee_rate, budget, units, plan)


@compiled
def fit_volume(
    book: Book, side: int, market_price: float, terms: Costs, wanted: Purchase, budget: float, units: float, plan: Plan
) -> Purchase:
    """Return the part of the purchase `wanted`, sized before impact, that the bar's volume allows; see `size_at`.

    It is the largest quantity that exceeds neither its share of the volume, nor `wanted`, nor the size at the price
    after its own impact: a higher price buys less, and a smaller quantity moves the price less.
    """
    most = wanted.quantity
    if plan.cuts_to_volume:
        most = min(most, plan.volume_limit * book.bar_volume)
    is_cut = most < wanted.quantity
    if terms.impact == 0.0 and not is_cut:
        return wanted
    quantity, size = most, size_moved(book, side, market_price, terms, most, budget, units, plan)
    if size.quantity < most:
        low, high, quantity = 0.0, most, most / 2
        while low < quantity < high:  # until no float64 lies between them: about 60 steps
            size = size_moved(book, side, market_price, terms, quantity, budget, units, plan)
            if size.quantity >= quantity:
                low = quantity
            else:
                high = quantity
            quantity = (low + high) / 2
        quantity = low
    quantity = down_to_step(quantity, plan)
    slippage = terms.slippage_rate + volume_impact(terms, quantity, book.bar_volume)
    fee = quantity * slipped_price(market_price, side, slippage) * terms.fee_rate
    return Purchase(quantity, fee, is_cut or size.is_reduced)


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
    purchase = size_position(book, side, price, terms.fee_rate, plan)
    if book.cash <= ABSOLUTE_TOLERANCE or purchase.quantity <= SMALLEST_ORDER:
        return
    impact = 0.0
    if plan.uses_volume:
        purchase = fit_volume(book, side, market_price, terms, purchase, book.cash, math.nan, plan)
        if purchase.quantity <= SMALLEST_ORDER:
            book.dropped_entries += 1
            return
        impact = volume_impact(terms, purchase.quantity, book.bar_volume)
        price = slipped_price(market_price, side, terms.slippage_rate + impact)
    purchase = in_steps(purchase, price, terms.fee_rate, plan)
    if is_too_small(purchase, price, plan):
        book.dropped_entries += 1
        return
    write_fill(book, fills, bar, side, purchase.quantity, price, purchase.fee, reason, impact)
    book.reduced_entries += purchase.is_reduced
    value = purchase.quantity * price
    book.outside_cash = cash_outside(book.cash, value, purchase.fee, plan.margin_rate) if plan.is_isolated else 0.0
    book.cash = cash_after_fill(book.cash, side, value, purchase.fee)
    book.position = side * purchase.quantity
    book.entry_price = price
    exit_impact = volume_impact(costs_of(plan), purchase.quantity, book.bar_volume)
    book.break_even_price = break_even_price(price, side, terms.fee_rate, costs_of(plan), exit_impact)
    book.time_exit_bar = bar + plan.max_bars
    book.target_level = on_tick(level_from(price, side, plan.take_profit_rate), side, plan)
    tighten_stop(book, side, stop_below(price, side, plan.stop_loss_rate, plan), STOP_LOSS)
    if plan.uses_atr:
        place_atr_exits(book, price, side, plan)
    book.profit_level = book.target_level
    book.target_reason = TAKE_PROFIT
    if math.isnan(plan.trailing_start_rate):
        tighten_stop(book, side, trailing_level(book, price, side, plan), TRAILING_STOP)
    own_cash = book.cash - book.outside_cash
    liquidation = liquidation_level(own_cash, book.position, costs_of(plan), plan.margin_rate, plan.maintenance_rate)
    tighten_stop(book, side, liquidation, LIQUIDATION)
    if plan.watches_margin:
        note_margin(book, market_price, plan)
    if plan.has_rungs:
        trail = trailing_level(book, price, side, plan) if math.isnan(plan.trailing_start_rate) else math.nan
        start_rungs(book, bar, side, trail, plan)
    if reaches_stop(market_price, liquidation, side):
        close_position(book, fills, bar, market_price, costs_of(plan), LIQUIDATION, plan)


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
    equal if the position was open from the start. `kind` is the kind of the entry that this bar's range filled, or
    `MARKET_ENTRY`. The bar is ambiguous if both orders may be reached, or if only an unproven price reaches one. Then
    the stop fills and the target does not, or the other way round if the policy favors the position.
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
        close_position(book, fills, bar, book.target_level, made_limit(costs_of(plan)), book.target_reason, plan)
    elif may_stop and (must_stop or not is_favored):
        close_position(book, fills, bar, book.stop_level, costs_of(plan), book.stop_reason, plan)


@compiled
def move_stops(book: Book, prices: BarPrices, plan: Plan) -> None:
    """Note the worst price, and tighten the stops that follow the best one; they can be hit from the next bar on.

    `prices` are those that certainly came while the position was open. The break-even stop moves only once the price
    has passed its level too: otherwise it would close the position at once.
    """
    if plan.follows_bars and book.position != 0.0:
        direction = get_direction(book.position)
        if plan.watches_margin:
            note_margin(book, worst_of(prices, direction), plan)
        if not plan.moves_stops:
            return
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
def end_run(book: Book, fills: NDArray[np.void], bar: int, close: float, plan: Plan) -> None:
    """Close the position that is open at the close of the last bar, if the rules say so."""
    if plan.closes_at_end and book.position != 0.0:
        close_position(book, fills, bar, close, costs_of(plan), END, plan)
