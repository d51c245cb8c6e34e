"""The exchange's rules for orders: prices and quantities in steps, and a smallest value.

A step is a ratio of two whole numbers that equals the decimal number in the request: 0.1 is 1 ÷ 10. A multiple of it, n
× numerator ÷ denominator, is rounded only once, and so is the float64 of the decimal number itself: three steps of 0.1
are 0.3, and not 0.30000000000000004. A NaN as numerator means no step.

Levels are rounded to the tick that is harder to reach, so that rounding never causes a fill:

| order | of a long | of a short |
|---|---|---|
| `LIMIT` entry, and the limit of `STOP_LIMIT` | down | up |
| `STOP` entry, and the stop of `STOP_LIMIT` | up | down |
| stop loss, trailing stop, break-even stop | down | up |
| target | up | down |

A liquidation level is the exchange's own, and is not rounded.
"""

from __future__ import annotations

import math

import numpy as np

from src.engines.account import Purchase
from src.engines.compiled import compiled
from src.engines.orders import LIMIT_ENTRY, TOUCH
from src.engines.plan import Plan


@compiled
def to_multiple(amount: float, direction: int, numerator: float, denominator: float) -> float:
    """Return the multiple of numerator ÷ denominator next to `amount`: above it (`direction` +1) or below it (−1).

    An amount within rounding (`TOUCH`) of a multiple gives that multiple. Without a step, returns `amount`.
    """
    if math.isnan(numerator):
        return amount
    count = amount * denominator / numerator
    nearest = np.rint(count)
    if abs(count - nearest) > TOUCH * abs(count):
        nearest = np.ceil(count) if direction > 0 else np.floor(count)
    return float(nearest * numerator / denominator)


@compiled
def on_tick(level: float, direction: int, plan: Plan) -> float:
    """Return the level on the tick above it (`direction` +1) or below it (−1)."""
    return to_multiple(level, direction, plan.tick_numerator, plan.tick_denominator)


@compiled
def entry_on_tick(level: float, side: int, kind: int, plan: Plan) -> float:
    """Return the level of an entry on the tick that is harder to reach; a stop-limit waits as a stop."""
    return on_tick(level, -side if kind == LIMIT_ENTRY else side, plan)


@compiled
def down_to_step(units: float, plan: Plan) -> float:
    """Return `units` rounded down to whole steps; `units` itself without a step, or if it is infinite."""
    if math.isinf(units):
        return units
    return to_multiple(units, -1, plan.step_numerator, plan.step_denominator)


@compiled
def in_steps(purchase: Purchase, price: float, fee_rate: float, plan: Plan) -> Purchase:
    """Return a purchase of whole steps of units at `price` (after slippage); without a step, the same one."""
    if math.isnan(plan.step_numerator):
        return purchase
    units = to_multiple(purchase.quantity, -1, plan.step_numerator, plan.step_denominator)
    return Purchase(units, units * price * fee_rate, purchase.is_reduced)


@compiled
def is_too_small(purchase: Purchase, price: float, plan: Plan) -> bool:
    """Return whether the exchange would refuse an entry: of less than one step, or worth less than the minimum."""
    if not math.isnan(plan.step_numerator) and purchase.quantity == 0.0:
        return True
    # A minimum that is not given is NaN, which no value is below.
    return purchase.quantity * price < plan.min_notional * (1 - TOUCH)
