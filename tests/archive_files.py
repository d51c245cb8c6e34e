"""The exchange's bulk archive as the loopback exchange serves it: zips of CSV made from its series."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np

from tests.exchange_faults import Row
from tests.exchange_series import Series

ARCHIVE = "/data/spot/"
MICROSECONDS_FROM_MS = 1_735_689_600_000
"""From 2025-01-01 on the archive counts microseconds."""

_PATH = re.compile(r"/data/spot/(monthly|daily)/klines/(\w+)/(\w+)/\2-\3-([0-9-]+)\.zip(\.CHECKSUM)?")


class ArchiveFiles:
    """Every month and day of some series that is over, as files.

    Parameters
    ----------
    series
        By symbol and interval; series added later are seen.
    """

    def __init__(self, series: Mapping[tuple[str, str], Series]) -> None:
        self._series = series
        self._made: dict[str, bytes] = {}
        self._published: dict[str, bytes] = {}

    def restore(self) -> None:
        """Serve nothing but true files again."""
        self._published.clear()

    def publish(self, path: str, content: bytes) -> None:
        """Serve these bytes as a zip file, whatever they are, with their true checksum."""
        self._published[path] = content

    def content(self, path: str, *, now_ms: int) -> bytes | None:
        """Return what lies at a path; None where nothing does."""
        parts = _PATH.fullmatch(path)
        if parts is None:
            return None
        kind, symbol, interval, period, is_checksum = parts.groups()
        file = path.removesuffix(".CHECKSUM")
        content = self._published.get(file, self._made.get(file))
        if content is None:
            series = self._series.get((symbol, "1M" if interval == "1mo" else interval))
            content = None if series is None else _zip_of_period(series, kind, period, file, now_ms)
            if content is None:
                return None
            self._made[file] = content
        return checksum_of(file, content) if is_checksum else content


def checksum_of(path: str, content: bytes) -> bytes:
    """Return the text beside a file."""
    return f"{hashlib.sha256(content).hexdigest()}  {path.rpartition('/')[2]}\n".encode()


def zip_of_rows(name: str, rows: list[Row], *, has_header: bool = False) -> bytes:
    """Return a zip of one CSV of rows."""
    lines = [",".join(map(str, row)) for row in rows]
    if has_header:
        lines.insert(0, "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
                        "taker_buy_quote_volume,ignore")  # fmt: skip
    return zip_of_text(name, "\n".join([*lines, ""]))


def zip_of_text(name: str, text: str) -> bytes:
    """Return a zip of one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(name, text)
    return buffer.getvalue()


def rows_of_period(series: Series, start_ms: int, stop_ms: int) -> list[Row]:
    """Return the archive's rows of a time, in the unit of that time."""
    first, last = np.searchsorted(series.open_time_ms, [start_ms, stop_ms])
    rows = series.rows(int(first), int(last))
    if start_ms >= MICROSECONDS_FROM_MS:
        return [[int(row[0]) * 1000, *row[1:6], int(row[6]) * 1000 + 999, *row[7:]] for row in rows]
    return rows


def _zip_of_period(series: Series, kind: str, period: str, path: str, now_ms: int) -> bytes | None:
    is_month = kind == "monthly"
    start = datetime.strptime(period, "%Y-%m" if is_month else "%Y-%m-%d").replace(tzinfo=UTC)
    stop = (start + timedelta(days=32)).replace(day=1) if is_month else start + timedelta(days=1)
    start_ms, stop_ms = (int(moment.timestamp()) * 1000 for moment in (start, stop))
    if stop_ms > now_ms:
        return None
    rows = rows_of_period(series, start_ms, stop_ms)
    return zip_of_rows(path.rpartition("/")[2].replace(".zip", ".csv"), rows) if rows else None
