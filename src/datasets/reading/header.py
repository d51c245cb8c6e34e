"""Find the columns of a file by their usual names, or by position in the exchange's own files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from src.datasets.reading.table import NUMBER_ROLES, RATE, BarFileRejected
from src.domain.error_text import quote_all

KLINE_COLUMNS: Final = 12
_KLINE_POSITIONS: Final = {"time": 0, "open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "close_time": 6}
"""The positions of the columns in the exchange's files, which have no header."""

_DATE: Final = "date"
_CLOCK: Final = "time"
_TELLING_TIME_NAMES: Final = (
    "opentime", "opendate", "fundingtime", "calctime", "timestamp", "datetime", "unix", "unixtime", "unixtimestamp",
)  # fmt: skip
_TIME_NAMES: Final = (*_TELLING_TIME_NAMES, _DATE, _CLOCK, "ts", "index", "unnamed0", "indexlevel0", "")
"""From the clearest name to the least clear; pandas gives the last ones to an index without a name."""
_REPEATING_NAMES: Final = (*_TELLING_TIME_NAMES, _DATE)
"""Further columns of the time beside the clearest one, with which they must agree."""
_SYMBOL_NAMES: Final = ("symbol", "ticker")
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "open": ("open", "openprice", "o"),
    "high": ("high", "highprice", "h"),
    "low": ("low", "lowprice", "l"),
    "close": ("close", "closeprice", "c"),
    "volume": ("volume", "vol", "basevolume", "v"),
    "close_time": ("closetime", "closedate"),
    RATE: ("fundingrate", "lastfundingrate", "rate"),
}
"""The exchange's files of funding have `calc_time` and `last_funding_rate`, its endpoint `fundingTime` and
`fundingRate`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeColumn:
    """A column of times; `clock` is the position of the time of day if the column itself has dates only."""

    name: str
    position: int
    clock: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The positions of a file's columns.

    `times` has `time`, and `close_time` if there is one; `numbers` each of `NUMBER_ROLES`, or `RATE` alone; `again`
    further columns of the time; `symbol` the column that names the symbol in each row.
    """

    names: Sequence[str]
    times: Mapping[str, TimeColumn]
    numbers: Mapping[str, int]
    again: Sequence[TimeColumn] = ()
    symbol: int | None = None


def kline_layout() -> Layout:
    """Return the layout of the exchange's own files."""
    names = [""] * KLINE_COLUMNS
    for role, position in _KLINE_POSITIONS.items():
        names[position] = role
    return Layout(
        names=names,
        times={role: TimeColumn(name=role, position=_KLINE_POSITIONS[role]) for role in ("time", "close_time")},
        numbers={role: _KLINE_POSITIONS[role] for role in NUMBER_ROLES},
    )


def find_layout(header: Sequence[str], *, symbol: str) -> Layout:
    """Find the columns to read; if there are two volumes, take the one in the traded asset of `symbol`.

    A file that has a rate and none of a bar's prices is a file of funding rates.

    Raises BarFileRejected if a column is missing or ambiguous.
    """
    folded = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in header]
    numbers: dict[str, int] = {}
    for role in NUMBER_ROLES:
        position = _first_of(header, folded, _NAMES[role], role)
        if position is None and role == "volume":
            position = _base_volume(header, folded, symbol)
        if position is not None:
            numbers[role] = position
    missing = [role for role in NUMBER_ROLES if role not in numbers]
    time, *again = _time_columns(header, folded)
    rate = _first_of(header, folded, _NAMES[RATE], "the rate")
    if rate is not None and numbers.keys() <= {"volume"}:
        named = _first_of(header, folded, _SYMBOL_NAMES, "the symbol")
        return Layout(names=header, times={"time": time}, numbers={RATE: rate}, again=again, symbol=named)
    if missing:
        raise BarFileRejected(
            "The header names no column for {missing}. It has {header}. Allowed: Date, Open, High, Low, Close, Volume, "
            "or the exchange's twelve columns; or Date and Rate, of funding.",
            missing=tuple(missing),
            header=quote_all(header),
        )
    times = {"time": time}
    close_time = _first_of(header, folded, _NAMES["close_time"], "close_time")
    if close_time is not None:
        times["close_time"] = TimeColumn(name=header[close_time], position=close_time)
    return Layout(
        names=header,
        times=times,
        numbers=numbers,
        again=again,
        symbol=_first_of(header, folded, _SYMBOL_NAMES, "the symbol"),
    )


def _time_columns(header: Sequence[str], folded: Sequence[str]) -> list[TimeColumn]:
    """Return the column of the time, and then further columns of it."""
    positions = {name: _first_of(header, folded, (name,), "the time") for name in _TIME_NAMES if name in folded}
    found = [(name, position) for name, position in positions.items() if position is not None]
    if not found:
        raise BarFileRejected(
            "The header names no column for the time (Date, timestamp, open_time). It has {header}.",
            header=quote_all(header),
        )
    clock = positions.get(_CLOCK)
    return [
        TimeColumn(name=header[position], position=position, clock=clock if name == _DATE else None)
        for place, (name, position) in enumerate(found)
        if place == 0 or name in _REPEATING_NAMES
    ]


def _base_volume(header: Sequence[str], folded: Sequence[str], symbol: str) -> int | None:
    """Return the position of the volume in the traded asset, of columns such as `Volume BTC` and `Volume USDT`."""
    assets = {name.removeprefix("volume"): place for place, name in enumerate(folded) if name.startswith("volume")}
    pair = symbol.lower()
    base = [asset for asset in assets if asset and pair.startswith(asset)]
    if len(base) > 1:
        base = [asset for asset in base if pair.removeprefix(asset) in assets]
    if len(base) == 1 and base[0] != pair:
        return assets[base[0]]
    if assets:
        raise BarFileRejected(
            "None of the volumes {volumes} is surely counted in the traded asset of {symbol}. Name that one Volume.",
            volumes=quote_all(header[place] for place in assets.values()),
            symbol=symbol,
        )
    return None


def _first_of(header: Sequence[str], folded: Sequence[str], names: Sequence[str], role: str) -> int | None:
    for name in names:
        count = folded.count(name)
        if count > 1:
            twice = [header[index] for index, other in enumerate(folded) if other == name]
            raise BarFileRejected(
                "The header has more than one column for {role}: {names}.", role=role, names=quote_all(twice)
            )
        if count:
            return folded.index(name)
    return None
