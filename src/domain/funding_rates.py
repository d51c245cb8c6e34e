"""The rates of funding that a market really had: an uploaded history, or that of the exchange."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MINUTE_MS = 60_000


class FundingRates(NamedTuple):
    """Rates [m], fractions, and the times at which they are paid, UTC ms, ascending.

    `fingerprint` is equal for equal times and rates only.
    """

    time_ms: NDArray[np.int64]
    rate: NDArray[np.float64]
    fingerprint: str


def build_rates(time_ms: NDArray[np.int64], rate: NDArray[np.float64]) -> FundingRates:
    """Return rates [m] with their fingerprint; times are ascending, UTC ms."""
    digest = hashlib.sha256(f"funding\n{len(time_ms)}\n".encode())
    for column in (time_ms.astype("<i8"), rate.astype("<f8")):
        digest.update(np.ascontiguousarray(column).data)
    return FundingRates(time_ms=time_ms, rate=rate, fingerprint=digest.hexdigest())


def rates_between(rates: FundingRates, first_ms: int, end_ms: int) -> FundingRates:
    """Return the rates that are paid from `first_ms` to before `end_ms`."""
    first, stop = np.searchsorted(rates.time_ms, [first_ms, end_ms])
    return build_rates(rates.time_ms[first:stop], rates.rate[first:stop])
