"""Rules with several rungs: exits in parts, and entries that add to a position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from src.domain.errors import InvalidInput, bad_value, inside
from src.domain.parameters import MAX_COUNT, Bounds, check_parameters, parameter

MAX_RUNGS: Final = 16

MAX_TAKE_PROFIT: Final = 1e12
"""A fraction of the entry price. Without a bound, a level could overflow."""

MAX_SIZE: Final = 1000.0
"""Multiples of the first entry; more is probably meant as units."""

_ROUNDING: Final = 1e-9
"""By how much ten tenths may be more than the whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeProfit:
    """A target that closes a part of the position.

    While the position is between one `after_bars` and the next higher one of its ladder, only the targets with the
    lower one are in force: several with one `after_bars` exit in parts, one for each `after_bars` is a target that
    moves with the position's age.
    """

    rate: float = parameter(
        name="rate",
        meaning="Gain at which a part is closed; from -1 (at any price) to 0 only with afterBars",
        unit="fraction of the mean entry price",
        bounds=Bounds(minimum=-1, maximum=MAX_TAKE_PROFIT),
    )
    portion: float | None = parameter(
        name="portion",
        meaning="Part that is closed, of all units that the position has been given so far",
        default=None,
        unit="fraction",
        bounds=Bounds(minimum=0, maximum=1, is_minimum_open=True),
        default_meaning="all that is left",
    )
    after_bars: int = parameter(
        name="after_bars",
        meaning="Age of the position from which the target is in force, in place of those with a lower age",
        default=0,
        unit="bars",
        bounds=Bounds(minimum=0, maximum=MAX_COUNT),
    )

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.rate <= 0 and self.after_bars == 0:
            raise InvalidInput(
                "{field} is {got}, and would close a position as it opens. Allowed: more than 0, or {@afterBars} of at "
                "least 1.",
                field="rate", got=self.rate,
            )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class AddEntry:
    """An order that adds to a position when the price has moved from its mean entry price."""

    move: float = parameter(
        name="move",
        meaning="Move at which it adds: below 0 a limit order against the position, above 0 a stop order in its favor; "
        "not 0",
        unit="fraction of the mean entry price",
        bounds=Bounds(minimum=-1, maximum=MAX_TAKE_PROFIT, is_minimum_open=True),
    )
    size: float = parameter(
        name="size",
        meaning="Units that it adds, as a multiple of those of the first entry",
        default=1.0,
        unit="ratio",
        bounds=Bounds(minimum=0, maximum=MAX_SIZE, is_minimum_open=True),
    )

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.move == 0:
            raise bad_value("move", got=self.move, allowed="a number below or above 0")


def check_targets(targets: Sequence[TakeProfit], *, field: str) -> None:
    """Raise InvalidInput if targets of one age close more than the whole, or have one rate."""
    for number, target in enumerate(targets):
        before = [other for other in targets[:number] if other.after_bars == target.after_bars]
        if any(other.rate == target.rate for other in before):
            with inside(f"{field}[{number}]"):
                raise InvalidInput(
                    "{field} is {got}, as that of another rung with the same {@afterBars}. Allowed: one rung for each "
                    "rate and age.",
                    field="rate", got=target.rate,
                )  # fmt: skip
        total = sum(other.portion or 0.0 for other in (*before, target))
        if total > 1 + _ROUNDING:
            with inside(f"{field}[{number}]"):
                raise InvalidInput(
                    "{field} is {got}, which makes {total:.6g} of the position with the rungs before it. Allowed: at "
                    "most 1 for each {@afterBars}.",
                    field="portion", got=target.portion, total=total,
                )  # fmt: skip
