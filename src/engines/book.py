"""The book of one run: cash, position and resting orders, and its log of fills.

A `Book` is one record of numbers that compiled code changes in place: `positions` opens and closes what it holds,
`order_steps` places and fills its orders, `walk` goes through the rungs of a ladder.
"""

from __future__ import annotations

import math
from typing import Final, get_type_hints

import numpy as np
from numpy.typing import NDArray

from src.domain.simulation import FillReason
from src.engines.compiled import compiled
from src.engines.orders import is_tighter
from src.engines.plan import NEVER

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
    """The part of the cash that an isolated position cannot lose, except by funding; 0 if it is not isolated."""
    other_equity: float
    """The equity beyond this cash that the other books sharing it hold, in the quote currency; 0 in a single run."""
    position: float
    """Units of the base asset; negative when short, 0 when flat."""
    entry_price: float
    """The position's mean entry price, after slippage; that of the last position when flat."""
    funding: float
    """What the position has paid in funding since its last fill, in the quote currency; negative if it got more."""
    break_even_price: float
    """The market price at which closing the position pays back its entry and all costs."""
    stop_level: float
    """The tightest of stop loss, trailing stop, break-even stop and liquidation level; NaN for none."""
    stop_reason: int
    """The `FillReason` of the order at `stop_level`."""
    target_level: float
    """The nearer of the target and the limit order of an exit signal; NaN for neither."""
    target_reason: int
    """The `FillReason` of the order at `target_level`."""
    profit_level: float
    """The level of the target alone; NaN for none."""
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
    entry_volatility: float
    """The volatility per year at the signal's bar; read if the size is a target of it."""
    entry_last_bar: int
    """The last bar in which an entry that waits may be filled."""
    bar_atr: float
    """The ATR of the current bar."""
    bar_volatility: float
    bar_volume: float
    """The volume of the current bar; read if the rules depend on it, and 0 without them."""
    trail_distance: float
    """How far the trailing stop lies from the best price, in the quote currency; NaN if that is a fraction."""
    calm_until_bar: int
    """The first bar whose signal may open a position again after a stop."""
    fill_count: int
    reduced_entries: int
    dropped_entries: int
    """Entries not made: the exchange would refuse them, a figure to protect or size them is missing, or the bar has no
    volume."""
    ambiguous_bars: int
    liquidations: int
    liquidation_distance: float
    """The smallest distance of a price from the liquidation level of a borrowed position, a fraction of its mean entry
    price; inf for none."""
    is_liquidated: int
    """1 if a liquidation left no cash."""
    trade_count: int
    """The number of closed positions."""
    has_rungs: int
    """1 if the position has targets or additions beside `target_level`; `engines.walk` fills them."""
    entry_bar: int
    first_units: float
    """The units of the position's first entry; `full_units` includes all additions, and ignores partial exits."""
    full_units: float
    trailing_level: float
    """The level of the trailing stop alone, if the position has rungs; NaN for none."""
    targets_taken: int
    """A bit for each target that was filled; `additions_made` has one for each addition that was made."""
    additions_made: int
    rung_in_favor: float
    """The nearest rung's level in the position's favor; `rung_against` is the nearest against it. NaN for none."""
    rung_against: float
    rungs_until_bar: int
    """The first bar for which these levels no longer hold, because other targets are in force."""


BOOK_DTYPE: Final = np.dtype(
    [(name, np.float64 if kind is float else np.int64) for name, kind in get_type_hints(Book).items()]
)


def create_book(initial_cash: float) -> NDArray[np.void]:
    """Return an array of one flat book without orders."""
    books = np.zeros(1, dtype=BOOK_DTYPE)
    books["cash"] = initial_cash
    books["time_exit_bar"] = NEVER
    books["rungs_until_bar"] = NEVER
    books["liquidation_distance"] = math.inf
    for level in ("stop_level", "target_level", "trail_distance", "rung_in_favor", "rung_against"):
        books[level] = math.nan
    return books


@compiled
def get_direction(position: float) -> int:
    """Return +1 for a long, −1 for a short, 0 for none."""
    return 1 if position > 0.0 else -1 if position < 0.0 else 0


@compiled
def write_fill(
    book: Book,
    fills: NDArray[np.void],
    bar: int,
    side: int,
    quantity: float,
    price: float,
    fee: float,
    reason: int,
    impact: float,
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
    fill.impact = impact
    book.funding = 0.0
    book.fill_count += 1


@compiled
def tighten_stop(book: Book, direction: int, level: float, reason: int) -> None:
    """Move the protective stop to `level` if that is tighter; it never moves away from the price."""
    if is_tighter(direction, level, book.stop_level):
        book.stop_level = level
        book.stop_reason = reason
