"""Read klines from a file of the bulk archive: a zip of one CSV, read in blocks.

The CSV has the twelve columns of a kline, with or without a header line. Times are in milliseconds or, from 2025 on, in
microseconds.
"""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import numpy as np

from src.bars.grid import close_times_ms
from src.bars.klines import Klines, MalformedKlines, klines_of
from src.domain.intervals import Interval

BLOCK_ROWS: Final = 65_536
MAX_ROW_BYTES: Final = 256
"""A row has about 120 bytes. A file that declares far more bytes than its period can have is not unpacked."""
_HEADER_BYTES: Final = 1024
_UNPACKING_ERRORS: Final = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError,
    OSError,  # of bz2
)  # fmt: skip
_COLUMNS: Final = ("open_time", "open", "high", "low", "close", "volume", "close_time")
_TYPES: Final = {index: np.int64 if name.endswith("time") else np.float64 for index, name in enumerate(_COLUMNS)}


def max_csv_bytes(candles: int) -> int:
    """Return the largest size in bytes of a period with this many bars, packed or unpacked."""
    return _HEADER_BYTES + candles * MAX_ROW_BYTES


def read_blocks(
    file: Path, *, member: str, interval: Interval, start_ms: int, stop_ms: int, candles: int
) -> Generator[Klines]:
    """Yield the rows of a zip in blocks of `BLOCK_ROWS`, each block later than the one before.

    Parameters
    ----------
    member
        Name of the one file in the zip, which contains symbol, interval and period.
    interval
        The length of its bars; an outage may have cut a few of them short.
    start_ms, stop_ms
        The period of the file: all its bars open at `start_ms` ≤ time < `stop_ms`.
    candles
        The number of bars that the period can have.

    Raises MalformedKlines if this is not a zip of that one CSV; blocks yielded before are valid.
    """
    latest_ms = start_ms - 1
    rows = 0
    with _reading(), zipfile.ZipFile(file) as archive, _only_member(archive, member, max_csv_bytes(candles)) as stream:
        for block in _blocks(stream):
            rows += len(block)
            times = block.open_time_ms
            if times.min() <= latest_ms or times.max() >= stop_ms:
                raise MalformedKlines("it holds bars of another time than its name says, or out of order")
            if 2 * np.count_nonzero(block.close_time_ms == close_times_ms(times, interval)) < len(block):
                raise MalformedKlines(f"most of its bars do not last {interval.name}")
            if rows > candles + BLOCK_ROWS:
                raise MalformedKlines("it holds more rows than its period has bars")
            latest_ms = int(times.max())
            yield block


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except _UNPACKING_ERRORS as error:
        raise MalformedKlines(f"it is not a sound zip file: {error}") from error
    except MalformedKlines:
        raise
    except (ValueError, OverflowError) as error:
        raise MalformedKlines(f"it is not a table of klines: {error}") from error


@contextmanager
def _only_member(archive: zipfile.ZipFile, name: str, limit_bytes: int) -> Iterator[IO[bytes]]:
    members = archive.infolist()
    if [member.filename for member in members] != [name]:
        raise MalformedKlines(f"the zip file does not hold exactly {name}")
    if members[0].file_size > limit_bytes:
        raise MalformedKlines(f"it declares {members[0].file_size:,} bytes, more than its period can have")
    # `ZipExtFile` never returns more than the declared size, and checks the member's CRC at its end.
    with archive.open(members[0]) as stream:
        yield stream


def _blocks(stream: IO[bytes]) -> Iterator[Klines]:
    first_line = stream.readline(_HEADER_BYTES)
    if not first_line.strip():
        return
    import pandas as pd  # noqa: PLC0415  (0.35 s, which would delay every start; a download takes longer)

    has_header = not first_line[:1].isdigit()
    stream.seek(0)
    tables = pd.read_csv(
        stream,
        header=None,
        skiprows=int(has_header),
        usecols=range(len(_COLUMNS)),
        dtype=_TYPES,
        chunksize=BLOCK_ROWS,
    )
    with tables:
        for table in tables:
            yield klines_of([table[index].to_numpy() for index in range(len(_COLUMNS))])
