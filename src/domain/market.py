"""Bars, their intervals and symbols, requests for them, and the report on their quality."""

from __future__ import annotations

import hashlib
import math
import re
import string
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.arrays import freeze
from src.domain.errors import bad_pair, bad_value
from src.domain.instants import INSTANT_PATTERN, check_times, format_instant, parse_instant
from src.domain.parameters import AT_LEAST_ONE, check_parameters, parameter

SIMULATED: Final = "simulated"
"""The name of the source that draws bars from a seed."""

DAY_MS: Final = 86_400_000
YEAR_MS: Final = 365 * DAY_MS
"""Crypto trades on every day of the year (the contract's and vectorbt's convention)."""

DEFAULT_INTERVAL: Final = "1d"
DEFAULT_LIMIT: Final = 1000

PRICE_COLUMNS: Final = ("open", "high", "low", "close")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

MIN_PRICE: Final = 1e-11
"""vectorbt treats a price up to 1e-12 as none; the exchange's own prices are multiples of 1e-8."""
MAX_PRICE: Final = 1e15
MIN_VOLUME: Final = 1e-18
"""Of a bar with trades; a bar without trades has the volume 0."""
MAX_VOLUME: Final = 1e36
"""1e36 units are a thousand times the largest supply counted in its smallest unit. Within these bounds no figure of a
run overflows: the fourth power of a return is below 1e105, and units times price below 1e126 (see `MAX_EQUITY`);
float64 ends at 1e308."""


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


MAX_SYMBOL_LENGTH: Final = 32
_INVISIBLE_LETTERS: Final = "\u115f\u1160\u3164\uffa0"
"""Hangul fillers: letters in Unicode, but invisible."""
_INVISIBLE_MARKS: Final = frozenset(
    map(chr, (0x034F, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)
"""Marks that Unicode calls default-ignorable: joiners, variation selectors, inherent vowels."""
_FIRST: Final = r"[\p{L}\p{Nd}]"
_LATER: Final = r"[\p{L}\p{M}\p{Nd}]"
SYMBOL_PATTERN: Final = rf"^(?:{_FIRST}{_LATER}{{0,{MAX_SYMBOL_LENGTH - 1}}}|{_FIRST}{_LATER}*[/-]{_FIRST}{_LATER}*)$"
"""What `normalise_symbol` allows, as a regular expression of JSON Schema (ECMA-262 with the flag u).

It needs `MAX_SYMBOL_TEXT_LENGTH` and `NOT_IN_SYMBOLS_PATTERN` beside it; blanks around the symbol are allowed as
well. The exceptions stand apart, because generators of examples cannot subtract from a class of letters."""
NOT_IN_SYMBOLS_PATTERN: Final = (
    r"[\u115f\u1160\u3164\uffa0\u034f\u17b4\u17b5\u180b-\u180d\u180f\ufe00-\ufe0f"
    "\U000e0100-\U000e01ef"  # themselves: engines disagree on how such characters are escaped
    r"\u0488\u0489\u1abe\u20dd-\u20e0\u20e2-\u20e4\ua670-\ua672]"
)
"""What no symbol has though `SYMBOL_PATTERN` allows it: invisible letters and marks, and enclosing marks (Me)."""
MAX_SYMBOL_TEXT_LENGTH: Final = MAX_SYMBOL_LENGTH + 1
"""A symbol and one separator."""
_MAX_SYMBOL_INPUT: Final = 200
_SYMBOL_CATEGORIES: Final = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Nd"})
_MARK_CATEGORIES: Final = frozenset({"Mn", "Mc"})
_ASCII_UPPER: Final = {ord(letter): letter.upper() for letter in string.ascii_lowercase}


def normalise_symbol(symbol: str, *, field: str = "symbol") -> str:
    """Return the exchange's spelling of a symbol: `btcusdt`, `BTC/USDT` and `BTC-USDT` are all `BTCUSDT`.

    Letters and digits may be of any script (币安人生USDT), with their marks (हिन्दीUSDT). Only ASCII letters become
    upper case, as an exchange's rule for others is unknown. Composed and decomposed spellings are one symbol, in
    Unicode's NFC.

    Raises InvalidInput if the symbol, without one separating / or -, is not 1 to 32 letters and digits with marks.
    """
    parts = re.split("[/-]", symbol.strip()) if len(symbol) <= _MAX_SYMBOL_INPUT else []
    name = "".join(parts)
    if len(parts) <= 2 and is_symbol(name) and all(is_symbol(part) for part in parts):
        # Upper case can make pairs that have a composed form: i with a dot above has none, I has.
        composed = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).translate(_ASCII_UPPER))
        if is_symbol(composed):  # a few composed letters have a longer NFC
            return composed
    allowed = f"1 to {MAX_SYMBOL_LENGTH} letters and digits, such as BTCUSDT, BTC/USDT or BTC-USDT"
    raise bad_value(field, got=symbol, allowed=allowed)


