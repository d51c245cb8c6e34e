"""The rules of matching: when and at what price a resting order is filled by a bar.

Each rule is a compiled function. `direction` is that of the position, +1 long or −1 short: multiplied by it, "worse" is
`<` for both. A level of NaN means no order: no comparison with it holds, so it never fills.

Levels are inclusive (a price that touches one reaches it, see `TOUCH`), and a bar's open comes before its high and low:
an order whose level the open has passed fills at the open, a stop at a worse price, a limit at a better one.

What a bar proves after an entry that its range fills (`proven_after_entry`), for a long; for a short, high and low
change places:

| | `LIMIT` | `STOP` |
|---|---|---|
| certainly after the fill | the entry's level, the low, the close | the entry's level, the high, the close |
| possibly before the fill | the high | the low |
| stop | certain if the low reaches it | certain if the close reaches it, uncertain if only the low |
| target | certain if the close reaches it, uncertain if only the high | certain if the high reaches it |
| the trailing stop then follows | the higher of level and close | the high |
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from src.engines.compiled import compiled

MARKET_ENTRY: Final = 0
LIMIT_ENTRY: Final = 1
STOP_ENTRY: Final = 2
STOP_LIMIT_ENTRY: Final = 3
"""Matched as a stop until a gap has passed its limit; then it is a limit entry."""

TOUCH: Final = 1e-12
"""Relative distance at which a price touches a level. A level is a product: three quarters of 74771.76 is
56078.81999999999 as float64, and a low of 56078.82 must touch it. No tick of any market is this small."""


class BarPrices(NamedTuple):
    """The four prices of one bar."""

    open: float
    high: float
    low: float
    close: float


@compiled
def level_from(price: float, direction: int, signed_rate: float) -> float:
    """Return the price that is `signed_rate` (a fraction) away: > 0 in favor of the direction, < 0 against it."""
    return price + direction * signed_rate * price


@compiled
def level_at(price: float, direction: int, distance: float) -> float:
    """Return the price that is `distance` away: > 0 in favor of the direction, < 0 against it."""
    return price + direction * distance


@compiled
def is_tighter(direction: int, level: float, than: float) -> bool:
    """Return whether a price moving against the position reaches the stop `level` before the stop `than`."""
    return math.isnan(than) or direction * level > direction * than


@compiled
def best_of(prices: BarPrices, direction: int) -> float:
    """Return the bar's extreme in favor of the position."""
    return prices.high if direction > 0 else prices.low


@compiled
def worst_of(prices: BarPrices, direction: int) -> float:
    """Return the bar's extreme against the position."""
    return prices.low if direction > 0 else prices.high


@compiled
def reaches_stop(price: float, level: float, direction: int) -> bool:
    """Return whether `price` is at or beyond a stop that protects the position."""
    return direction * price <= direction * level + TOUCH * level


@compiled
def reaches_target(price: float, level: float, direction: int) -> bool:
    """Return whether `price` is at or beyond the position's target."""
    return direction * price >= direction * level - TOUCH * level


@compiled
def entry_level(close: float, side: int, kind: int, offset_rate: float) -> float:
    """Return the level of an entry: `offset_rate` from the signal's close, for buys a limit below or a stop above."""
    return level_from(close, side, -offset_rate if kind == LIMIT_ENTRY else offset_rate)


@compiled
def reaches_entry(price: float, level: float, side: int, kind: int) -> bool:
    """Return whether `price` fills an entry: a limit at or better than its level, a stop at or worse."""
    return reaches_stop(price, level, side) if kind == LIMIT_ENTRY else reaches_target(price, level, side)


@compiled
def entry_extreme(prices: BarPrices, side: int, kind: int) -> float:
    """Return the bar's extreme that may fill an entry: the low for a limit buy, the high for a stop buy."""
    return worst_of(prices, side) if kind == LIMIT_ENTRY else best_of(prices, side)


@compiled
def proven_after_entry(prices: BarPrices, level: float, side: int, kind: int) -> BarPrices:
    """Return the prices of the bar that certainly came after an entry was filled at `level` inside it.

    The price crossed `level` on its way to the extreme that fills the entry (the low for a limit buy, the high for a
    stop buy), so this extreme came after the fill. The close came last. The other extreme may have come before.
    """
    extreme = entry_extreme(prices, side, kind)
    highest, lowest = max(level, extreme, prices.close), min(level, extreme, prices.close)
    return BarPrices(level, highest, lowest, prices.close)
