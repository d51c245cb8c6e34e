"""Leave price jumps across gaps out of the market's returns.

A symbol that was delisted and listed again (LUNA in 2022) is one series of bars whose price changes 20,000 times where
it was not traded. No position could be held through it, so what the market returned is measured without it: the prices
after a jump go on from the last close before it. The report on the bars names each jump.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from src.domain.bar_quality import JUMP_RATIO
from src.domain.bars import PRICE_COLUMNS, Bars

Floats = NDArray[np.float64]


def find_jump_rows(bars: Bars) -> tuple[int, ...]:
    """Return the indices of the bars whose open is `JUMP_RATIO` times the close before a gap, or less than its part."""
    open_, close = bars.open[1:], bars.close[:-1]
    rows = np.flatnonzero((open_ >= JUMP_RATIO * close) | (close >= JUMP_RATIO * open_)) + 1
    return tuple(row for row in rows.tolist() if _is_after_gap(bars, row))


def join_prices(bars: Bars, jump_rows: tuple[int, ...]) -> Bars | None:
    """Return the bars with prices that go on across jumps; None if no bar can have such prices."""
    if not jump_rows:
        return bars
    factors = _factors(bars, jump_rows)
    try:
        return replace(bars, **{name: getattr(bars, name) * factors for name in PRICE_COLUMNS})
    except ValueError:  # a price beyond the bounds of one
        return None


def join_closes(bars: Bars, jump_rows: tuple[int, ...]) -> Floats:
    """Return the closes [n] as `join_prices` gives them, whatever their bounds."""
    return bars.close * _factors(bars, jump_rows) if jump_rows else bars.close


def _factors(bars: Bars, jump_rows: tuple[int, ...]) -> Floats:
    factors = np.ones(len(bars))
    for row in jump_rows:
        factors[row:] *= bars.close[row - 1] / bars.open[row]
    return factors


def _is_after_gap(bars: Bars, row: int) -> bool:
    before, own = bars.open_time_ms[row - 1 : row + 1].tolist()
    # Half a bar more, because some bars open a little late.
    return bool(own > bars.interval.next_open_ms(before) + bars.interval.milliseconds // 2)
