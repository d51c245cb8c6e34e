"""The trading rules of a simulation, and its result: fills, trades, equity."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.arrays import freeze
from src.domain.errors import InvalidInput, both_given
from src.domain.parameters import (
    AT_LEAST_ONE,
    FRACTION,
    MAX_COUNT,
    POSITIVE_FRACTION,
    Bounds,
    check_parameters,
    parameter,
    parameters_of,
)


class EngineName(StrEnum):
    """What simulates the orders."""

    VECTORIZED = "VECTORIZED"
    EVENT_DRIVEN = "EVENT_DRIVEN"


class FillTiming(StrEnum):
    """When a market order that a signal gives is filled."""

    SAME_CLOSE = "SAME_CLOSE"
    """At the close of the signal's own bar."""
    NEXT_OPEN = "NEXT_OPEN"
    """At the open of the next bar; a signal at the last bar is never filled."""


class Direction(StrEnum):
    """Which positions are taken."""

    LONG = "LONG"
    SHORT = "SHORT"
    BOTH = "BOTH"
    """A sell signal turns a long position into a short one, a buy signal turns it back."""


class EntryType(StrEnum):
    """How a signal enters."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"
    """A stop that, once reached, buys at most at a limit above it, or sells at least at one below."""


class IntrabarPolicy(StrEnum):
    """Which exit is taken if one bar may have hit both the stop and the target.

    It also decides whether an exit is taken that the bar of a resting entry may have hit before or after the entry.
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
    BREAK_EVEN = 8
    END = 9

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


MIN_SIZE: Final = 1e-9
MIN_CASH: Final = 1e-6
"""Smaller amounts come near the engines' absolute tolerance of 1e-12; no market trades so little."""

DEFAULT_CASH: Final = 10_000.0

MAX_AMOUNT: Final = 1e15
"""Larger float64 amounts cannot represent cents."""

MAX_EQUITY: Final = 1e100
"""Equity can compound beyond float64 even if all bars and amounts are in bounds, for example if it doubles 2,000 times.
Up to this limit, products with prices and squares of equity are finite."""

MAX_TAKE_PROFIT: Final = 1e12
"""A fraction of the entry price. Without a bound, the level of the target could overflow."""


