"""Candles kept on disk: one folder for each symbol and interval, shared by all processes of this machine.

.bars/BTCUSDT/1m/index                      what is known about the series (see `series_index`)
.bars/~4W7QDZM7.../1m/index                 the same for a symbol with letters beyond ASCII, as base32 of its UTF-8:
                                            file systems differ in how they fold and compose such letters
                 00000417-9c0de1a2.bars     its candles, one file for each stretch (see `segments`)
.bars/.locks/5e                             held by the process that is fetching, or dropping, a series' candles
.bars/.locks/5e.next                        held by the one that waits to be the next
"""

from __future__ import annotations

import base64
import logging
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from src.bar_cache.bar_series import BarSeries
from src.domain.market import INTERVALS, Interval, is_symbol

logger = logging.getLogger(__name__)

_ENCODED: Final = "~"
_LOCKS: Final = 256
"""Lock files can never be removed safely, so there is a fixed number; two series may share one, and then take turns."""


class BarStore:
    """All series under one folder, kept within a size.

    Parameters
    ----------
    folder
        Where they are; made when the first candle is stored.
    max_bytes
        Size above which the stretches that were not used for longest are dropped.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    @property
    def folder(self) -> Path:
        return self._folder

    def series(self, symbol: str, interval: Interval) -> BarSeries:
        """Return a series, whether anything is stored of it or not."""
        # Some file systems cannot tell 1m from 1M.
        name = "1mo" if interval.is_calendar_month else interval.name
        folder = self._folder / _folder_name(symbol) / name
        lock = zlib.crc32(f"{symbol}/{name}".encode()) % _LOCKS
        return BarSeries(
            folder=folder, lock_file=self._folder / ".locks" / f"{lock:02x}", symbol=symbol, interval=interval
        )

    def stored(self) -> Iterator[BarSeries]:
        """Yield every series of which something is stored."""
        for file in sorted(self._folder.glob("*/*/index")):
            name = "1M" if file.parent.name == "1mo" else file.parent.name
            symbol = _symbol_of(file.parent.parent.name)
            if name in INTERVALS and symbol is not None:
                yield self.series(symbol, INTERVALS[name])

    def size_bytes(self) -> int:
        """Return how many bytes of candles are stored."""
        return sum(size for series in self.stored() for _, size in series.index().segments.values())

    def evict(self, *, keep: Iterable[BarSeries] = ()) -> int:
        """Drop the stretches that were not used for longest until the rest is within the limit; return how many.

        Series in `keep`, and those that somebody else is fetching, stay as they are.
        """
        found, total = [], 0
        kept = set(keep)
        for series in self.stored():
            for number, (checksum, size) in series.index().segments.items():
                total += size
                if series not in kept:
                    found.append((_used_at(series.file_of(number, checksum)), str(series), number, series, size))
        dropped = 0
        for _, _, number, series, size in sorted(found, key=lambda one: one[:3]):
            if total <= self._max_bytes:
                break
            with series.locked_at_once() as is_ours:
                if is_ours:
                    series.forget([number])
                    total -= size
                    dropped += 1
        if dropped:
            logger.info("dropped %d stretches of candles; %d bytes are left", dropped, total)
        return dropped


def _folder_name(symbol: str) -> str:
    """Return a name of at most 206 bytes that no file system mistakes for that of another symbol."""
    if symbol.isascii():
        return symbol
    return _ENCODED + base64.b32encode(symbol.encode()).decode().rstrip("=")


def _symbol_of(folder_name: str) -> str | None:
    """Return the symbol whose folder has this name; None if it is no name of ours."""
    symbol = folder_name
    if folder_name.startswith(_ENCODED):
        text = folder_name.removeprefix(_ENCODED)
        try:
            symbol = base64.b32decode(text + "=" * (-len(text) % 8)).decode()
        except ValueError:
            return None
    return symbol if is_symbol(symbol) and _folder_name(symbol) == folder_name else None


def _used_at(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return 0.0
