"""The rules of orders: type and size of entries, leverage, and exits without a signal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from src.domain.atr_exits import AtrDistances
from src.domain.errors import InvalidInput, both_given
from src.domain.exit_orders import ExitOrder, ExitType
from src.domain.ladders import MAX_RUNGS, MAX_TAKE_PROFIT, AddEntry, TakeProfit, check_targets
from src.domain.parameters import (
    AT_LEAST_ONE,
    FRACTION,
    MAX_COUNT,
    POSITIVE_FRACTION,
    Bounds,
    check_parameters,
    field_name,
    parameter,
    parameters_of,
)
from src.domain.volume_rules import leaves_no_price


class EntryType(StrEnum):
    """How a signal enters."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"
    """A stop that, once reached, buys at most at a limit above it, or sells at least at one below."""


MIN_SIZE: Final = 1e-9

MIN_CASH: Final = 1e-6
"""Smaller amounts come near the engines' absolute tolerance of 1e-12; no market trades so little."""

MAX_AMOUNT: Final = 1e15
"""Larger float64 amounts cannot represent cents."""

MAX_VOLATILITY: Final = 100.0
"""More than that of any market; a larger number is probably meant as per cent."""


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
        "level; needs a stop loss or a trailing stop; not together with another size",
        default=None,
        unit="fraction",
        bounds=Bounds(minimum=0, maximum=1, is_minimum_open=True),
        default_meaning="all cash, if no other size is given either",
        is_event_driven_only=True,
    )

    volatility_target: float | None = parameter(
        name="volatility_target",
        meaning="Volatility aimed at: an entry is worth it, divided by the volatility of the last 30 days, of equity, "
        "at most leverage; not together with another size",
        default=None,
        unit="fraction per year",
        bounds=Bounds(minimum=0, maximum=MAX_VOLATILITY, is_minimum_open=True),
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
    additions: tuple[AddEntry, ...] = parameter(
        name="add_entries",
        meaning="Orders that add to a position when the price has moved from its mean entry price, each once per "
        "position",
        default=(),
        max_length=MAX_RUNGS,
        example=[{"move": -0.05, "size": 1}],
        default_meaning="none",
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
    take_profits: tuple[TakeProfit, ...] = parameter(
        name="take_profits",
        meaning="Targets that each close a part of the position, and that may change with its age; not together with "
        "takeProfit",
        default=(),
        max_length=MAX_RUNGS,
        example=[{"rate": 0.05, "portion": 0.5}, {"rate": 0.1}],
        default_meaning="none",
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
    atr: AtrDistances = field(default_factory=AtrDistances)
    trailing_start_rate: float | None = parameter(
        name="trailing_start",
        meaning="Gain from which the trailing stop follows the price; before it only the stop loss holds; needs "
        "trailingStop or trailingStopAtr",
        default=None,
        unit="fraction of the entry price",
        bounds=Bounds(minimum=0, maximum=MAX_TAKE_PROFIT, is_minimum_open=True),
        default_meaning="the trailing stop follows from the entry on",
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
    order: ExitOrder = field(default_factory=ExitOrder)
    cooldown_bars: int = parameter(
        name="cooldown_bars",
        meaning="Bars, from that of a stop or a liquidation on, whose signals open nothing",
        default=0,
        unit="bars",
        bounds=Bounds(minimum=0, maximum=MAX_COUNT),
        is_event_driven_only=True,
    )

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.take_profit_rate is not None and self.take_profits:
            raise both_given("takeProfit", "takeProfits")
        if self.atr.take_profit is not None and self.take_profits:
            raise both_given("takeProfitAtr", "takeProfits")
        check_targets(self.take_profits, field="takeProfits")
        if self.order.type is ExitType.LIMIT and self.take_profits:
            raise InvalidInput(
                "{field} is LIMIT, and {@takeProfits} is given. Allowed: MARKET, or {@takeProfit}.", field="exit"
            )
        if self.order.type is ExitType.LIMIT and not self.on_signal:
            raise InvalidInput(
                "{field} is LIMIT, and {@exitOnSignal} is false, so that no signal closes a position. Allowed: MARKET.",
                field="exit",
            )
        for name in ("stop_loss", "take_profit", "trailing_stop"):
            if getattr(self, f"{name}_rate") is not None and getattr(self.atr, name) is not None:
                raise both_given(*(field_name(f"{name}{kind}") for kind in ("", "_atr")))
        if self.trailing_start_rate is not None and not self.trails:
            raise InvalidInput(
                "{field} is {got}. Allowed only together with {@trailingStop} or {@trailingStopAtr}.",
                field="trailingStart", got=self.trailing_start_rate,
            )  # fmt: skip

    @property
    def first_stop_rate(self) -> float | None:
        """The distance of the nearest stop from the entry price when a position opens, a fraction; None without one."""
        return self._nearest(self.stop_loss_rate, self.trailing_stop_rate)

    @property
    def first_stop_atr(self) -> float | None:
        """The same of the stops whose distance is in ATR."""
        return self._nearest(self.atr.stop_loss, self.atr.trailing_stop)

    @property
    def trails(self) -> bool:
        """Whether a stop follows the best price."""
        return not (self.trailing_stop_rate is self.atr.trailing_stop is None)

    def _nearest(self, fixed: float | None, trailing: float | None) -> float | None:
        trails_at_once = self.trailing_start_rate is None
        return min((stop for stop in (fixed, trailing if trails_at_once else None) if stop is not None), default=None)


MAX_LEVERAGE: Final = 125.0
"""The largest that Binance offers for any perpetual future."""


class NumberRule(NamedTuple):
    """A rule between numbers that depends on their sizes, not only on which of them are given or are 0.

    `paths` are the fields from `TradingRules` to them. `forbids` takes their values in this order, numbers or arrays of
    the same shape, NaN if not given, and returns whether they contradict each other. A sweep calls it on whole columns.
    """

    paths: tuple[tuple[str, ...], ...]
    forbids: Callable[..., Any]


def is_liquidated_at_once(leverage: Any, maintenance_rate: Any) -> Any:
    """Return whether an entry's margin is at most what it must keep; elementwise on arrays."""
    return (leverage > 1) & (maintenance_rate * leverage >= 1)


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
        if is_liquidated_at_once(self.leverage, self.maintenance_rate):
            raise InvalidInput(
                "{field} is {got}. Allowed: less than 1 ÷ {@leverage} ({most:.6g}), or each entry would be liquidated "
                "at once.",
                field="maintenanceMargin", got=self.maintenance_rate, most=1 / self.leverage,
            )  # fmt: skip

    @property
    def liquidation_distance(self) -> float | None:
        """The fraction of its entry price by which a long can fall before it is liquidated; None without leverage.

        Fees, funding and slippage bring the level nearer, and a short's is (1 − m) ÷ (1 + m) times as far.
        """
        if self.leverage <= 1:
            return None
        return (1 / self.leverage - self.maintenance_rate) / (1 - self.maintenance_rate)


NUMBER_RULES: Final = (
    NumberRule(paths=(("margin", "leverage"), ("margin", "maintenance_rate")), forbids=is_liquidated_at_once),
    NumberRule(
        paths=(("slippage_rate",), ("volume", "impact"), ("volume", "max_share")),
        forbids=leaves_no_price,
    ),
)
"""All rules of this kind. Every other rule depends only on a member of a closed list, or on whether a number is given
or is 0: `tests/unit/sweeps/test_rule_combinations.py` checks that."""
