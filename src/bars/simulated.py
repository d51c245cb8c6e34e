"""Simulate bars from a seed; any two ranges have the same bars where they overlap.

The log price is a random walk with clustered volatility and changing drift, tied to a fixed grid of time. At the
borders of blocks its level is drawn from a normal distribution (so that it always returns); inside a block the walk is
bent to meet the next border (a Brownian bridge). Each block has its own generator, so a range can be drawn without the
bars before it.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.bars.grid import bar_number, last_closed_open_ms, open_time_ms, open_times_ms
from src.bars.quality import assess
from src.bars.ranges import WholeRange, check_whole_range, describe_range
from src.domain.bars import Bars
from src.domain.errors import InvalidInput, bad_value
from src.domain.instants import iso_time
from src.domain.intervals import Interval
from src.domain.market import Listing, MarketRequest, MarketSeries
from src.domain.symbols import normalize_symbol
from src.ports.clock import Clock

SYMBOLS: Final = (
    "ADAUSDT", "AVAXUSDT", "BNBUSDT", "BTCUSDT", "DOGEUSDT", "DOTUSDT", "ETHUSDT", "LINKUSDT", "LTCUSDT", "SOLUSDT",
    "TRXUSDT", "XRPUSDT",
)  # fmt: skip
_QUOTE: Final = "USDT"
FIRST_MS: Final = 1_262_304_000_000
"""When simulated markets open: 2010-01-01."""
END_OF_TIME_MS: Final = 253_402_300_800_000
"""The end of the year 9999."""

_YEARLY_VOLATILITY: Final = 0.6
_LEVEL_DEVIATION: Final = 0.7
"""Standard deviation of the log price around its long-run level: two thirds of prices are within a factor of 2."""
_LOG_MIDDLE: Final = math.log(1000.0)
"""Prices are limited to 1…10⁶: tanh maps any level to log(1000) ± log(1000), and keeps the order of prices."""
_MAX_BLOCK_BARS: Final = 4096
_MIN_BLOCK_BARS: Final = 16
_REGIMES: Final = 8
"""Number of periods with different drift in a block."""
_VOLATILITY_MEMORY: Final = 0.97
_VOLATILITY_OF_VOLATILITY: Final = 0.5
_PRICE_DECIMALS: Final = 4
_VOLUME_DECIMALS: Final = 5

Floats = NDArray[np.float64]


class SimulatedSource:
    """The `BarSource` of simulated bars: any symbol, from 2010 until now.

    Parameters
    ----------
    clock
        Decides which bars are closed.
    seed
        For requests without a seed.
    """

    def __init__(self, *, clock: Clock, seed: int = 0) -> None:
        self._clock = clock
        self._seed = seed

    async def fetch(self, market: MarketRequest) -> MarketSeries:
        """Return the requested closed bars, oldest first; at least one.

        Raises InvalidInput if the symbol is invalid, or the range has no closed bar.
        """
        symbol = normalize_symbol(market.symbol)
        seed = self._seed if market.seed is None else market.seed
        interval, now_ms = market.interval, self._clock.now_ms()
        first = _first_number(FIRST_MS, interval)
        last = bar_number(last_closed_open_ms(now_ms, interval), interval)
        start = first if market.start_ms is None else max(first, _first_number(market.start_ms, interval))
        stop = 1 + (last if market.end_ms is None else min(last, bar_number(market.end_ms, interval)))
        if stop <= start:
            raise InvalidInput(
                "There are no closed {interval} bars in this range. Simulated ones go from {first} to {last}.",
                field="endDate" if market.start_ms is None else "startDate",
                interval=interval.name,
                first=iso_time(open_time_ms(first, interval)),
                last=iso_time(open_time_ms(last, interval)),
            )
        check_whole_range(market, stop - start)
        whole = WholeRange(
            bars=stop - start,
            first_open_ms=open_time_ms(start, interval),
            last_open_ms=open_time_ms(stop - 1, interval),
        )
        if market.start_ms is None:
            start = max(start, stop - market.limit)
        count = min(stop - start, market.limit)
        bars = await asyncio.to_thread(simulate_bars, symbol, interval, open_time_ms(start, interval), count, seed)
        return MarketSeries(
            bars=bars,
            quality=assess(bars, irregular_close_times=0),
            origin=f"simulated (seed {seed})",
            warnings=describe_range(market, bars, now_ms, whole=whole),
        )

    async def listings(self) -> Sequence[Listing]:
        """Return a few well-known symbols; any other valid symbol is simulated too."""
        return tuple(Listing(symbol=name, base=name.removesuffix(_QUOTE), quote=_QUOTE) for name in SYMBOLS)

    async def close(self) -> None:
        """Do nothing: there is nothing to release."""


def simulate_bars(symbol: str, interval: Interval, start_ms: int, bars: int, seed: int) -> Bars:
    """Return `bars` bars, the first of which opens at `start_ms` or at the next time on the interval's grid.

    The same symbol, interval and seed have the same bar at the same time in every range. Raises InvalidInput if `bars`
    is less than 1, or the bars would be outside the years 1970 to 9999.
    """
    if bars < 1:
        raise bad_value("bars", got=bars, allowed="a whole number ≥ 1")
    if not 0 <= start_ms < END_OF_TIME_MS:
        raise InvalidInput("{field} must lie in the years 1970 to 9999.", field="start")
    first = _first_number(start_ms, interval)
    # Checked with Python integers, which do not overflow.
    if start_ms + bars * interval.milliseconds > END_OF_TIME_MS:
        raise InvalidInput(
            "{count} {interval} bars would end after the year 9999.", field="bars", count=bars, interval=interval.name
        )
    return _Simulation(symbol=symbol, interval=interval, seed=seed).bars(first, bars)


def _first_number(start_ms: int, interval: Interval) -> int:
    return bar_number(start_ms - 1, interval) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Simulation:
    """One endless series: blocks within blocks, of which the smallest consist of bars."""

    symbol: str
    interval: Interval
    seed: int

    def bars(self, first: int, count: int) -> Bars:
        """Draw the bars with the numbers `first` ≤ number < `first + count`."""
        deviation = _YEARLY_VOLATILITY / math.sqrt(self.interval.bars_per_year)
        size = _block_size(deviation)
        block, blocks = first // size, (first + count - 1) // size - first // size + 1
        borders = self._levels(1, block, blocks + 1, deviation * math.sqrt(size))
        open, high, low, close, volume = _draw_bars(
            lambda index: self._generator(0, block + index), borders, size, deviation
        )
        rows = slice(first - block * size, first - block * size + count)
        middle = self._middle()
        open, high, low, close = (_prices(column.ravel()[rows], middle) for column in (open, high, low, close))
        return Bars(
            symbol=self.symbol,
            interval=self.interval,
            open_time_ms=open_times_ms(np.arange(first, first + count, dtype=np.int64), self.interval),
            open=open,
            high=high,
            low=low,
            close=close,
            volume=np.round(volume.ravel()[rows], _VOLUME_DECIMALS),
        )

    def _levels(self, depth: int, first: int, count: int, deviation: float) -> Floats:
        """Return the log levels [count] at the borders from number `first` on; `deviation` is that of one step."""
        size = _block_size(deviation)
        if size <= _MIN_BLOCK_BARS:
            normals = [self._generator(depth, first + index).standard_normal() for index in range(count)]
            return _LEVEL_DEVIATION * np.array(normals)
        block, blocks = first // size, (first + count - 1) // size - first // size + 1
        borders = self._levels(depth + 1, block, blocks + 1, deviation * math.sqrt(size))
        steps = deviation * np.stack(
            [self._generator(depth, block + index).standard_normal(size) for index in range(blocks)]
        )
        levels = _bridges(steps, borders)[:, :-1].ravel()
        return levels[first - block * size :][:count]

    def _middle(self) -> float:
        """Return the long-run log level of the symbol, for any seed and interval: about 20…20,000."""
        digest = hashlib.sha256(self.symbol.encode()).digest()
        return math.log(20.0) + math.log(1000.0) * int.from_bytes(digest[:4], "big") / 2**32

    def _generator(self, depth: int, index: int) -> np.random.Generator:
        key = f"{self.symbol}\n{self.interval.name}\n{self.seed}\n{depth}\n{index}".encode()
        return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(key).digest()[:16], "big")))


def _block_size(deviation: float) -> int:
    """Return the number of steps of a block, so that the levels at its borders can be drawn independently."""
    steps = (_LEVEL_DEVIATION / deviation) ** 2
    return max(_MIN_BLOCK_BARS, min(_MAX_BLOCK_BARS, 1 << int(math.log2(max(steps, 1.0)))))


def _bridges(steps: Floats, borders: Floats) -> Floats:
    """Bend walks of the given steps [blocks, size] so that each leads from border to border: [blocks, size + 1]."""
    blocks, size = steps.shape
    walks = np.zeros((blocks, size + 1))
    np.cumsum(steps, axis=1, out=walks[:, 1:])
    miss = np.diff(borders) - walks[:, -1]
    bridges: Floats = borders[:-1, None] + walks + miss[:, None] * (np.arange(size + 1) / size)
    return bridges


def _draw_bars(
    generator: Callable[[int], np.random.Generator], borders: Floats, size: int, deviation: float
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Draw log open, high, low, close and the volume, each [blocks, size], for `len(borders) − 1` blocks.

    `generator` returns the generator of a block, so the numbers of a block do not depend on the other blocks.
    """
    blocks = len(borders) - 1
    normals = np.empty((blocks, 6, size))
    regimes = np.empty((blocks, _REGIMES))
    for index in range(blocks):
        random = generator(index)
        random.standard_normal(out=normals[index])
        regimes[index] = random.standard_normal(_REGIMES)
    volatility = _clustered(normals[:, 0])
    scale = deviation * np.exp(volatility - _VOLATILITY_OF_VOLATILITY**2)
    drift = np.repeat(regimes, size // _REGIMES, axis=1) * (0.1 * deviation)
    path = _bridges(drift + scale * normals[:, 1], borders)
    close = path[:, 1:]
    open = path[:, :-1] + 0.15 * scale * normals[:, 2]
    high = np.maximum(open, close) + 0.4 * scale * np.abs(normals[:, 3])
    low = np.minimum(open, close) - 0.4 * scale * np.abs(normals[:, 4])
    surprise = np.abs(close - open) / scale
    volume = np.exp(5.0 + volatility + 0.3 * np.minimum(surprise, 6.0) + 0.4 * normals[:, 5])
    return open, high, low, close, volume


def _clustered(normals: Floats) -> Floats:
    """Convert white noise [blocks, size] to clustered log volatility: a stationary AR(1) along each row."""
    fresh = math.sqrt(1 - _VOLATILITY_MEMORY**2)
    memory = np.empty_like(normals)
    memory[:, 0] = normals[:, 0]
    for step in range(1, normals.shape[1]):
        memory[:, step] = _VOLATILITY_MEMORY * memory[:, step - 1] + fresh * normals[:, step]
    return _VOLATILITY_OF_VOLATILITY * memory


def _prices(log_levels: Floats, middle: float) -> Floats:
    """Convert log distances from the long-run level to prices within 1…10⁶."""
    squeezed = np.tanh((log_levels + middle - _LOG_MIDDLE) / _LOG_MIDDLE)
    prices: Floats = np.exp(_LOG_MIDDLE + _LOG_MIDDLE * squeezed)
    return prices.round(_PRICE_DECIMALS)
