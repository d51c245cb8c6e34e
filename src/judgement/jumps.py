"""Leave price jumps across gaps out of the market's returns.

A symbol that was delisted and listed again (LUNA in 2022) is one series of bars whose price changes 20,000 times where
it was not traded. No position could be held through it, so the market's return is measured without it: the prices after
a jump continue from the last close before it. The report on the bars names each jump.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from src.domain.bar_quality import JUMP_RATIO
from src.domain.bars import PRICE_COLUMNS, Bars

Floats = NDArray[np.float64]


def find_jump_rows(bars: Bars) -> tuple[int, ...]:
    """Return the indices of bars after a gap whose open is ≥ `JUMP_RATIO` × the last close, or ≤ the close ÷ it."""
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
    except ValueError:  # a price is out of bounds
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
    # Half a bar of tolerance, because some bars open a little late.
    return bool(own > bars.interval.next_open_ms(before) + bars.interval.milliseconds // 2)
