"""Trade the signals of one row, and keep the changes: balances after bars with a fill or funding, sums of trades.

Two functions give the same fills: `trade_at_market` visits only the bars with a signal, for long positions by market
orders; `trade_by_orders` runs the event-driven engine's own loop at each bar at which an order may be placed or filled,
and skips the others. Sizes, costs and cash come from the engines' own functions.
"""

from __future__ import annotations

from typing import Any, Final, get_type_hints

import numpy as np
from numpy.typing import NDArray

from src.domain.signals import Action
from src.engines.account import (
    ABSOLUTE_TOLERANCE,
    SMALLEST_ORDER,
    cash_after_fill,
    size_entry,
    slipped_price,
    subtract,
)
from src.engines.bar_steps import funded_step, has_event, note_measures, step
from src.engines.book import Book, get_direction
from src.engines.compiled import compiled
from src.engines.funding_marks import AT_OPEN, INSIDE
from src.engines.measures import BarMeasures
from src.engines.orders import BarPrices, reaches_stop, reaches_target
from src.engines.plan import NEVER
from src.engines.positions import end_run, move_stops
from src.metrics.returns import ROUNDING
from src.sweeps.market_arrays import MarketArrays
from src.sweeps.row_plans import RowPlan

Floats = NDArray[np.float64]

BUY: Final = int(Action.BUY)

BALANCE_DTYPE: Final = np.dtype([("bar", np.int64), ("cash", np.float64), ("position", np.float64)])
"""A row's holdings from the close of a bar until the next record's bar: fills and funding change them."""


class TradeSums:
    """Figures of a row's trades; the layout of `TRADE_SUMS_DTYPE`. Fields named `own_…` are of the last trade."""

    trades: int
    wins: int
    losses: int
    is_open: int
    gained: float
    lost: float
    profit: float
    fees: float
    own_side: int
    own_position: float
    """Its units; negative when short."""
    own_entries: int
    own_exits: int
    own_quantity: float
    """All units entered."""
    own_entry_value: float
    own_exit_value: float
    own_entry_fees: float
    own_exit_fees: float
    own_funding: float
    own_entry_price: float


TRADE_SUMS_DTYPE: Final = np.dtype(
    [(name, np.float64 if kind is float else np.int64) for name, kind in get_type_hints(TradeSums).items()]
)


@compiled
def clear_trades(sums: TradeSums) -> None:
    """Set the figures to those of no trade."""
    sums.trades, sums.wins, sums.losses, sums.is_open = 0, 0, 0, 0
    sums.gained, sums.lost, sums.profit, sums.fees = 0.0, 0.0, 0.0, 0.0


@compiled
def clear_book(book: Book, cash: float) -> None:
    """Make a book flat, without orders and fills: that of `engines.book.create_book`."""
    book.cash, book.position = cash, 0.0
    book.stop_level, book.target_level, book.trail_distance = np.nan, np.nan, np.nan
    book.rung_in_favor, book.rung_against = np.nan, np.nan
    book.time_exit_bar, book.rungs_until_bar = NEVER, NEVER
    book.exit_waits, book.entry_side, book.fill_count, book.is_liquidated = 0, 0, 0, 0
    book.calm_until_bar, book.liquidations, book.has_rungs, book.trade_count, book.funding = 0, 0, 0, 0, 0.0


@compiled
def count_fill(sums: TradeSums, side: int, quantity: float, price: float, fee: float, funding: float) -> None:
    """Count a fill; see `engines.ledger.pair_trades` and `metrics.trades`."""
    sums.fees += fee
    if sums.is_open == 0:
        sums.is_open, sums.own_side, sums.own_position = 1, side, 0.0
        sums.own_entries, sums.own_quantity, sums.own_entry_value, sums.own_entry_fees = 0, 0.0, 0.0, 0.0
        sums.own_exits, sums.own_exit_value, sums.own_exit_fees, sums.own_funding = 0, 0.0, 0.0, 0.0
    sums.own_funding += funding
    # Summed as in the engine's book, so that flat is exactly 0.
    sums.own_position += side * quantity
    if side == sums.own_side:
        sums.own_entries += 1
        sums.own_quantity += quantity
        sums.own_entry_value += price * quantity
        sums.own_entry_fees += fee
        sums.own_entry_price = price if sums.own_entries == 1 else sums.own_entry_value / sums.own_quantity
        return
    sums.own_exits += 1
    sums.own_exit_value += price * quantity
    sums.own_exit_fees += fee
    if sums.own_position != 0.0:
        return
    exit_price = price if sums.own_exits == 1 else sums.own_exit_value / sums.own_quantity
    quantity = sums.own_quantity
    fees = sums.own_entry_fees + sums.own_exit_fees
    profit = (sums.own_exit_value - sums.own_entry_value) * sums.own_side - fees - sums.own_funding
    sums.is_open = 0
    sums.trades += 1
    if abs(profit) > ROUNDING * (quantity * (sums.own_entry_price + exit_price)):
        sums.profit += profit
        if profit > 0.0:
            sums.wins += 1
            sums.gained += profit
        else:
            sums.losses += 1
            sums.lost -= profit