def is_symbol(text: str) -> bool:
    """Return whether a text is 1 to 32 letters and digits of any script with their marks, and nothing invisible."""
    return (
        1 <= len(text) <= MAX_SYMBOL_LENGTH
        and not _is_mark(text[0])
        and all(_is_letter_or_digit(char) or _is_mark(char) for char in text)
    )


def _is_letter_or_digit(char: str) -> bool:
    return unicodedata.category(char) in _SYMBOL_CATEGORIES and char not in _INVISIBLE_LETTERS


def _is_mark(char: str) -> bool:
    return unicodedata.category(char) in _MARK_CATEGORIES and char not in _INVISIBLE_MARKS


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
        read=lambda text, field: normalise_symbol(text, field=field),
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bars:
    """OHLCV bars of one symbol, oldest first.

    `open_time_ms` [n] int64, strictly ascending, UTC; prices [n] float64, `MIN_PRICE` ≤ p ≤ `MAX_PRICE`, with
    low ≤ open, close ≤ high; `volume` [n] float64, 0 or `MIN_VOLUME` ≤ v ≤ `MAX_VOLUME`, in units of the base asset.
    Arrays are read-only.

    Raises ValueError if an array breaks these rules; sources must reject invalid rows before.
    """

    symbol: str
    interval: Interval
    open_time_ms: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]

    def __post_init__(self) -> None:
        length = len(self.open_time_ms)
        for name in ("open_time_ms", *PRICE_COLUMNS, "volume"):
            column = freeze(getattr(self, name), np.int64 if name == "open_time_ms" else np.float64)
            if column.shape != (length,):
                raise ValueError(f"{name} has shape {column.shape}, expected ({length},)")
            object.__setattr__(self, name, column)
        if np.any(np.diff(self.open_time_ms) <= 0):
            raise ValueError("open_time_ms is not strictly ascending")
        impossible = impossible_rows(self.open, self.high, self.low, self.close, self.volume)
        if impossible.any():
            raise ValueError(f"row {int(np.argmax(impossible))} is not a possible bar")

    def __len__(self) -> int:
        return len(self.open_time_ms)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bars) and self.fingerprint() == other.fingerprint()

    __hash__ = None  # type: ignore[assignment]

    @property
    def elapsed_ms(self) -> int:
        """Return the time from the first open to the last close."""
        return self.interval.next_open_ms(int(self.open_time_ms[-1])) - int(self.open_time_ms[0])

    def slice(self, start: int, stop: int) -> Bars:
        """Return the bars `start` ≤ index < `stop`."""
        return Bars(
            symbol=self.symbol,
            interval=self.interval,
            open_time_ms=self.open_time_ms[start:stop],
            open=self.open[start:stop],
            high=self.high[start:stop],
            low=self.low[start:stop],
            close=self.close[start:stop],
            volume=self.volume[start:stop],
        )

    def after(self, earlier: Bars) -> Bars:
        """Return the earlier bars and these as one series; raises ValueError if they do not follow each other."""
        if (earlier.symbol, earlier.interval) != (self.symbol, self.interval):
            raise ValueError(f"{earlier.symbol} {earlier.interval.name} does not continue as {self.symbol}")
        columns = ("open_time_ms", *PRICE_COLUMNS, "volume")
        return Bars(
            symbol=self.symbol,
            interval=self.interval,
            **{name: np.concatenate((getattr(earlier, name), getattr(self, name))) for name in columns},
        )

    def fingerprint(self) -> str:
        """Return the SHA-256 of symbol, interval and every number (little-endian): equal for equal bars only."""
        digest = hashlib.sha256(f"{self.symbol}\n{self.interval.name}\n{len(self)}\n".encode())
        for column in (self.open_time_ms, self.open, self.high, self.low, self.close, self.volume):
            digest.update(np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("<")).data)
        return digest.hexdigest()


