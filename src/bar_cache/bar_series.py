"""Read and write the files of one series of bars, and hold the lock of the process that fetches it.

Files never change. A write creates a new file, then removes the files whose facts it repeats. So readers need no lock,
and a process that is killed at any moment leaves at worst two files that agree. If a file is missing or damaged, its
range counts as unknown and is fetched again.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from src.bar_cache.coverage import SETTLE_MS, Coverage
from src.bar_cache.periods import period_of, split
from src.bar_cache.segment_memory import SegmentMemory
from src.bar_cache.segments import DamagedSegment, Segment, decode, encode, offset_of
from src.bars.checked import CheckedBars, no_checked_bars
from src.bars.grid import closed_slots
from src.bars.slot_ranges import SlotRanges, count, union, without
from src.domain.errors import StoreUnavailable
from src.domain.intervals import Interval
from src.files.writing import write_atomically

logger = logging.getLogger(__name__)

MAX_FILES: Final = 4_096
"""A request for a single, distant bar leaves a file. Beyond this number the oldest files of a series are removed."""
_LOCK_POLL_S: Final = 0.02
_USED_AGAIN_S: Final = 60.0
"""Resolution of the time of last use: writing it at each read would cost more than the read."""


class SegmentLost(Exception):
    """A listed file is missing or damaged."""

    def __init__(self, series: BarSeries, segment: Segment, reason: str) -> None:
        super().__init__(reason)
        self.series = series
        self.segment = segment


@dataclass(frozen=True, slots=True, kw_only=True)
class BarSeries:
    """One series of the cache. Methods block, and are meant for threads. All but `locked` raise StoreUnavailable."""

    folder: Path
    lock_file: Path
    symbol: str
    interval: Interval
    memory: SegmentMemory = field(default_factory=SegmentMemory, compare=False, repr=False)

    def coverage(self) -> Coverage:
        """Return the present coverage of the series."""
        try:
            return Coverage.of(file.name for file in self.folder.iterdir())
        except FileNotFoundError:
            return Coverage()
        except OSError as error:
            raise _to_unavailable(error) from error

    def read(self, coverage: Coverage, start: int, stop: int) -> CheckedBars:
        """Return the stored bars with the numbers `start` ≤ number < `stop`.

        Raises SegmentLost if a file cannot be used; it may have been replaced since the listing.
        """
        reading = coverage.reading(start, stop)
        bars = (self._load(segment).slots_between(*part) for segment, part in reading)
        return (
            CheckedBars.joined(bars, max_bars=count(part for _, part in reading))
            if reading
            else no_checked_bars(self.symbol, self.interval)
        )

    def put(self, checked: CheckedBars, ranges: SlotRanges, *, asked_ms: int) -> None:
        """Store all bars of some ranges as the exchange had them at `asked_ms`. The caller must hold the lock.

        Bars and gaps that were final then are stored as final. The rest becomes the tail: bars closed within the last
        minute and, if the newest bars are missing, the last bar and the gap after it, because trading may resume or a
        clock may be wrong. Missing bars of the last minute are stored as late.
        """
        coverage = self.coverage()
        offset_ms = offset_of(checked.bars) if coverage.offset_ms is None else coverage.offset_ms
        closed, settled = (closed_slots(time, self.interval, offset_ms) for time in (asked_ms, asked_ms - SETTLE_MS))
        with _translate_os_errors():
            self.folder.mkdir(parents=True, exist_ok=True)
            # This reply replaces earlier ones, also if the clock was set back meanwhile.
            self._remove(one for one, part in coverage.tails if not without([part], ranges))
            for start, stop in ranges:
                part = checked.slots_between(start, stop)
                numbers = part.slots()
                last = int(numbers[-1]) if len(numbers) else start - 1
                is_end_missing = stop >= closed > last + 1
                border = min(max(min(settled, last) if is_end_missing else settled, start), stop)
                for first, end in split(start, border, numbers[numbers < border], self.interval):
                    self._put_settled(part.slots_between(first, end), first, end)
                late = max(min(stop, closed, max(settled, last + 1)), border)
                if border < late:
                    self._write(part.slots_between(border, late), border, late, asked_ms=asked_ms)
                if late < min(stop, closed):
                    self._touch(Segment(start=late, stop=min(stop, closed), asked_ms=asked_ms))
            self._clean(asked_ms)

    def put_first(self, number: int) -> None:
        """Store the number of the very first bar. The caller must hold the lock."""
        with _translate_os_errors():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._touch(Segment(start=0, stop=number, is_first=True))

    def drop(self, segment: Segment) -> bool:
        """Remove a file, which makes its range unknown; return whether the file existed."""
        with _translate_os_errors():
            try:
                (self.folder / segment.name).unlink()
            except FileNotFoundError:
                return False
        return True

    def drop_lost(self, lost: SegmentLost) -> None:
        """Remove a file that cannot be used, if it is still there."""
        if self.drop(lost.segment):
            logger.warning("damaged file of bars will be fetched again: series=%s reason=%s", self, lost)

    def files(self) -> list[tuple[Segment, os.stat_result]]:
        """Return the files of the series, each with its size and the time of its last use."""
        found = []
        with _translate_os_errors(), os.scandir(self.folder) as entries:
            for entry in entries:
                segment = Segment.named(entry.name)
                if segment is not None:
                    with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                        found.append((segment, entry.stat()))
        return found

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Lock this series against all other tasks and processes that fetch or evict its bars."""
        # The waiting process holds the second lock, so the holder of the first cannot retake the first before it.
        with self._open_locked_file(self.lock_file.with_suffix(".next")) as waiting:
            await _lock(waiting)
            with self._open_locked_file(self.lock_file) as lock:
                await _lock(lock)
                fcntl.flock(waiting, fcntl.LOCK_UN)
                yield

    @contextmanager
    def locked_at_once(self) -> Iterator[bool]:
        """Lock this series if no other task or process holds it; yield whether it is locked."""
        with self._open_locked_file(self.lock_file) as lock:
            yield _try_lock(lock)

    def __str__(self) -> str:
        return f"{self.symbol} {self.interval.name}"

    @contextmanager
    def _open_locked_file(self, file: Path) -> Iterator[int]:
        """Open a file that is locked; closing it releases the lock."""
        with _translate_os_errors():
            file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _load(self, segment: Segment) -> CheckedBars:
        file = self.folder / segment.name
        try:
            status = file.stat()
            checked = self.memory.get(file, status)
            if checked is None:
                checked = decode(file.read_bytes(), segment, symbol=self.symbol, interval=self.interval)
                self.memory.keep(file, status, checked)
        except FileNotFoundError as error:
            raise SegmentLost(self, segment, "its file is gone") from error
        except DamagedSegment as error:
            raise SegmentLost(self, segment, str(error)) from error
        except OSError as error:
            raise _to_unavailable(error) from error
        _mark_used(file, status)
        return checked

    def _put_settled(self, checked: CheckedBars, start: int, stop: int) -> None:
        """Merge a range with all ranges of its period that touch it, and write them as one file."""
        first, last = period_of(start, self.interval)
        coverage = self.coverage()
        near = [
            one.range
            for one, _ in coverage.parts
            if stop <= last and first <= one.start <= stop and start <= one.stop <= last and not one.is_first
        ]
        ((whole_start, whole_stop),) = union(near, [(start, stop)])
        try:
            parts = [self.read(coverage, whole_start, start), checked, self.read(coverage, stop, whole_stop)]
        except SegmentLost as lost:
            self.drop_lost(lost)
            return self._put_settled(checked, start, stop)
        whole = CheckedBars.joined(parts, max_bars=whole_stop - whole_start)
        return self._write(whole, whole_start, whole_stop)

    def _write(self, checked: CheckedBars, start: int, stop: int, *, asked_ms: int | None = None) -> None:
        if checked.is_empty and asked_ms is None:
            self._touch(Segment(start=start, stop=stop))
        else:
            segment, content = encode(checked, start, stop, asked_ms=asked_ms)
            write_atomically(self.folder / segment.name, content)

    def _touch(self, empty: Segment) -> None:
        (self.folder / empty.name).touch()

    def _clean(self, asked_ms: int) -> None:
        """Remove files that repeat others, expired tails, and the oldest files beyond `MAX_FILES`."""
        coverage = self.coverage()
        gone = {one for one, _ in coverage.tails if (one.asked_ms or 0) <= asked_ms - SETTLE_MS}
        gone.update(coverage.repeated)
        left = sorted((one for one in self.files() if one[0] not in gone), key=lambda one: one[1].st_mtime)
        self._remove([*gone, *(one for one, _ in left[: max(0, len(left) - MAX_FILES)])])

    def _remove(self, segments: Iterable[Segment]) -> None:
        for segment in segments:
            (self.folder / segment.name).unlink(missing_ok=True)


async def _lock(descriptor: int) -> None:
    while not _try_lock(descriptor):  # noqa: ASYNC110 (other processes cannot set our events)
        await asyncio.sleep(_LOCK_POLL_S)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _mark_used(file: Path, status: os.stat_result) -> None:
    try:
        if time.time() - status.st_mtime > _USED_AGAIN_S:
            os.utime(file)
    except OSError as error:
        logger.debug("time of last use was not stored: file=%s reason=%s", file.name, error)


def _to_unavailable(error: OSError) -> StoreUnavailable:
    logger.error("bar cache failed: reason=%s", error)
    return StoreUnavailable("The bar cache cannot be read or written.")


@contextmanager
def _translate_os_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _to_unavailable(error) from error
