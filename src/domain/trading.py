"""The rules of a simulation, and what it leaves behind: fills, trades, equity."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.arrays import freeze
from src.domain.errors import InvalidInput


class EngineName(StrEnum):
    VECTORIZED = "VECTORIZED"
    EVENT_DRIVEN = "EVENT_DRIVEN"


class FillTiming(StrEnum):
    """When a market order that a signal gives is filled."""

    SAME_CLOSE = "SAME_CLOSE"
    """At the close of the signal's own bar."""
    NEXT_OPEN = "NEXT_OPEN"
    """At the open of the next bar; a signal at the last bar is never filled."""


class Direction(StrEnum):
    LONG = "LONG"
    SHORT = "SHORT"
    BOTH = "BOTH"
    """A sell signal turns a long into a short, a buy signal turns it back."""


class EntryType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"


class IntrabarPolicy(StrEnum):
    """Which exit is taken if one bar could have hit both the stop and the target.

    Also whether an exit is taken that the bar of a resting entry could have hit before the entry or after it.
    """

    PESSIMISTIC = "PESSIMISTIC"
    """The stop; a target only if it was certainly hit after the entry."""
    OPTIMISTIC = "OPTIMISTIC"
    """The target; a stop only if it was certainly hit after the entry."""


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
    ]
)
"""One executed order: bar index, that bar's open time (UTC ms), `Side`, units of the base asset (> 0), price after
slippage and fee in the quote currency, `FillReason`."""

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
    ]
)
"""One position from entry to full exit. `direction` +1 long, −1 short; `profit` in the quote currency after both fees;
`return` = profit ÷ (entry price × quantity), a fraction. An open trade is marked at the last close: its exit fields
hold the last bar and close, `exit_fee` 0 and `exit_reason` −1."""


SMALLEST_SIZE: Final = 1e-9
SMALLEST_CASH: Final = 1e-6
"""Below these, amounts come near the engines' absolute tolerance of 1e-12; no market trades so little."""

LARGEST_AMOUNT: Final = 1e15
"""Beyond this a binary number cannot hold the cents."""

MAX_EQUITY: Final = 1e100
"""Bars and amounts in bounds can still compound beyond all numbers: equity that doubles 2,000 times does. Up to here
products with prices and squares of equity are finite."""

MAX_TAKE_PROFIT: Final = 1e12
"""A fraction of the entry price. Without a bound, the level of the target would be no number."""


