"""One series of candles on disk: what is known of it, its files, and the lock of who changes them.

A file of candles is never changed: another one is put beside it, then the index is replaced, then the old one is
removed. So readers need no lock, and a process killed at any moment leaves at worst a file that no index names. Where
a file is missing or damaged, what the index knows about its stretch is forgotten, and it is fetched again.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from src.bar_cache import segments, series_index
from src.bar_cache.segments import SEGMENT_BARS, DamagedSegment
from src.bar_cache.series_index import DamagedIndex, SeriesIndex
from src.bars.checked import CheckedCandles, no_candles
from src.bars.grid import bar_numbers, open_times_ms
from src.bars.slot_ranges import SlotRanges, within
from src.domain.errors import StoreUnavailable
from src.domain.market import Interval
from src.files.unfinished import is_unfinished
from src.files.writing import write_atomically

logger = logging.getLogger(__name__)

_LOCK_POLL_S: Final = 0.02
_OLD_UNFINISHED: Final = ".new"
"""What earlier builds called files that they were writing."""
_USED_AGAIN_S: Final = 60.0
"""How exactly the time of last use is kept: writing it at each read would cost more than the read."""


class SegmentLost(Exception):
    """A file that the index names is gone or damaged: that of one stretch of a series, with one checksum."""

    def __init__(self, series: BarSeries, number: int, checksum: int, reason: str) -> None:
        super().__init__(reason)
        self.series = series
        self.number = number
        self.checksum = checksum
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class BarSeries:
    """One series of the store. Methods block, and are meant for threads."""

    folder: Path
    lock_file: Path
    symbol: str
    interval: Interval

    def index(self) -> SeriesIndex:
        """Return what is known; nothing, where there is no index or only a damaged one."""
        try:
            return series_index.decode((self.folder / "index").read_bytes())
        except FileNotFoundError:
            return SeriesIndex()
        except DamagedIndex as error:
            logger.warning("%s: the index cannot be used, %s; all will be fetched again", self, error)
            return SeriesIndex()
        except OSError as error:
            raise _unavailable(error) from error

    def read(self, index: SeriesIndex, start: int, stop: int) -> CheckedCandles:
        """Return the stored candles with the numbers `start` ≤ number < `stop`.

        Raises
        ------
        SegmentLost
            Where a file cannot be used. It may have been replaced since `index` was read: read that again first.
        """
        parts = []
        for number in sorted(index.segments):
            first = number * SEGMENT_BARS
            if first < stop and start < first + SEGMENT_BARS:
                candles = self._segment(index, number)
                whole = start <= first and first + SEGMENT_BARS <= stop
                parts.append(candles if whole else candles.slots_between(start, stop))
        return CheckedCandles.joined(parts) if parts else no_candles(self.symbol, self.interval)

    def put(self, candles: CheckedCandles, ranges: SlotRanges, *, asked_ms: int) -> None:
        """Keep the candles of some ranges in place of what is stored there; only for who holds the lock.

        All of these ranges is known from now on, as far as it was closed at `asked_ms`, when it was asked for.
        """
        index = self.index()
        slots = candles.slots()
        if index.offset_ms is None and len(candles.bars):
            index = replace(index, offset_ms=_offset_ms(candles))
        stretches = {int(number) for number in np.unique(slots // SEGMENT_BARS)} | set(index.segments)
        with _storing():
            self.folder.mkdir(parents=True, exist_ok=True)
            for number in sorted(stretches):
                inside = within(ranges, number * SEGMENT_BARS, (number + 1) * SEGMENT_BARS)
                if inside:
                    index = self._merge(index, number, candles, inside)
            for start, stop in ranges:
                came = slots[np.searchsorted(slots, start) : np.searchsorted(slots, stop)]
                latest = int(came[-1]) if len(came) else start - 1
                index = index.learned(start, stop, latest=latest, asked_ms=asked_ms, interval=self.interval)
            self._replace_index(index)

    def put_silence(self, start: int, stop: int, *, asked_ms: int) -> None:
        """Keep that there is no candle from `start` to `stop`, as far as that was unknown; only for who holds the lock.

        What may still change before that is unknown again: all that may change must be one stretch to the end.
        """
        index = self.index()
        if index.fresh is not None and index.fresh.start < start:
            with _storing():
                self._replace_index(index.forgotten(index.fresh.start, start))
        absent = self.index().missing(start, stop, now_ms=asked_ms)
        self.put(no_candles(self.symbol, self.interval), absent, asked_ms=asked_ms)

    def put_first(self, first_open_ms: int) -> None:
        """Keep when the very first candle opens; only for who holds the lock."""
        with _storing():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._replace_index(self.index().listed(first_open_ms, self.interval))

    def forget(self, numbers: Iterable[int]) -> None:
        """Drop stretches and what is known about them; only for who holds the lock."""
        index = self.index()
        for number in numbers:
            left = {kept: entry for kept, entry in index.segments.items() if kept != number}
            index = replace(
                index.forgotten(number * SEGMENT_BARS, (number + 1) * SEGMENT_BARS),
                segments=left,
            )
        with _storing():
            self._replace_index(index)

    def names(self, number: int, checksum: int) -> bool:
        """Tell whether the index, as it is now, names this file."""
        return self.index().segments.get(number, (None, 0))[0] == checksum

    def forget_damaged(self, number: int) -> None:
        """Drop a stretch if its file is still of no use; only for who holds the lock."""
        try:
            self._segment(self.index(), number)
        except SegmentLost as error:
            logger.warning("%s: stretch %d cannot be used, %s; it will be fetched again", self, number, error.reason)
            self.forget([number])

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Hold this series against all other tasks and processes that would fetch or drop candles of it."""
        # Who waits holds the place behind the lock, so that whoever comes back for it must let them in first.
        with self._opened(self.lock_file.with_suffix(".next")) as place:
            await _lock(place)
            with self._opened(self.lock_file) as lock:
                await _lock(lock)
                fcntl.flock(place, fcntl.LOCK_UN)
                yield

    @contextmanager
    def locked_at_once(self) -> Iterator[bool]:
        """Hold this series if nobody else does; tell whether."""
        with self._opened(self.lock_file) as lock:
            yield _try_lock(lock)

    def file_of(self, number: int, checksum: int) -> Path:
        return self.folder / f"{number:08d}-{checksum:08x}.bars"

    def __str__(self) -> str:
        return f"{self.symbol} {self.interval.name}"

    @contextmanager
    def _opened(self, file: Path) -> Iterator[int]:
        """Open a file that is locked; closing it gives the lock back."""
        with _storing():
            file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _segment(self, index: SeriesIndex, number: int) -> CheckedCandles:
        if number not in index.segments:
            return no_candles(self.symbol, self.interval)
        checksum, _ = index.segments[number]
        file = self.file_of(number, checksum)
        try:
            content = file.read_bytes()
            candles = segments.decode(content, symbol=self.symbol, interval=self.interval, checksum=checksum)
        except FileNotFoundError as error:
            raise SegmentLost(self, number, checksum, "its file is gone") from error
        except DamagedSegment as error:
            raise SegmentLost(self, number, checksum, str(error)) from error
        except OSError as error:
            raise _unavailable(error) from error
        _mark_used(file)
        return candles

    def _merge(self, index: SeriesIndex, number: int, candles: CheckedCandles, ranges: SlotRanges) -> SeriesIndex:
        """Write the file of one stretch anew, with the new candles in place of the old ones of ranges inside it."""
        first, last = number * SEGMENT_BARS, (number + 1) * SEGMENT_BARS
        try:
            old = self._segment(index, number)
        except SegmentLost as error:
            logger.warning("%s: stretch %d cannot be used, %s; it will be fetched again", self, number, error.reason)
            old, index = no_candles(self.symbol, self.interval), index.forgotten(first, last)
        parts, cursor = [], first
        for start, stop in ranges:
            parts += [old.slots_between(cursor, start), candles.slots_between(start, stop)]
            cursor = stop
        merged = CheckedCandles.joined([*parts, old.slots_between(cursor, last)])
        kept = dict(index.segments)
        kept.pop(number, None)
        if not merged.is_empty:
            content, checksum = segments.encode(merged)
            file = self.file_of(number, checksum)
            write_atomically(file, content)
            kept[number] = (checksum, len(content))
        return replace(index, segments=kept)

    def _replace_index(self, index: SeriesIndex) -> None:
        """Put an index in place, then remove the files of candles that it does not name."""
        write_atomically(self.folder / "index", series_index.encode(index))
        named = {self.file_of(number, checksum) for number, (checksum, _) in index.segments.items()}
        for file in self.folder.iterdir():
            if (
                is_unfinished(file.name)
                or file.suffix == _OLD_UNFINISHED
                or (file.suffix == ".bars" and file not in named)
            ):
                file.unlink(missing_ok=True)


async def _lock(descriptor: int) -> None:
    while not _try_lock(descriptor):  # noqa: ASYNC110 (other processes cannot set our events)
        await asyncio.sleep(_LOCK_POLL_S)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _offset_ms(candles: CheckedCandles) -> int:
    """Return how much later than the grid these candles open."""
    first, interval = candles.bars.open_time_ms[:1], candles.bars.interval
    return int(first[0] - open_times_ms(bar_numbers(first, interval), interval)[0])


def _mark_used(file: Path) -> None:
    try:
        if time.time() - file.stat().st_mtime > _USED_AGAIN_S:
            os.utime(file)
    except OSError as error:
        logger.debug("the time of use of %s was not kept: %s", file.name, error)


def _unavailable(error: OSError) -> StoreUnavailable:
    logger.error("the store of candles: %s", error)
    return StoreUnavailable("The bar cache cannot be read or written.")


@contextmanager
def _storing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _unavailable(error) from error
