"""Check a request's `period` (a pandas offset) against the interval, and warn if the bars cover too short a time."""

from __future__ import annotations

import re
import warnings
from typing import cast

from src.domain.annualization import MIN_ELAPSED_MS
from src.domain.bars import Bars
from src.domain.errors import bad_value
from src.domain.intervals import DAY_MS, INTERVALS, YEAR_MS, Interval

_ALLOWED = 'a pandas offset such as "1min", "4h", "1D", "1W", or an interval of the exchange'

_MONTHS = ("M", "1M", "ME", "1ME", "MS", "1MS")

_UNITS_MS = {"s": 1_000, "min": 60_000, "h": 3_600_000, "D": DAY_MS, "W": 7 * DAY_MS}
_COUNT_AND_UNIT = re.compile(rf"(\d{{0,9}})({'|'.join(_UNITS_MS)})")

_RETIRED_SPELLINGS = {"H": "h", "T": "min", "S": "s"}
"""Units that pandas 3 no longer reads and older clients still send."""


def parse_period_ms(period: str) -> int:
    """Return the bar length that a period names, in milliseconds.

    Raises InvalidInput if it is neither a pandas offset of a fixed length nor an interval of the exchange.
    """
    text = period.strip()
    if text in INTERVALS:
        return INTERVALS[text].milliseconds
    if text in _MONTHS:
        return YEAR_MS // 12
    for retired, spelling in _RETIRED_SPELLINGS.items():
        text = re.sub(rf"^(\d*){retired}$", rf"\1{spelling}", text)
    usual = _COUNT_AND_UNIT.fullmatch(text)
    try:
        length_ms = int(usual[1] or 1) * _UNITS_MS[usual[2]] if usual else _parse_pandas_ms(text)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise bad_value("period", got=period, allowed=_ALLOWED) from error
    if not 1 <= length_ms <= YEAR_MS:
        raise bad_value("period", got=period, allowed=_ALLOWED)
    return int(length_ms)


def _parse_pandas_ms(text: str) -> float:
    """Parse with pandas, which is imported only here: the usual spellings do not need it, and it takes 0.3 s."""
    import pandas as pd  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated spellings are still allowed
        offset = pd.tseries.frequencies.to_offset(text)
    is_week = isinstance(offset, pd.offsets.Week)
    length = pd.Timedelta(days=7 * offset.n) if is_week else pd.Timedelta(cast("pd.tseries.offsets.Tick", offset))
    return length.total_seconds() * 1000


def period_warnings(period: str | None, interval: Interval) -> tuple[str, ...]:
    """Return a warning if `period` contradicts the interval of the bars."""
    if period is None or parse_period_ms(period) == interval.milliseconds:
        return ()
    return (f"period {period!r} contradicts the bars, which are {interval.name}: the bars' spacing is used.",)


def elapsed_time_warnings(bars: Bars) -> tuple[str, ...]:
    """Return a warning if the bars cover too short a time for yearly figures."""
    if bars.elapsed_ms >= MIN_ELAPSED_MS:
        return ()
    return (
        f"The bars cover {_format_duration(bars.elapsed_ms)}, less than {MIN_ELAPSED_MS // DAY_MS} days: "
        "cagr, calmar_ratio and alpha are null, because so short a time says nothing about a year.",
    )


def _format_duration(length_ms: int) -> str:
    """Format a duration of at least a second in its two largest units: `12 d`, `3 h 20 min`."""
    written = []
    for name, unit_ms in (("d", DAY_MS), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)):
        count, length_ms = divmod(length_ms, unit_ms)
        if count:
            written.append(f"{count} {name}")
    return " ".join(written[:2])
