"""The rules of money: what a fill costs, how much cash allows, when a short is ruined.

A function per rule, compiled, without state of its own. Money is in the quote currency, quantities in units of the
base asset, rates are fractions. Order of operations and tolerances are those of vectorbt's `buy_nb` and `sell_nb`
(vectorbt/portfolio/nb.py), so that both engines round alike.

Margin of shorts: a sale opens at 100 % initial margin, its value plus its fee may not exceed the equity at that moment;
the proceeds stay locked until the units are bought back. There is no further maintenance margin and no borrowing
cost: the position lives until buying it back would take all the cash, and is then liquidated.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from src.engines.compiled import compiled

RELATIVE_TOLERANCE: Final = 1e-9
ABSOLUTE_TOLERANCE: Final = 1e-12
"""vectorbt's (utils/math_.py): amounts closer than this are the same amount."""


SMALLEST_ORDER: Final = 2e-12
"""Units up to which an entry is not placed: amounts near the tolerance could not be told from none when sold again."""


class Costs(NamedTuple):
    """What each fill costs, as fractions of the traded value (fee) and of the price (slippage)."""

    fee_rate: float
    slippage_rate: float


class Purchase(NamedTuple):
    """What an entry comes to: units, the fee on them, and whether cash allowed fewer units than were wanted."""

    quantity: float
    fee: float
    is_reduced: bool


@compiled
def is_close(a: float, b: float) -> bool:
    """Tell whether two finite amounts are the same but for rounding (vectorbt's `is_close_nb`)."""
    return abs(a - b) <= max(RELATIVE_TOLERANCE * max(abs(a), abs(b)), ABSOLUTE_TOLERANCE)


@compiled
def subtract(amount: float, spent: float) -> float:
    """Return `amount` − `spent`, exactly 0 where they differ by rounding only (vectorbt's `add_nb`)."""
    return 0.0 if is_close(amount, spent) else amount - spent


@compiled
def slipped_price(market_price: float, side: int, slippage_rate: float) -> float:
    """Return the price after slippage: buys (`side` +1) pay more, sells (−1) get less."""
    return market_price * (1 + side * slippage_rate)


@compiled
def purchase_for(budget: float, price: float, fee_rate: float) -> Purchase:
    """Spend `budget`, fee included, at `price` (after slippage): quantity = budget ÷ (1 + fee rate) ÷ price.

    A budget within the absolute tolerance is none (vectorbt's `add_nb(cash_limit, -fixed_fees)`).
    """
    value = subtract(budget, 0.0) / (1 + fee_rate)
    return Purchase(value / price, budget - value, False)


@compiled
def purchase_of(units: float, budget: float, price: float, fee_rate: float) -> Purchase:
    """Take `units` at `price` (after slippage), or the fewer that `budget` pays for, fee included."""
    value = units * price
    fee = value * fee_rate
    cost = value + fee
    if cost <= budget or (math.isfinite(cost) and is_close(cost, budget)):
        return Purchase(units, fee, False)
    affordable = purchase_for(budget, price, fee_rate)
    return Purchase(affordable.quantity, affordable.fee, True)


@compiled
def size_entry(cash: float, price: float, fixed_units: float, equity_fraction: float, fee_rate: float) -> Purchase:
    """Return what an entry from a flat book takes; the same for both sides, as a short needs its value in margin.

    Parameters
    ----------
    cash
        All of the equity, as no position is open.
    fixed_units
        The units wanted; NaN where a fraction of equity is.
    equity_fraction
        0 < p ≤ 1; 1 for all cash. Costs are paid out of it.
    """
    if math.isnan(fixed_units):
        return purchase_for(min(cash, equity_fraction * cash), price, fee_rate)
    return purchase_of(fixed_units, cash, price, fee_rate)


@compiled
def cash_after_fill(cash: float, side: int, value: float, fee: float) -> float:
    """Return the cash once units worth `value` (quantity × price) are bought (`side` +1) or sold (−1)."""
    if side > 0:
        return subtract(cash, value + fee)
    return cash + subtract(value, fee)


@compiled
def is_ruinous(cash: float, value: float, fee: float) -> bool:
    """Tell whether buying a short back for `value` + `fee` would leave no cash."""
    return value + fee >= cash or is_close(value + fee, cash)


@compiled
def bankruptcy_price(cash: float, units_short: float, fee_rate: float) -> float:
    """Return the price (after slippage) at which buying `units_short` back, with its fee, takes all of `cash`.

    An exchange closes a ruined short at this price whatever the market's, and its insurance fund bears the rest
    (Binance, "Liquidation Protocols"): equity ends at 0, never below.
    """
    return cash / (1 + fee_rate) / units_short


@compiled
def liquidation_level(cash: float, position: float, costs: Costs) -> float:
    """Return the market price at which the position is ruined; NaN for a long, which cannot be (it borrows nothing)."""
    if position >= 0.0:
        return math.nan
    return bankruptcy_price(cash, -position, costs.fee_rate) / (1 + costs.slippage_rate)


@compiled
def mark_to_market(cash: float, position: float, price: float) -> float:
    """Return the equity: cash + position × price."""
    return cash + position * price
