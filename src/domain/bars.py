"""Bars of one symbol as arrays, and which rows can be bars."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.arrays import freeze, pickled
from src.domain.intervals import Interval

PRICE_COLUMNS: Final = ("open", "high", "low", "close")

MIN_PRICE: Final = 1e-11
"""vectorbt treats a price up to 1e-12 as none; the exchange's own prices are multiples of 1e-8."""
MAX_PRICE: Final = 1e15
MIN_VOLUME: Final = 1e-18
"""The least volume of a bar with trades; a bar without trades has the volume 0."""
MAX_VOLUME: Final = 1e36
"""1e36 units are a thousand times the largest supply counted in its smallest unit. Within these bounds no figure of a
run overflows: the fourth power of a return is below 1e105, and units times price below 1e126 (see `MAX_EQUITY`);
float64 ends at 1e308."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bars:
    """OHLCV bars of one symbol, oldest first.

    `open_time_ms` [n] int64, strictly ascending, UTC; prices [n] float64, `MIN_PRICE` ≤ p ≤ `MAX_PRICE`, with
    low ≤ open, close ≤ high; `volume` [n] float64, 0 or `MIN_VOLUME` ≤ v ≤ `MAX_VOLUME`, in units of the base asset.
    Arrays are read-only. `inside` are finer bars of some of these bars, another view of the same prices; they are not
    part of the fingerprint.

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
    inside: Bars | None = None

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

    def __reduce__(self) -> tuple[object, ...]:
        return pickled(self)

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
            inside=self.inside,
        )

    def after(self, earlier: Bars) -> Bars:
        """Return the earlier bars and these as one series; raises ValueError if they do not follow each other."""
        if (earlier.symbol, earlier.interval) != (self.symbol, self.interval):
            raise ValueError(f"{earlier.symbol} {earlier.interval.name} does not continue as {self.symbol}")
        return join((earlier, self))

    def fingerprint(self) -> str:
        """Return the SHA-256 of symbol, interval and every number (little-endian): equal for equal bars only."""
        digest = hashlib.sha256(f"{self.symbol}\n{self.interval.name}\n{len(self)}\n".encode())
        for column in (self.open_time_ms, self.open, self.high, self.low, self.close, self.volume):
            digest.update(np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("<")).data)
        return digest.hexdigest()


def join(parts: Sequence[Bars]) -> Bars:
    """Return bars of one symbol and interval as one series, whatever the order of the parts, which must not overlap."""
    parts = sorted((part for part in parts if len(part)), key=lambda part: int(part.open_time_ms[0])) or list(parts[:1])
    return Bars(
        symbol=parts[0].symbol,
        interval=parts[0].interval,
        inside=None,
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("open_time_ms", *PRICE_COLUMNS, "volume")
        },
    )


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


def bar_spacing_ms(open_time_ms: NDArray[np.int64]) -> float | None:
    """Return the median distance of bars in milliseconds; None for fewer than two bars.

    The median ignores the few long distances that outages leave.
    """
    if len(open_time_ms) < 2:
        return None
    spacing = float(np.median(np.diff(open_time_ms)))
    return spacing if math.isfinite(spacing) else None
