"""The trading rules of one simulation."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from src.domain.errors import InvalidInput
from src.domain.exchange_rules import ExchangeRules
from src.domain.exit_orders import ExitType
from src.domain.funding import Funding
from src.domain.intervals import INTERVALS, Interval
from src.domain.order_rules import MAX_AMOUNT, MIN_CASH, EntryOrder, Exits, Margin, Sizing
from src.domain.parameters import FRACTION, Bounds, check_parameters, parameter, parameters_of
from src.domain.volume_rules import VolumeRules, leaves_no_price


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


class IntrabarPolicy(StrEnum):
    """Which exit is taken if one bar may have hit both the stop and the target.

    It also decides whether an exit is taken that the bar of a resting entry may have hit before or after the entry.
    """

    PESSIMISTIC = "PESSIMISTIC"
    """The stop; a target only if it was certainly hit after the entry."""
    OPTIMISTIC = "OPTIMISTIC"
    """The target; a stop only if it was certainly hit after the entry."""
    NEAREST = "NEAREST"
    """What comes first if the price went from the open to the nearer of high and low, then to the other one."""


DEFAULT_CASH: Final = 10_000.0

MAX_REBATE: Final = 0.01
"""Exchanges pay makers up to 0.025 % or so; a larger number is probably meant as per cent."""


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
    volume: VolumeRules = field(default_factory=VolumeRules)
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
    exchange: ExchangeRules = field(default_factory=ExchangeRules)
    funding: Funding = field(default_factory=Funding)
    intrabar: IntrabarPolicy = parameter(
        name="intrabar",
        meaning="What is taken if a bar does not tell what it hit after the entry: PESSIMISTIC, OPTIMISTIC or NEAREST",
        default=IntrabarPolicy.PESSIMISTIC,
        is_event_driven_only=True,
    )
    detail: Interval | None = parameter(
        name="detail_interval",
        meaning="Bars of this length, such as 1m, tell the order of prices inside each bar in which orders or a "
        "position may do something; shorter than the interval",
        default=None,
        choices=tuple(INTERVALS),
        default_meaning="intrabar decides",
        is_event_driven_only=True,
        read=lambda text, field: Interval.named(text, field=field),
        write=lambda interval: interval.name,
    )

    def __post_init__(self) -> None:
        check_parameters(self)
        if leaves_no_price(self.slippage_rate, self.volume.impact, self.volume.limit):
            raise InvalidInput(
                "{field} is {got}. Allowed: less than (1 − {@slippage}) ÷ limit² ({most:.6g}; the limit is "
                "{@maxVolumeShare}, or 1 without it), or a sale would have no price.",
                field="volumeImpact", got=self.volume.impact, most=(1 - self.slippage_rate) / self.volume.limit**2,
            )  # fmt: skip
        if self.entry.additions and self.exits.atr.take_profit is not None:
            raise InvalidInput(
                "{field} is {got}, and {@addEntries} is given: a target that follows the mean price of several entries "
                "is a fraction of it. Allowed: {@takeProfit} or {@takeProfits}.",
                field="takeProfitAtr", got=self.exits.atr.take_profit,
            )  # fmt: skip
        if self.exits.order.type is ExitType.LIMIT and self.entry.additions:
            raise InvalidInput("{field} is LIMIT, and {@addEntries} is given. Allowed: MARKET.", field="exit")
        if self.sizing.risk_fraction is not None and self.exits.first_stop_rate is self.exits.first_stop_atr is None:
            raise InvalidInput(
                "{field} is {got}, and no stop says what an entry may lose. Allowed only together with {@stopLoss} "
                "or {@stopLossAtr}, or with {@trailingStop} or {@trailingStopAtr} without {@trailingStart}.",
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
