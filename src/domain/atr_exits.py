"""Distances of exits in average true ranges: the room that a position gives the price grows with its moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from src.domain.parameters import Bounds, check_parameters, parameter

MAX_MULTIPLE: Final = 10_000.0
MAX_ATR_BARS: Final = 5_000
"""The longest average of any indicator."""

_MULTIPLES: Final = Bounds(minimum=0, maximum=MAX_MULTIPLE, is_minimum_open=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtrDistances:
    """Exits whose distance is a multiple of the ATR (Wilder's average true range) at the bar of the entry's signal.

    The distance is fixed with the signal. Signals of bars without an ATR open nothing: of the first `bars` bars, and of
    those after which the price has not moved at all.
    """

    stop_loss: float | None = parameter(
        name="stop_loss_atr",
        meaning="Loss at which the position is closed; not together with stopLoss",
        default=None,
        unit="ATR of the signal's bar",
        bounds=_MULTIPLES,
        is_event_driven_only=True,
    )
    take_profit: float | None = parameter(
        name="take_profit_atr",
        meaning="Gain at which the position is closed; not together with takeProfit",
        default=None,
        unit="ATR of the signal's bar",
        bounds=_MULTIPLES,
        is_event_driven_only=True,
    )
    trailing_stop: float | None = parameter(
        name="trailing_stop_atr",
        meaning="Retreat from the best price since entry at which the position is closed; not together with "
        "trailingStop",
        default=None,
        unit="ATR of the signal's bar",
        bounds=_MULTIPLES,
        is_event_driven_only=True,
    )
    bars: int = parameter(
        name="atr_bars",
        meaning="Length of the ATR that distances are counted in: Wilder's mean of so many true ranges",
        default=14,
        unit="bars",
        bounds=Bounds(minimum=1, maximum=MAX_ATR_BARS),
        is_event_driven_only=True,
    )

    def __post_init__(self) -> None:
        check_parameters(self)

    @property
    def is_used(self) -> bool:
        """Whether an exit has such a distance."""
        return not (self.stop_loss is self.take_profit is self.trailing_stop is None)
