"""Derive from file names which bars of a series are final, which are known for a minute, and which are missing.

No file is read: file names in, ranges of bar numbers out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from src.bar_cache.segments import Segment
from src.bars.grid import closed_slots, open_time_ms
from src.bars.slot_ranges import SlotRange, SlotRanges, union, within, without
from src.domain.intervals import Interval

SETTLE_MS: Final = 60_000
"""A bar is final if it was requested at least this long after its close. Earlier, the exchange may still be counting
its trades, or our clock may be ahead."""


Part: TypeAlias = tuple[Segment, SlotRange]
"""A file, and the range that is read from it: if files overlap, each bar is read from one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The files of one series at one moment.

    `settled` are the final ranges, gaps included; their bars are read from `parts`. Newer bars, which may still change,
    are read from `tails`. `first` is the number of the very first bar of the series; None if it was not requested.
    `repeated` are files that state nothing beyond what other files state.
    """

    settled: SlotRanges = ()
    parts: tuple[Part, ...] = ()
    tails: tuple[Part, ...] = ()
    first: int | None = None
    repeated: tuple[Segment, ...] = ()

    @staticmethod
    def of(names: Iterable[str]) -> Coverage:
        """Return what the files of these names cover; names that this build does not write are ignored."""
        files = [segment for segment in map(Segment.named, names) if segment is not None]
        final = sorted(
            (one for one in files if one.asked_ms is None), key=lambda one: (one.start, -one.stop, one.is_empty)
        )
        parts, cursor = [], 0
        for one in final:
            if one.stop > cursor:
                parts.append((one, (max(one.start, cursor), one.stop)))
                cursor = one.stop
        settled, tails = union(part for _, part in parts), []
        known = settled
        for one in sorted((one for one in files if one.asked_ms is not None), key=_newest_first):
            tails += [(one, part) for part in without([one.range], known)]
            known = union(known, [one.range])
        used = {one for one, _ in (*parts, *tails)}
        repeated = tuple(one for one in files if one not in used and not one.is_first)
        first = next((one.stop for one in files if one.is_first), None)
        return Coverage(settled=settled, parts=tuple(parts), tails=tuple(tails), first=first, repeated=repeated)

    @property
    def offset_ms(self) -> int | None:
        """Return how many ms later than the grid the bars open; None if no file has bars."""
        return next((one.offset_ms for one, _ in (*self.parts, *self.tails) if one.offset_ms is not None), None)

    def first_open_ms(self, interval: Interval) -> int | None:
        """Return when the very first bar opens; None if it was not requested."""
        return None if self.first is None else open_time_ms(self.first, interval) + (self.offset_ms or 0)

    def closed(self, now_ms: int, interval: Interval) -> int:
        """Return the number of the first bar that is not closed yet."""
        return closed_slots(now_ms, interval, self.offset_ms)

    def reading(self, start: int, stop: int) -> list[Part]:
        """Return the files with bars of `start` ≤ number < `stop`, in order."""
        parts = sorted((*self.parts, *self.tails), key=lambda one: one[1])
        return [(one, cut) for one, part in parts if not one.is_empty for cut in within([part], start, stop)]

    def known(self, *, now_ms: int, asked: SlotRanges = ()) -> SlotRanges:
        """Return which bars are known.

        Parameters
        ----------
        asked
            Bars that the same request has already fetched. Their tails and late bars count as known. Other tails count
            for `SETTLE_MS`; other late bars count as missing.
        """
        fresh = (
            part
            for one, part in self.tails
            if within(asked, *part) or (not one.is_empty and abs(now_ms - _asked_ms(one)) < SETTLE_MS)
        )
        return union(self.settled, fresh)

    def missing(self, start: int, stop: int, *, now_ms: int, asked: SlotRanges = ()) -> SlotRanges:
        """Return which bars of `start` ≤ number < `stop` must be requested; see `known`."""
        return without([(start, stop)], within(self.known(now_ms=now_ms, asked=asked), start, stop))

    def to_fetch(self, start: int, stop: int, *, now_ms: int, asked: SlotRanges = ()) -> SlotRanges:
        """Return the ranges to request to know all `start` ≤ number < `stop`: missing bars and the tail before them."""
        missing = self.missing(start, stop, now_ms=now_ms, asked=asked)
        if not missing:
            return ()
        before = [part for _, part in self.tails if part[0] < missing[-1][1] and missing[-1][0] <= part[1]]
        return union(missing, within(before, 0, stop))


def _newest_first(tail: Segment) -> tuple[int, bool]:
    return -_asked_ms(tail), tail.is_empty


def _asked_ms(tail: Segment) -> int:
    return tail.asked_ms or 0
