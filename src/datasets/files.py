"""Read and write one dataset as one file: its description, then its columns, both with checksums.

bars-1 <SHA-256 of the second line> <SHA-256 of the columns>
{"name": …, "rows": …, …}
open times as int64, then open, high, low, close, volume as float64, all little-endian
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from src.domain.bar_quality import DataQuality, Gap, Jump, RejectedRow
from src.domain.bars import PRICE_COLUMNS, Bars
from src.domain.datasets import Dataset
from src.domain.intervals import Interval

_MAGIC: Final = b"bars-1"
_MAX_LINE_BYTES: Final = 64 * 1024 * 1024
_FLOATS: Final = (*PRICE_COLUMNS, "volume")


class DamagedDataset(Exception):
    """The file of a dataset is cut or altered."""


def encode(dataset: Dataset, bars: Bars) -> bytes:
    """Return the content of the file."""
    head = json.dumps({**asdict(dataset), "interval": dataset.interval.name}, allow_nan=False).encode()
    columns = [bars.open_time_ms.astype("<i8"), *(getattr(bars, name).astype("<f8") for name in _FLOATS)]
    body = b"".join(column.tobytes() for column in columns)
    marks = " ".join(hashlib.sha256(part).hexdigest() for part in (head, body)).encode()
    return b"".join([_MAGIC, b" ", marks, b"\n", head, b"\n", body])


def read_head(path: Path) -> Dataset:
    """Read the description of a dataset without its bars; raises FileNotFoundError, DamagedDataset."""
    with path.open("rb") as file:
        return _read_head(file)[0]


def read_bars(path: Path) -> tuple[Dataset, Bars]:
    """Read a dataset; raises FileNotFoundError, DamagedDataset."""
    with path.open("rb") as file:
        dataset, mark = _read_head(file)
        body = file.read()
    width = 8 * (1 + len(_FLOATS))
    if len(body) != dataset.bars * width or hashlib.sha256(body).hexdigest() != mark:
        raise DamagedDataset("its columns are cut or altered")
    rows = dataset.bars
    columns: dict[str, Any] = {
        name: np.frombuffer(body, dtype="<f8", count=rows, offset=8 * rows * place)
        for place, name in enumerate(_FLOATS, 1)
    }
    times = np.frombuffer(body, dtype="<i8", count=rows)
    try:
        return dataset, Bars(symbol=dataset.symbol, interval=dataset.interval, open_time_ms=times, **columns)
    except ValueError as error:  # written by an earlier version with other limits of prices or volumes
        raise DamagedDataset(f"its columns are not valid bars: {error}") from error


def _read_head(file: BinaryIO) -> tuple[Dataset, str]:
    marks = file.readline(200).split()
    head = file.readline(_MAX_LINE_BYTES).removesuffix(b"\n")
    if len(marks) != 3 or marks[0] != _MAGIC or hashlib.sha256(head).hexdigest().encode() != marks[1]:
        raise DamagedDataset("its head is cut or altered")
    plain = json.loads(head)
    quality, interval = _quality(plain.pop("quality")), Interval.named(plain.pop("interval"))
    warnings = tuple(plain.pop("warnings"))
    return Dataset(**plain, interval=interval, quality=quality, warnings=warnings), marks[2].decode()


def _quality(plain: Mapping[str, Any]) -> DataQuality:
    lists = {
        "gaps": tuple(Gap(**gap) for gap in plain["gaps"]),
        "jumps": tuple(Jump(**jump) for jump in plain["jumps"]),
        "rejected_rows": tuple(RejectedRow(**row) for row in plain["rejected_rows"]),
    }
    return DataQuality(**{**plain, **lists})