@compiled
def trade_at_market(
    market: MarketArrays,
    event_bars: NDArray[np.int32],
    event_actions: NDArray[np.int8],
    row: RowPlan,
    balances: NDArray[np.void],
    sums: TradeSums,
) -> int:
    """Trade the events [m] of a row, long only, by market orders; write `balances` and return how many.

    `balances` has room for m records. Raises nothing: unbounded growth shows in the balances.
    """
    open_, close, plan = market.open, market.close, row.plan
    n = close.size
    delay = 0 if plan.is_filled_at_close else 1
    cash, sizing_cash, position = row.initial_cash, row.initial_cash, 0.0
    count = 0
    for number in range(event_bars.size):
        action = event_actions[number]
        is_entry = action == BUY
        if is_entry == (position != 0.0) or action > BUY:
            continue  # a buy when long, a sale when flat, and what closes shorts
        bar = event_bars[number] + delay
        if bar >= n:
            break
        price = open_[bar] if delay else close[bar]
        if is_entry:
            price = slipped_price(price, 1, plan.slippage_rate)
            bought = size_entry(
                sizing_cash, sizing_cash, price, plan.fixed_units, plan.equity_fraction, plan.fee_rate, 1.0
            )
            if sizing_cash <= ABSOLUTE_TOLERANCE or bought.quantity <= SMALLEST_ORDER:
                continue
            position = bought.quantity
            cash = cash_after_fill(cash, 1, position * price, bought.fee)
            if row.spends_budgets and np.isnan(plan.fixed_units):
                sizing_cash = subtract(sizing_cash, min(sizing_cash, plan.equity_fraction * sizing_cash))
            else:
                sizing_cash = cash
            count_fill(sums, 1, position, price, bought.fee, 0.0)
        else:
            price = slipped_price(price, -1, plan.slippage_rate)
            fee = position * price * plan.fee_rate
            cash = cash_after_fill(cash, -1, position * price, fee)
            sizing_cash = cash_after_fill(sizing_cash, -1, position * price, fee) if row.spends_budgets else cash
            count_fill(sums, -1, position, price, fee, 0.0)
            position = 0.0
        balance = balances[count]
        balance.bar, balance.cash, balance.position = bar, cash, position
        count += 1
    return count


@compiled
def count_payments(marks: Floats) -> int:
    """Return the most bars [n, 2] in which a position pays funding."""
    count = 0
    for bar in range(marks.shape[0]):
        if marks[bar, AT_OPEN] != 0.0 or marks[bar, INSIDE] != 0.0:
            count += 1
    return count


@compiled
def first_reaching(book: Book, high: Floats, low: Floats, first: int, until: int) -> int:
    """Return the first bar from `first` on that reaches a level of the position, or `until`.

    The levels stay in registers: 3,000 rows of stops and targets on one signal, 10^4 bars each, take 265 ms with this,
    and 293 ms with the book read anew for each bar.
    """
    direction = get_direction(book.position)
    stop, target, against, in_favor = book.stop_level, book.target_level, book.rung_against, book.rung_in_favor
    worst, best = (low, high) if direction > 0 else (high, low)
    for bar in range(first, until):
        if reaches_stop(worst[bar], stop, direction) or reaches_target(best[bar], target, direction):
            return bar
        if reaches_stop(worst[bar], against, direction) or reaches_target(best[bar], in_favor, direction):
            return bar
    return until


@compiled
def write_changes(
    book: Book, fills: NDArray[np.void], known_fills: int, bar: int, balance: Any, sums: TradeSums
) -> None:
    """Count the fills after the first `known_fills`, and write the balance of the bar."""
    for number in range(known_fills, book.fill_count):
        fill = fills[number]
        count_fill(sums, fill.side, fill.quantity, fill.price, fill.fee, fill.funding)
    balance.bar, balance.cash, balance.position = bar, book.cash, book.position


@compiled
def trade_by_orders(
    market: MarketArrays,
    event_bars: NDArray[np.int32],
    action: NDArray[np.int8],
    measures: BarMeasures,
    row: RowPlan,
    books: NDArray[np.void],
    fills: NDArray[np.void],
    balances: NDArray[np.void],
    sums: TradeSums,
) -> int:
    """Trade the events [m] of a row by the event-driven engine's rules; write `balances` and return how many.

    `action` [n] has the events' actions; only the `measures` that the rules use are read. `fills` has room for m ×
    `most_fills` records, and `balances` for as many plus one for each bar that pays funding. The loop is the engine's,
    except for the bars that it skips. Without a waiting order, only a signal changes a flat book. A position whose
    stops do not move and that pays no funding changes only by a signal, at a level or at its time exit.
    """
    # Read once, because each access to a field of `market` counts references.
    open_, high, low, close = market.open, market.high, market.low, market.close
    n = close.size
    book, plan = books[0], row.plan
    clear_book(book, row.initial_cash)
    count, event, bar, known_fills = 0, 0, 0, 0
    marks, has_funding = market.marks, plan.funding_rate != 0.0
    moves = plan.moves_stops or has_funding
    while True:
        if book.entry_side == 0 and book.exit_waits == 0:
            while event < event_bars.size and event_bars[event] < bar:
                event += 1
            next_event = int(event_bars[event]) if event < event_bars.size else n
            if book.position == 0.0:
                bar = next_event
            elif not moves:
                until = min(n - 1, next_event, book.time_exit_bar, book.rungs_until_bar)
                bar = max(bar, first_reaching(book, high, low, bar, until))
        if bar >= n:
            break
        prices = BarPrices(open_[bar], high[bar], low[bar], close[bar])
        cash_before = book.cash
        if plan.uses_measures:
            note_measures(book, bar, measures, plan)
        if has_funding and (marks[bar, AT_OPEN] != 0.0 or marks[bar, INSIDE] != 0.0):
            funded_step(book, fills, bar, prices, action[bar], marks[bar], plan)
        elif has_event(book, bar, prices, action[bar]):
            step(book, fills, bar, prices, action[bar], 0.0, plan)
        else:
            move_stops(book, prices, plan)
        if bar == n - 1:
            end_run(book, fills, bar, prices.close, plan)
        if book.fill_count > known_fills or book.cash != cash_before:
            write_changes(book, fills, known_fills, bar, balances[count], sums)
            known_fills = book.fill_count
            count += 1
        bar += 1
    return count
