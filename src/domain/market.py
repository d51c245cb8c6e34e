"""Requests for bars, a source's response, and its listings, cached ranges and downloads in progress."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from src.domain.bar_quality import DataQuality
from src.domain.bars import Bars
from src.domain.errors import bad_pair
from src.domain.exchange_rules import ExchangeRules
from src.domain.instants import INSTANT_PATTERN, check_times, format_instant, parse_instant
from src.domain.intervals import DEFAULT_INTERVAL, INTERVALS, Interval
from src.domain.parameters import AT_LEAST_ONE, check_parameters, parameter
from src.domain.symbols import MAX_SYMBOL_TEXT_LENGTH, NOT_IN_SYMBOLS_PATTERN, SYMBOL_PATTERN, normalize_symbol

SIMULATED: Final = "simulated"
"""The name of the source that draws bars from a seed."""

DEFAULT_LIMIT: Final = 1000


class LimitOrigin(StrEnum):
    """Who set the `limit` of a request: the client, the service's default, or the range between two dates.

    MAXIMUM: the client asks for as many bars as the service allows, which means all that there are.
    """

    CLIENT = "client"
    MAXIMUM = "maximum"
    DEFAULT = "default"
    RANGE = "range"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRequest:
    """The bars that a request asks for.

    With `start_ms`, the first `limit` bars that open at or after it; without, the last `limit` that open at or before
    `end_ms` (or now). Both ends are included.

    With the limit origin RANGE, every bar between both dates: `limit` is the number that can open there, or the
    service's maximum if that is less. A source that has more bars rejects the request instead of cutting it.

    `source` names a `BarSource` of the service ("binance", "simulated", …) or a dataset, None the default source;
    `seed` is for simulated bars only.
    """

    symbol: str = parameter(
        name="symbol",
        meaning="Trading symbol as the exchange lists it, such as BTCUSDT; BTC/USDT and BTC-USDT name the same",
        pattern=SYMBOL_PATTERN,
        excluded_pattern=NOT_IN_SYMBOLS_PATTERN,
        example="BTCUSDT",
        max_length=MAX_SYMBOL_TEXT_LENGTH,
        read=lambda text, field: normalize_symbol(text, field=field),
    )
    interval: Interval = parameter(
        name="interval",
        meaning="Bar length: 1s 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w 1M",
        default=INTERVALS[DEFAULT_INTERVAL],
        choices=tuple(INTERVALS),
        read=lambda text, field: Interval.named(text, field=field),
        write=lambda interval: interval.name,
    )
    limit: int = parameter(
        name="limit",
        meaning="Maximum number of bars",
        default=DEFAULT_LIMIT,
        unit="count of bars",
        bounds=AT_LEAST_ONE,
        maximum_setting="MAX_BARS",
        default_meaning=f"every bar between both dates, else {DEFAULT_LIMIT}",
    )
    start_ms: int | None = parameter(
        name="start_date",
        meaning="First open time, included: YYYY-MM-DD or an ISO 8601 instant, UTC",
        default=None,
        pattern=INSTANT_PATTERN,
        read=lambda text, field: parse_instant(text, field=field),
        write=format_instant,
    )
    end_ms: int | None = parameter(
        name="end_date",
        meaning="Last open time, included: YYYY-MM-DD (the whole day) or an ISO 8601 instant, UTC",
        default=None,
        pattern=INSTANT_PATTERN,
        read=lambda text, field: parse_instant(text, field=field, is_end=True),
        write=format_instant,
    )
    source: str | None = parameter(
        name="source",
        meaning="Where the bars come from: binance, simulated, or the name of an uploaded dataset",
        default=None,
        default_meaning="the service's default source",
        example=SIMULATED,
        read=lambda text, _: text.lower(),
    )
    seed: int | None = parameter(
        name="seed",
        meaning="Seed of simulated bars: same seed, same bars; with the source simulated only",
        default=None,
    )
    limit_origin: LimitOrigin = LimitOrigin.CLIENT

    @property
    def is_whole_range(self) -> bool:
        return self.limit_origin is LimitOrigin.RANGE

    def __post_init__(self) -> None:
        check_parameters(self)
        check_times(start_ms=self.start_ms, end_ms=self.end_ms)
        if self.start_ms is not None and self.end_ms is not None and self.start_ms > self.end_ms:
            start, end = format_instant(self.start_ms), format_instant(self.end_ms)
            raise bad_pair("startDate", got=start, rule="at or before", other="endDate", value=end)
        if self.is_whole_range and (self.start_ms is None or self.end_ms is None):
            raise ValueError("a whole range has both dates")


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedMarket:
    """The longest stored range of a window: `start` ≤ bar number < `stop`, with up to `bars` bars.

    Known gaps of the exchange do not end a range; bars that were never requested do.
    """

    symbol: str
    interval: Interval
    start: int
    stop: int
    bars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A symbol that a source can fetch: the asset traded, the one that prices are in, and whether it trades now.

    `filters` are the exchange's rules for orders; None if the source is not an exchange.
    """

    symbol: str
    base: str
    quote: str
    is_trading: bool = True
    filters: ExchangeRules | None = None


_MADE_BARS: Final = re.compile(r" \(\w+ bars made from its \w+ bars\)$")


def origin_of_made(origin: str, interval: Interval, finer: Interval) -> str:
    """Return the origin of bars that were made from finer ones of a source."""
    return f"{origin} ({interval.name} bars made from its {finer.name} bars)"


def source_of(origin: str) -> str:
    """Return the source of bars, whether it sent them or they were made from its finer ones."""
    return _MADE_BARS.sub("", origin)


class SymbolWarning(str):
    """A sentence about one symbol, and its kind, by which those about several symbols are grouped."""

    kind: str

    def __new__(cls, text: str, kind: str = "") -> SymbolWarning:
        """Return the text as a warning of this kind; an empty kind is shared with equal texts only."""
        warning = super().__new__(cls, text)
        warning.kind = kind
        return warning


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketSeries:
    """The bars of a source, with the report on their quality.

    `origin` is the source's name for people ("Binance", "simulated (seed 7)"); `warnings` are full sentences, those
    about one symbol each a `SymbolWarning`. `history` are bars before these that a strategy reads and that are not
    traded; the report and the warnings are not about them.
    """

    bars: Bars
    quality: DataQuality
    origin: str
    warnings: tuple[str, ...] = ()
    history: Bars | None = None

    @property
    def history_bars(self) -> int:
        """Return how many bars of history there are."""
        return 0 if self.history is None else len(self.history)

    def history_before(self, start: int, most: int) -> Bars | None:
        """Return the last `most` bars before bar number `start`, those of the history included; None for none."""
        if self.history is None or start >= most:
            earlier = self.bars.slice(max(0, start - most), start)
        else:
            first = max(0, self.history_bars + start - most)
            earlier = self.bars.slice(0, start).after(self.history.slice(first, self.history_bars))
        return earlier if len(earlier) else None

    def fingerprint(self) -> str:
        """Return the fingerprint of all bars, those of the history included."""
        return (self.bars if self.history is None else self.bars.after(self.history)).fingerprint()


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchProgress:
    """One download in progress.

    `expected_bars` counts the bars of the range that were missing at its start (a gap of the exchange counts as done
    once it is known); `ways` names how they are fetched: "REST", "archive" or both.
    """

    symbol: str
    interval: str
    done_bars: int
    expected_bars: int
    ways: tuple[str, ...]
    started_ms: int

    @property
    def share(self) -> float:
        """The share that is done, 0…1."""
        return min(1.0, self.done_bars / self.expected_bars) if self.expected_bars else 1.0
