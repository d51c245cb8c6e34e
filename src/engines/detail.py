"""Run a book through the finer bars inside its bars, in one timeline.

If the order of prices inside a bar may matter, resting orders are filled by its finer bars one after the other, each by
the rules of a bar's range. Signals, market orders, expiry and times stay those of the bars themselves.

If the finer bars do not add up to the bar's open, high, low and close, some are missing. The bar is then traded by its
own prices, and `IntrabarPolicy` decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.engines.account import mark_to_market
from src.engines.bar_steps import close_bar, has_event, has_reached_order, note_measures, open_bar, trade_range
from src.engines.book import Book
from src.engines.compiled import compiled
from src.engines.funding import pay_at_open, rate_inside
from src.engines.measures import BarMeasures
from src.engines.orders import TOUCH, BarPrices, entry_extreme, reaches_entry
from src.engines.plan import Plan
from src.engines.positions import end_run, move_stops

Prices = NDArray[np.float64]

NOT_ASKED: Final = 0
ASKED: Final = 1
"""The finer bars were needed, and are missing or incomplete."""
RESOLVED: Final = 2


class FinerPrices(NamedTuple):
    """Finer bars [m] as arrays; those inside bar i are `first[i]` ≤ index < `stop[i]`."""

    first: NDArray[np.int64]
    stop: NDArray[np.int64]
    open: Prices
    high: Prices
    low: Prices
    close: Prices


def find_finer(bars: Bars, finer: Bars) -> FinerPrices:
    """Return the finer bars, and which of them lie inside each bar.

    Those without trades are left out if others have trades: they repeat the last price, which may be outside the bar.
    """
    opens = bars.open_time_ms
    is_traded = finer.volume > 0 if finer.volume.any() else np.ones(len(finer), dtype=np.bool_)
    finer_opens = finer.open_time_ms[is_traded]
    return FinerPrices(
        first=np.searchsorted(finer_opens, opens),
        stop=np.searchsorted(finer_opens, bars.interval.next_opens_ms(opens)),
        open=finer.open[is_traded],
        high=finer.high[is_traded],
        low=finer.low[is_traded],
        close=finer.close[is_traded],
    )


@compiled
def is_same(price: float, other: float) -> bool:
    """Return whether two prices are equal but for the rounding that a touch allows."""
    return abs(price - other) <= TOUCH * other


@compiled
def are_whole(first: int, stop: int, finer: FinerPrices, prices: BarPrices) -> bool:
    """Return whether finer bars add up to a bar: its open, high, low and close."""
    if first == stop or not is_same(finer.open[first], prices.open) or not is_same(finer.close[stop - 1], prices.close):
        return False
    highest, lowest = finer.high[first], finer.low[first]
    for number in range(first + 1, stop):
        highest = max(highest, finer.high[number])
        lowest = min(lowest, finer.low[number])
    return is_same(highest, prices.high) and is_same(lowest, prices.low)


@compiled
def may_trade(book: Book, bar: int, prices: BarPrices, plan: Plan) -> bool:
    """Return whether the order of prices inside the bar may matter: an exit or an entry is reached, or a stop moves."""
    if book.position != 0.0 and (plan.moves_stops or has_reached_order(book, bar, prices)):
        return True
    side, kind = book.entry_side, book.entry_kind
    return side != 0 and reaches_entry(entry_extreme(prices, side, kind), book.entry_level, side, kind)


@compiled
def trade_inside(
    book: Book, fills: NDArray[np.void], bar: int, prices: BarPrices, finer: FinerPrices, plan: Plan
) -> int:
    """Fill resting orders by the finer bars, or by the bar's own range; return `NOT_ASKED`, `ASKED` or `RESOLVED`.

    A bar counts as ambiguous once, however many of its finer bars are.
    """
    if not may_trade(book, bar, prices, plan):
        trade_range(book, fills, bar, prices, plan)
        return NOT_ASKED
    first, stop = finer.first[bar], finer.stop[bar]
    if not are_whole(first, stop, finer, prices):
        trade_range(book, fills, bar, prices, plan)
        return ASKED
    ambiguous = book.ambiguous_bars
    for number in range(first, stop):
        inside = BarPrices(finer.open[number], finer.high[number], finer.low[number], finer.close[number])
        trade_range(book, fills, bar, inside, plan)
    book.ambiguous_bars = min(book.ambiguous_bars, ambiguous + 1)
    return RESOLVED


@compiled
def simulate_inside(
    bars: tuple[Prices, Prices, Prices, Prices],
    finer: FinerPrices,
    action: NDArray[np.int8],
    marks: Prices,
    plans: NDArray[np.void],
    books: NDArray[np.void],
    fills: NDArray[np.void],
    balances: tuple[Prices, Prices, Prices],
    measures: BarMeasures,
    resolutions: NDArray[np.int8],
) -> None:
    """Do the same as `simulate` with the finer bars; write the outcome of `trade_inside` into `resolutions` [n]."""
    open, high, low, close = bars
    cash, position, equity = balances
    book, plan = books[0], plans[0]
    last, has_funding, rate = close.size - 1, plan.funding_rate != 0.0, 0.0
    for bar in range(close.size):
        prices = BarPrices(open[bar], high[bar], low[bar], close[bar])
        if plan.uses_measures:
            note_measures(book, bar, measures, plan)
        if has_funding:
            pay_at_open(book, fills, bar, prices.open, marks[bar], plan)
            rate = rate_inside(marks[bar], plan)
        is_held = book.position != 0.0
        if has_event(book, bar, prices, action[bar]) or (is_held and (plan.moves_stops or rate != 0.0)):
            open_bar(book, fills, bar, prices.open, plan)
            resolutions[bar] = trade_inside(book, fills, bar, prices, finer, plan)
            close_bar(book, fills, bar, prices.close, action[bar], rate, plan)
        else:
            move_stops(book, prices, plan)
        if bar == last:
            end_run(book, fills, last, prices.close, plan)
        cash[bar] = book.cash
        position[bar] = book.position
        equity[bar] = mark_to_market(book.cash, book.position, prices.close)


def cached_inside(rules_fingerprint: str) -> Callable[..., None]:
    """Return `simulate_inside` compiled once per machine, and again when a rule changes; see `event_driven`."""

    @njit(cache=True, nogil=True)
    def run_inside(*arguments: Any) -> None:
        _ = rules_fingerprint
        simulate_inside(*arguments)

    return run_inside  # type: ignore[no-any-return]
