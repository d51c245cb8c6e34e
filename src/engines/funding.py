"""The step of the book that pays funding.

A mark at a bar's open is paid at the open's price, before the bar's orders. A mark inside the bar is paid at the close,
after the bar's fills and before the orders of its close. See `funding_marks` for the marks and `account.funding_due`
for the amount.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from src.engines.account import funding_due, liquidation_level
from src.engines.book import LIQUIDATION, Book, get_direction, tighten_stop
from src.engines.compiled import compiled
from src.engines.funding_marks import AT_OPEN, INSIDE
from src.engines.orders import reaches_stop
from src.engines.plan import Plan, costs_of
from src.engines.positions import close_position


@compiled
def pay_at_open(
    book: Book, fills: NDArray[np.void], bar: int, open: float, marks: NDArray[np.float64], plan: Plan
) -> None:
    """Pay the marks at the bar's open; `marks` [2] are those of the bar (`funding_marks`)."""
    rate = plan.funding_rate * marks[AT_OPEN]
    if rate != 0.0 and book.position != 0.0:
        pay_funding(book, fills, bar, open, rate, plan)


@compiled
def rate_inside(marks: NDArray[np.float64], plan: Plan) -> float:
    """Return the sum of the rates inside the bar."""
    return float(plan.funding_rate * marks[INSIDE])


@compiled
def pay_funding(book: Book, fills: NDArray[np.void], bar: int, price: float, rate: float, plan: Plan) -> None:
    """Let the position pay or receive `rate` × its value at `price`.

    A payment is taken from the cash outside of its margin, and then from the margin (Binance, "Introduction to Funding
    Rates"); a receipt is added to the cash outside. A smaller margin moves the liquidation level toward the price. If
    the level reaches the price, the position is liquidated at once.
    """
    due = funding_due(book.cash, book.outside_cash, book.position, price, rate)
    book.cash -= due
    book.outside_cash -= min(due, book.outside_cash)
    book.funding += due
    if due > 0.0:
        direction, own_cash = get_direction(book.position), book.cash - book.outside_cash
        level = liquidation_level(own_cash, book.position, costs_of(plan), plan.margin_rate, plan.maintenance_rate)
        tighten_stop(book, direction, level, LIQUIDATION)
        if reaches_stop(price, level, direction):
            close_position(book, fills, bar, price, costs_of(plan), LIQUIDATION, plan)
