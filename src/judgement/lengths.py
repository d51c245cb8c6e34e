"""Convert a computed number of bars to a count that clients can read."""

from __future__ import annotations

import math

from src.domain.parameters import MAX_COUNT


def whole_bars(bars: float) -> int | None:
    """Return a number of bars, rounded up; None if it is not finite or over `MAX_COUNT`, the largest Int of GraphQL.

    A ratio barely over 0 needs trillions of bars, which no market has.
    """
    return math.ceil(bars) if bars <= MAX_COUNT else None