def _check_number(field_name: str, value: float, *, allowed: str, is_allowed: bool) -> None:
    if not math.isfinite(value) or not is_allowed:
        raise InvalidInput(f"{field_name} is {value}; allowed: {allowed}", field=field_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """How much an entry buys: all cash (neither field), a fixed number of units, or a fraction of equity."""

    fixed_units: float | None = None
    equity_fraction: float | None = None

    def __post_init__(self) -> None:
        if self.fixed_units is not None and self.equity_fraction is not None:
            raise InvalidInput("fixedSize and percentSize are both given; allowed: one of them", field="fixedSize")
        if self.fixed_units is not None:
            _check_number(
                "fixedSize",
                self.fixed_units,
                allowed=f"a number of units, {SMALLEST_SIZE:g} ≤ n ≤ {LARGEST_AMOUNT:g}",
                is_allowed=SMALLEST_SIZE <= self.fixed_units <= LARGEST_AMOUNT,
            )
        if self.equity_fraction is not None:
            _check_number(
                "percentSize",
                self.equity_fraction,
                allowed="a fraction, 0 < p ≤ 1",
                is_allowed=0 < self.equity_fraction <= 1,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryOrder:
    """How a signal enters: at the market, or by an order that waits.

    `offset_rate` is a fraction of the signal's close: a limit waits that far on the better side of it, a stop that far
    on the worse side. `life_bars` is the number of bars after the signal's in which the order may still be filled.
    """

    type: EntryType = EntryType.MARKET
    offset_rate: float = 0.0
    life_bars: int = 1

    def __post_init__(self) -> None:
        _check_number(
            "entryOffset", self.offset_rate, allowed="a fraction, 0 ≤ f < 1", is_allowed=0 <= self.offset_rate < 1
        )
        if self.type is EntryType.MARKET and self.offset_rate:
            raise InvalidInput("entryOffset is given; a MARKET entry allows none", field="entryOffset")
        if self.life_bars < 1:
            raise InvalidInput(f"entryBars is {self.life_bars}; allowed: a whole number ≥ 1", field="entryBars")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exits:
    """When a position is left without a signal.

    `stop_loss_rate` and `take_profit_rate` are fractions of the entry price, `trailing_stop_rate` of the best price
    since entry; `max_bars` counts bars after the entry's.
    """

    stop_loss_rate: float | None = None
    take_profit_rate: float | None = None
    trailing_stop_rate: float | None = None
    max_bars: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("stopLoss", self.stop_loss_rate), ("trailingStop", self.trailing_stop_rate)):
            if value is not None:
                _check_number(name, value, allowed="a fraction, 0 < f < 1", is_allowed=0 < value < 1)
        if self.take_profit_rate is not None:
            _check_number(
                "takeProfit",
                self.take_profit_rate,
                allowed=f"a fraction, 0 < f ≤ {MAX_TAKE_PROFIT:g}",
                is_allowed=0 < self.take_profit_rate <= MAX_TAKE_PROFIT,
            )
        if self.max_bars is not None and self.max_bars < 1:
            raise InvalidInput(f"maxBars is {self.max_bars}; allowed: a whole number ≥ 1", field="maxBars")


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingRules:
    """Cash, costs, sizes and order rules of one simulation.

    `initial_cash` in the quote currency; `fee_rate` a fraction of the traded value on each side; `slippage_rate` a
    fraction of the price: buys fill at price × (1 + s), sells at price × (1 − s).
    """

    fill: FillTiming
    initial_cash: float = 10_000.0
    fee_rate: float = 0.001
    slippage_rate: float = 0.001
    sizing: Sizing = field(default_factory=Sizing)
    direction: Direction = Direction.LONG
    entry: EntryOrder = field(default_factory=EntryOrder)
    exits: Exits = field(default_factory=Exits)
    intrabar: IntrabarPolicy = IntrabarPolicy.PESSIMISTIC

    def __post_init__(self) -> None:
        _check_number(
            "initCash",
            self.initial_cash,
            allowed=f"an amount, {SMALLEST_CASH:g} ≤ c ≤ {LARGEST_AMOUNT:g}",
            is_allowed=SMALLEST_CASH <= self.initial_cash <= LARGEST_AMOUNT,
        )
        _check_number("fees", self.fee_rate, allowed="a fraction, 0 ≤ f < 1", is_allowed=0 <= self.fee_rate < 1)
        _check_number(
            "slippage", self.slippage_rate, allowed="a fraction, 0 ≤ s < 1", is_allowed=0 <= self.slippage_rate < 1
        )

    def event_driven_settings(self) -> tuple[str, ...]:
        """Return the public names of the settings in use that only the event-driven engine knows."""
        plain = TradingRules(fill=self.fill)
        used = {
            "direction": self.direction is not plain.direction,
            "entry": self.entry != plain.entry,
            "stopLoss": self.exits.stop_loss_rate is not None,
            "takeProfit": self.exits.take_profit_rate is not None,
            "trailingStop": self.exits.trailing_stop_rate is not None,
            "maxBars": self.exits.max_bars is not None,
            "intrabar": self.intrabar is not plain.intrabar,
        }
        return tuple(name for name, is_used in used.items() if is_used)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Simulation:
    """What an engine leaves behind.

    `equity`, `cash`, `position` [n] float64 at each bar's close, equity = cash + position × close; `position` in units
    of the base asset, negative when short. `fills` and `trades` are structured arrays (`FILL_DTYPE`, `TRADE_DTYPE`) in
    time order. `reduced_entries` counts entries cut to what cash allowed, `ambiguous_bars` the bars in which
    `IntrabarPolicy` decided.
    """

    equity: NDArray[np.float64]
    cash: NDArray[np.float64]
    position: NDArray[np.float64]
    fills: NDArray[np.void]
    trades: NDArray[np.void]
    reduced_entries: int = 0
    ambiguous_bars: int = 0
    is_liquidated: bool = False
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("equity", "cash", "position"):
            object.__setattr__(self, name, freeze(getattr(self, name), np.float64))
        object.__setattr__(self, "fills", freeze(self.fills, FILL_DTYPE))
        object.__setattr__(self, "trades", freeze(self.trades, TRADE_DTYPE))
        if not len(self.equity) == len(self.cash) == len(self.position):
            raise ValueError("equity, cash and position differ in length")
