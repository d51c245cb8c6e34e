"""Derive signals from the conditions of rules: the changes of the target position."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from src.domain.signals import Action

Conditions = NDArray[np.bool_]

_BUY, _SELL = int(Action.BUY), int(Action.SELL)
_CLOSE_LONG, _CLOSE_SHORT = int(Action.CLOSE_LONG), int(Action.CLOSE_SHORT)


@njit(cache=True, nogil=True)
def find_edges(
    buy: Conditions, sell: Conditions, short: Conditions, cover: Conditions, can_short: bool
) -> NDArray[np.int8]:
    """Return the action [n] at each bar at which the target position changes; it is flat before the first bar.

    Long from `buy` until `sell`, short from `short` until `cover`. Buy while short reverses the position, and so does
    short while long. A pair whose conditions are both true at one bar does nothing there; if buy and short then both
    remain, nothing changes.
    """
    action = np.zeros(buy.size, dtype=np.int8)
    target = 0
    for t in range(buy.size):
        enters_long, enters_short = buy[t] and not sell[t], short[t] and not cover[t]
        if enters_long and enters_short:
            continue
        if enters_long:
            if target != 1:
                action[t] = _BUY
            target = 1
        elif enters_short:
            if target != -1:
                action[t] = _SELL
            target = -1
        elif target == 1 and sell[t] and not buy[t]:
            # With rules for longs only, sell means what it means in every other strategy.
            action[t] = _CLOSE_LONG if can_short else _SELL
            target = 0
        elif target == -1 and cover[t] and not short[t]:
            action[t] = _CLOSE_SHORT
            target = 0
    return action
