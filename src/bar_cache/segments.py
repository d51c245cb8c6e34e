"""Encode and decode the files of the bar cache: their names and their contents.

Each file states a fact about one range of bars, START ≤ number < STOP:

    START-STOP-OFFSET-CHECKSUM.segment     these bars exist, and no others; that is final
    START-STOP.gap                         no bar exists; that is final too, and the file is empty
    0-STOP.first                           the same, and STOP is the very first bar of the series
    START-STOP-OFFSET-CHECKSUM-ASKED.tail  the newest bars as the exchange had them at ASKED (ms); they may still change
    START-STOP-ASKED.late                  the exchange did not have these bars at ASKED, although they were closed

OFFSET is how many ms later than the grid the bars open, and is left out if the file has no bars. So the names of
the files say which bars are known. No file is ever changed, and two files never contradict each other.

Contents, little-endian. CHECKSUM is the CRC-32 of all of it:

    8 bytes   "BARS\\0\\0\\0\\2": the kind of file, and the version of the layout
    8 bytes   length of the header
    header    JSON: symbol, interval, start, stop, rows, and the times of rejected, repeated or irregular rows; padded
    columns   open_time_ms int64 [rows]; open, high, low, close, volume float64 [rows] each

The columns are plain rather than Parquet: a year of minutes (527,040 rows) is read and checked in about 20 ms, and
Parquet takes 50 ms uncompressed. Files are read, not mapped into memory: truncating a mapped file kills the process.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson

from src.bars.checked import NUMBER_COLUMNS, TRACES, CheckedBars
from src.bars.grid import bar_number, open_time_ms
from src.bars.slot_ranges import SlotRange
from src.domain.bar_quality import RejectedRow
from src.domain.bars import Bars
from src.domain.intervals import Interval

_MAGIC: Final = b"BARS\0\0\0\2"
_PREFIX: Final = struct.Struct("<8sQ")
_ALIGNMENT: Final = 8
_NAME: Final = re.compile(
    r"(?P<start>\d{1,15})-(?P<stop>\d{1,15})"
    r"(?:-(?P<offset>\d{0,15})-(?P<checksum>[0-9a-f]{8}))?(?:-(?P<asked>\d{1,15}))?\.(?P<kind>[a-z]+)",
    re.ASCII,
)


class DamagedSegment(ValueError):
    """A file does not hold the bytes that were written to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One file of a series: `checksum` is None if it is empty, `asked_ms` is None if its fact is final."""

    start: int
    stop: int
    offset_ms: int | None = None
    checksum: int | None = None
    asked_ms: int | None = None
    is_first: bool = False

    @property
    def range(self) -> SlotRange:
        return self.start, self.stop

    @property
    def is_empty(self) -> bool:
        return self.checksum is None

    @property
    def name(self) -> str:
        """Return the name of the file."""
        offset = "" if self.offset_ms is None else self.offset_ms
        has_bars = "" if self.checksum is None else f"-{offset}-{self.checksum:08x}"
        return f"{self.start}-{self.stop}{has_bars}{'' if self.asked_ms is None else f'-{self.asked_ms}'}.{self._kind}"

    @property
    def _kind(self) -> str:
        if self.checksum is not None:
            return "segment" if self.asked_ms is None else "tail"
        return "late" if self.asked_ms is not None else "first" if self.is_first else "gap"

    @staticmethod
    def named(name: str) -> Segment | None:
        """Return the file of this name; None if the name is not one that this build writes."""
        parts = _NAME.fullmatch(name)
        if parts is None or int(parts["start"]) >= int(parts["stop"]):
            return None
        segment = Segment(
            start=int(parts["start"]),
            stop=int(parts["stop"]),
            offset_ms=int(parts["offset"]) if parts["offset"] else None,
            checksum=int(parts["checksum"], 16) if parts["checksum"] else None,
            asked_ms=int(parts["asked"]) if parts["asked"] else None,
            is_first=parts["kind"] == "first",
        )
        return segment if segment.name == name else None


def encode(checked: CheckedBars, start: int, stop: int, *, asked_ms: int | None = None) -> tuple[Segment, bytes]:
    """Return the file of all bars with the numbers `start` ≤ number < `stop`, and its bytes."""
    bars = checked.bars
    header = orjson.dumps(
        {
            "symbol": bars.symbol,
            "interval": bars.interval.name,
            "start": start,
            "stop": stop,
            "rows": len(bars),
            "rejected": [[row.open_time_ms, row.reason] for row in checked.rejected],
            "traces": {name: getattr(checked, name) for name in TRACES},
        }
    )
    header += b" " * (-len(header) % _ALIGNMENT)
    columns = [np.ascontiguousarray(bars.open_time_ms, "<i8")]
    columns += [np.ascontiguousarray(getattr(bars, name), "<f8") for name in NUMBER_COLUMNS]
    content = b"".join([_PREFIX.pack(_MAGIC, len(header)), header, *(column.tobytes() for column in columns)])
    segment = Segment(
        start=start, stop=stop, offset_ms=offset_of(bars), checksum=zlib.crc32(content), asked_ms=asked_ms
    )  # fmt: skip
    return segment, content


def decode(content: bytes, segment: Segment, *, symbol: str, interval: Interval) -> CheckedBars:
    """Read the bytes of a file. Raises DamagedSegment if they are not those that were written under this name."""
    if zlib.crc32(content) != segment.checksum:
        raise DamagedSegment("its checksum is wrong")
    try:
        return _read(memoryview(content), segment, symbol, interval)
    except DamagedSegment:
        raise
    except (ValueError, TypeError, LookupError, struct.error) as error:
        raise DamagedSegment(f"its header cannot be read: {error}") from error


def offset_of(bars: Bars) -> int | None:
    """Return how many ms later than the grid these bars open; None if there are none."""
    if not len(bars):
        return None
    first_ms = int(bars.open_time_ms[0])
    return first_ms - open_time_ms(bar_number(first_ms, bars.interval), bars.interval)


def _read(content: memoryview, segment: Segment, symbol: str, interval: Interval) -> CheckedBars:
    magic, header_length = _PREFIX.unpack_from(content)
    if magic != _MAGIC:
        raise DamagedSegment("it has another layout")
    columns_at = _PREFIX.size + header_length
    header = orjson.loads(content[_PREFIX.size : columns_at])
    found = header["symbol"], header["interval"], header["start"], header["stop"]
    if found != (symbol, interval.name, *segment.range):
        raise DamagedSegment("it holds {} {} from {} to {}".format(*found))
    return CheckedBars(
        bars=_bars(content[columns_at:], header, symbol, interval),
        rejected=tuple(RejectedRow(open_time_ms=time, reason=reason) for time, reason in header["rejected"]),
        **{name: tuple(header["traces"][name]) for name in TRACES},
    )


def _bars(columns: memoryview, header: dict[str, Any], symbol: str, interval: Interval) -> Bars:
    rows = header["rows"]
    numbers = {
        name: np.frombuffer(columns, "<f8", count=rows, offset=8 * rows * (index + 1))
        for index, name in enumerate(NUMBER_COLUMNS)
    }
    return Bars(
        symbol=symbol, interval=interval, open_time_ms=np.frombuffer(columns, "<i8", count=rows), inside=None,
        **numbers,
    )  # fmt: skip
