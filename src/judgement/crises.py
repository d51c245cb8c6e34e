"""List the crises of crypto markets, and find those that a range of bars does not contain."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from src.domain.bars import Bars


class Crisis(NamedTuple):
    """A fall of the whole market, and its first and last day (UTC)."""

    name: str
    first_day: str
    last_day: str


CRISES: Final = (
    Crisis("bear market of 2018", "2018-01-07", "2018-12-15"),
    Crisis("COVID crash", "2020-03-08", "2020-03-12"),
    Crisis("China's mining ban", "2021-05-12", "2021-05-19"),
    Crisis("collapse of LUNA", "2022-05-05", "2022-05-12"),
    Crisis("collapse of Celsius", "2022-06-07", "2022-06-18"),
    Crisis("collapse of FTX", "2022-11-06", "2022-11-09"),
)
"""Falls of BTCUSDT by 25 % to 81 %, from the close before the first day to that of the last (daily, Binance)."""


_SPANS_MS: Final = tuple(
    tuple(int(day.astype("datetime64[ms]").astype(np.int64)) for day in (np.datetime64(first), np.datetime64(last) + 1))
    for _, first, last in CRISES
)
"""The first millisecond of each crisis, and the first after it."""


def find_missing_crises(bars: Bars) -> tuple[str, ...]:
    """Return the crises that the bars do not cover completely, as text, oldest first."""
    start, end = int(bars.open_time_ms[0]), bars.interval.next_open_ms(int(bars.open_time_ms[-1]))
    return tuple(
        f"{crisis.name} ({crisis.first_day} to {crisis.last_day})"
        for crisis, (first, after) in zip(CRISES, _SPANS_MS, strict=True)
        if not (start <= first and after <= end)
    )
