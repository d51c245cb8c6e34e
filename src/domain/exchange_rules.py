"""An exchange's rules for orders: steps of quantity and price, and the smallest order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from src.domain.order_rules import MAX_AMOUNT, MIN_CASH
from src.domain.parameters import Bounds, check_parameters, parameter

MIN_STEP: Final = 1e-12
"""No market has a smaller step or tick: the smallest of Binance is 1e-8."""


class Filters(StrEnum):
    """Where the steps and the smallest value come from."""

    NONE = "NONE"
    """Those that the request gives."""
    EXCHANGE = "EXCHANGE"
    """Those of the exchange at the time of the run, where the request gives none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRules:
    """The filters of a market; without a field, any number is allowed.

    They hold for what the account orders. Liquidations are the exchange's own orders, and exits are never refused.
    """

    filters: Filters = parameter(
        name="filters",
        meaning="Which of tickSize, stepSize and minNotional hold: NONE those that are given, EXCHANGE also the "
        "exchange's own for the symbol at the time of the run, in place of those that are not given",
        default=Filters.NONE,
        is_event_driven_only=True,
    )
    tick_size: float | None = parameter(
        name="tick_size",
        meaning="Step of prices: the levels of entries, stops and targets are rounded to it, each to the side that is "
        "harder to reach",
        default=None,
        unit="quote currency",
        bounds=Bounds(minimum=MIN_STEP, maximum=MAX_AMOUNT),
        is_event_driven_only=True,
    )
    step_size: float | None = parameter(
        name="step_size",
        meaning="Step of quantities: that of an entry is rounded down to it; an entry of less than one step is dropped",
        default=None,
        unit="units of the base asset",
        bounds=Bounds(minimum=MIN_STEP, maximum=MAX_AMOUNT),
        is_event_driven_only=True,
    )
    min_notional: float | None = parameter(
        name="min_notional",
        meaning="Smallest value of an entry, its price × quantity; an entry of less is dropped",
        default=None,
        unit="quote currency",
        bounds=Bounds(minimum=MIN_CASH, maximum=MAX_AMOUNT),
        is_event_driven_only=True,
    )

    def __post_init__(self) -> None:
        check_parameters(self)

    def with_filters_of(self, market: ExchangeRules) -> ExchangeRules:
        """Return these rules with those of the market in place of the ones that are not given."""
        return replace(
            self,
            tick_size=market.tick_size if self.tick_size is None else self.tick_size,
            step_size=market.step_size if self.step_size is None else self.step_size,
            min_notional=market.min_notional if self.min_notional is None else self.min_notional,
        )

    def pinned(self) -> ExchangeRules:
        """Return these rules with the numbers that were read as if the request gave them: nothing is read again."""
        return replace(self, filters=Filters.NONE)

    @property
    def limits_amounts(self) -> bool:
        """Whether orders depend on the amount of cash, and not only on its share."""
        return self.step_size is not None or self.min_notional is not None
