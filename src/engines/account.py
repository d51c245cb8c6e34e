"""The rules of money: what a fill costs, how much cash allows, when a short is liquidated.

Each rule is a compiled function without state. Money is in the quote currency, quantities in units of the base asset,
rates are fractions. Order of operations and tolerances are those of vectorbt's `buy_nb` and `sell_nb`
(vectorbt/portfolio/nb.py), so that both engines round alike.

Margin of shorts without leverage: 1. a short opens at 100 % initial margin: its value plus its fee may not exceed the
equity; 2. the proceeds stay locked until the units are bought back; 3. there is no maintenance margin and no borrowing
cost; 4. the position is liquidated when buying it back would take all the cash.

With leverage, and in a portfolio, a position is isolated: the margin of a long or a short is its value ÷ leverage, and
all other cash is outside of that margin. The position is liquidated at the price at which its margin has fallen to the
maintenance margin, and at the latest when its margin is used up: a position never loses more than its margin. The cash
of a position that borrows is negative by the amount borrowed.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from src.engines.compiled import compiled

RELATIVE_TOLERANCE: Final = 1e-9
ABSOLUTE_TOLERANCE: Final = 1e-12
"""vectorbt's tolerances (utils/math_.py): amounts closer than this are equal."""


SMALLEST_ORDER: Final = 2e-12
"""An entry of this many units or fewer is not placed: a sale could not tell amounts near the tolerance from 0."""


class Costs(NamedTuple):
    """The costs of a fill, as fractions of the traded value (fees) and of the price (slippage)."""

    fee_rate: float
    """The fee of orders that fill at once, or at any price: market orders and stops."""
    maker_fee_rate: float
    """The fee of orders that wait in the market until a price reaches them."""
    slippage_rate: float
    impact: float = 0.0
    """The additional slippage of a fill that takes the bar's whole volume."""
    impact_limit: float = 1.0
    """The share of the volume above which the price moves no further."""


class Purchase(NamedTuple):
    """The size of an entry: units, the fee on them, and whether cash allowed fewer units than requested."""

    quantity: float
    fee: float
    is_reduced: bool


@compiled
def is_close(a: float, b: float) -> bool:
    """Return whether two finite amounts are equal except for rounding (vectorbt's `is_close_nb`)."""
    return abs(a - b) <= max(RELATIVE_TOLERANCE * max(abs(a), abs(b)), ABSOLUTE_TOLERANCE)


@compiled
def subtract(amount: float, spent: float) -> float:
    """Return `amount` − `spent`, exactly 0 if they differ by rounding only (vectorbt's `add_nb`)."""
    return 0.0 if is_close(amount, spent) else amount - spent


@compiled
def slipped_price(market_price: float, side: int, slippage_rate: float) -> float:
    """Return the price after slippage: buys (`side` +1) pay more, sells (−1) get less."""
    return market_price * (1 + side * slippage_rate)


@compiled
def volume_impact(costs: Costs, units: float, volume: float) -> float:
    """Return the slippage that a fill of `units` in a bar of `volume` adds to the fixed one, a fraction of the price.

    It is impact × share², as in LEAN's `VolumeShareSlippageModel`; the share is the limit in a bar without volume.
    """
    if costs.impact == 0.0:
        return 0.0
    share = min(units / volume, costs.impact_limit) if volume > 0.0 else costs.impact_limit
    return costs.impact * share * share


@compiled
def made_limit(costs: Costs) -> Costs:
    """Return the terms of a limit order that the price reaches inside a bar: it has rested, and pays the maker fee."""
    return Costs(costs.maker_fee_rate, costs.maker_fee_rate, 0.0, 0.0, costs.impact_limit)


@compiled
def taken_limit(costs: Costs) -> Costs:
    """Return the terms of a limit order whose level the open has passed: it fills at once, and pays the taker fee."""
    return Costs(costs.fee_rate, costs.maker_fee_rate, 0.0, 0.0, costs.impact_limit)


