"""Files of candles as users have them, for tests of what reads them."""

from __future__ import annotations

import gzip
import io
from collections.abc import AsyncIterator, Iterable, Sequence

from src.bars.simulated import simulate_bars
from src.datasets.reading.table import BarTable
from src.datasets.reading.worker import Task, read
from src.domain.bars import Bars
from src.domain.intervals import INTERVALS

HEADER = "Date,Open,High,Low,Close,Volume"
DAY_MS = 86_400_000


def task(**overrides: object) -> Task:
    given = {
        "symbol": "BTCUSDT", "unit": None, "timezone": None, "date_format": None, "decimal": None,
        "max_rows": 10_000, "max_bytes": 3_000_000, "memory_bytes": 2**40,
        "cpu_seconds": 60, "answer_bytes": 10_000_000,
    }  # fmt: skip
    return Task(**(given | overrides))


def read_here(content: bytes | str, **overrides: object) -> BarTable:
    """Read a file in this process, without the child's bounds on memory and time."""
    return read(io.BytesIO(content.encode() if isinstance(content, str) else content), task(**overrides))


def csv_of(rows: Iterable[Sequence[object]], header: str | None = HEADER) -> str:
    lines = [",".join(map(str, row)) for row in rows]
    return "\n".join([*([header] if header else []), *lines]) + "\n"


def days(count: int, *, first: str = "2021-01-01") -> list[list[object]]:
    """Possible daily rows with ISO dates."""
    import numpy as np

    dates = np.datetime64(first) + np.arange(count)
    return [[str(date), 10 + row, 12 + row, 9 + row, 11 + row, 100 + row] for row, date in enumerate(dates)]


def csv_of_bars(bars: Bars) -> bytes:
    """Write candles so that they read back to the last bit."""
    columns = [bars.open_time_ms.tolist()]
    columns += [getattr(bars, name).tolist() for name in ("open", "high", "low", "close", "volume")]
    return csv_of(zip(*columns, strict=True), "timestamp,open,high,low,close,volume").encode()


def simulated(count: int, *, interval: str = "1h", start_ms: int = 1_600_000_000_000, symbol: str = "BTCUSDT") -> Bars:
    return simulate_bars(symbol, INTERVALS[interval], start_ms, count, 7)


async def in_chunks(content: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def gzipped(content: bytes | str) -> bytes:
    return gzip.compress(content.encode() if isinstance(content, str) else content, 1)
