"""What a simulation gives: fills, trades and balances."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.arrays import freeze


class Side(IntEnum):
    SELL = -1
    BUY = 1

    @property
    def word(self) -> str:
        return self.name.lower()


class FillReason(IntEnum):
    """Why an order was filled."""

    SIGNAL = 0
    STOP_LOSS = 1
    TAKE_PROFIT = 2
    TRAILING_STOP = 3
    TIME = 4
    LIMIT = 5
    STOP = 6
    LIQUIDATION = 7
    BREAK_EVEN = 8
    END = 9
    ADD_LIMIT = 10
    ADD_STOP = 11

    @property
    def word(self) -> str:
        return self.name.lower()


FILL_DTYPE: Final = np.dtype(
    [
        ("bar", np.int64),
        ("time_ms", np.int64),
        ("side", np.int8),
        ("quantity", np.float64),
        ("price", np.float64),
        ("fee", np.float64),
        ("reason", np.int8),
        ("trade", np.int64),
        ("funding", np.float64),
        ("impact", np.float64),
    ]
)
"""One executed order: bar index, that bar's open time (UTC ms), `Side`, units of the base asset (> 0), price after
slippage and fee in the quote currency, `FillReason`, index of its trade in the table of trades, what the position has
paid in funding since the fill before (quote currency; negative if it got more), and the part of the slippage that its
share of the volume made (a fraction of the price before slippage)."""

TRADE_DTYPE: Final = np.dtype(
    [
        ("direction", np.int8),
        ("quantity", np.float64),
        ("entry_bar", np.int64),
        ("entry_time_ms", np.int64),
        ("entry_price", np.float64),
        ("entry_fee", np.float64),
        ("exit_bar", np.int64),
        ("exit_time_ms", np.int64),
        ("exit_price", np.float64),
        ("exit_fee", np.float64),
        ("profit", np.float64),
        ("return", np.float64),
        ("bars_held", np.int64),
        ("is_open", np.bool_),
        ("exit_reason", np.int8),
        ("funding", np.float64),
    ]
)
"""One position from first entry to full exit. `direction` +1 long, −1 short; `quantity` all units entered; prices are
means by units, fees sums; `funding` is what it paid, in the quote currency, negative if it got more; `profit` in the
quote currency after all fees and funding; `return` = profit ÷ (entry price × quantity), a fraction. The exit's bar and
reason are those of the last one. An open trade is marked at the last close: its exit fields hold the last bar, the last
close (with partial exits the mean of theirs and it), the fees of partial exits, and the reason −1."""

MAX_EQUITY: Final = 1e100
"""Equity can compound beyond float64 even if all bars and amounts are in bounds, for example if it doubles 2,000 times.
Up to this limit, products with prices and squares of equity are finite."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Simulation:
    """The result of an engine.

    `equity`, `cash`, `position` [n] float64 at each bar's close, equity = cash + position × close; `position` in units
    of the base asset, negative when short. `fills` and `trades` are structured arrays (`FILL_DTYPE`, `TRADE_DTYPE`) in
    time order. `reduced_entries` counts entries cut to what cash or volume allowed, `dropped_entries` those too small
    for the exchange, without their exits, without a size or in a bar without volume, `ambiguous_bars` the bars in which
    `IntrabarPolicy` decided, `liquidations` the positions that lost their margin. `liquidation_distance` is the
    smallest one of a price from the liquidation level of an open position, a fraction of its mean entry price; None
    without leverage or a position. `resolved_bars` counts the bars that were traded by the finer bars inside them,
    `unresolved_bars` those whose finer bars are not whole. With leverage, cash is negative by what is borrowed.
    """

    equity: NDArray[np.float64]
    cash: NDArray[np.float64]
    position: NDArray[np.float64]
    fills: NDArray[np.void]
    trades: NDArray[np.void]
    reduced_entries: int = 0
    dropped_entries: int = 0
    ambiguous_bars: int = 0
    is_liquidated: bool = False
    liquidations: int = 0
    liquidation_distance: float | None = None
    resolved_bars: int = 0
    unresolved_bars: int = 0
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("equity", "cash", "position"):
            object.__setattr__(self, name, freeze(getattr(self, name), np.float64))
        object.__setattr__(self, "fills", freeze(self.fills, FILL_DTYPE))
        object.__setattr__(self, "trades", freeze(self.trades, TRADE_DTYPE))
        if not len(self.equity) == len(self.cash) == len(self.position):
            raise ValueError("equity, cash and position differ in length")
