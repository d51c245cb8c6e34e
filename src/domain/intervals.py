"""The exchange's kline intervals: their names, lengths, and how many bars fit between two times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.errors import bad_value

DAY_MS: Final = 86_400_000
YEAR_MS: Final = 365 * DAY_MS
"""Crypto trades on every day of the year (the contract's and vectorbt's convention)."""

DEFAULT_INTERVAL: Final = "1d"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A kline interval of the exchange.

    `milliseconds` is the bar's length; a month counts as a twelfth of 365 days.
    """

    name: str
    milliseconds: int

    @property
    def bars_per_year(self) -> float:
        return YEAR_MS / self.milliseconds

    @property
    def is_calendar_month(self) -> bool:
        return self.name == "1M"

    def most_bars(self, start_ms: int, end_ms: int) -> int:
        """Return the most bars of this interval that can open from `start_ms` to `end_ms`, both included."""
        if end_ms < start_ms:
            return 0
        if self.is_calendar_month:
            first, last = (_EPOCH + timedelta(milliseconds=time) for time in (start_ms, end_ms))
            return 12 * (last.year - first.year) + last.month - first.month + 1
        return (end_ms - start_ms) // self.milliseconds + 1

    def count_slots(self, first_open_ms: int, last_open_ms: int) -> int:
        """Return how many bars open from the first to the last of these times if none is missing."""
        # Half a bar more, so that an open slightly early still counts.
        return self.most_bars(first_open_ms, last_open_ms + self.milliseconds // 2)

    def next_open_ms(self, open_ms: int) -> int:
        """Return when the bar that opens at `open_ms` closes and the next one opens."""
        if self.is_calendar_month:
            month = np.datetime64(open_ms, "ms").astype("datetime64[M]")
            return int((month + 1).astype("datetime64[ms]").astype(np.int64))
        return open_ms + self.milliseconds

    def next_opens_ms(self, opens_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """Do the same as `next_open_ms` for open times [n]."""
        if self.is_calendar_month:
            months = opens_ms.astype("datetime64[ms]").astype("datetime64[M]")
            return (months + 1).astype("datetime64[ms]").astype(np.int64)
        return opens_ms + self.milliseconds

    @staticmethod
    def named(name: str, *, field: str = "interval") -> Interval:
        """Return the interval of a case-sensitive name (`1m` is a minute, `1M` a month); raises InvalidInput."""
        if name not in INTERVALS:
            raise bad_value(field, got=name, allowed=INTERVALS)
        return INTERVALS[name]


def _intervals() -> Mapping[str, Interval]:
    second = 1_000
    minute, hour = 60 * second, 3_600 * second
    lengths = {
        "1s": second, "1m": minute, "3m": 3 * minute, "5m": 5 * minute, "15m": 15 * minute, "30m": 30 * minute,
        "1h": hour, "2h": 2 * hour, "4h": 4 * hour, "6h": 6 * hour, "8h": 8 * hour, "12h": 12 * hour,
        "1d": DAY_MS, "3d": 3 * DAY_MS, "1w": 7 * DAY_MS, "1M": YEAR_MS // 12,
    }  # fmt: skip
    return MappingProxyType({name: Interval(name=name, milliseconds=length) for name, length in lengths.items()})


INTERVALS: Final[Mapping[str, Interval]] = _intervals()


def intervals_inside(interval: Interval) -> Sequence[Interval]:
    """Return the intervals whose bars fill a bar of this one exactly, the coarsest first.

    Bars longer than a day begin and end at midnight, so anything that divides a day fills them.
    """
    whole_ms = min(interval.milliseconds, DAY_MS)
    return [
        finer
        for finer in sorted(INTERVALS.values(), key=lambda one: -one.milliseconds)
        if finer.milliseconds < interval.milliseconds and whole_ms % finer.milliseconds == 0
    ]
