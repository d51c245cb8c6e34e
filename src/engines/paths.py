"""Assume an order of a bar's prices if the bar does not tell it.

`NEAREST` assumes that the extreme nearer to the open came first: open, high, low, close if that is the high, else open,
low, high, close (NautilusTrader's `bar_adaptive_high_low_ordering`; if both are equally near, the low is first).
`FARTHEST` decides each uncertain bar the other way round, for checks.

In the bar of a resting entry, the extreme that fills it came after the fill on either path. The other extreme came
after the fill if it is the second one. So a limit entry whose bar reaches stop and target is stopped out, because the
price got worse to fill it, and a stop entry takes its target.

Trailing stops follow only prices that the bar proves, under every policy: an assumed extreme would move them without
the bar being counted as uncertain.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from src.engines.compiled import compiled
from src.engines.orders import LIMIT_ENTRY, MARKET_ENTRY, TOUCH, BarPrices

PESSIMISTIC: Final = 0
OPTIMISTIC: Final = 1
NEAREST: Final = 2
FARTHEST: Final = 3

OTHER_POLICY: Final[Mapping[int, int]] = {
    PESSIMISTIC: OPTIMISTIC, OPTIMISTIC: PESSIMISTIC, NEAREST: FARTHEST, FARTHEST: NEAREST,
}  # fmt: skip


@compiled
def is_high_first(prices: BarPrices) -> bool:
    """Return whether the open is nearer to the high than to the low, by more than the rounding of decimal prices."""
    return (prices.open - prices.low) - (prices.high - prices.open) > TOUCH * prices.open


@compiled
def has_late_extreme(prices: BarPrices, side: int, kind: int) -> bool:
    """Return whether the extreme that does not fill a resting entry comes after the one that does."""
    is_filled_by_high = (side > 0) == (kind != LIMIT_ENTRY)
    return is_high_first(prices) == is_filled_by_high


@compiled
def favors_position(prices: BarPrices, side: int, kind: int, is_both: bool, policy: int) -> bool:
    """Return whether an uncertain bar is decided in the position's favor.

    Parameters
    ----------
    side, kind
        The position's side and the kind of entry that the bar's range filled; `MARKET_ENTRY` if open from the start.
    is_both
        Whether stop and target may both have been reached.
    """
    if policy in (PESSIMISTIC, OPTIMISTIC):
        return policy == OPTIMISTIC
    if kind == MARKET_ENTRY:
        is_favored = is_high_first(prices) == (side > 0)
    elif is_both:
        is_favored = kind != LIMIT_ENTRY
    else:
        # The extreme that does not fill the entry leaves only a limit's target, or a stop entry's stop, uncertain.
        is_favored = has_late_extreme(prices, side, kind) == (kind == LIMIT_ENTRY)
    return is_favored == (policy == NEAREST)
