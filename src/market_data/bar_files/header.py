"""Which column is what: by the usual names, or by position in the exchange's own files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from src.market_data.bar_files.table import NUMBER_ROLES, BarFileRejected, listed

KLINE_COLUMNS: Final = 12
KLINE_POSITIONS: Final[Mapping[str, int]] = {
    "time": 0, "open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "close_time": 6,
}  # fmt: skip
"""Where the exchange's files, which have no header, keep what is read here."""

_TIME_NAMES: Final = ("opentime", "opendate", "timestamp", "datetime", "unix", "unixtime", "unixtimestamp", "date",
                      "time", "ts", "index", "unnamed0", "indexlevel0", "")  # fmt: skip
"""From the most telling to the least; the last ones are what pandas makes of an index without a name."""
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "open": ("open", "openprice", "o"),
    "high": ("high", "highprice", "h"),
    "low": ("low", "lowprice", "l"),
    "close": ("close", "closeprice", "c"),
    "volume": ("volume", "vol", "basevolume", "v"),
    "close_time": ("closetime", "closedate"),
}


def find_columns(header: Sequence[str]) -> dict[str, int]:
    """Return the position of each column that is read, `close_time` only where there is one.

    Raises
    ------
    BarFileRejected
        Where one is missing, or two could be meant.
    """
    folded = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in header]
    found = {"time": _time_column(header, folded)}
    for role, names in _NAMES.items():
        position = _first_of(header, folded, names, role)
        if position is not None:
            found[role] = position
    missing = [role for role in NUMBER_ROLES if role not in found]
    if missing:
        raise BarFileRejected(
            f"the header names no column for {', '.join(missing)}; it has {listed(header)}. Wanted: Date, Open, High, "
            "Low, Close, Volume, or the exchange's twelve columns"
        )
    return found


def _time_column(header: Sequence[str], folded: Sequence[str]) -> int:
    if "date" in folded and "time" in folded and not set(folded) & set(_TIME_NAMES[:7]):
        raise BarFileRejected("the header has a column for the date and one for the time; write both as one, ISO 8601")
    position = _first_of(header, folded, _TIME_NAMES, "the time")
    if position is None:
        raise BarFileRejected(
            f"the header names no column for the time (Date, timestamp, open_time); it has {listed(header)}"
        )
    return position


def _first_of(header: Sequence[str], folded: Sequence[str], names: Sequence[str], role: str) -> int | None:
    for name in names:
        count = folded.count(name)
        if count > 1:
            twice = [header[index] for index, other in enumerate(folded) if other == name]
            raise BarFileRejected(f"the header has more than one column for {role}: {listed(twice)}")
        if count:
            return folded.index(name)
    return None
