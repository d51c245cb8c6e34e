"""How a signal closes a position."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from src.domain.errors import InvalidInput
from src.domain.parameters import FRACTION, check_parameters, parameter


class ExitType(StrEnum):
    """How a signal closes a position."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    """With an order that rests until the price reaches it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitOrder:
    """The order with which a signal closes a position: at the market, or a limit in favor of the position.

    A limit rests until it fills or the position closes otherwise. A signal in the position's own direction cancels it,
    a later one that closes places it anew.
    """

    type: ExitType = parameter(
        name="exit",
        meaning="How a signal closes a position: MARKET or LIMIT; with LIMIT a signal that would reverse it only "
        "closes it",
        default=ExitType.MARKET,
        is_event_driven_only=True,
    )
    offset_rate: float = parameter(
        name="exit_offset",
        meaning="How far from the signal's close, in favor of the position, a LIMIT exit waits",
        default=0.0,
        unit="fraction of that close",
        bounds=FRACTION,
        is_event_driven_only=True,
    )

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.type is ExitType.MARKET and self.offset_rate:
            raise InvalidInput("{field} is {got}. A MARKET exit allows none.", field="exitOffset", got=self.offset_rate)
