"""The rules of funding: the payments of a position in a perpetual future every eight hours."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from src.domain.error_text import Template
from src.domain.errors import InvalidInput
from src.domain.funding_rates import FundingRates
from src.domain.parameters import Bounds, check_parameters, parameter

FUNDING_MS: Final = 8 * 3_600_000
"""Funding is paid at 00:00, 08:00 and 16:00 UTC (Binance, "Introduction to Funding Rates")."""

MAX_FUNDING_RATE: Final = 0.03
"""The largest cap of a rate that Binance sets for any perpetual future; 0.0001 is the usual rate."""

OTHER_FUNDING: Final = Template(
    "For a backtest of one symbol, upload a file of rates and name it in {@fundingHistory}. Any backtest can pay a "
    "constant rate: {@funding} CONSTANT with {@fundingRate}.",
    {},
)
"""What to do if the exchange's rates cannot be read."""


class FundingKind(StrEnum):
    """Where the rates of funding come from."""

    NONE = "NONE"
    """No funding is paid, as on a spot market."""
    CONSTANT = "CONSTANT"
    """One rate at each mark."""
    HISTORY = "HISTORY"
    """The rates of an uploaded history, or of the exchange, each at its own time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Funding:
    """What an open position pays at 00:00, 08:00 and 16:00 UTC: rate × value; shorts get what longs pay."""

    kind: FundingKind = parameter(
        name="funding",
        meaning="What an open position pays at 00:00, 08:00 and 16:00 UTC: NONE nothing, CONSTANT fundingRate of its "
        "value, HISTORY the rates of fundingHistory, or without it those of the exchange's perpetual future, at their "
        "times",
        default=FundingKind.NONE,
        is_event_driven_only=True,
    )
    rate: float | None = parameter(
        name="funding_rate",
        meaning="What a long pays, and a short gets, at each mark; negative: the other way round; with CONSTANT only",
        default=None,
        unit="fraction of the position's value",
        bounds=Bounds(minimum=-MAX_FUNDING_RATE, maximum=MAX_FUNDING_RATE),
        is_event_driven_only=True,
    )

    history: str | None = parameter(
        name="funding_history",
        meaning="The user's dataset of rates that are paid; with HISTORY only",
        default=None,
        default_meaning="with HISTORY the exchange's rates of the symbol",
        is_event_driven_only=True,
        read=lambda text, _: text.lower(),
    )
    rates: FundingRates | None = field(default=None, init=False, compare=False, repr=False)
    """The rates of the history once they were read (`with_rates`); not part of a stored request."""

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.kind is FundingKind.CONSTANT and self.rate is None:
            raise InvalidInput("{field} is required with {@funding} {kind}.", field="fundingRate", kind=self.kind.value)
        for kind, name, value in (
            (FundingKind.CONSTANT, "fundingRate", self.rate),
            (FundingKind.HISTORY, "fundingHistory", self.history),
        ):
            if self.kind is not kind and value is not None:
                raise InvalidInput(
                    "{field} is {got!r}, and {@funding} is {kind}. Only {allowed} allows one.",
                    field=name, got=value, kind=self.kind.value, allowed=kind.value,
                )  # fmt: skip

    def with_rates(self, rates: FundingRates) -> Funding:
        """Return the same with the rates of its history."""
        known = replace(self)
        object.__setattr__(known, "rates", rates)
        return known

    @property
    def reads_exchange(self) -> bool:
        """Whether the rates are those of the exchange."""
        return self.kind is FundingKind.HISTORY and self.history is None

    @property
    def known_rates(self) -> FundingRates:
        """The rates of the history; ValueError if they were not read."""
        if self.rates is None:
            source = "the exchange" if self.history is None else repr(self.history)
            raise ValueError(f"the rates of {source} were not read")
        return self.rates

    @property
    def fingerprint(self) -> str | None:
        """That of the rates of the history; None without one."""
        return None if self.kind is not FundingKind.HISTORY else self.known_rates.fingerprint

    @property
    def rate_of_marks(self) -> float:
        """The rate of each mark; 1 if a history has a rate for each, and 0 without funding."""
        return 1.0 if self.kind is FundingKind.HISTORY else self.rate or 0.0

    @property
    def is_paid(self) -> bool:
        """Whether any payment is possible."""
        return self.rate_of_marks != 0
