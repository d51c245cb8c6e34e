"""The rules of matching: when and at what price an order that waits is filled by a candle.

A function per rule, compiled. `direction` is that of the position, +1 long or −1 short: multiplied by it, "worse" reads
`<` for both. A level of NaN is an order that was not given: no comparison with it holds, so it never fills.

Levels are inclusive (a price that touches one reaches it, see `TOUCH`), and a candle's open comes before its high and
low: an order whose level the open has passed fills at the open, a stop for worse, a limit for better.

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

TOUCH: Final = 1e-12
"""Relative distance at which a price touches a level. A level is a product: three quarters of 74771.76 comes to
56078.81999999999 in binary numbers, and a low of 56078.82 has touched it. No tick of any market is this small."""


class Candle(NamedTuple):
    """The four prices of one bar."""

    open: float
    high: float
    low: float
    close: float


@compiled
def level_from(price: float, direction: int, signed_rate: float) -> float:
    """Return the price that is `signed_rate` (a fraction) away: > 0 in favour of the direction, < 0 against it."""
    return price + direction * signed_rate * price


@compiled
def is_tighter(direction: int, level: float, than: float) -> bool:
    """Tell whether a price going against the position reaches the stop `level` before the stop `than`."""
    return math.isnan(than) or direction * level > direction * than


@compiled
def best_of(candle: Candle, direction: int) -> float:
    """Return the bar's extreme in favour of the position."""
    return candle.high if direction > 0 else candle.low


@compiled
def worst_of(candle: Candle, direction: int) -> float:
    """Return the bar's extreme against the position."""
    return candle.low if direction > 0 else candle.high


@compiled
def reaches_stop(price: float, level: float, direction: int) -> bool:
    """Tell whether `price` is at or beyond a stop that protects the position."""
    return direction * price <= direction * level + TOUCH * level


@compiled
def reaches_target(price: float, level: float, direction: int) -> bool:
    """Tell whether `price` is at or beyond the position's target."""
    return direction * price >= direction * level - TOUCH * level


@compiled
def entry_level(close: float, side: int, kind: int, offset_rate: float) -> float:
    """Return where an entry waits: `offset_rate` from the signal's close, a limit below and a stop above to buy."""
    return level_from(close, side, -offset_rate if kind == LIMIT_ENTRY else offset_rate)


@compiled
def reaches_entry(price: float, level: float, side: int, kind: int) -> bool:
    """Tell whether `price` fills an entry: a limit at or better than its level, a stop at or worse."""
    return reaches_stop(price, level, side) if kind == LIMIT_ENTRY else reaches_target(price, level, side)


@compiled
def entry_extreme(candle: Candle, side: int, kind: int) -> float:
    """Return the bar's extreme on the side where an entry waits: the low for a limit buy, the high for a stop buy."""
    return worst_of(candle, side) if kind == LIMIT_ENTRY else best_of(candle, side)


@compiled
def proven_after_entry(candle: Candle, level: float, side: int, kind: int) -> Candle:
    """Return the prices that certainly came after an entry filled at `level` inside the bar, as a candle of their own.

    The price crossed `level` on its way to the extreme that fills the entry (the low for a limit buy, the high for a
    stop buy), so this extreme came after the fill. The close came last. The other extreme may have come before.
    """
    extreme = entry_extreme(candle, side, kind)
    highest, lowest = max(level, extreme, candle.close), min(level, extreme, candle.close)
    return Candle(level, highest, lowest, candle.close)