def impossible_rows(
    open: NDArray[np.float64],
    high: NDArray[np.float64],
    low: NDArray[np.float64],
    close: NDArray[np.float64],
    volume: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Mark the invalid rows [n]: out of bounds or not finite, or open or close outside low…high."""
    # NaN fails every comparison, so a valid row must pass all of them.
    possible = (
        (low >= MIN_PRICE)
        & (high <= MAX_PRICE)
        & (high >= low)
        & (open >= low)
        & (open <= high)
        & (close >= low)
        & (close <= high)
        & is_possible_volume(volume)
    )
    return ~possible


def is_possible_volume(volume: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark the volumes [n] that are 0 or in bounds."""
    possible: NDArray[np.bool_] = (volume == 0) | ((volume >= MIN_VOLUME) & (volume <= MAX_VOLUME))
    return possible


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Missing bars: `missing_bars` of them between the bar that opens at `after_ms` and the one at `next_ms`."""

    after_ms: int
    next_ms: int
    missing_bars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRow:
    """A row of the source that was rejected, and why."""

    open_time_ms: int
    reason: str


JUMP_RATIO: Final = 3.0
"""A price change across a gap by this factor means a halt, a split or another coin under the same name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """A large change of price across a gap: `ratio` is the first open after it ÷ the last close before it."""

    after_ms: int
    next_ms: int
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DataQuality:
    """The report on the rows of a source; invalid rows are rejected and reported, never repaired.

    `expected_bars` is the number of slots from the first to the last bar. A zero-volume run is a range of consecutive
    bars without trades, its length in bars. `irregular_close_times` counts the bars that closed at another time than
    their interval says. None means not known: the source does not tell, or an earlier version stored the report.
    """

    expected_bars: int
    present_bars: int
    gaps: tuple[Gap, ...] = ()
    duplicate_rows: int = 0
    disordered_rows: int = 0
    rejected_rows: tuple[RejectedRow, ...] = ()
    zero_volume_bars: int | None = None
    zero_volume_runs: int | None = None
    longest_zero_volume_run: int | None = None
    jumps: tuple[Jump, ...] = ()
    irregular_close_times: int | None = None
    first_open_ms: int | None = None
    last_close_ms: int | None = None

    @property
    def missing_bars(self) -> int:
        """Number of bars missing in all gaps."""
        return sum(gap.missing_bars for gap in self.gaps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A symbol that a source can fetch: the asset traded, the one that prices are in, and whether it trades now."""

    symbol: str
    base: str
    quote: str
    is_trading: bool = True


_MADE_BARS: Final = re.compile(r" \(\w+ bars made from its \w+ bars\)$")


def origin_of_made(origin: str, interval: Interval, finer: Interval) -> str:
    """Return the origin of bars that were made from finer ones of a source."""
    return f"{origin} ({interval.name} bars made from its {finer.name} bars)"


def source_of(origin: str) -> str:
    """Return the source of bars, whether it sent them or they were made from its finer ones."""
    return _MADE_BARS.sub("", origin)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketSeries:
    """The bars of a source, with the report on their quality.

    `origin` is the source's name for people ("Binance", "simulated (seed 7)"); `warnings` are full sentences. `history`
    are bars before these that a strategy reads and that are not traded; the report and the warnings are not about them.
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


def bar_spacing_ms(open_time_ms: NDArray[np.int64]) -> float | None:
    """Return the median distance of bars in milliseconds; None for fewer than two bars.

    The median ignores the few long distances that outages leave.
    """
    if len(open_time_ms) < 2:
        return None
    spacing = float(np.median(np.diff(open_time_ms)))
    return spacing if math.isfinite(spacing) else None


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