@compiled
def purchase_for(budget: float, price: float, fee_rate: float, margin_rate: float) -> Purchase:
    """Spend `budget` on margin and fee at `price` (after slippage): quantity = budget ÷ (margin + fee rate) ÷ price.

    `margin_rate` is the part of the value that is paid, 1 without leverage. A budget within the absolute tolerance
    counts as 0 (vectorbt's `add_nb(cash_limit, -fixed_fees)`). A rebate does not enlarge a borrowed position.
    """
    spent = subtract(budget, 0.0)
    if margin_rate == 1.0:
        value = spent / (1 + fee_rate)
        return Purchase(value / price, budget - value, False)
    value = spent / (margin_rate + max(fee_rate, 0.0))
    return Purchase(value / price, value * fee_rate, False)


@compiled
def purchase_of(units: float, budget: float, price: float, fee_rate: float, margin_rate: float) -> Purchase:
    """Buy `units` at `price` (after slippage), or as many as `budget` pays margin and fee for."""
    value = units * price
    fee = value * fee_rate
    cost = value * margin_rate + fee
    if cost <= budget or (math.isfinite(cost) and is_close(cost, budget)):
        return Purchase(units, fee, False)
    affordable = purchase_for(budget, price, fee_rate, margin_rate)
    return Purchase(affordable.quantity, affordable.fee, True)


@compiled
def purchase_worth(amount: float, budget: float, price: float, fee_rate: float, margin_rate: float) -> Purchase:
    """Spend `amount` on margin and fee at `price` (after slippage), or all of `budget` if that is less."""
    if amount <= budget or is_close(amount, budget):
        return purchase_for(min(amount, budget), price, fee_rate, margin_rate)
    affordable = purchase_for(budget, price, fee_rate, margin_rate)
    return Purchase(affordable.quantity, affordable.fee, True)


@compiled
def purchase_at_risk(
    risk: float, loss: float, budget: float, price: float, fee_rate: float, margin_rate: float
) -> Purchase:
    """Buy at `price` the units that lose `risk` before costs if a stop loses `loss` per unit; `budget` limits them.

    units = risk ÷ loss per unit: the fixed-fractional size of Vince (1990), with the stop as the largest loss.
    """
    units = risk / loss if loss > 0.0 else math.inf  # the distance of the nearest stops underflows
    return purchase_of(units, budget, price, fee_rate, margin_rate)


@compiled
def purchase_at_volatility(
    fraction: float, equity: float, budget: float, price: float, fee_rate: float, margin_rate: float
) -> Purchase:
    """Buy at `price` (after slippage) units worth `fraction` of the equity; the leverage is the highest fraction.

    Parameters
    ----------
    fraction
        The target ÷ the volatility of the market, both per year.
    equity
        A position at the leverage takes all of it, costs included.
    budget
        Less than the equity if other positions are open.
    """
    if fraction * margin_rate >= 1.0:
        return purchase_for(min(budget, equity), price, fee_rate, margin_rate)
    return purchase_of(fraction * equity / price, budget, price, fee_rate, margin_rate)


@compiled
def size_entry(
    cash: float,
    equity: float,
    price: float,
    fixed_units: float,
    equity_fraction: float,
    fee_rate: float,
    margin_rate: float,
) -> Purchase:
    """Return the size of an entry from a flat book; the same for both sides, as a short needs its value in margin.

    Parameters
    ----------
    cash
        What may be spent.
    equity
        Equal to the cash, unless other books share it.
    fixed_units
        The requested units; NaN if a fraction of equity is requested.
    equity_fraction
        0 < p ≤ 1; 1 for all cash. It includes the costs.
    """
    if math.isnan(fixed_units):
        return purchase_for(min(cash, equity_fraction * equity), price, fee_rate, margin_rate)
    return purchase_of(fixed_units, cash, price, fee_rate, margin_rate)


@compiled
def break_even_price(paid: float, side: int, fee_rate: float, costs: Costs, impact: float) -> float:
    """Return the market price at which closing returns what the entry at `paid` (after slippage) cost.

    Parameters
    ----------
    side
        Of the position.
    fee_rate
        That of the entry; the exit pays `costs`.
    impact
        What the exit slips beyond the slippage of `costs`, a fraction.
    """
    spent = paid * (1 + side * fee_rate)
    return spent / ((1 - side * costs.fee_rate) * (1 - side * (costs.slippage_rate + impact)))


