"""What the store knows about one series: which candles are complete, where they are, which may still change.

Pure: an index is a value; storing candles makes a new one.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from src.bars.grid import bar_number, closed_slots
from src.bars.slot_ranges import SlotRanges, union, within, without
from src.domain.market import Interval

SETTLE_MS: Final = 60_000
"""A candle that was asked for sooner after its close is asked for once more later: the exchange may still have been
counting its trades, or our clock may be ahead of the exchange's. So are the last candle and all after it where the
newest ones have not come: trading may have stopped, or the clock may be wrong."""
_VERSION: Final = 1
_LARGEST: Final = 2**53


class DamagedIndex(ValueError):
    """The file is not one that was written as an index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """The candles from number `start` on were asked for at `asked_ms`, too soon after the last of them closed."""

    start: int
    asked_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesIndex:
    """The knowledge about one series, in candle numbers.

    `known` are the candles that are here, or of which the exchange said that there are none. `first_open_ms` is when
    the series' very first candle opens, where that has been asked for. `offset_ms` is how much later than the grid its
    candles open. `segments` maps the number of a stretch to its file's checksum and size in bytes.
    """

    offset_ms: int | None = None
    first_open_ms: int | None = None
    known: SlotRanges = ()
    fresh: Fresh | None = None
    segments: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    def missing(self, start: int, stop: int, *, now_ms: int) -> SlotRanges:
        """Return which candles of `start` ≤ number < `stop` must be asked for.

        The newest ones, which came too soon after their close, count as known for `SETTLE_MS`; then, or when later
        candles are asked for anyhow, they are asked for again.
        """
        missing = without([(start, stop)], self.known)
        if self.fresh is None:
            return missing
        is_stale = not 0 <= now_ms - self.fresh.asked_ms < SETTLE_MS
        goes_on = bool(missing) and missing[-1][1] > self.fresh.start
        if not (is_stale or goes_on):
            return missing
        return without([(start, stop)], within(self.known, 0, self.fresh.start))

    def to_fetch(self, start: int, stop: int, *, now_ms: int) -> SlotRanges:
        """Return what to ask for so that the candles `start` ≤ number < `stop` are known.

        With the newest candles go those before them that came too soon after their close: what may still change is one
        stretch at the end.
        """
        missing = self.missing(start, stop, now_ms=now_ms)
        if self.fresh is None or not missing or missing[-1][1] <= self.fresh.start:
            return missing
        return union(missing, [(self.fresh.start, stop)])

    def learned(self, start: int, stop: int, *, latest: int, asked_ms: int, interval: Interval) -> SeriesIndex:
        """Return the knowledge after everything of `start` ≤ number < `stop` was asked for and stored.

        `latest` is the number of the latest candle that came, or less than `start`. Where the candles of the last
        minute have not come, they are not yet known to be absent.
        """
        closed = closed_slots(asked_ms, interval, self.offset_ms)
        settled = closed_slots(asked_ms - SETTLE_MS, interval, self.offset_ms)
        is_silent = stop >= closed > latest + 1
        stop = min(stop, closed, max(settled, latest + 1))
        if start >= stop:
            return self
        known = union(self.known, [(start, stop)])
        fresh = self.fresh
        if fresh is not None and start <= fresh.start < stop:
            fresh = replace(fresh, start=stop) if stop < known[-1][1] else None
        elif fresh is not None and fresh.start == stop > latest + 1:
            # The silence at the end began here already.
            fresh = replace(fresh, start=max(start, latest))
        if stop > settled or is_silent:
            start = max(start, min(settled, latest) if is_silent else settled)
            fresh = (
                Fresh(start=start, asked_ms=asked_ms)
                if fresh is None
                else Fresh(start=min(fresh.start, start), asked_ms=min(fresh.asked_ms, asked_ms))
            )
        return replace(self, known=known, fresh=fresh)

    def listed(self, first_open_ms: int, interval: Interval) -> SeriesIndex:
        """Return the knowledge that there is nothing before this candle."""
        first = bar_number(first_open_ms, interval)
        return replace(self, first_open_ms=first_open_ms, known=union(self.known, [(0, first)]))

    def forgotten(self, start: int, stop: int) -> SeriesIndex:
        """Return the knowledge without that of the candles `start` ≤ number < `stop`."""
        known = without(self.known, [(start, stop)])
        if self.fresh is None or self.fresh.start >= stop:
            return replace(self, known=known)
        # What may still change is one stretch to the end, or none.
        return replace(self, known=within(known, 0, self.fresh.start), fresh=None)

    def may_be_absent(self, asked: SlotRanges, *, now_ms: int, interval: Interval) -> SlotRanges:
        """Return which of the candles that were just asked for need not be there now, as they may come later."""
        settled = closed_slots(now_ms - SETTLE_MS, interval, self.offset_ms)
        if self.fresh is None:
            return union((max(start, settled), stop) for start, stop in asked)
        # Who asks for one candle that may still change asks for all of them.
        first = self.fresh.start
        return union((max(min(start, first), min(settled, first)), stop) for start, stop in asked)


def encode(index: SeriesIndex) -> bytes:
    """Write an index as one line of JSON after a line with its CRC-32."""
    body = orjson.dumps(
        {
            "version": _VERSION,
            "offset_ms": index.offset_ms,
            "first_open_ms": index.first_open_ms,
            "known": index.known,
            "fresh": None if index.fresh is None else [index.fresh.start, index.fresh.asked_ms],
            "segments": [[number, *entry] for number, entry in sorted(index.segments.items())],
        }
    )
    return b"%08x\n%b\n" % (zlib.crc32(body), body)


def decode(content: bytes) -> SeriesIndex:
    """Read an index; raises DamagedIndex."""
    checksum, _, body = content.rstrip(b"\n").partition(b"\n")
    if checksum != b"%08x" % zlib.crc32(body):
        raise DamagedIndex("its checksum is wrong")
    try:
        return _read(orjson.loads(body))
    except DamagedIndex:
        raise
    except (ValueError, TypeError, LookupError) as error:
        raise DamagedIndex(f"it is no index: {error}") from error


def _read(kept: Mapping[str, Any]) -> SeriesIndex:
    if kept["version"] != _VERSION:
        raise DamagedIndex(f"it is of version {kept['version']}")
    fresh = kept["fresh"]
    return SeriesIndex(
        offset_ms=_whole_or_none(kept["offset_ms"]),
        first_open_ms=_whole_or_none(kept["first_open_ms"]),
        known=tuple((_whole(start), _whole(stop)) for start, stop in kept["known"]),
        fresh=None if fresh is None else Fresh(start=_whole(fresh[0]), asked_ms=_whole(fresh[1])),
        segments={_whole(number): (_whole(checksum), _whole(size)) for number, checksum, size in kept["segments"]},
    )


def _whole(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value < _LARGEST:
        raise ValueError(f"{value!r} is no number of a candle, a time or a size")
    return value


def _whole_or_none(value: object) -> int | None:
    return None if value is None else _whole(value)