MAX_REBATE: Final = 0.01
"""Exchanges pay makers up to 0.025 % or so; a larger number is probably meant as per cent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """How much an entry buys: all cash (no field), or what one of the fields says; cash limits each."""

    fixed_units: float | None = parameter(
        name="fixed_size",
        meaning="Units of the base asset per entry",
        default=None,
        unit="units of the base asset",
        bounds=Bounds(minimum=MIN_SIZE, maximum=MAX_AMOUNT),
        default_meaning="all cash, if no other size is given either",
    )
    equity_fraction: float | None = parameter(
        name="percent_size",
        meaning="Fraction of equity per entry (not per cent); not together with another size",
        default=None,
        unit="fraction",
        bounds=Bounds(minimum=0, maximum=1, is_minimum_open=True),
        default_meaning="all cash, if no other size is given either",
    )
    quote_amount: float | None = parameter(
        name="quote_size",
        meaning="Amount per entry, costs included; not together with another size",
        default=None,
        unit="quote currency",
        bounds=Bounds(minimum=MIN_CASH, maximum=MAX_AMOUNT),
        default_meaning="all cash, if no other size is given either",
        is_event_driven_only=True,
    )
    risk_fraction: float | None = parameter(
        name="risk_percent",
        meaning="Fraction of equity (not per cent) that an entry loses before costs if its first stop fills at its "
        "level; needs stopLoss or trailingStop; not together with another size",
        default=None,
        unit="fraction",
        bounds=Bounds(minimum=0, maximum=1, is_minimum_open=True),
        default_meaning="all cash, if no other size is given either",
        is_event_driven_only=True,
    )

    def __post_init__(self) -> None:
        given = [item.parameter.field for item in parameters_of(Sizing) if item.of(self) is not None]
        if len(given) > 1:
            raise both_given(*given[:2])
        check_parameters(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryOrder:
    """How a signal enters: with a market order, or with an order that rests.

    A limit rests on the better side of the signal's close, a stop on the worse side. `life_bars` is the number of bars
    after the signal's bar in which the order may be filled, also if it is placed anew at each close.
    """

    type: EntryType = parameter(
        name="entry",
        meaning="How a signal enters: MARKET, LIMIT, STOP or STOP_LIMIT",
        default=EntryType.MARKET,
        is_event_driven_only=True,
    )
    offset_rate: float = parameter(
        name="entry_offset",
        meaning="How far from the signal's close an entry waits; a MARKET entry does not wait",
        default=0.0,
        unit="fraction of that close",
        bounds=FRACTION,
        is_event_driven_only=True,
    )
    life_bars: int = parameter(
        name="entry_bars",
        meaning="How long an entry waits; a MARKET entry does not wait",
        default=1,
        unit="bars",
        bounds=Bounds(minimum=1, maximum=MAX_COUNT),
        is_event_driven_only=True,
    )
    limit_offset_rate: float = parameter(
        name="limit_offset",
        meaning="How far beyond its stop the limit of a STOP_LIMIT entry lies",
        default=0.0,
        unit="fraction of the stop",
        bounds=FRACTION,
        is_event_driven_only=True,
    )
    is_repriced: bool = parameter(
        name="entry_reprice",
        meaning="Whether an entry that waits moves to its distance from each close",
        default=False,
        is_event_driven_only=True,
    )

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.type is EntryType.MARKET and self.offset_rate:
            raise InvalidInput(
                "{field} is {got}. A MARKET entry allows none.", field="entryOffset", got=self.offset_rate
            )
        if self.type is not EntryType.STOP_LIMIT and self.limit_offset_rate:
            raise InvalidInput(
                "{field} is {got}. Only a STOP_LIMIT entry allows one.", field="limitOffset", got=self.limit_offset_rate
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Exits:
    """When a position is closed without a signal."""

    stop_loss_rate: float | None = parameter(
        name="stop_loss",
        meaning="Loss at which the position is closed",
        default=None,
        unit="fraction of the entry price",
        bounds=POSITIVE_FRACTION,
        is_event_driven_only=True,
    )
    take_profit_rate: float | None = parameter(
        name="take_profit",
        meaning="Gain at which the position is closed",
        default=None,
        unit="fraction of the entry price",
        bounds=Bounds(minimum=0, maximum=MAX_TAKE_PROFIT, is_minimum_open=True),
        is_event_driven_only=True,
    )
    trailing_stop_rate: float | None = parameter(
        name="trailing_stop",
        meaning="Retreat from the best price since entry at which the position is closed",
        default=None,
        unit="fraction of the best price",
        bounds=POSITIVE_FRACTION,
        is_event_driven_only=True,
    )
    trailing_start_rate: float | None = parameter(
        name="trailing_start",
        meaning="Gain from which trailingStop follows the price; before it only stopLoss holds; needs trailingStop",
        default=None,
        unit="fraction of the entry price",
        bounds=Bounds(minimum=0, maximum=MAX_TAKE_PROFIT, is_minimum_open=True),
        default_meaning="trailingStop follows from the entry on",
        is_event_driven_only=True,
    )
    break_even_rate: float | None = parameter(
        name="break_even_at",
        meaning="Gain at which the stop moves to the price at which closing pays back the entry and all costs",
        default=None,
        unit="fraction of the entry price",
        bounds=Bounds(minimum=0, maximum=MAX_TAKE_PROFIT, is_minimum_open=True),
        is_event_driven_only=True,
    )
    max_bars: int | None = parameter(
        name="max_bars",
        meaning="Bars after the entry's after which the position is closed",
        default=None,
        unit="bars",
        bounds=AT_LEAST_ONE,
        is_event_driven_only=True,
    )
    on_signal: bool = parameter(
        name="exit_on_signal",
        meaning="Whether signals close positions; if not, only stops, targets and times do",
        default=True,
        is_event_driven_only=True,
    )
    at_end: bool = parameter(
        name="close_at_end",
        meaning="Whether a position that is open at the last bar is closed at its close",
        default=False,
        is_event_driven_only=True,
    )
    cooldown_bars: int = parameter(
        name="cooldown_bars",
        meaning="Bars, from that of a stop on, whose signals open nothing",
        default=0,
        unit="bars",
        bounds=Bounds(minimum=0, maximum=MAX_COUNT),
        is_event_driven_only=True,
    )

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.trailing_start_rate is not None and self.trailing_stop_rate is None:
            raise InvalidInput(
                "{field} is {got}. Allowed only together with {@trailingStop}.",
                field="trailingStart", got=self.trailing_start_rate,
            )  # fmt: skip

    @property
    def first_stop_rate(self) -> float | None:
        """The distance of the nearest stop from the entry price when a position opens, a fraction; None without one."""
        trails_at_once = self.trailing_start_rate is None
        rates = (self.stop_loss_rate, self.trailing_stop_rate if trails_at_once else None)
        return min((rate for rate in rates if rate is not None), default=None)


MAX_LEVERAGE: Final = 125.0
"""The largest that Binance offers for any perpetual future."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """What an entry borrows: each position has a margin of its own, and can lose no more than that (isolated margin).

    A leverage of 1 borrows nothing. A short then has all equity as its margin, and no maintenance margin.
    """

    leverage: float = parameter(
        name="leverage",
        meaning="Value of a position divided by its margin; sizes in cash are sizes of the margin",
        default=1.0,
        unit="ratio",
        bounds=Bounds(minimum=1, maximum=MAX_LEVERAGE),
        is_event_driven_only=True,
    )
    maintenance_rate: float = parameter(
        name="maintenance_margin",
        meaning="Margin that a position must keep, or it is liquidated; less than 1 divided by leverage",
        default=0.004,
        unit="fraction of the position's value",
        bounds=FRACTION,
        is_event_driven_only=True,
    )

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.leverage > 1 and self.maintenance_rate * self.leverage >= 1:
            raise InvalidInput(
                "{field} is {got}. Allowed: less than 1 ÷ {@leverage} ({most:.6g}), or each entry would be liquidated "
                "at once.",
                field="maintenanceMargin", got=self.maintenance_rate, most=1 / self.leverage,
            )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingRules:
    """Cash, costs, sizes and order rules of one simulation."""

    fill: FillTiming = parameter(
        name="fill",
        meaning="When a signal is filled: SAME_CLOSE or NEXT_OPEN",
        default_meaning="SAME_CLOSE vectorized, NEXT_OPEN event-driven",
    )
    initial_cash: float = parameter(
        name="init_cash",
        meaning="Starting cash",
        default=DEFAULT_CASH,
        unit="quote currency",
        bounds=Bounds(minimum=MIN_CASH, maximum=MAX_AMOUNT),
    )
    fee_rate: float = parameter(
        name="fees",
        meaning="Fee on each side (0.001 = 0.1 %)",
        default=0.001,
        unit="fraction of the traded value",
        bounds=FRACTION,
    )
    maker_fee_rate: float | None = parameter(
        name="maker_fee",
        meaning="Fee of orders that wait in the market until a price reaches them: LIMIT entries and takeProfit; "
        "negative is a rebate",
        default=None,
        unit="fraction of the traded value",
        bounds=Bounds(minimum=-MAX_REBATE, maximum=1, is_maximum_open=True),
        default_meaning="fees",
        is_event_driven_only=True,
    )
    taker_fee_rate: float | None = parameter(
        name="taker_fee",
        meaning="Fee of all other orders",
        default=None,
        unit="fraction of the traded value",
        bounds=FRACTION,
        default_meaning="fees",
        is_event_driven_only=True,
    )
    slippage_rate: float = parameter(
        name="slippage",
        meaning="Slippage s on each side: buys fill at price × (1 + s), sells at price × (1 − s)",
        default=0.001,
        unit="fraction of the price",
        bounds=FRACTION,
    )
    sizing: Sizing = field(default_factory=Sizing)
    direction: Direction = parameter(
        name="direction",
        meaning="Which positions are taken: LONG, SHORT or BOTH",
        default=Direction.LONG,
        is_event_driven_only=True,
    )
    entry: EntryOrder = field(default_factory=EntryOrder)
    exits: Exits = field(default_factory=Exits)
    margin: Margin = field(default_factory=Margin)
    intrabar: IntrabarPolicy = parameter(
        name="intrabar",
        meaning="What is taken if a bar does not tell what it hit after the entry: PESSIMISTIC or OPTIMISTIC",
        default=IntrabarPolicy.PESSIMISTIC,
        is_event_driven_only=True,
    )

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.sizing.risk_fraction is not None and self.exits.first_stop_rate is None:
            raise InvalidInput(
                "{field} is {got}, and no stop says what an entry may lose. Allowed only together with {@stopLoss}, or "
                "with {@trailingStop} without {@trailingStart}.",
                field="riskPercent", got=self.sizing.risk_fraction,
            )  # fmt: skip

    @property
    def maker_rate(self) -> float:
        """The fee of an order that waits until a price reaches it, a fraction of the traded value."""
        return self.fee_rate if self.maker_fee_rate is None else self.maker_fee_rate

    @property
    def taker_rate(self) -> float:
        """The fee of all other orders."""
        return self.fee_rate if self.taker_fee_rate is None else self.taker_fee_rate

    def with_one_fee(self, rate: float) -> TradingRules:
        """Return these rules with one fee for all orders."""
        return replace(self, fee_rate=rate, maker_fee_rate=None, taker_fee_rate=None)

    def event_driven_settings(self) -> tuple[str, ...]:
        """Return the public names of the settings in use that only the event-driven engine supports."""
        return tuple(
            item.parameter.field
            for item in parameters_of(TradingRules)
            if item.parameter.is_event_driven_only and item.of(self) != item.default
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Simulation:
    """The result of an engine.

    `equity`, `cash`, `position` [n] float64 at each bar's close, equity = cash + position × close; `position` in units
    of the base asset, negative when short. `fills` and `trades` are structured arrays (`FILL_DTYPE`, `TRADE_DTYPE`) in
    time order. `reduced_entries` counts entries cut to what cash allowed, `ambiguous_bars` the bars in which
    `IntrabarPolicy` decided, `liquidations` the positions that lost their margin. With leverage, cash is negative by
    what is borrowed.
    """

    equity: NDArray[np.float64]
    cash: NDArray[np.float64]
    position: NDArray[np.float64]
    fills: NDArray[np.void]
    trades: NDArray[np.void]
    reduced_entries: int = 0
    ambiguous_bars: int = 0
    is_liquidated: bool = False
    liquidations: int = 0
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("equity", "cash", "position"):
            object.__setattr__(self, name, freeze(getattr(self, name), np.float64))
        object.__setattr__(self, "fills", freeze(self.fills, FILL_DTYPE))
        object.__setattr__(self, "trades", freeze(self.trades, TRADE_DTYPE))
        if not len(self.equity) == len(self.cash) == len(self.position):
            raise ValueError("equity, cash and position differ in length")