@compiled
def cash_after_fill(cash: float, side: int, value: float, fee: float) -> float:
    """Return the cash after units worth `value` (quantity × price) are bought (`side` +1) or sold (−1)."""
    if side > 0:
        return subtract(cash, value + fee)
    return cash + subtract(value, fee)


@compiled
def cash_outside(cash: float, value: float, fee: float, margin_rate: float) -> float:
    """Return the part of the cash that an isolated position can never lose: all but its margin and fee, ≥ 0."""
    return max(subtract(cash, value * margin_rate + fee), 0.0)


@compiled
def takes_all_cash(cash: float, value: float, fee: float) -> bool:
    """Return whether buying a short back for `value` + `fee` would leave no cash."""
    return value + fee >= cash or is_close(value + fee, cash)


@compiled
def takes_all_margin(cash: float, side: int, value: float, fee: float) -> bool:
    """Return whether closing a position for `value` leaves nothing of its margin.

    Parameters
    ----------
    cash
        Excludes the cash outside of the position; negative for a long, by the amount borrowed.
    side
        Of the fill that closes: +1 buys a short back, −1 sells a long.
    """
    if side > 0:
        return takes_all_cash(cash, value, fee)
    return value - fee <= -cash or is_close(value - fee, -cash)


@compiled
def bankruptcy_price(cash: float, position: float, fee_rate: float) -> float:
    """Return the price (after slippage) at which closing `position`, with its fee, leaves nothing of `cash`.

    An exchange liquidates a position at this price at the latest, whatever the market price, and its insurance fund
    bears the rest (Binance, "Liquidation Protocols"): equity ends at 0 at the lowest, never below.

    `cash` excludes the cash outside of the position; it is negative for a long, by the amount borrowed.
    """
    if position > 0.0:
        return -cash / (1 - fee_rate) / position
    return cash / (1 + fee_rate) / -position


@compiled
def liquidation_level(cash: float, position: float, costs: Costs, margin_rate: float, maintenance_rate: float) -> float:
    """Return the market price at which the position is liquidated; NaN for a long that borrows nothing.

    With leverage, it is the price at which the remaining margin equals the maintenance margin, m × value (Binance, "How
    to Calculate Liquidation Price", isolated margin without tiers; freqtrade's `dry_run_liquidation_price`): for an
    entry at E with leverage L, E (1 − 1/L) ÷ (1 − m) of a long and E (1 + 1/L) ÷ (1 + m) of a short. Without leverage,
    it is the price at which buying a short back takes all cash, or at which selling a long no longer pays the funding
    that it owes. The impact of the fill is left out, because the volume of its bar is not known in advance.

    `cash` excludes the cash outside of the position.
    """
    if margin_rate == 1.0:
        if position >= 0.0 and cash >= 0.0:
            return math.nan
        side = -1 if position > 0.0 else 1
        return bankruptcy_price(cash, position, costs.fee_rate) / (1 + side * costs.slippage_rate)
    if position > 0.0:
        return -cash / (1 - maintenance_rate) / position
    return cash / (1 + maintenance_rate) / -position


@compiled
def funding_due(cash: float, outside_cash: float, position: float, price: float, rate: float) -> float:
    """Return the funding that a position pays at `price`, negative if it receives it: rate × position × price.

    It pays at most the cash outside of its margin plus the remaining margin: equity never falls below 0.

    Parameters
    ----------
    position
        Negative for a short, which receives the funding that a long would pay.
    rate
        A fraction of the value: the sum of the rates that are paid at this price.
    """
    left = max(mark_to_market(cash - outside_cash, position, price), 0.0)
    return min(rate * position * price, outside_cash + left)


@compiled
def mark_to_market(cash: float, position: float, price: float) -> float:
    """Return the equity: cash + position × price."""
    return cash + position * price
