"""Hold the bar cache on disk: one folder for each symbol and interval, shared by all processes of a machine.

.bars/BTCUSDT/1m/       the files of a series (see `segments`)
.bars/~4W7QDZM7.../1m/  the same for a symbol with letters beyond ASCII, as base32 of its UTF-8: file systems differ in
                        how they fold and compose such letters
.bars/.locks/5e         held by the process that fetches, or evicts, bars of a series
.bars/.locks/5e.next    held by the process that waits to be the next
"""

from __future__ import annotations

import base64
import logging
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from src.bar_cache.bar_series import BarSeries
from src.bar_cache.segment_memory import SegmentMemory
from src.bar_cache.segments import Segment
from src.domain.intervals import INTERVALS, Interval
from src.domain.symbols import is_symbol
from src.files.unfinished import remove_unfinished

logger = logging.getLogger(__name__)

_ENCODED: Final = "~"
_OLD_FILE: Final = re.compile(r"index|[0-9]{8}-[0-9a-f]{8}\.bars|\.index\..*\.new", re.ASCII)
"""Files of the previous layout, which listed its ranges in an index file."""
_BLOCK_BYTES: Final = 4_096
_LOCKS: Final = 256
"""Lock files can never be removed safely, so their number is fixed; two series may share one."""


class BarStore:
    """All series under one folder, limited in size.

    Parameters
    ----------
    folder
        Folder of the series; created when the first bar is stored.
    max_bytes
        Size above which the least recently used files are evicted.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._memory = SegmentMemory()

    @property
    def folder(self) -> Path:
        return self._folder

    def series(self, symbol: str, interval: Interval) -> BarSeries:
        """Return a series, even if nothing is stored of it."""
        name = _interval_folder(interval)
        folder = self._folder / _folder_name(symbol) / name
        lock = zlib.crc32(f"{symbol}/{name}".encode()) % _LOCKS
        return BarSeries(
            folder=folder,
            lock_file=self._folder / ".locks" / f"{lock:02x}",
            symbol=symbol,
            interval=interval,
            memory=self._memory,
        )

    def stored(self) -> Iterator[BarSeries]:
        """Yield every series that has stored files."""
        for folder in sorted({file.parent for file in self._folder.glob("*/*/*") if Segment.named(file.name)}):
            name = "1M" if folder.name == "1mo" else folder.name
            symbol = _symbol_of(folder.parent.name)
            if name in INTERVALS and symbol is not None:
                yield self.series(symbol, INTERVALS[name])

    def stored_of(self, interval: Interval) -> Iterator[BarSeries]:
        """Yield the series of one interval that have a folder, sorted by folder; lists folders only."""
        for folder in sorted(self._folder.glob(f"*/{_interval_folder(interval)}")):
            symbol = _symbol_of(folder.parent.name)
            if symbol is not None:
                yield self.series(symbol, interval)

    def size_bytes(self) -> int:
        """Return how many bytes of bars are stored."""
        return sum(_size_bytes(status) for series in self.stored() for _, status in series.files())

    def evict(self, *, keep: Iterable[BarSeries] = ()) -> int:
        """Remove the least recently used files until the rest is within the limit; return how many.

        Series in `keep`, and those that another process is fetching, stay as they are.
        """
        self.remove_leftovers()
        kept = set(keep)
        files = [(series, segment, status) for series in self.stored() for segment, status in series.files()]
        total = sum(_size_bytes(status) for _, _, status in files)
        evicted = 0
        for series, segment, status in sorted(files, key=lambda one: (one[2].st_mtime, str(one[0]), one[1].start)):
            if total <= self._max_bytes:
                break
            if series in kept or segment.is_empty:
                continue
            with series.locked_at_once() as is_ours:
                if is_ours:
                    evicted += series.drop(segment)
                    total -= _size_bytes(status)
        if evicted:
            logger.info("files of bars evicted: count=%d left_bytes=%d", evicted, total)
        return evicted

    def remove_leftovers(self) -> int:
        """Remove unfinished files of killed processes, and files of the previous layout; return how many."""
        old = [file for file in self._folder.glob("*/*/*") if _OLD_FILE.fullmatch(file.name)]
        for file in old:
            file.unlink(missing_ok=True)
        return len(old) + remove_unfinished(self._folder.rglob(".*.part"))


def _size_bytes(status: os.stat_result) -> int:
    """Return how many bytes of the disk a file takes: 0 if it is empty, otherwise at least one block."""
    return max(status.st_size, _BLOCK_BYTES) if status.st_size else 0


def _interval_folder(interval: Interval) -> str:
    # Some file systems cannot tell 1m from 1M.
    return "1mo" if interval.is_calendar_month else interval.name


def _folder_name(symbol: str) -> str:
    """Return a name of at most 206 bytes that differs from that of any other symbol on every file system."""
    if symbol.isascii():
        return symbol
    return _ENCODED + base64.b32encode(symbol.encode()).decode().rstrip("=")


def _symbol_of(folder_name: str) -> str | None:
    """Return the symbol whose folder has this name; None if this class does not write such a name."""
    symbol = folder_name
    if folder_name.startswith(_ENCODED):
        text = folder_name.removeprefix(_ENCODED)
        try:
            symbol = base64.b32decode(text + "=" * (-len(text) % 8)).decode()
        except ValueError:
            return None
    return symbol if is_symbol(symbol) and _folder_name(symbol) == folder_name else None
