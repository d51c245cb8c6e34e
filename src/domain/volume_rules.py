"""How the volume of a bar limits entries, and how orders in the bar move the price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from src.domain.parameters import Bounds, check_parameters, parameter

MAX_IMPACT: Final = 1e6
"""With this impact, an order of 0.1 % of the volume already slips by the whole price."""

MIN_SHARE: Final = 1e-6


def leaves_no_price(slippage_rate: Any, impact: Any, max_share: Any) -> Any:
    """Return whether the largest impact leaves a sale no price; elementwise on arrays, NaN for a share not given."""
    limit = np.where(np.isnan(max_share), 1.0, max_share)
    return (impact > 0) & (slippage_rate + impact * limit**2 >= 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRules:
    """What the volume V of the bar of a fill does to q units: LEAN's `VolumeShareSlippageModel`, without noise.

    The price of market and stop orders slips by impact × min(q ÷ V, limit)² more. The limit is `max_share`, or 1
    without it, and holds for a bar without volume. Entries are cut to `max_share` × V; exits are not.
    """

    impact: float = parameter(
        name="volume_impact",
        meaning="Impact i on the price: market and stop orders slip by i × min(q ÷ V, limit)² more, for q units in a "
        "bar of volume V; the limit is maxVolumeShare, or 1 without it; slippage + i × limit² must be less than 1",
        default=0.0,
        unit="fraction of the price",
        bounds=Bounds(minimum=0, maximum=MAX_IMPACT),
        is_event_driven_only=True,
    )
    max_share: float | None = parameter(
        name="max_volume_share",
        meaning="Largest part of its bar's volume that an entry buys or sells: more is cut off and counted in "
        "reducedEntries, and an entry in a bar without volume is dropped",
        default=None,
        unit="fraction of the volume",
        bounds=Bounds(minimum=MIN_SHARE, maximum=1),
        default_meaning="entries are not cut",
        is_event_driven_only=True,
    )

    def __post_init__(self) -> None:
        check_parameters(self)

    @property
    def limit(self) -> float:
        """The share of the volume above which the price moves no further."""
        return 1.0 if self.max_share is None else self.max_share

    @property
    def is_used(self) -> bool:
        """Whether the volume changes any fill."""
        return self.impact > 0 or self.max_share is not None
